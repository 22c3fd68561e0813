/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The map as a picture of bounded size, whatever the file's: how many
 * clusters a cell stands for, and what each cell shows. For SVG, PNG, HTML.
 */
#ifndef QF_SHEET_H
#define QF_SHEET_H

#include "viz/draw/guestmap.h"
#include "viz/draw/model.h"
#include "viz/show/outbuf.h"

#define QF_SHEET_WIDTH 1152 /* pixels of the map */
#define QF_SHEET_BARS 64    /* holders with a bar */
#define QF_SHEET_BAR_W 576  /* parts of a bar, two pixels each */

/* A scene as a map. */
struct qf_sheet_map {
	const struct qf_scene *scene;
	int cols, rows;
	int px; /* of a cell, both ways */
	uint64_t per_cell;
	uint64_t cells;		    /* with something in them */
	struct qf_scene_cell *cell; /* by place: cols * rows */
	bool hilbert;
};

struct qf_sheet {
	const struct qf_model *model;
	const struct qf_guestmap *disk; /* the active one */
	const char *name; /* of the image, harmless; the caller's */
	struct qf_sheet_map file, guest;
	uint32_t bars;	/* holders shown */
	uint8_t *level; /* bars rows of QF_SHEET_BAR_W */
};

/* M, DISK and NAME must live as long. Errors: QF_ERR_NOMEM. */
enum qf_err qf_sheet_make(const struct qf_model *m,
			  const struct qf_guestmap *disk, const char *name,
			  bool hilbert, struct qf_sheet *s, struct qf_why *why);
void qf_sheet_free(struct qf_sheet *s);

/* The cells of row Y from X on that show the same kind. */
int qf_sheet_run(const struct qf_sheet_map *s, int x, int y);

/* The cells of row Y from X on where KIND would vanish behind another; 0: not
 * in this one. */
int qf_sheet_minor(const struct qf_sheet_map *s, int x, int y, int kind);

/* Facts in words, one of 0 to 3; false behind the last. */
bool qf_sheet_fact(const struct qf_sheet *s, int i, char *buf, size_t room);

/* Draws with cairo into OUT. Errors: QF_ERR_NOMEM. */
enum qf_err qf_picture_svg(const struct qf_sheet *s, struct qf_outbuf *out,
			   struct qf_why *why);
enum qf_err qf_picture_png(const struct qf_sheet *s, struct qf_outbuf *out,
			   struct qf_why *why);

#endif
