// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The reasons stand in one order, the surest first: what the user has said,
 * what the gate or the proof has refused, what the risk forbids, what is kept
 * on purpose, what the judge lacks evidence for. What none of them explains is
 * told in the catalogue's words, which state the condition of the repair.
 */
#include "repair/tell/left.h"
#include "check/check.h"
#include "lib/base/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Findings of one problem that are told of what is left. */
#define SHOWN 3

/* Places that are named of those that fit. */
#define NAMED 3

const char qf_left_copies_cut[] =
	"Tables and clusters that are left shared: a copy for each owner would "
	"make the plan larger than the image justifies. \"qemu-img convert\" "
	"writes what the guest sees to a new image.";

static char *say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static char *say(const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		s = NULL;
	va_end(ap);
	return s;
}

static bool is_withheld(enum qf_problem p)
{
	return p == QF_P_REFCOUNT_LEAK || p == QF_P_REFCOUNT_HIGH ||
	       p == QF_P_REFCOUNT_WITHHELD;
}

static bool is_double(enum qf_problem p)
{
	return p == QF_P_DOUBLE_L2 || p == QF_P_DOUBLE_TABLES ||
	       p == QF_P_DOUBLE_DATA || p == QF_P_DOUBLE_META;
}

/* What follows from who uses which cluster. */
static bool is_consequence(enum qf_problem p)
{
	switch (qf_problem_get(p)->fix) {
	case QF_FIX_REBUILD_REFCOUNTS:
	case QF_FIX_SET_REFCOUNT:
	case QF_FIX_SET_COPIED:
	case QF_FIX_CLEAR_CORRUPT:
	case QF_FIX_CLEAR_DIRTY:
		return true;
	default:
		return false;
	}
}

/* What the user, the gate or the proof did not want. */
static char *why_refused(const struct qf_planner *m, const struct qf_finding *f)
{
	enum qf_problem p = f->problem;
	unsigned int i;

	if (m->plan->refused[p]) {
		for (i = 0; i < m->n_breaches; i++)
			if (m->breach[i].problem == p)
				return say("a repair was planned, and the gate "
					   "stopped it: %s.",
					   m->breach[i].how);
		return say("you said no.");
	}
	if (m->plan->leaks_only && qf_problem_get(p)->severity != QF_SEV_LEAK)
		return say("only leaks were to be repaired.");
	if (m->beyond_mends[p])
		return say("needs --risk=%s.", qf_problem_risk(m->beyond_risk));
	if (m->refused)
		return say("the plan was refused as a whole: %s.", m->reason);
	return NULL;
}

/* What only the user can do, in the catalogue's words. */
static char *why_none(const char *words)
{
	static const char *const begin[] = { "Nothing: ", "Nothing by itself: ",
					     "Nothing by itself; " };
	size_t i, n;

	for (i = 0; i < sizeof(begin) / sizeof(begin[0]); i++) {
		n = strlen(begin[i]);
		if (!strncmp(words, begin[i], n))
			return say("no repair can do it; %s", words + n);
	}
	return say("%s", words);
}

/* The question that the finding is about, or NULL. */
static const struct qf_question *question(const struct qf_report *rep,
					  const struct qf_finding *f)
{
	const struct qf_question *q = rep->questions.at;
	uint64_t end = f->host_off + (f->length ? f->length : 1);
	size_t i;

	if (f->host_off == QF_NOWHERE)
		return NULL;
	for (i = 0; i < rep->questions.n; i++, q++)
		if ((q->place_off >= f->host_off && q->place_off < end) ||
		    (q->shared_off && q->shared_off >= f->host_off &&
		     q->shared_off < end))
			return q;
	return NULL;
}

/* The values that nothing excludes, the first ones as text. */
static unsigned int candidates(const struct qf_question *q, char *buf,
			       size_t room)
{
	unsigned int i, n = 0;
	size_t used = 0;

	buf[0] = 0;
	for (i = 1; i < q->n; i++) {
		if (q->h[i].kind != QF_HYPO_VALUE || q->h[i].against)
			continue;
		if (n++ >= NAMED || used >= room)
			continue;
		used += (size_t)snprintf(buf + used, room - used,
					 "%s0x%" PRIx64, used ? ", " : "",
					 q->h[i].value);
	}
	return n;
}

