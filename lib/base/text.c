// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/base/text.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The length of the well-formed UTF-8 sequence at S, 0 if there is none. */
static size_t utf8_len(const unsigned char *s)
{
	static const struct {
		unsigned char mask, lead, len;
		uint32_t min;
	} forms[] = { { 0xe0, 0xc0, 2, 0x80 },
		      { 0xf0, 0xe0, 3, 0x800 },
		      { 0xf8, 0xf0, 4, 0x10000 } };
	uint32_t c;
	size_t f, i;

	for (f = 0; f < sizeof(forms) / sizeof(forms[0]); f++) {
		if ((s[0] & forms[f].mask) != forms[f].lead)
			continue;
		c = s[0] & (unsigned char)~forms[f].mask;
		for (i = 1; i < forms[f].len; i++) {
			if ((s[i] & 0xc0) != 0x80)
				return 0;
			c = c << 6 | (s[i] & 0x3fu);
		}
		/* no overlong forms, surrogates, C1 controls */
		if (c < forms[f].min || c > 0x10ffff || c < 0xa0 ||
		    (c >= 0xd800 && c < 0xe000))
			return 0;
		return forms[f].len;
	}
	return 0;
}

char *qf_text_safe(const char *s, char *buf, size_t room)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t n = 0, len;

	while (*p && n + 5 < room) {
		len = *p >= 0x20 && *p < 0x7f ? 1 : utf8_len(p);
		if (len && n + len < room) {
			memcpy(buf + n, p, len);
			n += len;
			p += len;
		} else {
			n += (size_t)snprintf(buf + n, room - n, "\\x%02x",
					      *p++);
		}
	}
	if (room)
		buf[n < room ? n : room - 1] = '\0';
	return buf;
}

char *qf_text_shell(const char *s, char *buf, size_t room)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmno"
				    "pqrstuvwxyz0123456789_./:@%+,=-";
	char safe[1200];
	size_t n = 0;
	const char *p;

	qf_text_safe(s, safe, sizeof(safe));
	if (*safe && safe[strspn(safe, plain)] == '\0') {
		snprintf(buf, room, "%s", safe);
		return buf;
	}
	if (room < 8) {
		snprintf(buf, room, "''");
		return buf;
	}
	buf[n++] = '\'';
	for (p = safe; *p && n + 6 < room; p++) {
		if (*p == '\'')
			n += (size_t)snprintf(buf + n, room - n, "'\\''");
		else
			buf[n++] = *p;
	}
	buf[n++] = '\'';
	buf[n] = '\0';
	return buf;
}

char *qf_text_file(const char *name, char *buf, size_t room)
{
	char apart[1200];

	if (*name != '-')
		return qf_text_shell(name, buf, room);
	snprintf(apart, sizeof(apart), "./%s", name);
	return qf_text_shell(apart, buf, room);
}

char *qf_text_bytes(uint64_t bytes, char *buf, size_t room)
{
	static const char *const units[] = { "B",   "KiB", "MiB", "GiB",
					     "TiB", "PiB", "EiB" };
	double v = (double)bytes;
	unsigned int u = 0;

	while (v >= 1024 && u < 6) {
		v /= 1024;
		u++;
	}
	if (!u || v >= 100 || v == (double)(uint64_t)v)
		snprintf(buf, room, "%.0f %s", v, units[u]);
	else
		snprintf(buf, room, v >= 10 ? "%.1f %s" : "%.2f %s", v,
			 units[u]);
	return buf;
}

char *qf_text_place(uint64_t off, char *buf, size_t room)
{
	static const char *const units[] = { "KiB", "MiB", "GiB",
					     "TiB", "PiB", "EiB" };
	uint64_t first, second;
	unsigned int u = 0;
	size_t n = 0;

	n = (size_t)snprintf(buf, room, "0x%" PRIx64, off);
	if (off < 1024 || n >= room)
		return buf;
	while (u < 5 && off >> (10 * (u + 2)))
		u++;
	first = off >> (10 * (u + 1));
	second = u ? off >> (10 * u) & 1023 : 0;
	n += (size_t)snprintf(buf + n, room - n, " (%s%" PRIu64 " %s",
			      off & ((1ull << 10 * (u ? u : 1)) - 1) ? "about "
								     : "",
			      first, units[u]);
	if (second && n < room)
		n += (size_t)snprintf(buf + n, room - n, " + %" PRIu64 " %s",
				      second, units[u - 1]);
	if (n < room)
		snprintf(buf + n, room - n, ")");
	return buf;
}

/* True if what stands before S + AT says that a place follows. */
static bool is_place(const char *s, size_t at)
{
	static const char *const before[] = { "at ", "from ", "to ", "and ",
					      "offset " };
	size_t i, n;

	for (i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
		n = strlen(before[i]);
		if (at >= n && !memcmp(s + at - n, before[i], n) &&
		    (at == n || s[at - n - 1] == ' ' || s[at - n - 1] == '('))
			return true;
	}
	return false;
}

/*
 * Writes to OUT the place at S, of N characters; how many of S are done with.
 * Words that stand behind it already are left.
 */
static size_t put_place(FILE *out, const char *s, size_t n, bool inside)
{
	const char *words, *behind = s + n;
	char buf[80];

	qf_text_place(strtoull(s, NULL, 16), buf, sizeof(buf));
	words = strchr(buf, '(');
	fprintf(out, "%.*s", (int)n, s);
	if (!words || !strncmp(behind, " (about ", 8) ||
	    !strncmp(behind, words - 1, strlen(words - 1) - 1))
		return n;
	n = strlen(words) - 2;
	if (inside) {
		fprintf(out, " = %.*s", (int)n, words + 1);
		return (size_t)(behind - s);
	}
	fprintf(out, " (%.*s", (int)n, words + 1);
	if (!strncmp(behind, " (", 2)) {
		fprintf(out, "; ");
		return (size_t)(behind + 2 - s);
	}
	fprintf(out, ")");
	return (size_t)(behind - s);
}

char *qf_text_places(const char *s)
{
	char *text = NULL;
	size_t bytes, i = 0, n, depth = 0;
	FILE *out = open_memstream(&text, &bytes);
	bool failed;

	if (!out)
		return NULL;
	while (s[i]) {
		depth += s[i] == '(';
		depth -= s[i] == ')' && depth;
		n = s[i] == '0' && s[i + 1] == 'x' && is_place(s, i)
			    ? strspn(s + i + 2, "0123456789abcdef")
			    : 0;
		if (n && n <= 16) {
			n = put_place(out, s + i, n + 2, depth);
			depth += s[i + n - 1] == '(';
			i += n;
		} else {
			fputc(s[i++], out);
		}
	}
	failed = ferror(out);
	if (fclose(out) || failed) {
		free(text);
		return NULL;
	}
	return text;
}
