// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The report as a page: self-contained, no scripts. Whatever comes from the
 * image goes through qf_outbuf_xml.
 */
#include "lib/walk/describe.h"
#include "lib/base/text.h"
#include "viz/draw/sheet.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char style[] =
	"body{font:15px/1.5 system-ui,sans-serif;color:#1f2937;margin:2em auto;"
	"max-width:1200px;padding:0 1em}h1{font-size:1.5em;"
	"overflow-wrap:anywhere}h2{font-size:1.15em;margin-top:2em}"
	"table{border-collapse:collapse;width:100%}td,th{text-align:left;"
	"padding:.25em .6em;border-bottom:1px solid #e5e7eb;vertical-align:top;"
	"overflow-wrap:anywhere}td.n,th.n{text-align:right;white-space:nowrap}"
	"svg{width:100%;height:auto;display:block}"
	".legend span{display:inline-block;margin:.2em 1.5em .2em 0}"
	".legend i{display:inline-block;width:1.2em;height:1.2em;"
	"margin-right:.4em;vertical-align:-.2em;border:1px solid #0002;"
	"font:bold .8em/1.2 sans-serif;text-align:center}"
	".clean{color:#1a7f37}.leaks,.warning,.leak{color:#9a6700}"
	".corrupt,.unchecked,.error,.fatal,.unread{color:#cf222e}"
	".note{color:#2563eb}details{margin:.4em 0}summary{cursor:pointer}"
	"@media(prefers-color-scheme:dark){body{background:#0d1117;"
	"color:#c9d1d9}td,th{border-color:#30363d}.note{color:#58a6ff}"
	".clean{color:#3fb950}.leaks,.warning,.leak{color:#d29922}"
	".corrupt,.unchecked,.error,.fatal,.unread{color:#ff7b72}}";

/* Rows of a table that may become long; the rest is counted. */
#define MAX_ROWS 1000

static void put_rest(struct qf_outbuf *o, uint64_t n, int columns)
{
	if (n > MAX_ROWS)
		qf_outbuf_printf(o,
				 "<tr><td colspan=\"%d\">and %" PRIu64
				 " more</td></tr>\n",
				 columns, n - MAX_ROWS);
}

/* One path for all cells of a kind: small, also for long images. MINOR: for the
 * lower halves of those where it would vanish. */
static void put_kind(struct qf_outbuf *o, const struct qf_sheet_map *s, int k,
		     bool minor)
{
	const struct qf_kind_look *look = qf_palette_kind((enum qf_kind)k);
	int x, y, n;
	bool any = false;

	for (y = 0; y < s->rows; y++)
		for (x = 0; x < s->cols; x += n) {
			n = minor ? qf_sheet_minor(s, x, y, k)
				  : qf_sheet_run(s, x, y);
			if (n < 1 ||
			    (!minor && s->cell[y * s->cols + x].kind != k)) {
				n = n < 1 ? 1 : n;
				continue;
			}
			if (!any)
				qf_outbuf_printf(o, "<path fill=\"#%06x\" d=\"",
						 look->rgb);
			any = true;
			qf_outbuf_printf(o, "M%d %d%sh%dv%sh-%dz", x, y,
					 minor ? ".5" : "", n,
					 minor ? ".5" : "1", n);
		}
	if (any)
		qf_outbuf_printf(o, "\"><title>%s</title></path>\n",
				 look->title);
}

/* The letters of a row's cells, where these are large. */
static void put_letters(struct qf_outbuf *o, const struct qf_sheet_map *s,
			int y)
{
	int x, n, i;

	for (x = 0; x < s->cols; x += n) {
		enum qf_kind k = (enum qf_kind)s->cell[y * s->cols + x].kind;
		char letter = qf_palette_mark(k);

		n = qf_sheet_run(s, x, y);
		if (!letter)
			continue;
		qf_outbuf_printf(o, "<text fill=\"#%06x\" y=\"%d.7\" x=\"",
				 qf_palette_letter(qf_palette_kind(k)->rgb), y);
		for (i = 0; i < n; i++)
			qf_outbuf_printf(o, "%d.5 ", x + i);
		qf_outbuf_printf(o, "\">");
		for (i = 0; i < n; i++)
			qf_outbuf_add(o, &letter, 1);
		qf_outbuf_printf(o, "</text>\n");
	}
}

