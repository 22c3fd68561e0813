/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The browser without a terminal: its state, what keys do to it, and how it
 * looks, in cells. The terminal (tui.c) and the scripts (script.c) drive it.
 */
#ifndef QF_APP_H
#define QF_APP_H

#include "viz/draw/cells.h"
#include "viz/browse/hex.h"
#include "viz/browse/keys.h"
#include "viz/draw/model.h"

enum qf_view_id {
	QF_VIEW_MAP,
	QF_VIEW_SNAPSHOTS,
	QF_VIEW_FINDINGS,
	QF_VIEW_OWNERS,
	QF_VIEW_HEX,
	QF_VIEWS
};

/* A stretch of rows of the screen. */
struct qf_area {
	int y, h, w;
};

struct qf_app;

struct qf_view {
	const char *name;
	char letter; /* as in keys.def */
	void (*draw)(struct qf_app *a, struct qf_area area);
	/* true if the action meant something */
	bool (*act)(struct qf_app *a, enum qf_action act);
	/* looks for a->pattern, from the cursor on or back; may be NULL */
	bool (*find)(struct qf_app *a, bool back);
	/* a click into the area drawn last; may be NULL */
	void (*click)(struct qf_app *a, int x, int y, bool twice);
};

extern const struct qf_view qf_view_map, qf_view_snapshots, qf_view_findings,
	qf_view_owners, qf_view_hex;

/* A list that is longer than the screen. */
struct qf_list {
	size_t at, top, rows; /* rows: of the screen, as drawn last */
	int y;		      /* where its first row was drawn */
};

struct qf_map_state {
	bool fit; /* the whole file in one page, whatever the size */
	unsigned int zoom;
	bool hilbert;
	uint64_t top; /* cell number of the first one shown */
	uint32_t bar, bar_top;
	struct qf_order order;
	/* what was drawn last */
	int x, y, w, h;
	/* kept from one drawing to the next */
	struct qf_scene_cell *cell;
	size_t n_cells;
	uint64_t cell_first;
	unsigned int cell_zoom, cell_age;
	uint8_t *level;
	size_t level_width;
	uint32_t level_first, level_rows;
	unsigned int level_age;
};

struct qf_snapshots_state {
	struct qf_list list;
	int column;
	bool reverse;
	uint32_t *row; /* the holders in the order shown */
	unsigned int row_age;
	int row_column;
	bool row_reverse;
	uint32_t n;
};

enum qf_row_of {
	QF_ROW_FINDING,
	QF_ROW_STORY,
	QF_ROW_LOST,
};

struct qf_finding_row {
	enum qf_row_of of;
	uint8_t level; /* 0: severity or title, 1: problem, 2: one of them */
	size_t first;  /* number of its (first) finding, story, loss */
	size_t n;
};

struct qf_findings_state {
	struct qf_list list;
	struct qf_finding_row *row;
	size_t n, room;
	unsigned int row_age;
	bool turned[QF_PROBLEMS]; /* folded, or not, by hand */
	bool folded[QF_SEV_FATAL + 1];
	bool lost_folded;
};

struct qf_owners_state {
	struct qf_list list;
	struct qf_model_owner *owner; /* owned */
	size_t n;
	uint64_t total, cluster; /* of this cluster, if LOADED */
	bool loaded, failed;
};

struct qf_hex_state {
	struct qf_hex hex;
	unsigned char *buf; /* one cluster */
	uint64_t buf_off;   /* which; QF_NOWHERE: none */
	unsigned int buf_age;
	struct qf_why why; /* err: it could not be read */
	uint64_t magic_off;
	char magic[160];	    /* what libmagic says of buf */
	int y, rows, step, bytes_x; /* as drawn last */
	uint64_t top;		    /* first byte shown, in the cluster */
	/* a search that goes on between the keys */
	bool searching, back, search_gaps;
	unsigned char needle[64];
	size_t needle_bytes;
	uint64_t search_at;
};

