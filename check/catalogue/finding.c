// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/catalogue/finding.h"
#include "lib/base/mem.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void free_texts(struct qf_finding *f)
{
	free(f->text);
	free(f->owner);
	free(f->other);
	f->text = f->owner = f->other = NULL;
}

static void init(struct qf_finding *f, enum qf_problem p)
{
	memset(f, 0, sizeof(*f));
	f->problem = p;
	f->count = 1;
	f->collated = 1;
	f->host_off = QF_NOWHERE;
	f->guest_off = QF_NOWHERE;
	switch (qf_problem_get(p)->severity) {
	case QF_SEV_ERROR:
	case QF_SEV_FATAL:
		f->corruptions = 1;
		break;
	case QF_SEV_LEAK:
		f->leaks = 1;
		break;
	case QF_SEV_UNREAD:
		f->errors = 1;
		break;
	default:
		break;
	}
}

/* Adds B to A. */
static void put_together(struct qf_finding *a, const struct qf_finding *b)
{
	uint64_t end, from;

	if (a->host_off != QF_NOWHERE && b->host_off != QF_NOWHERE) {
		end = a->host_off + a->length;
		if (b->host_off + b->length > end)
			end = b->host_off + b->length;
		from = a->host_off < b->host_off ? a->host_off : b->host_off;
		a->host_off = from;
		a->length = end - from;
	}
	a->count += b->count;
	a->corruptions += b->corruptions;
	a->extra += b->extra;
	a->leaks += b->leaks;
	a->errors += b->errors;
	a->collated += b->collated;
}

bool qf_finding_flood(const struct qf_findings *l, enum qf_problem p)
{
	return !l->all && l->kept[p] >= QF_FINDING_MAX;
}

/* Takes the spare finding, once it has been filled in, into the sums. */
static void sum_spare(struct qf_findings *l)
{
	struct qf_finding *f = &l->spare, *rest = &l->rest[f->problem];

	if (!l->spare_used)
		return;
	l->spare_used = false;
	free_texts(f);
	if (!rest->count && !rest->collated)
		*rest = *f;
	else
		put_together(rest, f);
}

struct qf_finding *qf_finding_add(struct qf_findings *l, enum qf_problem p)
{
	bool flood = qf_finding_flood(l, p);

	sum_spare(l);
	if (!flood &&
	    qf_mem_grow((void **)&l->at, l->n, &l->room, sizeof(*l->at))) {
		l->kept[p]++;
		init(&l->at[l->n], p);
		return &l->at[l->n++];
	}
	l->failed |= !flood;
	l->spare_used = true;
	init(&l->spare, p);
	return &l->spare;
}

static void set_text(char **where, const char *fmt, va_list ap)
{
	free(*where);
	if (vasprintf(where, fmt, ap) < 0)
		*where = NULL;
}

/* "1 entries" is "1 entry": here, and not in each of the passes. */
static void make_singular(char *s)
{
	static const struct {
		const char *many, *one;
	} words[] = { { " 1 entries", " 1 entry" },
		      { " 1 clusters", " 1 cluster" },
		      { " 1 snapshots", " 1 snapshot" } };
	size_t i, many, one;
	char *at;

	for (i = 0; s && i < sizeof(words) / sizeof(words[0]); i++) {
		many = strlen(words[i].many);
		one = strlen(words[i].one);
		while ((at = strstr(s, words[i].many)) &&
		       (at - s < 3 || memcmp(at - 3, "all", 3) != 0)) {
			memcpy(at, words[i].one, one);
			memmove(at + one, at + many, strlen(at + many) + 1);
		}
	}
}

void qf_finding_say(struct qf_finding *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set_text(&f->text, fmt, ap);
	va_end(ap);
	make_singular(f->text);
}

void qf_finding_owner(struct qf_finding *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set_text(&f->owner, fmt, ap);
	va_end(ap);
}

void qf_finding_other(struct qf_finding *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set_text(&f->other, fmt, ap);
	va_end(ap);
}

static int cmp_u64(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int by_weight(const void *pa, const void *pb)
{
	const struct qf_finding *a = pa, *b = pb;
	const struct qf_problem_row *ra = qf_problem_get(a->problem);
	const struct qf_problem_row *rb = qf_problem_get(b->problem);
	int c;

	if (ra->severity != rb->severity)
		return ra->severity > rb->severity ? -1 : 1;
	if (a->problem != b->problem)
		return ra->id < rb->id ? -1 : 1;
	if (a->rest != b->rest)
		return a->rest ? 1 : -1;
	c = cmp_u64(a->host_off, b->host_off);
	if (!c)
		c = cmp_u64(a->guest_off, b->guest_off);
	if (!c)
		c = strcmp(a->text ? a->text : "", b->text ? b->text : "");
	return c;
}

static void say_collated(struct qf_finding *f)
{
	if (f->collated < 2 && !f->rest)
		return;
	if (f->host_off == QF_NOWHERE)
		qf_finding_say(f, "%" PRIu64 " more of these", f->collated);
	else
		qf_finding_say(f,
			       "%" PRIu64 " more of these between the host "
			       "offsets 0x%" PRIx64 " and 0x%" PRIx64
			       " (%" PRIu64 " in all)",
			       f->collated, f->host_off,
			       f->host_off + f->length, f->count);
	free(f->owner);
	free(f->other);
	f->owner = f->other = NULL;
}

void qf_finding_unseen(struct qf_finding *f)
{
	f->extra += f->corruptions;
	f->corruptions = 0;
}

/* The sums of what was not kept, as findings of their own. */
static void add_rests(struct qf_findings *l)
{
	unsigned int p;

	sum_spare(l);
	for (p = 0; p < QF_PROBLEMS; p++) {
		if (!l->rest[p].collated)
			continue;
		if (!qf_mem_grow((void **)&l->at, l->n, &l->room,
				 sizeof(*l->at))) {
			l->failed = true;
			return;
		}
		l->at[l->n] = l->rest[p];
		l->at[l->n++].rest = true;
		memset(&l->rest[p], 0, sizeof(l->rest[p]));
	}
}

void qf_finding_collate(struct qf_findings *l, size_t limit)
{
	size_t i, out = 0, same = 0;

	add_rests(l);
	if (!l->n)
		return;
	qsort(l->at, l->n, sizeof(*l->at), by_weight);
	for (i = 0; i < l->n; i++) {
		same = out && l->at[out - 1].problem == l->at[i].problem
			       ? same + 1
			       : 1;
		if (limit && same > limit + 1) {
			put_together(&l->at[out - 1], &l->at[i]);
			free_texts(&l->at[i]);
			continue;
		}
		if (out != i)
			l->at[out] = l->at[i];
		out++;
	}
	l->n = out;
	for (i = 0; i < l->n; i++)
		say_collated(&l->at[i]);
}

void qf_finding_free(struct qf_findings *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		free_texts(&l->at[i]);
	free_texts(&l->spare);
	free(l->at);
	memset(l, 0, sizeof(*l));
}