static void put_map(struct qf_outbuf *o, const struct qf_sheet_map *s,
		    const char *what, const char *grid)
{
	char row[32];
	int k;

	qf_outbuf_printf(o,
			 "<svg viewBox=\"0 0 %d %d\" role=\"img\" "
			 "aria-label=\"map of %s\" "
			 "shape-rendering=\"crispEdges\">\n",
			 s->cols, s->rows, what);
	for (k = 0; k < QF_KINDS; k++)
		put_kind(o, s, k, false);
	for (k = 0; k < QF_KINDS; k++)
		put_kind(o, s, k, true);
	if (s->px >= 18) /* lines between the cells, where they are large */
		qf_outbuf_printf(
			o,
			"<pattern id=\"%s\" width=\"1\" height=\"1\" "
			"patternUnits=\"userSpaceOnUse\"><path d=\"M0 0h1M0 "
			"0v1\" stroke=\"#fff\" stroke-width=\".07\"/>"
			"</pattern><rect fill=\"url(#%s)\" width=\"%d\" "
			"height=\"%d\"/>\n",
			grid, grid, s->cols, s->rows);
	qf_outbuf_printf(o, "<g font-size=\".6\" font-weight=\"bold\" "
			    "text-anchor=\"middle\" aria-hidden=\"true\">\n");
	for (k = 0; s->px >= 18 && k < s->rows; k++)
		put_letters(o, s, k);
	qf_outbuf_printf(o, "</g></svg>\n");
	if (!s->hilbert)
		qf_outbuf_printf(
			o, "<p>A row is %s of %s.</p>\n",
			qf_text_bytes((uint64_t)s->cols * s->per_cell
					      << s->scene->cluster_bits,
				      row, sizeof(row)),
			what);
}

static void put_legend(struct qf_outbuf *o, const struct qf_scene *s)
{
	double all = s->clusters ? (double)s->clusters : 1;
	char size[32];
	int k;

	qf_outbuf_printf(o, "<p class=\"legend\">");
	for (k = 0; k < QF_KINDS; k++)
		if (s->total[k])
			qf_outbuf_printf(
				o,
				"<span><i style=\"background:#%06x;"
				"color:#%06x\">%.1s</i>%s: %s, %" PRIu64
				" cluster%s, %.1f&nbsp;%%</span>\n",
				qf_palette_kind((enum qf_kind)k)->rgb,
				qf_palette_letter(
					qf_palette_kind((enum qf_kind)k)->rgb),
				(char[]){ qf_palette_mark((enum qf_kind)k), 0 },
				qf_palette_kind((enum qf_kind)k)->title,
				qf_text_bytes(s->total[k] << s->cluster_bits,
					      size, sizeof(size)),
				s->total[k], s->total[k] == 1 ? "" : "s",
				(double)s->total[k] * 100 / all);
	qf_outbuf_printf(o, "</p>\n");
}

/* The active disk as the guest has it: volumes, and what is lost where. */
static void put_disk(struct qf_outbuf *o, const struct qf_sheet *s)
{
	const struct qf_guest *g = s->disk->guest;
	char title[200], size[32];
	uint32_t i;

	qf_outbuf_printf(o, "<h2>The guest's disk</h2>\n");
	put_map(o, &s->guest, "the disk", "d");
	put_legend(o, &s->disk->scene);
	for (i = 0; g && i < g->n && i < MAX_ROWS; i++) {
		if (!i)
			qf_outbuf_printf(o, "<table><tr><th>volume"
					    "<th class=\"n\">guest offset"
					    "<th class=\"n\">size</tr>\n");
		qf_outbuf_printf(o, "<tr><td>");
		qf_outbuf_xml(o, qf_guest_title(g, i, title, sizeof(title)));
		qf_outbuf_printf(o,
				 "</td><td class=\"n\">0x%" PRIx64
				 "</td><td class=\"n\">%s</td></tr>\n",
				 g->volume[i].start,
				 qf_text_bytes(g->volume[i].bytes, size,
					       sizeof(size)));
	}
	if (g && g->n) {
		put_rest(o, g->n, 3);
		qf_outbuf_printf(o, "</table>\n");
	}
}

static void put_bar(struct qf_outbuf *o, const struct qf_sheet *s, uint32_t i)
{
	const uint8_t *level = s->level + (size_t)i * QF_SHEET_BAR_W;
	int x, n;

	if (i >= s->bars)
		return;
	qf_outbuf_printf(o,
			 "<svg viewBox=\"0 0 %d 16\" "
			 "preserveAspectRatio=\"none\" style=\"height:16px;"
			 "background:#8882\" shape-rendering=\"crispEdges\">",
			 QF_SHEET_BAR_W);
	for (x = 0; x < QF_SHEET_BAR_W; x += n) {
		for (n = 1; x + n < QF_SHEET_BAR_W && level[x + n] == level[x];)
			n++;
		if (level[x])
			qf_outbuf_printf(o,
					 "<path fill=\"#%s\" opacity=\".%d\" "
					 "d=\"M%d 0h%dv16h-%dz\"/>",
					 i ? "16a34a" : "2563eb",
					 25 + level[x] * 9, x, n, n);
	}
	qf_outbuf_printf(o, "</svg>");
}

