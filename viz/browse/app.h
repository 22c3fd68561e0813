/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The browser's state, and what every view needs of it. Keys move it
 * (drive.h), and it is drawn into cells (frame.h); no terminal in it.
 */
#ifndef QF_APP_H
#define QF_APP_H

#include "viz/draw/cells.h"
#include "viz/draw/grid.h"
#include "viz/hex/hex.h"
#include "viz/beside/beside.h"
#include "viz/browse/list.h"
#include "viz/draw/model.h"
#include "viz/beside/watch.h"
#include "viz/beside/child.h"
#include "viz/show/outbuf.h"

struct qf_page;

enum qf_view_id {
	QF_VIEW_GUEST,
	QF_VIEW_MAP,
	QF_VIEW_SNAPSHOTS,
	QF_VIEW_FINDINGS,
	QF_VIEW_OWNERS,
	QF_VIEW_HEX,
	QF_VIEW_INFO, /* from here on: what other commands say */
	QF_VIEW_DIFF,
	QF_VIEW_SPACE,
	QF_VIEW_PLAN,
	QF_VIEWS
};

struct qf_guestview_state {
	struct qf_guestmap *map; /* owned; NULL: not there yet */
	unsigned int age;	 /* grows with each map */
	uint32_t holder;	 /* whose disk is wanted */
	bool tried;		 /* that one was begun to be looked at */
	uint64_t at;		 /* the offset on the disk under the cursor */
	struct qf_grid grid;
	bool close; /* to be zoomed in until each cluster is by itself */
	int bar_y;  /* of the volumes' bar, as drawn last; negative: none */
	/* whose the bytes from FROM to TO are, with the cursor at FILES_AT */
	uint64_t files_at, from, to;
	char files[300];
};

struct qf_map_state {
	struct qf_grid grid;
	uint32_t bar, bar_top;
	int bar_x, bar_y, bar_rows; /* where they are, as drawn last */
	/* the bars: kept from one drawing to the next */
	uint8_t *level;
	size_t level_width;
	uint32_t level_first, level_rows;
	unsigned int level_age;
};

struct qf_snapshots_state {
	struct qf_list list;
	int column;
	bool reverse;
	uint32_t *row;		/* the holders in the order shown */
	uint64_t *fresh, *gone; /* of each, since the one before; owned */
	int line_y; /* of the line of time, as drawn last; negative: none */
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
	bool lost_open;
};

struct qf_owners_state {
	struct qf_list list;
	struct qf_model_owner *owner; /* owned */
	size_t n;
	uint64_t total, cluster; /* of this cluster, if LOADED */
	bool loaded, failed;
};

struct qf_hex_state {
	bool guest; /* the bytes of the disk, not those of the file */
	bool lost;  /* some of those in buf are */
	/* whose the cluster under the cursor is, of map GUEST.AGE */
	char whose[300];
	uint64_t whose_at; /* its guest offset; QF_NOWHERE: none yet */
	struct qf_hex hex;
	unsigned char *buf; /* one cluster */
	uint64_t buf_off;   /* which; QF_NOWHERE: none */
	unsigned int buf_age;
	struct qf_why why; /* err: it could not be read */
	uint64_t magic_off;
	char magic[160];	    /* what libmagic says of buf */
	bool buf_guest, mark_guest; /* of the disk, not of the file */
	uint64_t mark_off,
		mark_bytes;	    /* what one came for, or what was found */
	int y, rows, step, bytes_x; /* as drawn last */
	uint64_t top;		    /* first byte shown, in the cluster */
	/* a search that goes on between the keys */
	bool searching, back, search_gaps;
	unsigned char needle[64];
	size_t needle_bytes;
	uint64_t search_at, search_from, search_read;
	int64_t search_ms; /* when it began */
	bool search_round; /* it went round the end */
};

/* An edit of a repair's plan. */
struct qf_page_edit {
	uint64_t off, bytes;
	enum qf_tint tint;
};

/* What another command said: see page.h. */
struct qf_page_state {
	struct qf_outbuf text; /* NULs end its lines */
	size_t *line, n, room; /* where each begins; owned */
	struct qf_list list;
	char asked[400];
	unsigned int opened; /* of which reading of the image */
	int part;	     /* which of its commands is next */
	bool whole, failed;
	struct qf_page_edit *edit; /* owned */
	size_t n_edits, edit_room;
};

enum qf_ask {
	QF_ASK_NOTHING,
	QF_ASK_SEARCH,
	QF_ASK_GOTO,
	QF_ASK_WRITE, /* bytes to a new file */
};

/* What is to be done when something that takes long is known. */
enum qf_wish {
	QF_WISH_NOTHING,
	QF_WISH_PATH,  /* go to the guest's file a->path */
	QF_WISH_BYTES, /* show the disk's bytes there */
	QF_WISH_GUEST, /* go to where the cluster is on the guest's disk */
};

