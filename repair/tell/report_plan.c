// SPDX-License-Identifier: GPL-2.0-or-later
#include "repair/tell/report_plan.h"
#include "lib/walk/describe.h"
#include "lib/base/text.h"
#include "repair/tell/left.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* Edits of one kind that are shown before they are only counted. */
#define SHOWN 3

/* Kinds of edits that are told apart. */
#define KINDS 64u

static void say_state(FILE *out, const struct qf_report *rep)
{
	uint64_t errors = qf_report_errors(rep);

	fprintf(out, "%s", qf_check_verdict(rep->verdict));
	if (rep->absent && rep->tables != QF_VERDICT_CORRUPT)
		fprintf(out,
			" (a file that the disk needs is not there; its "
			"own tables: %s)",
			qf_check_verdict(rep->tables));
	if (errors)
		fprintf(out, ", %" PRIu64 " error%s", errors,
			errors == 1 ? "" : "s");
	if (rep->leaks)
		fprintf(out, ", %" PRIu64 " leaked cluster%s", rep->leaks,
			rep->leaks == 1 ? "" : "s");
	if (rep->errors)
		fprintf(out, ", %" PRIu64 " part%s not readable", rep->errors,
			rep->errors == 1 ? "" : "s");
}

static void say_bytes(FILE *out, const unsigned char *b, uint64_t n)
{
	uint64_t i;

	for (i = 0; i < n; i++)
		fprintf(out, "%02x", b[i]);
}

static void say_edit(FILE *out, size_t n, const struct qf_edit *e)
{
	const struct qf_problem_row *row = qf_problem_get(e->problem);
	char *what = qf_text_places(e->what), at[80];

	fprintf(out,
		"%4zu. %s\n"
		"      %" PRIu64 " byte%s at host offset %s"
		"; for %u %s; risk: %s\n",
		n, what ? what : e->what, e->length, e->length == 1 ? "" : "s",
		qf_text_place(e->host_off, at, sizeof(at)), row->id, row->name,
		qf_problem_risk(e->risk));
	free(what);
	if (!e->shown)
		return;
	fprintf(out, "      ");
	say_bytes(out, e->before, e->length);
	fprintf(out, " becomes ");
	say_bytes(out, e->after, e->length);
	fprintf(out, "\n");
}

/* An edit's kind: its problem, and its words without their numbers. */
struct kind {
	enum qf_problem problem;
	const char *what;
	size_t n;
};

/* True if A and B are the same but for numbers. */
static bool is_alike(const char *a, const char *b)
{
	static const char digits[] = "0123456789abcdef";

	while (*a && *a == *b) {
		if (*a >= '0' && *a <= '9') {
			a += a[1] == 'x' ? 2 : 0;
			b += b[1] == 'x' ? 2 : 0;
			a += strspn(a, digits);
			b += strspn(b, digits);
			continue;
		}
		a++;
		b++;
	}
	if (*a >= '0' && *a <= '9' && *b >= '0' && *b <= '9')
		return is_alike(a + strspn(a, digits), b + strspn(b, digits));
	return !*a && !*b;
}

/* How many of E's kind came before it. */
static size_t came_before(struct kind *kind, unsigned int *n,
			  const struct qf_edit *e)
{
	unsigned int i;

	for (i = 0; i < *n; i++)
		if (kind[i].problem == e->problem &&
		    is_alike(kind[i].what, e->what))
			return kind[i].n++;
	if (*n < KINDS)
		kind[(*n)++] = (struct kind){ e->problem, e->what, 1 };
	return 0;
}

/* All edits, or those that are not like three before them. */
static void say_edits(FILE *out, const struct qf_plan *p, bool all)
{
	const struct qf_edit_kind *k = p->kind;
	struct kind kind[KINDS];
	unsigned int n = 0;
	size_t i, folded = 0;
	char size[32], from[80], to[80];

	for (i = 0; i < p->n; i++) {
		bool fold;

		if (!p->edit[i].what)
			continue; /* among the others of its kind, below */
		fold = !all && came_before(kind, &n, &p->edit[i]) >= SHOWN;
		if (folded && !fold) {
			fprintf(out, "      ... and %zu more like these\n",
				folded);
			folded = 0;
		}
		if (fold)
			folded++;
		else
			say_edit(out, i + 1, &p->edit[i]);
	}
	if (folded)
		fprintf(out,
			"      ... and %zu more like these; --all lists "
			"them\n",
			folded);
	for (; k < p->kind + p->n_kinds; k++)
		if (k->more)
			fprintf(out,
				"      and %zu more like number %zu: %s between "
				"host offsets %s and %s\n",
				k->more, k->first + 1,
				qf_text_bytes(k->bytes, size, sizeof(size)),
				qf_text_place(k->from, from, sizeof(from)),
				qf_text_place(k->to, to, sizeof(to)));
}