static void put_size(struct qf_outbuf *o, const struct qf_scene *s,
		     uint64_t clusters)
{
	char size[32];

	qf_outbuf_printf(o, "<td class=\"n\">%s</td>",
			 qf_text_bytes(clusters << s->cluster_bits, size,
				       sizeof(size)));
}

static void put_holders(struct qf_outbuf *o, const struct qf_sheet *sh)
{
	const struct qf_scene *s = &sh->model->scene;
	char date[32];
	struct tm tm;
	uint32_t i;

	qf_outbuf_printf(o,
			 "<h2>The active disk and the snapshots</h2>\n"
			 "<table><tr><th>id<th>name<th>date (UTC)"
			 "<th class=\"n\">referenced"
			 "<th class=\"n\">exclusive"
			 "<th style=\"width:45%%\">where in the file</tr>\n");
	for (i = 0; i < s->n_holders && i < MAX_ROWS; i++) {
		const struct qf_scene_holder *h = &s->holder[i];
		time_t t = (time_t)h->date_sec;

		date[0] = '\0';
		if (t && gmtime_r(&t, &tm))
			strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm);
		qf_outbuf_printf(o, "<tr><td>");
		qf_outbuf_xml(o, h->id);
		qf_outbuf_printf(o, "</td><td>");
		qf_outbuf_xml(o, h->name);
		qf_outbuf_printf(o, "</td><td>%s</td>", date);
		put_size(o, s, h->referenced);
		put_size(o, s, h->exclusive);
		qf_outbuf_printf(o, "<td>");
		put_bar(o, sh, i);
		qf_outbuf_printf(o, "</td></tr>\n");
	}
	put_rest(o, s->n_holders, 6);
	qf_outbuf_printf(o, "</table>\n");
}

static void put_places(struct qf_outbuf *o, const struct qf_finding *f)
{
	if (f->host_off != QF_NOWHERE)
		qf_outbuf_printf(o, "host 0x%" PRIx64 ", %" PRIu64 " bytes",
				 f->host_off, f->length);
	if (f->guest_off != QF_NOWHERE)
		qf_outbuf_printf(o, "%sguest 0x%" PRIx64,
				 f->host_off != QF_NOWHERE ? "<br>" : "",
				 f->guest_off);
}

static void put_finding(struct qf_outbuf *o, const struct qf_finding *f)
{
	qf_outbuf_printf(o, "<tr><td>");
	qf_outbuf_xml(o, f->text ? f->text : "");
	qf_outbuf_printf(o, "</td><td class=\"n\">%" PRIu64 "</td><td>",
			 f->count);
	put_places(o, f);
	qf_outbuf_printf(o, "</td><td>");
	qf_outbuf_xml(o, f->owner ? f->owner : "");
	if (f->other) {
		qf_outbuf_printf(o, "<br>");
		qf_outbuf_xml(o, f->other);
	}
	qf_outbuf_printf(o, "</td></tr>\n");
}

/* All findings of one problem; returns how many. */
static size_t put_problem(struct qf_outbuf *o, const struct qf_finding *f,
			  size_t n)
{
	const struct qf_problem_row *r = qf_problem_get(f->problem);
	const char *severity = qf_problem_severity(r->severity);
	size_t same, i;

	for (same = 0; same < n && f[same].problem == f->problem; same++)
		;
	qf_outbuf_printf(o,
			 "<h3><span class=\"%s\">%s</span> %u %s: ", severity,
			 severity, r->id, r->name);
	qf_outbuf_xml(o, r->message);
	qf_outbuf_printf(o,
			 "</h3>\n<details><summary>What it means, and what "
			 "repair does (fix: %s, risk: %s)</summary><p>",
			 qf_problem_fix(r->fix), qf_problem_risk(r->risk));
	qf_outbuf_xml(o, r->why);
	qf_outbuf_printf(o, "</p><p>");
	qf_outbuf_xml(o, r->repair);
	qf_outbuf_printf(o, "</p></details>\n<table><tr><th>what"
			    "<th class=\"n\">count<th>where<th>owners</tr>\n");
	for (i = 0; i < same; i++)
		put_finding(o, &f[i]);
	qf_outbuf_printf(o, "</table>\n");
	return same;
}