struct qf_spot {
	enum qf_view_id view;
	uint64_t at;
	uint64_t guest_at;
	bool guest_bytes; /* hex showed those of the disk */
	uint32_t holder;  /* of the guest's disk */
	size_t row;	  /* of the owners or findings */
};

#define QF_APP_BACK 64
#define QF_APP_BOOKMARKS 32
#define QF_APP_PAST 16

struct qf_app {
	struct qf_image *img; /* owned */
	char name[256];
	bool ascii, shared;
	bool fine;   /* there are colours enough for two in a character */
	bool locked; /* no writer may begin, as long as it is being read */
	struct qf_watch watch;
	enum qf_watch_state file; /* what became of it since */
	struct qf_cells screen;
	struct qf_model *model; /* what is shown */
	unsigned int age;	/* grows when the model or a mark changes */
	struct qf_beside *job;	/* beside the browser, or NULL */
	uint64_t freed; /* clusters that the marked snapshots hold alone */
	bool marked;

	enum qf_view_id view;
	uint64_t at; /* host offset under the cursor */
	struct qf_spot back[QF_APP_BACK];
	size_t n_back;
	/* as long as the browser runs; kept nowhere */
	struct qf_spot bookmark[QF_APP_BOOKMARKS];
	size_t n_bookmarks, bookmark_at; /* which one was gone to last */

	enum qf_ask ask;
	char typed[128];
	char pattern[128];
	bool wrapped;			/* the search went round the end */
	char past[2][QF_APP_PAST][128]; /* what was searched, where one went */
	int n_past[2], past_at;
	enum qf_wish wish;
	char path[128];
	char yank[32]; /* for the terminal's clipboard, until it is taken */
	bool scene_tried, check_tried; /* jobs are begun once */
	char message[200];
	enum qf_tint message_tint;
	char *explain; /* a page over the view; owned */
	bool help;
	int overlay_top;
	bool quit, redraw;

	struct qf_guestview_state guest;
	struct qf_map_state map;
	struct qf_snapshots_state snapshots;
	struct qf_findings_state findings;
	struct qf_owners_state owners;
	struct qf_hex_state hex;

	bool by_chance;		/* keys by chance make no files */
	const char *program;	/* of which a command is run beside; or NULL */
	struct qf_child *child; /* that runs, or NULL */
	enum qf_view_id child_for;
	const struct qf_page *child_page;
	unsigned int opened; /* grows when the image is reread */
	struct qf_page_state page[QF_VIEWS - QF_VIEW_INFO];
	uint32_t diff_from, diff_to;
	bool diff_chosen;
};

/*
 * IMG becomes the browser's, also after an error; it is SHARED (-U), or locked
 * against writers until it has been read. Errors: QF_ERR_NOMEM. Either way,
 * qf_app_close.
 */
enum qf_err qf_app_open(struct qf_app *a, struct qf_image *img,
			const char *name, bool shared, struct qf_why *why);
void qf_app_close(struct qf_app *a);

/* Opens the file anew and forgets what was read of it; where the user is
 * stays. If it cannot be opened, says why, and all is as before. */
void qf_app_reread(struct qf_app *a);

void qf_app_say(struct qf_app *a, enum qf_tint tint, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void qf_app_go(struct qf_app *a, enum qf_view_id view, uint64_t at);
/* To the offset AT of HOLDER's disk, in the view of it. */
void qf_app_go_guest(struct qf_app *a, uint32_t holder, uint64_t at);
/* The guest's disk of HOLDER is wanted from now on. */
void qf_app_set_holder(struct qf_app *a, uint32_t holder);
uint64_t qf_app_cluster(const struct qf_app *a);
void qf_app_set_cluster(struct qf_app *a, uint64_t cluster);
void qf_app_marks_changed(struct qf_app *a);
/* Where it was before it last went somewhere. */
void qf_app_back(struct qf_app *a);

/* Sets a bookmark at the place at hand, or takes away the one that is there;
 * goes to the one after that gone to last. Both say so. */
void qf_app_bookmark(struct qf_app *a);
void qf_app_next_bookmark(struct qf_app *a);

/* True if PATTERN stands in TEXT, whatever the case of its letters. */
bool qf_app_matches(const char *text, const char *pattern);

/*
 * Of the owners of the cluster under the cursor that of the byte there, of the
 * state whose disk is shown if it has one. ON_DISK: only one that says where
 * it is on a disk. NULL: none, or they are not known.
 */
const struct qf_model_owner *qf_app_owner(const struct qf_app *a, bool on_disk);

/* The number after or before *I of N, round the end: then a->wrapped is set.
 * Returns the new *I. */
size_t qf_app_turn(struct qf_app *a, size_t *i, size_t n, bool back);

#endif
