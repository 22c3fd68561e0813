// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/base/identify.h"
#include "lib/base/dynload.h"
#include "lib/base/text.h"

#include <magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define FUNCTIONS X(open) X(load) X(buffer) X(close)

static struct {
#define X(f) __typeof__(magic_##f) *f;
	FUNCTIONS
#undef X
} magic;

static const char *const names[] = {
#define X(f) "magic_" #f,
	FUNCTIONS
#undef X
};

/* Loading libmagic's database takes longer than using it: it is kept. */
static magic_t database(void)
{
	static magic_t kept;
	static bool tried;

	if (!tried) {
		tried = true;
		if (qf_dynload_load("libmagic.so.1", names,
				    sizeof(names) / sizeof(names[0]), &magic,
				    NULL))
			return NULL;
		kept = magic.open(MAGIC_NONE);
		if (kept && magic.load(kept, NULL)) {
			magic.close(kept);
			kept = NULL;
		}
	}
	return kept;
}

/* The details that libmagic adds tell nothing of what it is. */
static void shorten(char *text)
{
	static const char *const ends[] = { ", ", "; ", " (" };
	size_t i;
	char *end;

	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		end = strstr(text, ends[i]);
		if (end && end != text)
			*end = '\0';
	}
}

char *qf_identify_bytes(const void *buf, size_t n, char *out, size_t room)
{
	magic_t m = database();
	const char *text = m ? magic.buffer(m, buf, n) : NULL;

	if (text)
		shorten(qf_text_safe(text, out, room));
	else
		snprintf(out, room, "data");
	return out;
}
