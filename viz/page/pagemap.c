// SPDX-License-Identifier: GPL-2.0-or-later
/* A map as it is without the script: cells, scale, legend, volumes. */
#include "viz/page/page.h"
#include "viz/page/pagewords.h"
#include "lib/base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LABELS 8 /* of a scale, about */

/* The line of cells of one kind: from where the last one ended. */
struct line {
	struct qf_outbuf *o;
	int x, y; /* its end */
	bool any;
};

static void draw(struct line *l, int k, const char *class, const char *at,
		 int x, int y, int n)
{
	if (!l->any)
		qf_outbuf_printf(l->o, "<path class='%s k%d' d='M0 %s", class,
				 k, at);
	if (y != l->y)
		qf_outbuf_printf(l->o, "m%d %d", x - l->x, y - l->y);
	else if (x != l->x)
		qf_outbuf_printf(l->o, "m%d 0", x - l->x);
	qf_outbuf_printf(l->o, "h%d", n);
	l->x = x + n;
	l->y = y;
	l->any = true;
}

/* One path for all cells of a kind: small, also for long images. MINOR: for the
 * lower halves of those where it would vanish. */
static void put_kind(struct qf_outbuf *o, const struct qf_sheet_map *s, int k,
		     bool minor)
{
	struct line l = { .o = o };
	int x, y, n;

	for (y = 0; y < s->rows; y++)
		for (x = 0; x < s->cols; x += n < 1 ? 1 : n) {
			n = minor ? qf_sheet_minor(s, x, y, k)
				  : qf_sheet_run(s, x, y);
			if (n > 0 &&
			    (minor || s->cell[y * s->cols + x].kind == k))
				draw(&l, k, minor ? "k h" : "k",
				     minor ? ".75" : ".5", x, y, n);
		}
	if (l.any)
		qf_outbuf_printf(o, "'><title>%s</title></path>\n",
				 qf_palette_kind((enum qf_kind)k)->title);
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
		qf_outbuf_printf(o, "<text class='k%d' y='%d.7' x='", (int)k,
				 y);
		for (i = 0; i < n; i++)
			qf_outbuf_printf(o, "%d.5 ", x + i);
		qf_outbuf_printf(o, "'>");
		for (i = 0; i < n; i++)
			qf_outbuf_add(o, &letter, 1);
		qf_outbuf_printf(o, "</text>\n");
	}
}

static double share(const struct qf_scene *s, int k)
{
	return (double)s->total[k] * 100 /
	       (double)(s->clusters ? s->clusters : 1);
}

/* What the map shows, for who does not see it: the largest parts and all that
 * is wrong. */
static void put_words(struct qf_outbuf *o, const struct qf_scene *s,
		      const char *what)
{
	char size[32];
	int k;

	qf_outbuf_printf(o, "map of %s", what);
	for (k = QF_KINDS - 1; k >= 0; k--)
		if (s->total[k] &&
		    (k >= (int)QF_KIND_LEAKED || share(s, k) >= 1))
			qf_outbuf_printf(
				o, ", %s %s",
				qf_palette_kind((enum qf_kind)k)->title,
				qf_text_bytes(s->total[k] << s->cluster_bits,
					      size, sizeof(size)));
}

/* The offsets at which rows begin, beside them. */
static void put_scale(struct qf_outbuf *o, const struct qf_sheet_map *s)
{
	uint64_t row = ((uint64_t)s->cols * s->per_cell)
		       << s->scene->cluster_bits;
	int step = 1, y;
	char size[32];

	if (s->hilbert)
		return;
	while (s->rows / step > LABELS)
		step *= 2;
	qf_outbuf_printf(o, "<div class='scale' aria-hidden='true'>");
	for (y = 0; y < s->rows; y += step)
		qf_outbuf_printf(o, "<span style='top:%.2f%%'>%s</span>",
				 (double)y * 100 / s->rows,
				 qf_text_bytes((uint64_t)y * row, size,
					       sizeof(size)));
	qf_outbuf_printf(o, "</div>\n");
}

static void put_grid(struct qf_outbuf *o, const struct qf_sheet_map *s,
		     const char *m)
{
	if (s->px < 18) /* lines between the cells, where they are large */
		return;
	qf_outbuf_printf(
		o,
		"<pattern id='%s-grid' width='1' height='1' "
		"patternUnits='userSpaceOnUse'><path d='M0 0h1M0 0v1' "
		"stroke='#fff' stroke-opacity='.7' stroke-width='.07'/>"
		"</pattern><rect fill='url(#%s-grid)' width='%d' "
		"height='%d'/>\n",
		m, m, s->cols, s->rows);
}

/* What stands below the map, until the script has better to say. */
static void put_read(struct qf_outbuf *o, const struct qf_sheet_map *s,
		     const char *m, const char *what)
{
	uint64_t cell = s->per_cell << s->scene->cluster_bits;
	char row[32], one[32];

	qf_outbuf_printf(o,
			 "<p class='read' id='%s-read' aria-live='polite'>"
			 "A cell is %s of %s",
			 m, qf_text_bytes(cell, one, sizeof(one)), what);
	if (!s->hilbert)
		qf_outbuf_printf(o, ", a row is %s",
				 qf_text_bytes((uint64_t)s->cols * cell, row,
					       sizeof(row)));
	else
		qf_outbuf_printf(o, ", along a Hilbert curve");
	if (s->per_cell > 1)
		qf_outbuf_printf(o, ". It shows what most of it holds, in its "
				    "lower half what would vanish, and always "
				    "what is wrong");
	qf_outbuf_printf(o, ".</p>\n");
}