static char *why_open(const struct qf_question *q)
{
	static const char *const numbers[] = { "no", "one", "two", "three" };
	char list[80];
	unsigned int n = candidates(q, list, sizeof(list));

	if (!n)
		return say("no evidence: nothing in the file is known to have "
			   "been there.");
	if (n == 1)
		return say("one place fits, %s, but too little speaks for it. "
			   "If you know that it is right: "
			   "--choose=0x%" PRIx64 "=%s.",
			   list, q->place_off, list);
	return say("%s%s places fit: %s%s, and nothing tells which. If you "
		   "know it: --choose=0x%" PRIx64 "=VALUE.",
		   n <= NAMED ? numbers[n] : "several",
		   q->more ? " or more" : "", list, n > NAMED ? ", ..." : "",
		   q->place_off);
}

/* What the judge says of it. */
static char *why_judged(const struct qf_report *rep, const struct qf_finding *f)
{
	const struct qf_question *q = question(rep, f);
	const struct qf_hypothesis *best;

	if (!q)
		return NULL;
	if (q->grade == QF_GRADE_OPEN)
		return why_open(q);
	best = &q->h[q->best];
	if (best->kind == QF_HYPO_GONE)
		return say("nothing is left in the file that it could be "
			   "given back.");
	if (best->kind != QF_HYPO_VALUE || q->grade == QF_GRADE_PROVEN)
		return NULL;
	return say("that 0x%" PRIx64 " was there is only %s: --guess does it.",
		   best->value, qf_question_grade_name(q->grade));
}

static uint64_t count_of(const struct qf_report *rep, enum qf_problem p)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < rep->findings.n; i++)
		if (rep->findings.at[i].problem == p)
			n += rep->findings.at[i].collated;
	return n;
}

/* Tables that are gone, or that nobody names. */
static char *why_table(const struct qf_planner *m, const struct qf_report *rep,
		       const struct qf_finding *f)
{
	uint64_t tables = count_of(rep, QF_P_L2_ORPHAN);

	switch (f->problem) {
	case QF_P_L2_ERASED:
	case QF_P_L2_ERASED_PART:
	case QF_P_L2_GARBAGE:
		return m->plan->offer
			       ? say("needs --guess: see what it would restore "
				     "below.")
			       : say("no evidence: no other version of the table "
				     "was found that accounts for the clusters "
				     "without an owner. They are kept.");
	case QF_P_L2_ORPHAN:
		return say("no evidence which L1 entry named it. If you know "
			   "it: --place=0x%" PRIx64 ":SLOT; \"qfsck extract "
			   "--table\" shows the disk with it.",
			   f->host_off);
	case QF_P_L1_RESERVED:
	case QF_P_L1_UNALIGNED:
	case QF_P_L1_OUTSIDE:
	case QF_P_L1_OWN:
	case QF_P_L1_ERASED:
	case QF_P_L1_GARBAGE:
	case QF_P_L1_NOTHING:
		if (!tables)
			return say("no evidence: no table without an owner was "
				   "found that could stand there.");
		if (tables == 1)
			return say("one table lacks an owner, but too little "
				   "speaks for it in this place.");
		return say("%" PRIu64 " tables lack an owner, and nothing "
			   "tells which of them stood here.",
			   tables);
	default:
		return NULL;
	}
}

/* The gravest other problem that it waits for, or NULL. */
static const struct qf_problem_row *waits_for(const struct qf_report *rep,
					      const struct qf_finding *f)
{
	size_t i;

	for (i = 0; is_consequence(f->problem) && i < rep->findings.n; i++) {
		enum qf_problem p = rep->findings.at[i].problem;

		if (qf_problem_get(p)->severity >= QF_SEV_UNREAD &&
		    !is_consequence(p) && !qf_problem_of_guest(p))
			return qf_problem_get(p);
	}
	return NULL;
}

