// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/views/gridparts.h"
#include "lib/base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void qf_gridparts_offsets(struct qf_app *a, const struct qf_grid *g,
			  const struct qf_scene *s)
{
	uint64_t cluster;
	char text[32];
	int row, line;

	for (row = 0; row < g->rows; row += g->halves ? 2 : 1) {
		line = g->halves ? row / 2 : row * g->lines;
		cluster = g->first + (uint64_t)row * g->row;
		if (cluster >= s->clusters)
			break;
		qf_text_bytes(cluster << s->cluster_bits, text, sizeof(text));
		qf_cells_printf(&a->screen, 0, g->y + line, g->x - 1,
				QF_TINT_DIM, "%10s", text);
	}
}

char *qf_gridparts_scale(const struct qf_grid *g, const struct qf_scene *s,
			 char *buf, size_t room)
{
	uint64_t cells = (uint64_t)g->cols, part;
	char size[32];

	if (g->hilbert)
		cells *= (uint64_t)g->rows;
	part = cells ? g->row / cells : 1;
	qf_text_bytes((part ? part : 1) << s->cluster_bits, size, sizeof(size));
	snprintf(buf, room, "%s%s per cell",
		 cells && g->row % cells && g->row > cells ? "about " : "",
		 size);
	return buf;
}

/* Where the next entry of the legend goes. */
struct legend {
	int x, y, row, max; /* y negative: only to measure */
};

static bool add_legend(struct qf_app *a, struct legend *l, enum qf_tint tint,
		       uint32_t glyph, const char *text)
{
	int need = (int)strlen(text) + 4;

	if (l->x && l->x + need > a->screen.w) {
		l->x = 0;
		l->row++;
	}
	if (l->row >= l->max)
		return false;
	if (l->y >= 0) {
		qf_cells_set(&a->screen, l->x, l->y + l->row, tint, glyph);
		qf_cells_text(&a->screen, l->x + 2, l->y + l->row, need - 3,
			      QF_TINT_DIM, text);
	}
	l->x += need;
	return true;
}

int qf_gridparts_legend(struct qf_app *a, const struct qf_scene *s, int y,
			int max)
{
	bool marked = a->marked && s == &a->model->scene;
	struct legend l = { 0, y, 0, max };
	char text[96], size[32];
	int i, k;

	if (marked) {
		add_legend(a, &l, QF_TINT_MARK, a->ascii ? '*' : 0x2588,
			   "only in the marked");
		if (a->map.grid.row > (uint64_t)a->map.grid.cols)
			add_legend(a, &l, QF_TINT_MARK,
				   a->ascii		? 'x'
				   : a->map.grid.halves ? 0x2590
							: 0x25aa,
				   "partly");
		add_legend(a, &l, QF_TINT_SHARE, a->ascii ? '+' : 0x2592,
			   "shared with others");
	}
	/* data and damage first: if the rest is cut off, less is lost */
	for (i = 0; i < QF_KINDS; i++) {
		const struct qf_kind_look *look;

		k = (i + QF_KIND_ACTIVE) % QF_KINDS;
		look = qf_palette_kind((enum qf_kind)k);
		/* with marks, data of all kinds looks the same */
		if (!s->total[k] ||
		    (marked && k >= QF_KIND_ACTIVE && k <= QF_KIND_LEAKED))
			continue;
		qf_text_bytes(s->total[k] << s->cluster_bits, size,
			      sizeof(size));
		snprintf(text, sizeof(text), "%s %s", look->title, size);
		if (!add_legend(a, &l, (enum qf_tint)k,
				a->ascii ? (unsigned char)look->ascii
					 : look->glyph,
				text))
			break;
	}
	return l.row < max ? l.row + 1 : max;
}

bool qf_gridparts_act(struct qf_grid *g, const struct qf_scene *s,
		      enum qf_action act, uint64_t *at)
{
	static const int8_t step[][2] = {
		[QF_ACT_UP] = { 0, -1 },
		[QF_ACT_DOWN] = { 0, 1 },
		[QF_ACT_LEFT] = { -1, 0 },
		[QF_ACT_RIGHT] = { 1, 0 },
	};

	switch (act) {
	case QF_ACT_UP:
	case QF_ACT_DOWN:
	case QF_ACT_LEFT:
	case QF_ACT_RIGHT:
		*at = qf_grid_step(g, s, *at, step[act][0], step[act][1]);
		return true;
	case QF_ACT_PAGE_UP:
	case QF_ACT_PAGE_DOWN:
		*at = qf_grid_page(g, s, *at, act == QF_ACT_PAGE_UP ? -1 : 1);
		return true;
	case QF_ACT_FIRST:
		*at = 0;
		return true;
	case QF_ACT_LAST:
		*at = s->clusters ? s->clusters - 1 : 0;
		return true;
	case QF_ACT_ZOOM_IN:
	case QF_ACT_ZOOM_OUT:
		qf_grid_zoom(g, s, act == QF_ACT_ZOOM_IN ? 1 : -1);
		return true;
	case QF_ACT_ZOOM_FIT:
		g->zoom = 0;
		return true;
	case QF_ACT_ORDER:
		g->hilbert = !g->hilbert;
		g->zoom = 0;
		return true;
	default:
		return false;
	}
}