enum qf_ask {
	QF_ASK_NOTHING,
	QF_ASK_SEARCH,
	QF_ASK_GOTO,
};

struct qf_spot {
	enum qf_view_id view;
	uint64_t at;
	size_t row; /* of the owners or findings */
};

#define QF_APP_BACK 64

struct qf_app {
	struct qf_image *img; /* the caller's */
	char name[256];
	bool ascii, shared;
	struct qf_cells screen;
	struct qf_model *model; /* what is shown */
	unsigned int age;	/* grows when the model or a mark changes */
	struct qf_job *job;	/* beside the browser, or NULL */
	uint64_t freed; /* clusters that the marked snapshots hold alone */
	bool marked;

	enum qf_view_id view;
	uint64_t at; /* host offset under the cursor */
	struct qf_spot back[QF_APP_BACK];
	size_t n_back;

	enum qf_ask ask;
	char typed[128];
	char pattern[128];
	bool scene_tried, check_tried; /* jobs are begun once */
	char message[200];
	enum qf_tint message_tint;
	const struct qf_problem_row *explain;
	bool help;
	int overlay_top;
	bool quit, redraw;

	struct qf_map_state map;
	struct qf_snapshots_state snapshots;
	struct qf_findings_state findings;
	struct qf_owners_state owners;
	struct qf_hex_state hex;
};

/* Errors: QF_ERR_NOMEM. Begins to look at the image in the background. */
enum qf_err qf_app_open(struct qf_app *a, struct qf_image *img,
			const char *name, struct qf_why *why);
void qf_app_close(struct qf_app *a);

/* Draws everything into a->screen. */
void qf_app_draw(struct qf_app *a);

void qf_app_key(struct qf_app *a, uint32_t key);
enum qf_app_click { QF_CLICK, QF_CLICK_TWICE, QF_WHEEL_UP, QF_WHEEL_DOWN };
void qf_app_click(struct qf_app *a, int x, int y, enum qf_app_click c);

/*
 * Does a slice of what goes on between the keys and takes over what the
 * background has found. True while there is more to do soon: call again.
 * *CHANGED: the screen must be drawn.
 */
bool qf_app_tick(struct qf_app *a, bool *changed);

/* Until all that was begun is done; for the scripts. */
void qf_app_wait(struct qf_app *a);

/* For the views. */
void qf_app_say(struct qf_app *a, enum qf_tint tint, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void qf_app_go(struct qf_app *a, enum qf_view_id view, uint64_t at);
uint64_t qf_app_cluster(const struct qf_app *a);
void qf_app_set_cluster(struct qf_app *a, uint64_t cluster);
void qf_app_marks_changed(struct qf_app *a);
bool qf_app_matches(const char *text, const char *pattern);

/* Moves in a list of N rows; true if ACT is a movement. */
bool qf_list_act(struct qf_list *l, size_t n, enum qf_action act);
/* Before drawing N rows from row Y on with room for ROWS. */
void qf_list_show(struct qf_list *l, size_t n, int y, int rows);
/* The row at screen row Y; false if none of N is there. */
bool qf_list_click(struct qf_list *l, size_t n, int y);

/* A part of one bar of WIDTH columns. */
void qf_app_bar(struct qf_app *a, int x, int y, int width, double part,
		enum qf_tint tint);

/* Wraps TEXT into W columns and at most ROWS rows; returns its lines. */
int qf_app_wrap(struct qf_app *a, int x, int y, int w, int rows,
		enum qf_tint tint, const char *text);

const struct qf_view *qf_app_view(enum qf_view_id id);
/* The view whose tab stands at column X of the top line, or -1. */
int qf_app_tab_at(const struct qf_app *a, int x);

/* Begins to look for a->pattern in the bytes. */
bool qf_hex_find(struct qf_app *a, bool back);
/* A slice of the search that a->hex describes. */
void qf_hex_search(struct qf_app *a);

#endif
