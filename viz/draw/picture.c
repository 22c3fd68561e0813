// SPDX-License-Identifier: GPL-2.0-or-later
/* The sheet drawn with cairo: SVG and PNG are the same picture. */
#include "lib/base/dynload.h"
#include "lib/base/text.h"
#include "viz/draw/sheet.h"

#include <cairo-svg.h>
#include <cairo.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LEFT 110 /* the map's left edge; labels stand before it */
#define MARGIN 24
#define LINE 20
#define WIDTH (LEFT + QF_SHEET_WIDTH + MARGIN)
#define BAR_H 14
#define BAR_ROW 20
#define LEGEND_COLS 3
#define FINDINGS 12 /* that are listed */

#define FUNCTIONS                        \
	X(create)                        \
	X(destroy)                       \
	X(fill)                          \
	X(image_surface_create)          \
	X(line_to)                       \
	X(move_to)                       \
	X(paint)                         \
	X(rectangle)                     \
	X(select_font_face)              \
	X(set_font_size)                 \
	X(set_line_width)                \
	X(set_source_rgba)               \
	X(show_text)                     \
	X(status)                        \
	X(status_to_string)              \
	X(stroke)                        \
	X(surface_destroy)               \
	X(surface_finish)                \
	X(surface_status)                \
	X(surface_write_to_png_stream)   \
	X(svg_surface_create_for_stream) \
	X(text_extents)

static struct {
#define X(f) __typeof__(cairo_##f) *f;
	FUNCTIONS
#undef X
} cairo;

static const char *const names[] = {
#define X(f) "cairo_" #f,
	FUNCTIONS
#undef X
};

struct pen {
	cairo_t *cr; /* NULL: only to measure */
	const struct qf_sheet *s;
	int y; /* how far down the picture is drawn */
};

static void ink(struct pen *p, uint32_t rgb, double alpha)
{
	cairo.set_source_rgba(p->cr, (rgb >> 16 & 0xff) / 255.0,
			      (rgb >> 8 & 0xff) / 255.0, (rgb & 0xff) / 255.0,
			      alpha);
}

/* One line of text whose baseline is at Y, cut to WIDTH pixels. */
static void text(struct pen *p, double x, double y, double width, double size,
		 bool bold, uint32_t rgb, const char *fmt, ...)
	__attribute__((format(printf, 8, 9)));
static void text(struct pen *p, double x, double y, double width, double size,
		 bool bold, uint32_t rgb, const char *fmt, ...)
{
	cairo_text_extents_t e;
	char buf[1024];
	va_list ap;
	size_t n;

	if (!p->cr)
		return;
	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	cairo.select_font_face(p->cr, "DejaVu Sans", CAIRO_FONT_SLANT_NORMAL,
			       bold ? CAIRO_FONT_WEIGHT_BOLD
				    : CAIRO_FONT_WEIGHT_NORMAL);
	cairo.set_font_size(p->cr, size);
	cairo.text_extents(p->cr, buf, &e);
	n = strlen(buf);
	/* cut at whole characters, with an ellipsis */
	while (e.x_advance > width && n > 1) {
		do
			n--;
		while (n && (buf[n] & 0xc0) == 0x80);
		if (n + 4 > sizeof(buf))
			continue;
		memcpy(buf + n, "\xe2\x80\xa6", 4);
		cairo.text_extents(p->cr, buf, &e);
	}
	ink(p, rgb, 1);
	cairo.move_to(p->cr, x, y);
	cairo.show_text(p->cr, buf);
}

static void box(struct pen *p, double x, double y, double w, double h,
		uint32_t rgb, double alpha)
{
	if (!p->cr)
		return;
	ink(p, rgb, alpha);
	cairo.rectangle(p->cr, x, y, w, h);
	cairo.fill(p->cr);
}