void qf_report_edits(FILE *out, const struct qf_plan *p,
		     enum qf_problem problem)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		if (p->edit[i].what && p->edit[i].problem == problem)
			say_edit(out, i + 1, &p->edit[i]);
}

static void say_lost(FILE *out, const struct qf_image *img,
		     const struct qf_planner *m)
{
	const struct qf_lost *l = m->plan->lost;
	char who[400], size[32], at[64];
	size_t i;

	if (m->plan->n_lost)
		fprintf(out, "What the plan gives up, because nothing of it "
			     "was found:\n");
	for (i = 0; i < m->plan->n_lost; i++, l++)
		fprintf(out, "      %s, guest offset %s, %s\n",
			qf_describe_holder(img, l->holder, who, sizeof(who)),
			qf_text_place(l->guest_off, at, sizeof(at)),
			qf_text_bytes(l->length, size, sizeof(size)));
}

static bool keeps_bitmaps(const struct qf_planner *m)
{
	const struct qf_findings *l = m->plan && m->plan->n
					      ? &m->after.findings
					      : &m->before.findings;
	size_t i;

	for (i = 0; i < l->n; i++)
		if (l->at[i].problem == QF_P_BITMAP_IN_USE)
			return true;
	return false;
}

/* What only a user's word would do. */
static void say_offer(FILE *out, const struct qf_planner *m)
{
	if (keeps_bitmaps(m))
		fprintf(out, "Kept: bitmaps that were left in use; "
			     "--in-use-bitmaps=remove takes them out.\n");
	if (!m->plan || !m->plan->offer)
		return;
	fprintf(out, "Not done without --guess:\n");
	qf_left_wrap(out, m->plan->offer);
}

static void say_trim(FILE *out, const struct qf_trim *t)
{
	char gain[32], from[32], to[32];

	if (!t->wanted)
		return;
	if (t->reason[0]) {
		fprintf(out, "Nothing is trimmed: %s.\n", t->reason);
		return;
	}
	if (t->cut_only)
		fprintf(out, "The file system cannot punch holes: only the "
			     "file's free end can be cut off.\n");
	if (t->unread_bytes)
		fprintf(out,
			"Not trimmed, because it cannot be read: %s of free "
			"clusters.\n",
			qf_text_bytes(t->unread_bytes, gain, sizeof(gain)));
	if (!qf_trim_any(t)) {
		fprintf(out,
			"There is nothing to trim: no %sfree cluster takes "
			"room on the disk.\n",
			t->unread_bytes ? "other " : "");
		return;
	}
	fprintf(out,
		"To trim: %" PRIu64
		" free cluster%s; %s on the disk are gained",
		t->clusters, t->clusters == 1 ? "" : "s",
		qf_text_bytes(t->punched_bytes + t->cut_bytes, gain,
			      sizeof(gain)));
	if (t->size_after < t->size_before)
		fprintf(out, ", and the file is cut from %s to %s",
			qf_text_bytes(t->size_before, from, sizeof(from)),
			qf_text_bytes(t->size_after, to, sizeof(to)));
	fprintf(out, ".\n      The undo file keeps what they hold: as long as "
		     "it is there, its room is not gained.\n");
}

/* What was not planned because too much is at stake. */
static void say_beyond(FILE *out, const struct qf_planner *m, const char *name)
{
	if (m->beyond)
		fprintf(out,
			"%zu repair%s need%s --risk=%s: qfsck repair -y "
			"%s%s\n",
			m->beyond, m->beyond == 1 ? "" : "s",
			m->beyond == 1 ? "s" : "",
			qf_problem_risk(m->beyond_risk),
			m->plan->base->believed ? "-f qcow2 " : "",
			QF_TEXT_WORD(name));
}

