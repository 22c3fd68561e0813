// SPDX-License-Identifier: GPL-2.0-or-later
#include "repair/plan/plan.h"
#include "lib/base/be.h"
#include "lib/base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum qf_err no_memory(struct qf_why *why)
{
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
			  "no memory for the plan");
}

enum qf_err qf_plan_new(struct qf_io *base, struct qf_plan **out,
			struct qf_why *why)
{
	struct qf_plan *p = qf_mem_zalloc(1, sizeof(*p));
	enum qf_err err;

	if (!p)
		return no_memory(why);
	p->base = base;
	p->limit = QF_RISK_DATA;
	err = qf_overlay_new(base, &p->over, why);
	if (err) {
		free(p);
		return err;
	}
	*out = p;
	return QF_OK;
}

void qf_plan_free(struct qf_plan *p)
{
	size_t i;

	if (!p)
		return;
	for (i = 0; i < p->n; i++)
		free(p->edit[i].what);
	for (i = 0; i < p->n_kinds; i++)
		free(p->kind[i].text);
	free(p->kind);
	free(p->edit);
	free(p->lost);
	free(p->licence);
	free(p->offer);
	qf_cut_free(&p->cut);
	qf_ranges_free(&p->fresh);
	qf_ranges_free(&p->released);
	qf_ranges_free(&p->withheld);
	qf_overlay_free(p->over);
	free(p);
}

enum qf_risk qf_plan_risk(const struct qf_plan *p, enum qf_problem problem)
{
	if (p->lazy &&
	    (problem == QF_P_REFCOUNT_LOW || problem == QF_P_REFCOUNT_ZERO))
		return QF_RISK_NONE;
	return qf_problem_get(problem)->risk;
}

bool qf_plan_allows(const struct qf_plan *p, enum qf_problem problem)
{
	if (p->leaks_only && problem != QF_P_REFCOUNT_LEAK &&
	    problem != QF_P_REFCOUNT_HIGH)
		return false;
	return qf_plan_risk(p, problem) <= p->limit && !p->refused[problem];
}

/* The kind of edits that are for PROBLEM and say TEXT, which is the format of
 * what they say; NULL without memory. */
static struct qf_edit_kind *kind_of(struct qf_plan *p, enum qf_problem problem,
				    const char *text)
{
	struct qf_edit_kind *k;
	size_t i;

	/* the last ones are the likely ones */
	for (i = p->n_kinds; i; i--) {
		k = &p->kind[i - 1];
		if (k->problem == problem && !strcmp(k->text, text))
			return k;
	}
	if (!qf_mem_grow((void **)&p->kind, p->n_kinds, &p->kind_room,
			 sizeof(*k)))
		return NULL;
	k = &p->kind[p->n_kinds];
	*k = (struct qf_edit_kind){ .problem = problem,
				    .text = strdup(text),
				    .first = p->n,
				    .from = UINT64_MAX };
	if (!k->text)
		return NULL;
	p->n_kinds++;
	return k;
}

/* What tells the kind: the format, or the text that is given to "%s". */
__attribute__((format(printf, 1, 0))) static const char *
kind_text(const char *what, va_list ap)
{
	va_list copy;

	if (strcmp(what, "%s") != 0)
		return what;
	va_copy(copy, ap);
	what = va_arg(copy, const char *);
	va_end(copy);
	return what;
}

/* Counts E, which is one of many. */
static void add_to(struct qf_edit_kind *k, const struct qf_edit *e)
{
	uint64_t end = e->host_off + e->length;

	k->more++;
	k->bytes += e->length;
	if (e->host_off < k->from)
		k->from = e->host_off;
	if (end > k->to)
		k->to = end;
}

/* Notes the edit; the bytes are put by the caller. */
static enum qf_err note(struct qf_plan *p, enum qf_problem problem,
			uint64_t off, uint64_t len, struct qf_why *why,
			const char *what, va_list ap, struct qf_edit **out)
{
	struct qf_edit_kind *k;
	struct qf_edit *e;

	if (!qf_mem_grow((void **)&p->edit, p->n, &p->room, sizeof(*e)))
		return no_memory(why);
	e = &p->edit[p->n];
	memset(e, 0, sizeof(*e));
	e->host_off = off;
	e->length = len;
	e->problem = problem;
	e->risk = qf_plan_risk(p, problem);
	k = kind_of(p, problem, kind_text(what, ap));
	if (!k)
		return no_memory(why);
	if (k->n >= QF_EDIT_LISTED)
		add_to(k, e);
	else if (vasprintf(&e->what, what, ap) < 0) {
		e->what = NULL;
		return no_memory(why);
	}
	k->n++;
	p->n++;
	*out = e;
	return QF_OK;
}

/* Reads what the plan shows at present. */
static enum qf_err read_now(struct qf_plan *p, void *buf, uint64_t len,
			    uint64_t off, struct qf_why *why)
{
	struct qf_io *io;
	enum qf_err err = qf_overlay_view(p->over, &io, why);

	if (err)
		return err;
	err = qf_io_read_pad(io, buf, len, off, why);
	qf_io_close(io);
	return err;
}

