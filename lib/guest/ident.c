// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/guest/ident.h"
#include "lib/guest/guest.h"
#include "lib/guest/le.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

void qf_ident_uuid(const unsigned char *id, char *out, size_t room)
{
	static const unsigned char none[16];
	char text[37];
	size_t i, n = 0;

	if (!memcmp(id, none, sizeof(none))) {
		snprintf(out, room, "%s", "");
		return;
	}
	for (i = 0; i < 16; i++)
		n += (size_t)snprintf(
			text + n, sizeof(text) - n, "%s%02x",
			i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
			id[i]);
	snprintf(out, room, "%s", text);
}

void qf_ident_guid(const unsigned char *id, char *out, size_t room)
{
	static const unsigned char order[16] = { 3, 2, 1,  0,  5,  4,  7,  6,
						 8, 9, 10, 11, 12, 13, 14, 15 };
	unsigned char turned[16];
	size_t i;

	for (i = 0; i < 16; i++)
		turned[i] = id[order[i]];
	qf_ident_uuid(turned, out, room);
}

void qf_ident_text(const void *text, size_t n, char *out, size_t room)
{
	const char *p = text;

	n = strnlen(p, n);
	while (n && p[n - 1] == ' ')
		n--;
	snprintf(out, room, "%.*s", (int)n, p);
}

/* The character at unit *I, which goes on behind it. */
static uint32_t next_character(const void *text, size_t n, size_t *i)
{
	uint32_t c = qf_le_get16(text, 2 * (*i)++), low;

	if (c < 0xd800 || c > 0xdfff)
		return c;
	if (c > 0xdbff || *i == n)
		return 0xfffd;
	low = qf_le_get16(text, 2 * *i);
	if (low < 0xdc00 || low > 0xdfff)
		return 0xfffd;
	(*i)++;
	return 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
}

static size_t put_utf8(uint32_t c, char *out)
{
	static const unsigned char lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4, i;

	for (i = n; i-- > 1; c >>= 6)
		out[i] = (char)(0x80 | (c & 0x3f));
	out[0] = (char)(lead[n == 1 ? 0 : n] | c);
	return n;
}

size_t qf_ident_utf16(const void *text, size_t n, char *out, size_t room)
{
	size_t at = 0, i = 0;
	uint32_t c;

	while (i < n && at + 5 <= room) {
		c = next_character(text, n, &i);
		if (!c)
			break;
		at += put_utf8(c, out + at);
	}
	if (room)
		out[at] = '\0';
	return at;
}

/* Counted by hand: timegm() reads the zone's file, and a caged reader has
 * none. The year begins in March, so that February's length is the last. */
int64_t qf_ident_time(int year, int month, int day, int hour, int minute,
		      int second)
{
	int64_t y, days;

	if (year < 1900 || month < 1 || month > 12 || day < 1 || day > 31)
		return QF_GUEST_NO_TIME;
	y = year - (month < 3);
	days = y * 365 + y / 4 - y / 100 + y / 400 +
	       (153 * (month + (month < 3 ? 9 : -3)) + 2) / 5 + day - 1;
	return ((days - 719468) * 24 + hour) * 3600 + minute * 60 + second;
}

int64_t qf_ident_dos_time(uint32_t date, uint32_t time)
{
	return qf_ident_time((int)(1980 + (date >> 9 & 127)),
			     (int)(date >> 5 & 15), (int)(date & 31),
			     (int)(time >> 11 & 31), (int)(time >> 5 & 63),
			     (int)(2 * (time & 31)));
}