void qf_report_plan(FILE *out, const struct qf_image *img,
		    const struct qf_planner *m, const char *name, bool all,
		    bool last)
{
	fprintf(out, "%s: ", name);
	say_state(out, &m->before);
	fprintf(out, "\n");
	if (!m->plan->n) {
		if (!m->beyond)
			fprintf(out,
				"There is nothing that can be repaired.\n");
		say_beyond(out, m, name);
		qf_left_print(out, m, &m->before, name);
		say_offer(out, m);
		say_trim(out, &m->trim);
		return;
	}
	if (m->refused) {
		fprintf(out,
			"A plan of %zu edits was tried and is refused: %s.\n",
			m->plan->n, m->reason);
		say_beyond(out, m, name);
		qf_left_print(out, m, &m->before, name);
		return;
	}
	fprintf(out, "The plan, %zu edit%s:\n", m->plan->n,
		m->plan->n == 1 ? "" : "s");
	say_edits(out, m->plan, all);
	say_lost(out, img, m);
	if (m->plan->unmarked)
		fprintf(out,
			"The image cannot bear the mark that something is given "
			"up: %s.\nA note beside it remembers that: keep the "
			"note with the image.\n",
			m->plan->unmarked);
	fprintf(out, "Afterwards: ");
	say_state(out, &m->after);
	fprintf(out, "\n");
	say_beyond(out, m, name);
	if (last)
		qf_left_print(out, m, &m->after, name);
	else if (m->plan->copies_cut)
		qf_left_wrap(out, qf_left_copies_cut);
	say_offer(out, m);
	say_trim(out, &m->trim);
}

void qf_report_question(FILE *out, const struct qf_problem_row *row,
			size_t edits)
{
	fprintf(out,
		"\n%u %s: %s\n"
		"  Risk: %s. Repair it (%zu edit%s)? [y]es, [n]o, [a]ll, "
		"[q]uit, [p]: show the edits, [e]ach alone, [?]: ",
		row->id, row->name, row->message, qf_problem_risk(row->risk),
		edits, edits == 1 ? "" : "s");
	fflush(out);
}

void qf_report_help(FILE *out, const struct qf_problem_row *row)
{
	fprintf(out, "  What it means:\n");
	qf_left_wrap(out, row->why);
	fprintf(out, "  What repair does:\n");
	qf_left_wrap(out, row->repair);
	fprintf(out,
		"  y: do the edits for this problem     n: leave it as it is\n"
		"  a: do these and all that follow      q: write nothing at all\n"
		"  p: show the edits with their bytes   e: ask about each edit\n"
		"  Nothing is written before the last question; an undo file "
		"keeps every byte.\n");
}

void qf_report_edit_question(FILE *out, const struct qf_plan *p, size_t i)
{
	say_edit(out, i + 1, &p->edit[i]);
	fprintf(out, "      Do it? [y]es, [n]o, [a]ll of these, [q]uit: ");
	fflush(out);
}

void qf_report_trim_question(FILE *out, const struct qf_trim *t)
{
	fprintf(out, "\n");
	say_trim(out, t);
	fprintf(out, "  Risk: none. Trim it? [y]es, [n]o: ");
	fflush(out);
}

/* What keeps what was given up, and how that ends. */
static void say_kept(FILE *out, const struct qf_planner *m,
		     const struct qf_outcome *o)
{
	fprintf(out,
		"What was given up may lie in clusters that look leaked or "
		"free. They are\nkept as long as ");
	if (!m->plan->unmarked)
		fprintf(out, "the image bears the mark of it%s",
			o->note ? ", or " : "");
	if (o->note)
		fprintf(out, "the note \"%s\" is there", o->note);
	fprintf(out,
		".\nIf nothing is missed in the guest: qfsck repair --forget "
		"%s\n",
		QF_TEXT_WORD(o->name));
}

void qf_report_outcome(FILE *out, const struct qf_planner *m,
		       const struct qf_outcome *o)
{
	fprintf(out, "%s: %s: ", o->name,
		!o->applied  ? "not changed"
		: m->plan->n ? "repaired"
			     : "trimmed");
	say_state(out, o->left);
	fprintf(out, "\n");
	qf_left_print(out, m, o->left, o->name);
	say_offer(out, m);
	if (o->applied && qf_trim_any(&m->trim))
		fprintf(out, "The free clusters were trimmed.\n");
	if (o->gave_up && (o->note || !m->plan->unmarked))
		say_kept(out, m, o);
	if (o->undo_file)
		fprintf(out, "To take the repair back: qfsck undo %s %s\n",
			QF_TEXT_WORD(o->undo_file), QF_TEXT_WORD(o->name));
}

static json_t *edit_json(const struct qf_edit *e)
{
	json_t *o = json_object();

	qf_json_int(o, "host-offset", e->host_off);
	qf_json_int(o, "length", e->length);
	qf_json_text(o, "what", e->what);
	json_object_set_new(o, "problem",
			    json_string(qf_problem_get(e->problem)->name));
	json_object_set_new(o, "risk", json_string(qf_problem_risk(e->risk)));
	return o;
}

