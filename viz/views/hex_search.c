// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The search for bytes in the file: a slice at a time, so that keys are
 * heard in between.
 */
#include "viz/views/hex_search.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SLICE (1u << 20)

static int nibble(char c)
{
	return isdigit((unsigned char)c) ? c - '0'
					 : tolower((unsigned char)c) - 'a' + 10;
}

/* "0xd34db33f" is bytes, anything else the text itself. */
static bool parse_needle(struct qf_hex_state *st, const char *s)
{
	size_t i, n;

	st->needle_bytes = 0;
	if (s[0] != '0' || s[1] != 'x') {
		n = strlen(s);
		if (n > sizeof(st->needle))
			n = sizeof(st->needle);
		memcpy(st->needle, s, n);
		st->needle_bytes = n;
		return n;
	}
	s += 2;
	for (i = 0; s[i] && s[i + 1] && i / 2 < sizeof(st->needle); i += 2) {
		if (!isxdigit((unsigned char)s[i]) ||
		    !isxdigit((unsigned char)s[i + 1]))
			return false;
		st->needle[i / 2] =
			(unsigned char)(nibble(s[i]) << 4 | nibble(s[i + 1]));
		st->needle_bytes++;
	}
	return st->needle_bytes && !s[i];
}

bool qf_hex_search_begin(struct qf_app *a, bool back)
{
	struct qf_hex_state *st = &a->hex;

	if (!parse_needle(st, a->pattern)) {
		qf_app_say(
			a, QF_TINT_WARN,
			"\"%s\" is not bytes: write 0x and two digits for each",
			a->pattern);
		return true;
	}
	st->back = back;
	st->searching = true;
	st->search_gaps = false;
	/* forwards: the next place to try; backwards: the first not to try */
	st->search_at = back ? a->at : a->at + 1;
	return true;
}

static bool all_zeros(const struct qf_hex_state *st)
{
	size_t i;

	for (i = 0; i < st->needle_bytes; i++)
		if (st->needle[i])
			return false;
	return true;
}

static void found(struct qf_app *a, uint64_t at)
{
	a->hex.searching = false;
	a->at = at;
	a->hex.mark_off = at;
	a->hex.mark_bytes = a->hex.needle_bytes;
	qf_app_say(a, QF_TINT_NOTE, "found at 0x%" PRIx64, at);
}

static void end_search(struct qf_app *a)
{
	a->hex.searching = false;
	qf_app_say(a, QF_TINT_WARN, "\"%s\" not found %s%s", a->pattern,
		   a->hex.back ? "above" : "below",
		   a->hex.search_gaps ? "; parts of the file could not be read"
				      : "");
}

/* The last place in BUF where the needle begins below LIMIT, or NULL. */
static const unsigned char *last_match(const struct qf_hex_state *st,
				       const unsigned char *buf, size_t n,
				       size_t limit)
{
	const unsigned char *p = buf, *last = NULL;

	while ((p = memmem(p, n - (size_t)(p - buf), st->needle,
			   st->needle_bytes))) {
		if ((size_t)(p - buf) >= limit)
			break;
		last = p++;
	}
	return last;
}

static void search_back(struct qf_app *a, unsigned char *buf)
{
	struct qf_hex_state *st = &a->hex;
	uint64_t from = st->search_at > SLICE ? st->search_at - SLICE : 0;
	size_t len = (size_t)(st->search_at - from);
	const unsigned char *hit = NULL;

	if (!qf_io_read_pad(a->img->io, buf, len + st->needle_bytes, from,
			    NULL))
		hit = last_match(st, buf, len + st->needle_bytes, len);
	else
		st->search_gaps = true;
	if (hit)
		found(a, from + (uint64_t)(hit - buf));
	else if (!from)
		end_search(a);
	st->search_at = from;
}

static void search_on(struct qf_app *a, unsigned char *buf)
{
	struct qf_hex_state *st = &a->hex;
	uint64_t size = a->img->io->size, end;
	const unsigned char *hit = NULL;
	size_t n = SLICE + st->needle_bytes;

	if (st->search_at >= size || size - st->search_at < st->needle_bytes) {
		end_search(a);
		return;
	}
	/* a hole can at most hold the beginning of what is sought */
	if (qf_io_extent(a->img->io, st->search_at, size, &end) == QF_IO_HOLE &&
	    !all_zeros(st) && end > st->search_at + st->needle_bytes) {
		st->search_at = end - st->needle_bytes;
		return;
	}
	if (n > size - st->search_at)
		n = (size_t)(size - st->search_at);
	if (!qf_io_read(a->img->io, buf, n, st->search_at, NULL))
		hit = memmem(buf, n, st->needle, st->needle_bytes);
	else
		st->search_gaps = true;
	if (hit)
		found(a, st->search_at + (uint64_t)(hit - buf));
	else
		st->search_at += SLICE;
}

void qf_hex_search_step(struct qf_app *a)
{
	unsigned char *buf = malloc(SLICE + sizeof(a->hex.needle));
	int i;

	if (!buf)
		end_search(a);
	for (i = 0; i < 8 && a->hex.searching; i++) {
		if (a->hex.back)
			search_back(a, buf);
		else
			search_on(a, buf);
	}
	if (a->hex.searching)
		qf_app_say(a, QF_TINT_NOTE,
			   "searching: 0x%" PRIx64 "; any key stops",
			   a->hex.search_at);
	free(buf);
}