/* True if the user does not want this edit. */
static bool is_spared(const struct qf_plan *p, enum qf_problem problem,
		      uint64_t off)
{
	size_t i;

	for (i = 0; i < p->n_spared; i++)
		if (p->spared[i].host_off == off &&
		    p->spared[i].problem == problem)
			return true;
	return false;
}

static enum qf_err put(struct qf_plan *p, enum qf_problem problem, uint64_t off,
		       const void *bytes, uint64_t len, struct qf_why *why,
		       const char *what, va_list ap)
{
	unsigned char before[QF_EDIT_SHOWN];
	struct qf_edit *e;
	enum qf_err err;

	if (is_spared(p, problem, off))
		return QF_OK;
	if (len <= QF_EDIT_SHOWN) {
		err = read_now(p, before, len, off, why);
		if (err || !memcmp(before, bytes, (size_t)len))
			return err;
	}
	err = note(p, problem, off, len, why, what, ap, &e);
	if (err)
		return err;
	if (len <= QF_EDIT_SHOWN) {
		e->shown = true;
		memcpy(e->before, before, (size_t)len);
		memcpy(e->after, bytes, (size_t)len);
	}
	return qf_overlay_put(p->over, off, bytes, len, why);
}

enum qf_err qf_plan_put(struct qf_plan *p, enum qf_problem problem,
			uint64_t off, const void *bytes, uint64_t len,
			struct qf_why *why, const char *what, ...)
{
	enum qf_err err;
	va_list ap;

	va_start(ap, what);
	err = put(p, problem, off, bytes, len, why, what, ap);
	va_end(ap);
	return err;
}

enum qf_err qf_plan_copy(struct qf_plan *p, enum qf_problem problem,
			 uint64_t off, uint64_t src, uint64_t len,
			 struct qf_why *why, const char *what, ...)
{
	struct qf_edit *e;
	enum qf_err err;
	va_list ap;

	if (is_spared(p, problem, off))
		return QF_OK;
	va_start(ap, what);
	err = note(p, problem, off, len, why, what, ap, &e);
	va_end(ap);
	return err ? err : qf_overlay_copy(p->over, off, src, len, why);
}

enum qf_err qf_plan_put32(struct qf_plan *p, enum qf_problem problem,
			  uint64_t off, uint32_t value, struct qf_why *why,
			  const char *what)
{
	struct qf_be32 w = qf_be_put32(value);

	return qf_plan_put(p, problem, off, &w, sizeof(w), why, "%s", what);
}

enum qf_err qf_plan_put64(struct qf_plan *p, enum qf_problem problem,
			  uint64_t off, uint64_t value, struct qf_why *why,
			  const char *what)
{
	struct qf_be64 w = qf_be_put64(value);

	return qf_plan_put(p, problem, off, &w, sizeof(w), why, "%s", what);
}

/* Adds a range to the N at *LIST; false without memory. */
static bool add_range(struct qf_lost **list, size_t *n, size_t *room,
		      uint32_t holder, uint64_t guest_off, uint64_t length)
{
	struct qf_lost *l = *n ? &(*list)[*n - 1] : NULL;

	if (l && l->holder == holder && l->guest_off + l->length == guest_off) {
		l->length += length;
		return true;
	}
	if (!qf_mem_grow((void **)list, *n, room, sizeof(*l)))
		return false;
	(*list)[(*n)++] = (struct qf_lost){ holder, guest_off, length };
	return true;
}

bool qf_plan_lose(struct qf_plan *p, uint32_t holder, uint64_t guest_off,
		  uint64_t length)
{
	return add_range(&p->lost, &p->n_lost, &p->lost_room, holder, guest_off,
			 length);
}

bool qf_plan_licence(struct qf_plan *p, uint32_t holder, uint64_t guest_off,
		     uint64_t length)
{
	return add_range(&p->licence, &p->n_licences, &p->licence_room, holder,
			 guest_off, length);
}

bool qf_plan_licence_all(struct qf_plan *p, const struct qf_image *img,
			 uint64_t from)
{
	bool ok = true;
	uint32_t h;

	for (h = 0; ok && h < qf_image_holders(img); h++)
		ok = qf_plan_licence(p, h, from, UINT64_MAX - from);
	return ok;
}

bool qf_plan_touches_data(const struct qf_plan *p)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		if (p->edit[i].risk == QF_RISK_DATA)
			return true;
	return false;
}

bool qf_plan_is_within(const struct qf_plan *p, uint64_t end)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		if (p->edit[i].host_off >= end)
			return false;
	return true;
}

bool qf_plan_gives_up(const struct qf_plan *p)
{
	return p->n_lost || p->snapshots_cut || p->withhold_leaks ||
	       p->cloned_beside_leaks || p->kept_unowned;
}

enum qf_phase qf_plan_phase(const struct qf_plan *p, uint64_t off,
			    uint64_t cluster_bytes)
{
	if (off < cluster_bytes)
		return QF_PHASE_HEADER;
	return qf_ranges_has(&p->fresh, off) ? QF_PHASE_FRESH : QF_PHASE_TABLES;
}
