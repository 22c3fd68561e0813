// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/passes/guest_words.h"
#include "lib/base/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* So many kinds of blocks, and so many names, are told of one stretch. */
#define KINDS 4
#define NAMES 4

/* Text that grows in a buffer, and is cut where that ends. */
struct line {
	char *buf;
	size_t room, n;
};

static void __attribute__((format(printf, 2, 3)))
add(struct line *l, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(l->buf + l->n, l->room - l->n, fmt, ap);
	va_end(ap);
	if (n > 0)
		l->n += (size_t)n < l->room - l->n ? (size_t)n
						   : l->room - l->n - 1;
}

static size_t count(const struct qf_guest_stretch *s, const char *what)
{
	size_t i, n = 0;

	for (i = 0; i < s->n; i++)
		n += !strcmp(s->at[i].what, what);
	return n;
}

/* Whether the fault I is the first of its kind in the stretch. */
static bool is_first(const struct qf_guest_stretch *s, size_t i)
{
	size_t k;

	for (k = 0; k < i; k++)
		if (!strcmp(s->at[k].what, s->at[i].what))
			return false;
	return true;
}

char *qf_guest_words_kinds(const struct qf_guest_stretch *s, char *buf,
			   size_t room)
{
	struct line l = { buf, room, 0 };
	unsigned int told = 0;
	char what[100];
	size_t i, n;

	buf[0] = '\0';
	for (i = 0; i < s->n && told < KINDS; i++) {
		if (!is_first(s, i))
			continue;
		n = count(s, s->at[i].what);
		add(&l, "%s%s (%zu block%s)", told++ ? ", " : "",
		    qf_text_safe(s->at[i].what, what, sizeof(what)), n,
		    n == 1 ? "" : "s");
	}
	for (; i < s->n; i++)
		if (is_first(s, i)) {
			add(&l, ", and more");
			break;
		}
	return buf;
}

/* Whether the file of piece I was told of by a piece before. */
static bool is_told(const struct qf_guest_names *names, size_t first, size_t i)
{
	size_t k;

	for (k = first; k < i; k++)
		if (names->piece[k].file == names->piece[i].file)
			return true;
	return false;
}

/* The first piece that ends behind the stretch's start: pieces that overlap
 * are short of names, not of truth. */
static size_t first_piece(const struct qf_guest_names *names, uint64_t start)
{
	size_t lo = 0, hi = names->pieces, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (names->piece[mid].start + names->piece[mid].bytes <= start)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

char *qf_guest_words_names(const struct qf_guest_stretch *s,
			   const struct qf_guest_names *names, char *buf,
			   size_t room)
{
	size_t first = first_piece(names, s->start), i;
	struct line l = { buf, room, 0 };
	const struct qf_guest_file *f;
	unsigned int told = 0, more = 0;
	char path[300];

	buf[0] = '\0';
	for (i = first; i < names->pieces && names->piece[i].start < s->end;
	     i++) {
		if (i - first < 1000 && is_told(names, first, i))
			continue;
		if (told == NAMES) {
			more++;
			continue;
		}
		f = &names->file[names->piece[i].file];
		if (f->path)
			qf_text_safe(f->path, path, sizeof(path));
		else
			snprintf(path, sizeof(path),
				 "inode %" PRIu64 ", without a name", f->id);
		add(&l, "%s%s", told++ ? ", " : "", path);
	}
	if (more)
		add(&l, ", and more");
	return buf;
}

static const struct qf_guest_fault *fault_at(const struct qf_guest_faults *all,
					     uint32_t volume, uint64_t start)
{
	size_t i;

	for (i = 0; i < all->n; i++)
		if (all->at[i].volume == volume && all->at[i].start == start)
			return &all->at[i];
	return NULL;
}

char *qf_guest_words_moved(const struct qf_guest_stretch *s,
			   const struct qf_guest_faults *all, char *buf,
			   size_t room)
{
	const struct qf_guest_fault *f, *other;
	size_t i;

	buf[0] = '\0';
	for (i = 0; i < s->n && s->at[i].belongs == QF_NOWHERE; i++)
		;
	if (i == s->n)
		return buf;
	f = &s->at[i];
	other = fault_at(all, f->volume, f->belongs);
	snprintf(buf, room,
		 "; what stands at 0x%" PRIx64 " belongs at guest offset "
		 "0x%" PRIx64 "%s",
		 f->start, f->belongs,
		 other && other->belongs == f->start
			 ? ", and what stands there belongs here: the two "
			   "have changed places"
			 : "");
	return buf;
}
