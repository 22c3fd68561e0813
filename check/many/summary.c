// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/many/summary.h"
#include "lib/base/text.h"

#include <stdlib.h>
#include <string.h>

/* A result and its place on the command line. */
struct line {
	const struct qf_result *r;
	size_t i;
};

static int more(uint64_t a, uint64_t b)
{
	return a == b ? 0 : a > b ? -1 : 1;
}

static int by_weight(const void *pa, const void *pb)
{
	const struct line *a = pa, *b = pb;
	int order = (int)a->r->kind - (int)b->r->kind;

	if (!order)
		order = more(a->r->lost_bytes, b->r->lost_bytes);
	if (!order)
		order = more(a->r->errors, b->r->errors);
	if (!order)
		order = more(a->r->leaked_bytes, b->r->leaked_bytes);
	return order ? order : a->i < b->i ? -1 : 1;
}

/* The worst first: owned by the caller; NULL: no memory. */
static struct line *in_order(const struct qf_imagelist *l,
			     const struct qf_result *r)
{
	struct line *at = calloc(l->n + 1, sizeof(*at));
	size_t i;

	for (i = 0; at && i < l->n; i++)
		at[i] = (struct line){ &r[i], i };
	if (at)
		qsort(at, l->n, sizeof(*at), by_weight);
	return at;
}

static size_t count(const struct qf_result *r, size_t n,
		    enum qf_result_kind kind)
{
	size_t i, found = 0;

	for (i = 0; i < n; i++)
		found += r[i].kind == kind;
	return found;
}

static uint64_t sum_lost(const struct qf_result *r, size_t n)
{
	uint64_t sum = 0;

	while (n--)
		sum += r[n].lost_bytes;
	return sum;
}

static uint64_t sum_leaked(const struct qf_result *r, size_t n)
{
	uint64_t sum = 0;

	while (n--)
		sum += r[n].kind == QF_RESULT_LEAKS ? r[n].leaked_bytes : 0;
	return sum;
}

void qf_summary_totals(FILE *out, const struct qf_result *r, size_t n)
{
	static const struct {
		enum qf_result_kind kind;
		const char *word;
	} kinds[] = { { QF_RESULT_CLEAN, "clean" },
		      { QF_RESULT_LEAKS, "with leaks" },
		      { QF_RESULT_CORRUPT, "corrupt" },
		      { QF_RESULT_IN_USE, "in use" },
		      { QF_RESULT_GONE, "gone meanwhile" },
		      { QF_RESULT_UNCHECKED, "not checked" },
		      { QF_RESULT_FOREIGN, "of another format" } };
	const char *between = "";
	size_t k, some, same = 0;

	fprintf(out, "%zu image%s:", n, n == 1 ? "" : "s");
	for (k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		some = count(r, n, kinds[k].kind);
		if (!some)
			continue;
		fprintf(out, "%s %zu %s", between, some, kinds[k].word);
		between = ",";
	}
	for (k = 0; k < n; k++)
		same += r[k].unchanged;
	if (same)
		fprintf(out, "; %zu unchanged since they were checked", same);
	fputc('\n', out);
}

static void print_line(FILE *out, const struct qf_imagelist *l,
		       const struct line *line)
{
	const char *name = l->at[line->i].text, *note = line->r->note;
	size_t room = strlen(name) * 4 + 8;
	char *safe = malloc(room);

	fprintf(out, "%-14s  %s%s%s\n", qf_result_word(line->r->kind),
		safe ? qf_text_safe(name, safe, room) : "",
		note && *note ? ": " : "", note ? note : "");
	free(safe);
}

void qf_summary_print(FILE *out, const struct qf_imagelist *l,
		      const struct qf_result *r, bool quiet)
{
	uint64_t lost = sum_lost(r, l->n), leaked = sum_leaked(r, l->n);
	struct line *at = in_order(l, r);
	char bytes[32];
	size_t i;

	for (i = 0; at && i < l->n; i++)
		if (!quiet || at[i].r->kind != QF_RESULT_CLEAN)
			print_line(out, l, &at[i]);
	free(at);
	qf_summary_totals(out, r, l->n);
	if (lost)
		fprintf(out, "Up to %s of the disks are lost.\n",
			qf_text_bytes(lost, bytes, sizeof(bytes)));
	if (leaked)
		fprintf(out, "Up to %s of the files are wasted by leaks.\n",
			qf_text_bytes(leaked, bytes, sizeof(bytes)));
}

static json_t *line_json(const struct qf_imagelist *l, const struct line *line)
{
	const struct qf_result *r = line->r;
	json_t *o = json_object();

	qf_json_text(o, "filename", l->at[line->i].text);
	qf_json_text(o, "verdict", qf_result_key(r->kind));
	qf_json_int(o, "errors", r->errors);
	qf_json_int(o, "lost-bytes", r->lost_bytes);
	qf_json_int(o, "leaked-bytes", r->leaked_bytes);
	if (r->note && *r->note)
		qf_json_text(o, "note", r->note);
	if (r->unchanged)
		json_object_set_new(o, "unchanged", json_true());
	if (r->checked)
		qf_json_int(o, "checked", (uint64_t)r->checked);
	return o;
}

void qf_summary_json(FILE *out, const struct qf_imagelist *l,
		     const struct qf_result *r)
{
	json_t *o = json_object(), *a = json_array(), *t = json_object();
	struct line *at = in_order(l, r);
	size_t i;
	int k;

	for (i = 0; at && i < l->n; i++)
		json_array_append_new(a, line_json(l, &at[i]));
	free(at);
	qf_json_int(t, "images", l->n);
	for (k = 0; k < QF_RESULT_KINDS; k++)
		qf_json_int(t, qf_result_key((enum qf_result_kind)k),
			    count(r, l->n, (enum qf_result_kind)k));
	qf_json_int(t, "lost-bytes", sum_lost(r, l->n));
	qf_json_int(t, "leaked-bytes", sum_leaked(r, l->n));
	json_object_set_new(o, "images", a);
	json_object_set_new(o, "totals", t);
	json_dumpf(o, out, JSON_INDENT(4) | JSON_PRESERVE_ORDER);
	fputc('\n', out);
	json_decref(o);
}