static void draw_head(struct pen *p)
{
	static const uint32_t colours[] = { 0x1a7f37, 0x9a6700, 0xcf222e,
					    0xcf222e };
	const struct qf_model *m = p->s->model;
	char fact[300];
	int i;

	p->y = MARGIN + 18;
	text(p, MARGIN, p->y, WIDTH - 250, 20, true, 0x111827, "%s",
	     p->s->name);
	if (m->checked)
		text(p, WIDTH - 190, p->y, 180, 20, true,
		     colours[m->report.verdict], "%s",
		     qf_check_verdict(m->report.verdict));
	for (i = 0; qf_sheet_fact(p->s, i, fact, sizeof(fact)); i++) {
		p->y += LINE;
		text(p, MARGIN, p->y, WIDTH - 2 * MARGIN, 13, false, 0x4b5563,
		     "%s", fact);
	}
	p->y += LINE;
}

/* The kind's letter in a box of SIZE at X, Y. */
static void draw_mark(struct pen *p, int x, int y, int size, enum qf_kind kind)
{
	char letter[2] = { qf_palette_mark(kind), 0 };

	if (letter[0])
		text(p, x + size * 0.3, y + size * 0.72, size, size * 0.6, true,
		     qf_palette_letter(qf_palette_kind(kind)->rgb), "%s",
		     letter);
}

/* Letters for what colours alone do not tell, where cells are large. */
static void draw_letters(struct pen *p, const struct qf_sheet_map *s, int y,
			 int top)
{
	int x;

	for (x = 0; x < s->cols; x++)
		draw_mark(p, LEFT + x * s->px, top + y * s->px, s->px,
			  (enum qf_kind)s->cell[y * s->cols + x].kind);
}

static void draw_grid_lines(struct pen *p, const struct qf_sheet_map *s,
			    int top)
{
	int i;

	if (!p->cr)
		return;
	ink(p, 0xffffff, 1);
	cairo.set_line_width(p->cr, 1);
	for (i = 0; i <= s->cols; i++) {
		cairo.move_to(p->cr, LEFT + i * s->px - .5, top);
		cairo.line_to(p->cr, LEFT + i * s->px - .5,
			      top + s->rows * s->px);
	}
	for (i = 0; i <= s->rows; i++) {
		cairo.move_to(p->cr, LEFT, top + i * s->px - .5);
		cairo.line_to(p->cr, LEFT + QF_SHEET_WIDTH,
			      top + i * s->px - .5);
	}
	cairo.stroke(p->cr);
}

static void draw_title(struct pen *p, const char *title)
{
	p->y += LINE / 2;
	text(p, LEFT, p->y, QF_SHEET_WIDTH, 13, true, 0x111827, "%s", title);
	p->y += LINE / 2;
}

static void draw_map(struct pen *p, const struct qf_sheet_map *s)
{
	int x, y, n, top = p->y, every = s->px < 18 ? 2 * LINE / s->px : 1;
	char off[32];

	for (y = 0; y < s->rows; y++) {
		for (x = 0; x < s->cols; x += n) {
			uint8_t k = s->cell[y * s->cols + x].kind;

			n = qf_sheet_run(s, x, y);
			if (k < QF_KINDS)
				box(p, LEFT + x * s->px, top + y * s->px,
				    n * s->px, s->px,
				    qf_palette_kind((enum qf_kind)k)->rgb, 1);
		}
		for (x = 0; x < s->cols; x++) {
			struct qf_scene_cell c = s->cell[y * s->cols + x];

			if (c.minor != c.kind && c.kind < QF_KINDS)
				box(p, LEFT + x * s->px,
				    top + y * s->px + s->px / 2, s->px,
				    s->px - s->px / 2,
				    qf_palette_kind((enum qf_kind)c.minor)->rgb,
				    1);
		}
		if (y % every || s->hilbert)
			continue;
		qf_text_bytes((uint64_t)y * (uint64_t)s->cols * s->per_cell
				      << s->scene->cluster_bits,
			      off, sizeof(off));
		text(p, MARGIN, top + y * s->px + 11, LEFT - MARGIN - 6, 11,
		     false, 0x6b7280, "%s", off);
	}
	draw_grid_lines(p, s, top);
	for (y = 0; y < s->rows && s->px >= 18; y++)
		draw_letters(p, s, y, top);
	p->y += s->rows * s->px + LINE;
}