/* Which stories the findings tell, and what is lost for good. */
static void put_summary(struct qf_outbuf *o, const struct qf_model *m)
{
	const struct qf_report *r = &m->report;
	const struct qf_lost_range *l;
	char who[128];
	size_t i;

	for (i = 0; i < r->n_diagnoses; i++) {
		enum qf_cause cause = r->diagnosis[i].cause;

		qf_outbuf_printf(o, "<p><b>%s (%s):</b> ",
				 qf_diagnose_heading(cause),
				 qf_diagnose_name(cause));
		qf_outbuf_xml(o, qf_diagnose_story(cause));
		qf_outbuf_printf(o, " <b>Advice:</b> ");
		qf_outbuf_xml(o, qf_diagnose_advice(cause));
		qf_outbuf_printf(o, "</p>\n");
	}
	if (r->lost.n)
		qf_outbuf_printf(o, "<h3>Lost guest data</h3>\n<table>"
				    "<tr><th>of<th class=\"n\">guest offset"
				    "<th class=\"n\">bytes</tr>\n");
	for (i = 0; i < r->lost.n && i < MAX_ROWS; i++) {
		l = &r->lost.at[i];
		qf_outbuf_printf(o, "<tr><td>");
		if (l->holder == QF_HOLDER_IMAGE)
			qf_outbuf_printf(o, "a snapshot that the header does "
					    "not name: ");
		qf_outbuf_xml(o,
			      l->holder == QF_HOLDER_IMAGE
				      ? l->id
				      : qf_describe_holder(m->img, l->holder,
							   who, sizeof(who)));
		qf_outbuf_printf(o,
				 "</td><td class=\"n\">0x%" PRIx64
				 "</td><td class=\"n\">%" PRIu64 "</td></tr>\n",
				 l->guest_off, l->bytes);
	}
	put_rest(o, r->lost.n, 3);
	if (r->lost.n)
		qf_outbuf_printf(o, "</table>\n");
}

static void put_figures(struct qf_outbuf *o, const struct qf_report *r)
{
	const struct {
		const char *name;
		uint64_t value;
	} rows[] = {
		{ "check errors", r->errors },
		{ "corruptions", r->corruptions },
		{ "leaks", r->leaks },
		{ "image end offset", r->fig.image_end_bytes },
		{ "total clusters", r->fig.total },
		{ "allocated clusters", r->fig.allocated },
		{ "fragmented clusters", r->fig.fragmented },
		{ "compressed clusters", r->fig.compressed },
		{ "free clusters", r->fig.free },
	};
	size_t i;

	qf_outbuf_printf(o, "<h2>Figures</h2>\n<table>\n");
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		qf_outbuf_printf(o,
				 "<tr><td>%s</td><td class=\"n\">%" PRIu64
				 "</td></tr>\n",
				 rows[i].name, rows[i].value);
	qf_outbuf_printf(o, "</table>\n");
}

enum qf_err qf_html_page(const struct qf_sheet *s, struct qf_outbuf *o,
			 struct qf_why *why)
{
	const struct qf_report *r = &s->model->report;
	const char *verdict = qf_check_verdict(r->verdict);
	char fact[300];
	size_t i;
	int k;

	qf_outbuf_printf(o, "<!DOCTYPE html>\n<html lang=\"en\"><head>"
			    "<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
			    "content=\"width=device-width\">\n<title>qfsck: ");
	qf_outbuf_xml(o, s->name);
	qf_outbuf_printf(o, "</title>\n<style>%s</style></head><body>\n<h1>",
			 style);
	qf_outbuf_xml(o, s->name);
	qf_outbuf_printf(o, ": <span class=\"%s\">%s</span></h1>\n<p>", verdict,
			 verdict);
	for (k = 0; qf_sheet_fact(s, k, fact, sizeof(fact)); k++)
		qf_outbuf_printf(o, "%s%s", k ? "<br>" : "", fact);
	qf_outbuf_printf(o, "</p>\n");
	put_disk(o, s);
	qf_outbuf_printf(o, "<h2>The file</h2>\n");
	put_map(o, &s->file, "the file", "f");
	put_legend(o, &s->model->scene);
	qf_outbuf_printf(o, "<h2>Findings</h2>\n");
	if (!r->findings.n)
		qf_outbuf_printf(o, "<p class=\"clean\">Nothing is wrong with "
				    "this image.</p>\n");
	put_summary(o, s->model);
	for (i = 0; i < r->findings.n;)
		i += put_problem(o, r->findings.at + i, r->findings.n - i);
	put_holders(o, s);
	put_figures(o, r);
	qf_outbuf_printf(o, "<p>Made by qfsck " QFSCK_VERSION ".</p>\n"
			    "</body></html>\n");
	if (!o->failed)
		return QF_OK;
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
			  "no memory for the page");
}