static void put_map(struct qf_outbuf *o, const struct qf_sheet_map *s,
		    const char *m, const char *what)
{
	int k;

	qf_outbuf_printf(o, "<div class='map' id='%s-map'>\n", m);
	put_scale(o, s);
	/* on a narrow page the cells are higher than wide */
	qf_outbuf_printf(o,
			 "<svg viewBox='0 0 %d %d' preserveAspectRatio='none' "
			 "style='min-height:%dpx' role='img' aria-label='",
			 s->cols, s->rows,
			 s->rows > LABELS ? 14 * LABELS : 14 * s->rows);
	put_words(o, s->scene, what);
	qf_outbuf_printf(o, "'>\n");
	for (k = 0; k < QF_KINDS; k++)
		put_kind(o, s, k, false);
	for (k = 0; k < QF_KINDS; k++)
		put_kind(o, s, k, true);
	put_grid(o, s, m);
	if (s->px >= 18) {
		qf_outbuf_printf(o, "<g font-size='.6' font-weight='bold' "
				    "text-anchor='middle' "
				    "aria-hidden='true'>\n");
		for (k = 0; k < s->rows; k++)
			put_letters(o, s, k);
		qf_outbuf_printf(o, "</g>\n");
	}
	qf_outbuf_printf(o, "</svg></div>\n");
	put_read(o, s, m, what);
}

static void put_legend(struct qf_outbuf *o, const struct qf_scene *s)
{
	char size[32], mark[2] = "";
	int k;

	qf_outbuf_printf(o, "<ul class='legend'>\n");
	for (k = QF_KINDS - 1; k >= 0; k--) {
		if (!s->total[k])
			continue;
		mark[0] = qf_palette_mark((enum qf_kind)k);
		qf_outbuf_printf(
			o,
			"<li><i class='k%d' aria-hidden='true'>%s</i>%s: %s, "
			"%" PRIu64 " cluster%s, %.1f&nbsp;%%</li>\n",
			k, mark[0] ? mark : "&nbsp;",
			qf_palette_kind((enum qf_kind)k)->title,
			qf_text_bytes(s->total[k] << s->cluster_bits, size,
				      sizeof(size)),
			s->total[k], s->total[k] == 1 ? "" : "s", share(s, k));
	}
	qf_outbuf_printf(o, "</ul>\n");
}

/* The partitions on a line, as long as they are. */
static void put_bar(struct qf_outbuf *o, const struct qf_guestmap *d)
{
	double all = d->disk_bytes ? (double)d->disk_bytes : 1;
	char title[200];
	uint32_t i;

	qf_outbuf_printf(o, "<div class='vols' aria-hidden='true'>");
	for (i = 0; i < d->guest->n; i++) {
		const struct qf_guest_volume *v = &d->guest->volume[i];

		if (v->level == QF_GUEST_LOGICAL)
			continue;
		qf_guest_title(d->guest, i, title, sizeof(title));
		qf_outbuf_printf(o,
				 "<span style='left:%.2f%%;width:%.2f%%' "
				 "title='",
				 (double)v->start * 100 / all,
				 (double)v->bytes * 100 / all);
		qf_outbuf_xml(o, title);
		qf_outbuf_printf(o, "'>");
		qf_outbuf_xml(o, title);
		qf_outbuf_printf(o, "</span>");
	}
	qf_outbuf_printf(o, "</div>\n");
}

static void put_volumes(struct qf_outbuf *o, const struct qf_guestmap *d)
{
	char text[200];
	uint32_t i;

	qf_outbuf_printf(o, "<table><tr><th scope='col'>Volume"
			    "<th scope='col' class='n'>From guest offset"
			    "<th scope='col' class='n'>Size</tr>\n");
	for (i = 0; i < d->guest->n; i++) {
		const struct qf_guest_volume *v = &d->guest->volume[i];

		qf_outbuf_printf(o, "<tr><td>");
		qf_outbuf_xml(o,
			      qf_guest_title(d->guest, i, text, sizeof(text)));
		if (v->note[0] || v->trouble[0]) {
			qf_outbuf_printf(o, "<br><small>");
			qf_outbuf_xml(o, v->note);
			qf_outbuf_xml(o, v->trouble);
			qf_outbuf_printf(o, "</small>");
		}
		qf_outbuf_printf(o, "</td><td class='n'>");
		snprintf(text, sizeof(text), "0x%" PRIx64, v->start);
		qf_pagewords_link(o, "guest", v->start, v->bytes, text);
		qf_outbuf_printf(o, "</td>");
		qf_pagewords_size(o, v->bytes);
		qf_outbuf_printf(o, "</tr>\n");
	}
	qf_outbuf_printf(o, "</table>\n");
}

void qf_pagemap_put(const struct qf_page *p, const char *m, struct qf_outbuf *o)
{
	bool guest = !strcmp(m, "guest");
	const struct qf_guest *g = guest ? p->disk->guest : NULL;
	const struct qf_sheet_map *s = guest ? &p->sheet->guest
					     : &p->sheet->file;

	if (g && g->n && p->disk->disk_bytes)
		put_bar(o, p->disk);
	put_map(o, s, m, guest ? "the disk" : "the file");
	put_legend(o, s->scene);
	if (g && g->n)
		put_volumes(o, p->disk);
	else if (guest && p->disk->trouble.text[0]) {
		qf_outbuf_printf(o, "<p>What lies on the disk is not known: ");
		qf_outbuf_xml(o, p->disk->trouble.text);
		qf_outbuf_printf(o, "</p>\n");
	}
}
