// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The search for bytes in the file: a slice at a time, so that keys are
 * heard in between.
 */
#include "viz/hex/hex_search.h"
#include "lib/base/text.h"
#include "viz/hex/hex_bytes.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SLICE (1u << 20)

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

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
	st->search_gaps = st->search_round = false;
	/* forwards: the next place to try; backwards: the first not to try */
	st->search_from = st->search_at = *qf_hex_bytes_cursor(a) + !back;
	st->search_read = 0;
	st->search_ms = now_ms();
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

/* How much of all has been passed, in percent. */
static unsigned int percent(struct qf_app *a)
{
	struct qf_hex_state *st = &a->hex;
	uint64_t size = qf_hex_bytes_size(a), done;

	if (!size)
		return 100;
	if (st->back)
		done = st->search_round
			       ? st->search_from + (size - st->search_at)
			       : st->search_from - st->search_at;
	else
		done = st->search_round ? size - st->search_from + st->search_at
					: st->search_at - st->search_from;
	return done >= size
		       ? 100
		       : (unsigned int)(100.0 * (double)done / (double)size);
}

/* "512 MiB/s"; nothing where it was too short to tell. Returns BUF. */
static char *rate(const struct qf_hex_state *st, char *buf, size_t room)
{
	int64_t ms = now_ms() - st->search_ms;
	char size[32];

	buf[0] = '\0';
	if (ms >= 500)
		snprintf(buf, room, ", %s/s",
			 qf_text_bytes((uint64_t)((double)st->search_read *
						  1000 / (double)ms),
				       size, sizeof(size)));
	return buf;
}

static void found(struct qf_app *a, uint64_t at)
{
	struct qf_hex_state *st = &a->hex;
	uint64_t size = qf_hex_bytes_size(a);
	char text[48];

	st->searching = false;
	*qf_hex_bytes_cursor(a) = at;
	st->mark_guest = st->guest;
	st->mark_off = at;
	st->mark_bytes = st->needle_bytes;
	qf_app_say(a, QF_TINT_NOTE,
		   "%sfound at %s0x%" PRIx64 ", %u%% of the %s%s",
		   !st->search_round ? ""
		   : st->back	     ? "round the start: "
				     : "round the end: ",
		   st->guest ? "guest offset " : "", at,
		   size ? (unsigned int)(100.0 * (double)at / (double)size) : 0,
		   st->guest ? "disk" : "file", rate(st, text, sizeof(text)));
}

static void end_search(struct qf_app *a)
{
	a->hex.searching = false;
	qf_app_say(a, QF_TINT_WARN, "\"%s\" not found in the %s%s", a->pattern,
		   a->hex.guest ? "disk" : "file",
		   a->hex.search_gaps ? "; parts of it could not be read" : "");
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

/* N bytes from OFF on; what cannot be read is passed, and remembered. */
static bool get(struct qf_app *a, unsigned char *buf, size_t n, uint64_t off)
{
	bool lost = false;
	bool good = !qf_hex_bytes_read(a, buf, n, off, &lost, NULL);

	a->hex.search_read += n;
	a->hex.search_gaps |= lost || !good;
	return good;
}

static void search_back(struct qf_app *a, unsigned char *buf)
{
	struct qf_hex_state *st = &a->hex;
	uint64_t from = st->search_at > SLICE ? st->search_at - SLICE : 0;
	const unsigned char *hit = NULL;
	size_t len;

	/* round the start, down to where it began */
	if (st->search_round && from < st->search_from)
		from = st->search_from;
	len = st->search_at > from ? (size_t)(st->search_at - from) : 0;
	if (len && get(a, buf, len + st->needle_bytes, from))
		hit = last_match(st, buf, len + st->needle_bytes, len);
	st->search_at = from;
	if (hit) {
		found(a, from + (uint64_t)(hit - buf));
	} else if (st->search_round) {
		if (from <= st->search_from)
			end_search(a);
	} else if (!from) {
		st->search_round = true;
		st->search_at = qf_hex_bytes_size(a);
	}
}

/* Past the end: round it, once. */
static bool go_round(struct qf_app *a)
{
	struct qf_hex_state *st = &a->hex;
	uint64_t size = qf_hex_bytes_size(a);

	if (st->search_round ? st->search_at >= st->search_from ||
				       size < st->needle_bytes ||
				       st->search_at > size - st->needle_bytes
			     : size < st->needle_bytes) {
		end_search(a);
		return true;
	}
	if (st->search_round || st->search_at <= size - st->needle_bytes)
		return false;
	st->search_round = true;
	st->search_at = 0;
	return true;
}

static void search_on(struct qf_app *a, unsigned char *buf)
{
	struct qf_hex_state *st = &a->hex;
	uint64_t size = qf_hex_bytes_size(a), zeros;
	const unsigned char *hit = NULL;
	size_t n = SLICE + st->needle_bytes;

	if (go_round(a))
		return;
	/* zeros can at most hold the beginning of what is sought */
	zeros = all_zeros(st) ? 0 : qf_hex_bytes_zeros(a, st->search_at);
	if (zeros > st->needle_bytes) {
		st->search_at += zeros - st->needle_bytes;
		return;
	}
	if (n > size - st->search_at)
		n = (size_t)(size - st->search_at);
	if (get(a, buf, n, st->search_at))
		hit = memmem(buf, n, st->needle, st->needle_bytes);
	if (hit)
		found(a, st->search_at + (uint64_t)(hit - buf));
	else
		st->search_at += SLICE;
}

void qf_hex_search_step(struct qf_app *a)
{
	unsigned char *buf = malloc(SLICE + sizeof(a->hex.needle));
	char text[48];
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
			   "searching: %u%%, 0x%" PRIx64 "%s; any key stops",
			   percent(a), a->hex.search_at,
			   rate(&a->hex, text, sizeof(text)));
	free(buf);
}
