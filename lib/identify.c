// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/identify.h"
#include "lib/text.h"

#include <magic.h>
#include <stdio.h>

char *qf_identify_bytes(const void *buf, size_t n, char *out, size_t room)
{
	magic_t m = magic_open(MAGIC_NONE);
	const char *text = NULL;

	if (m && !magic_load(m, NULL))
		text = magic_buffer(m, buf, n);
	if (text)
		qf_text_safe(text, out, room);
	else
		snprintf(out, room, "data");
	if (m)
		magic_close(m);
	return out;
}