static void draw_legend(struct pen *p, const struct qf_scene *sc)
{
	double all = sc->clusters ? (double)sc->clusters : 1;
	int k, n = 0, step = QF_SHEET_WIDTH / LEGEND_COLS;
	char size[32];

	for (k = 0; k < QF_KINDS; k++) {
		const struct qf_kind_look *look =
			qf_palette_kind((enum qf_kind)k);
		double x = LEFT + n % LEGEND_COLS * step;
		double y = p->y + n / LEGEND_COLS * LINE;

		if (!sc->total[k])
			continue;
		box(p, x, y, 14, 14, look->rgb, 1);
		draw_mark(p, (int)x, (int)y, 14, (enum qf_kind)k);
		qf_text_bytes(sc->total[k] << sc->cluster_bits, size,
			      sizeof(size));
		text(p, x + 20, y + 12, step - 24, 12, false, 0x374151,
		     "%s: %s, %.1f %%", look->title, size,
		     (double)sc->total[k] * 100 / all);
		n++;
	}
	p->y += (n + LEGEND_COLS - 1) / LEGEND_COLS * LINE + LINE / 2;
}

static void draw_bar(struct pen *p, uint32_t i)
{
	const struct qf_sheet *s = p->s;
	const uint8_t *level = s->level + (size_t)i * QF_SHEET_BAR_W;
	const struct qf_scene_holder *h = &s->model->scene.holder[i];
	int x, n;

	text(p, MARGIN, p->y + 12, LEFT - MARGIN - 6, 12, false, 0x374151,
	     "%s%s%s", h->id, *h->name ? " " : "", h->name);
	box(p, LEFT, p->y, QF_SHEET_WIDTH, BAR_H, 0xf3f4f6, 1);
	for (x = 0; x < QF_SHEET_BAR_W; x += n) {
		for (n = 1; x + n < QF_SHEET_BAR_W && level[x + n] == level[x];)
			n++;
		if (level[x])
			box(p, LEFT + 2 * x, p->y, 2 * n, BAR_H,
			    i ? 0x16a34a : 0x2563eb, .25 + level[x] * .09375);
	}
	p->y += BAR_ROW;
}

static void draw_bars(struct pen *p)
{
	const struct qf_scene *sc = &p->s->model->scene;
	uint32_t i;

	p->y += LINE / 2;
	text(p, LEFT, p->y, QF_SHEET_WIDTH, 13, true, 0x111827,
	     "Where the clusters of the active disk and of each snapshot lie "
	     "in the file");
	p->y += LINE / 2;
	for (i = 0; i < p->s->bars; i++)
		draw_bar(p, i);
	if (sc->n_holders > p->s->bars) {
		text(p, LEFT, p->y + 12, QF_SHEET_WIDTH, 12, false, 0x6b7280,
		     "and %u more snapshots", sc->n_holders - p->s->bars);
		p->y += BAR_ROW;
	}
	p->y += LINE / 2;
}