char *qf_left_why(const struct qf_planner *m, const struct qf_report *rep,
		  const struct qf_finding *f)
{
	const struct qf_problem_row *row = qf_problem_get(f->problem);
	const struct qf_problem_row *first;
	char *s = NULL;

	if (row->fix != QF_FIX_NOTHING)
		s = why_refused(m, f);
	if (s)
		return s;
	if (is_withheld(f->problem) &&
	    (m->withheld || f->problem == QF_P_REFCOUNT_WITHHELD))
		return say("kept on purpose: what has no owner may be what a "
			   "pointer led to that is lost, given up or not "
			   "repaired.");
	if (m->plan->copies_cut && is_double(f->problem))
		return say("%s", qf_left_copies_cut);
	if (f->problem == QF_P_BITMAP_IN_USE)
		return say("needs --in-use-bitmaps=remove.");
	if (row->fix == QF_FIX_NOTHING ||
	    !strncmp(row->repair, "Nothing by itself", 17))
		return why_none(row->repair);
	s = why_judged(rep, f);
	if (!s)
		s = why_table(m, rep, f);
	if (s)
		return s;
	first = waits_for(rep, f);
	if (first)
		return say("waits for %u %s: what is counted depends on it.",
			   first->id, first->name);
	return say("what the repair needs is not there: %s", row->repair);
}

void qf_left_wrap(FILE *out, const char *text)
{
	const size_t room = 70;
	size_t n;

	while (*text) {
		n = strlen(text);
		if (n > room) {
			for (n = room; n && text[n] != ' '; n--)
				;
			if (!n)
				n = strcspn(text, " ");
		}
		fprintf(out, "        %.*s\n", (int)n, text);
		text += n;
		while (*text == ' ')
			text++;
	}
}

/* The reason, under the last of the findings that have it. */
static void say_why(FILE *out, const char *why, const char *next)
{
	char *s;

	if (!why || (next && !strcmp(why, next)))
		return;
	s = say("Why: %s", why);
	if (s)
		qf_left_wrap(out, s);
	free(s);
}

/* A finding's owner and text, with their places in words, too. */
static void say_place(FILE *out, const struct qf_finding *f)
{
	char *owner = qf_text_places(f->owner ? f->owner : "");
	char *text = qf_text_places(f->text ? f->text : "");

	fprintf(out, "      %s%s%s\n", owner ? owner : "",
		f->owner && f->text ? ": " : "", text ? text : "");
	free(owner);
	free(text);
}

/* The findings of one problem, which stand together: how many there are. */
static size_t one_problem(FILE *out, const struct qf_planner *m,
			  const struct qf_report *rep,
			  const struct qf_finding *f, size_t n)
{
	char *why = NULL, *next;
	uint64_t more = 0;
	size_t same, shown;

	for (same = 0; same < n && f[same].problem == f->problem; same++)
		;
	shown = same < SHOWN ? same : SHOWN;
	next = qf_left_why(m, rep, f);
	for (n = 0; n < shown; n++, f++) {
		why = next;
		next = n + 1 < shown ? qf_left_why(m, rep, f + 1) : NULL;
		say_place(out, f);
		say_why(out, why, next);
		free(why);
	}
	for (; n < same; n++, f++)
		more += f->collated;
	if (more)
		fprintf(out, "      and at %" PRIu64 " more place%s\n", more,
			more == 1 ? "" : "s");
	return same;
}

void qf_left_print(FILE *out, const struct qf_planner *m,
		   const struct qf_report *rep, const char *name)
{
	const struct qf_finding *f = rep->findings.at;
	const struct qf_problem_row *row;
	bool lost = false;
	char word[1300];
	size_t i, same;

	for (i = 0; i < rep->findings.n; i += same) {
		row = qf_problem_get(f[i].problem);
		same = 1;
		if (row->severity < QF_SEV_ABSENT)
			continue;
		fprintf(out, "  left: %u %s: %s\n", row->id, row->name,
			row->message);
		same = one_problem(out, m, rep, &f[i], rep->findings.n - i);
		lost |= row->risk == QF_RISK_DATA &&
			row->severity >= QF_SEV_ERROR;
	}
	if (lost)
		fprintf(out,
			"Keep the file as it is. \"qfsck extract %s%s OUT\" "
			"writes what can be read, and lists\nwhat cannot.\n",
			m->plan->base->believed ? "-f qcow2 " : "",
			qf_text_file(name, word, sizeof(word)));
}

json_t *qf_left_json(const struct qf_planner *m, const struct qf_report *rep)
{
	json_t *a = qf_report_findings(&rep->findings);
	char *why;
	size_t i;

	for (i = 0; i < rep->findings.n; i++) {
		why = qf_left_why(m, rep, &rep->findings.at[i]);
		qf_json_text(json_array_get(a, i), "why", why);
		free(why);
	}
	return a;
}