/* Those of one kind that are not listed, as one. */
static json_t *more_json(const struct qf_plan *p, const struct qf_edit_kind *k)
{
	json_t *o = edit_json(&p->edit[k->first]);

	qf_json_int(o, "host-offset", k->from);
	qf_json_int(o, "length", k->bytes);
	qf_json_int(o, "count", k->more);
	qf_json_int(o, "host-end", k->to);
	return o;
}

static json_t *edits_json(const struct qf_planner *m)
{
	const struct qf_plan *p = m->plan;
	json_t *a = json_array();
	size_t i;

	for (i = 0; i < p->n; i++)
		if (p->edit[i].what)
			json_array_append_new(a, edit_json(&p->edit[i]));
	for (i = 0; i < p->n_kinds; i++)
		if (p->kind[i].more)
			json_array_append_new(a, more_json(p, &p->kind[i]));
	return a;
}

static json_t *lost_json(const struct qf_image *img, const struct qf_planner *m)
{
	json_t *a = json_array(), *o;
	size_t i;

	for (i = 0; i < m->plan->n_lost; i++) {
		const struct qf_lost *l = &m->plan->lost[i];
		bool snap = l->holder && l->holder <= img->snapshots.n;

		o = json_object();
		qf_json_text(o, "holder",
			     snap ? img->snapshots.snap[l->holder - 1].id
				  : "active");
		qf_json_int(o, "guest-offset", l->guest_off);
		qf_json_int(o, "length", l->length);
		json_array_append_new(a, o);
	}
	return a;
}

static json_t *trim_json(const struct qf_trim *t, bool applied)
{
	json_t *o;

	if (!t->wanted)
		return json_null();
	o = json_object();
	json_object_set_new(o, "applied",
			    json_boolean(applied && qf_trim_any(t)));
	qf_json_int(o, "free-clusters", t->clusters);
	qf_json_int(o, "punched-bytes", t->punched_bytes);
	qf_json_int(o, "cut-bytes", t->cut_bytes);
	qf_json_int(o, "unreadable-bytes", t->unread_bytes);
	qf_json_int(o, "file-size-before", t->size_before);
	qf_json_int(o, "file-size-after", t->size_after);
	if (t->reason[0])
		qf_json_text(o, "reason", t->reason);
	return o;
}

/* What the gate stopped, each a defect of ours. */
static json_t *gate_json(const struct qf_image *img, const struct qf_planner *m)
{
	json_t *a = json_array(), *o;
	const struct qf_gate_breach *b = m->breach;
	unsigned int i;

	for (i = 0; i < m->n_breaches; i++, b++) {
		o = json_object();
		qf_json_text(o, "problem", qf_problem_get(b->problem)->name);
		qf_json_text(o, "holder",
			     b->holder && b->holder <= img->snapshots.n
				     ? img->snapshots.snap[b->holder - 1].id
				     : "active");
		qf_json_int(o, "guest-offset", b->guest_off);
		qf_json_int(o, "length", b->bytes);
		qf_json_text(o, "reason", b->how);
		json_array_append_new(a, o);
	}
	return a;
}

void qf_report_plan_json(FILE *out, const struct qf_image *img,
			 const struct qf_planner *m, const struct qf_outcome *o)
{
	json_t *j = json_object();

	qf_json_text(j, "filename", o->name);
	json_object_set_new(j, "verdict-before",
			    json_string(qf_check_verdict(m->before.verdict)));
	json_object_set_new(j, "verdict-after",
			    json_string(qf_check_verdict(o->left->verdict)));
	json_object_set_new(j, "applied", json_boolean(o->applied));
	json_object_set_new(j, "undo-file",
			    o->undo_file ? qf_json_string(o->undo_file)
					 : json_null());
	json_object_set_new(j, "note",
			    o->note ? qf_json_string(o->note) : json_null());
	if (m->refused)
		qf_json_text(j, "refused", m->reason);
	json_object_set_new(j, "edits", edits_json(m));
	if (m->beyond) {
		json_t *b = json_object();

		qf_json_int(b, "repairs", m->beyond);
		qf_json_text(b, "risk", qf_problem_risk(m->beyond_risk));
		json_object_set_new(j, "beyond-risk", b);
	}
	if (m->plan->offer)
		qf_json_text(j, "offer", m->plan->offer);
	json_object_set_new(j, "gate", gate_json(img, m));
	json_object_set_new(j, "lost", lost_json(img, m));
	json_object_set_new(j, "trim", trim_json(&m->trim, o->applied));
	json_object_set_new(j, "left", qf_left_json(m, o->left));
	json_dumpf(j, out,
		   (o->in_a_line ? JSON_COMPACT : JSON_INDENT(4)) |
			   JSON_PRESERVE_ORDER);
	fputc('\n', out);
	json_decref(j);
}