static void draw_findings(struct pen *p)
{
	static const uint32_t colours[] = { 0x2563eb, 0x9a6700, 0xcf222e,
					    0x9a6700, 0xcf222e, 0xcf222e,
					    0xcf222e };
	const struct qf_report *r = &p->s->model->report;
	const struct qf_findings *l = &r->findings;
	size_t i;

	if (!p->s->model->checked)
		return;
	p->y += LINE / 2;
	if (!l->n)
		text(p, LEFT, p->y, QF_SHEET_WIDTH, 13, true, 0x1a7f37,
		     "Nothing is wrong with this image");
	else
		text(p, LEFT, p->y, QF_SHEET_WIDTH, 13, true, 0x111827,
		     "Findings (%zu)", l->n);
	p->y += LINE;
	for (i = 0; i < r->n_diagnoses; i++) {
		text(p, LEFT, p->y, QF_SHEET_WIDTH, 12, false, 0x111827, "%s",
		     qf_diagnose_story(r->diagnosis[i].cause));
		p->y += LINE - 3;
	}
	for (i = 0; i < l->n && i < FINDINGS; i++) {
		const struct qf_problem_row *row =
			qf_problem_get(l->at[i].problem);

		text(p, MARGIN, p->y, LEFT - MARGIN - 6, 12, true,
		     colours[row->severity], "%s",
		     qf_problem_severity(row->severity));
		text(p, LEFT, p->y, QF_SHEET_WIDTH, 12, false, 0x374151,
		     "%u %s: %s", row->id, row->message,
		     l->at[i].text ? l->at[i].text : "");
		p->y += LINE - 3;
	}
	if (l->n > FINDINGS) {
		text(p, LEFT, p->y, QF_SHEET_WIDTH, 12, false, 0x6b7280,
		     "and %zu more: see qfsck check", l->n - FINDINGS);
		p->y += LINE;
	}
}

/* Draws everything; returns the height. */
static int draw(cairo_t *cr, const struct qf_sheet *s)
{
	struct pen p = { .cr = cr, .s = s };

	if (cr) {
		ink(&p, 0xffffff, 1);
		cairo.paint(cr);
	}
	draw_head(&p);
	draw_title(&p, "The disk as the guest has it");
	draw_map(&p, &s->guest);
	draw_legend(&p, s->guest.scene);
	draw_title(&p, "The file");
	draw_map(&p, &s->file);
	draw_legend(&p, s->file.scene);
	draw_bars(&p);
	draw_findings(&p);
	return p.y + MARGIN / 2;
}

static cairo_status_t take(void *out, const unsigned char *bytes,
			   unsigned int n)
{
	struct qf_outbuf *b = out;

	qf_outbuf_add(b, bytes, n);
	return b->failed ? CAIRO_STATUS_NO_MEMORY : CAIRO_STATUS_SUCCESS;
}

static enum qf_err finish(cairo_surface_t *surface, cairo_t *cr,
			  cairo_status_t st, const struct qf_outbuf *out,
			  struct qf_why *why)
{
	if (st == CAIRO_STATUS_SUCCESS)
		st = cairo.status(cr);
	cairo.destroy(cr);
	cairo.surface_finish(surface);
	if (st == CAIRO_STATUS_SUCCESS)
		st = cairo.surface_status(surface);
	cairo.surface_destroy(surface);
	if (st == CAIRO_STATUS_SUCCESS && !out->failed)
		return QF_OK;
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
			  "the picture could not be drawn: %s",
			  cairo.status_to_string(st));
}

static enum qf_err load_cairo(struct qf_why *why)
{
	return qf_dynload_load("libcairo.so.2", names,
			       sizeof(names) / sizeof(names[0]), &cairo, why);
}

enum qf_err qf_picture_svg(const struct qf_sheet *s, struct qf_outbuf *out,
			   struct qf_why *why)
{
	enum qf_err err = load_cairo(why);
	cairo_surface_t *surface;
	cairo_t *cr;

	if (err)
		return err;
	surface = cairo.svg_surface_create_for_stream(take, out, WIDTH,
						      draw(NULL, s));
	cr = cairo.create(surface);
	draw(cr, s);
	return finish(surface, cr, CAIRO_STATUS_SUCCESS, out, why);
}

enum qf_err qf_picture_png(const struct qf_sheet *s, struct qf_outbuf *out,
			   struct qf_why *why)
{
	enum qf_err err = load_cairo(why);
	cairo_surface_t *surface;
	cairo_t *cr;

	if (err)
		return err;
	surface = cairo.image_surface_create(CAIRO_FORMAT_RGB24, WIDTH,
					     draw(NULL, s));
	cr = cairo.create(surface);
	draw(cr, s);
	return finish(surface, cr,
		      cairo.surface_write_to_png_stream(surface, take, out),
		      out, why);
}
