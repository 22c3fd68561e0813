// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/identify.h"
#include "lib/text.h"

#include <magic.h>
#include <stdbool.h>
#include <stdio.h>

/* Loading libmagic's database takes longer than using it: it is kept. */
static magic_t database(void)
{
	static magic_t kept;
	static bool tried;

	if (!tried) {
		tried = true;
		kept = magic_open(MAGIC_NONE);
		if (kept && magic_load(kept, NULL)) {
			magic_close(kept);
			kept = NULL;
		}
	}
	return kept;
}

char *qf_identify_bytes(const void *buf, size_t n, char *out, size_t room)
{
	magic_t m = database();
	const char *text = m ? magic_buffer(m, buf, n) : NULL;

	if (text)
		qf_text_safe(text, out, room);
	else
		snprintf(out, room, "data");
	return out;
}
