// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/browse/drive.h"
#include "lib/base/mem.h"
#include "lib/io/lock.h"
#include "viz/browse/frame.h"
#include "viz/browse/prompt.h"
#include "viz/hex/hex_search.h"
#include "viz/views/page.h"
#include "viz/views/views.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Whose it is does not change within. */
#define SECTOR 512u

static void turn_view(struct qf_app *a, int by)
{
	a->view = (enum qf_view_id)(((int)a->view + by + QF_VIEWS) % QF_VIEWS);
}

static void unmark(struct qf_app *a)
{
	uint32_t i;

	for (i = 0; i < a->model->scene.n_holders; i++)
		a->model->scene.holder[i].marked = false;
	qf_app_marks_changed(a);
}

/* The offset under the cursor: to the clipboard, and for a colon and Up. */
static void yank(struct qf_app *a)
{
	bool guest = a->view == QF_VIEW_GUEST ||
		     (a->view == QF_VIEW_HEX && a->hex.guest);
	uint64_t at = guest ? a->guest.at : a->at;

	snprintf(a->yank, sizeof(a->yank), "0x%" PRIx64, at);
	snprintf(a->typed, sizeof(a->typed), "%c%s", guest ? 'g' : 'h',
		 a->yank);
	qf_prompt_remember(a);
	qf_app_say(a, QF_TINT_NOTE, "%s: yanked; : and Up bring it back",
		   a->yank);
}

static void next_damage(struct qf_app *a, bool back)
{
	const struct qf_view *v = qf_views[a->view];

	a->wrapped = false;
	if (!a->model->checked)
		qf_app_say(a, QF_TINT_WARN,
			   "it has not been checked: nothing is known to be "
			   "wrong");
	else if (!v->damage || !v->damage(a, back))
		qf_app_say(a, QF_TINT_GOOD, "nothing is wrong here");
	else if (a->wrapped)
		qf_app_say(a, QF_TINT_NOTE, "round the %s",
			   back ? "start" : "end");
}

/* A key that leads to a view or a place; false: it is none. */
static bool act_place(struct qf_app *a, enum qf_action act)
{
	switch (act) {
	case QF_ACT_NEXT_VIEW:
		turn_view(a, 1);
		break;
	case QF_ACT_PREV_VIEW:
		turn_view(a, -1);
		break;
	case QF_ACT_VIEW_GUEST:
	case QF_ACT_VIEW_MAP:
	case QF_ACT_VIEW_SNAPSHOTS:
	case QF_ACT_VIEW_FINDINGS:
	case QF_ACT_VIEW_OWNERS:
	case QF_ACT_VIEW_HEX:
	case QF_ACT_VIEW_INFO:
	case QF_ACT_VIEW_DIFF:
	case QF_ACT_VIEW_SPACE:
	case QF_ACT_VIEW_PLAN:
		qf_app_go(a, (enum qf_view_id)(act - QF_ACT_VIEW_GUEST), a->at);
		break;
	case QF_ACT_SWAP:
		/* its owners tell where it is on the guest's disk */
		a->wish = QF_WISH_GUEST;
		break;
	case QF_ACT_BYTES:
		a->wish = QF_WISH_BYTES;
		break;
	case QF_ACT_BACK:
		qf_app_back(a);
		break;
	case QF_ACT_BOOKMARK:
		qf_app_bookmark(a);
		break;
	case QF_ACT_NEXT_BOOKMARK:
		qf_app_next_bookmark(a);
		break;
	default:
		return false;
	}
	return true;
}

/* What means the same in every view. */
static bool act_everywhere(struct qf_app *a, enum qf_action act)
{
	switch (act) {
	case QF_ACT_QUIT:
		a->quit = true;
		break;
	case QF_ACT_YANK:
		yank(a);
		break;
	case QF_ACT_WRITE:
		if (a->view == QF_VIEW_HEX)
			qf_prompt_begin(a, QF_ASK_WRITE);
		else
			qf_app_say(a, QF_TINT_WARN,
				   "x shows bytes, and there w writes them to "
				   "a new file");
		break;
	case QF_ACT_UNMARK:
		unmark(a);
		break;
	case QF_ACT_SEARCH:
		qf_prompt_begin(a, QF_ASK_SEARCH);
		break;
	case QF_ACT_GOTO:
		qf_prompt_begin(a, QF_ASK_GOTO);
		break;
	case QF_ACT_SEARCH_NEXT:
	case QF_ACT_SEARCH_PREV:
		if (a->pattern[0])
			qf_prompt_search(a, act == QF_ACT_SEARCH_PREV);
		else
			next_damage(a, act == QF_ACT_SEARCH_PREV);
		break;
	case QF_ACT_FORGET:
		a->pattern[0] = '\0';
		a->hex.mark_bytes = 0;
		break;
	case QF_ACT_REREAD:
		qf_app_reread(a);
		break;
	case QF_ACT_REDRAW:
		a->redraw = true;
		break;
	case QF_ACT_HELP:
		a->help = true;
		a->overlay_top = 0;
		break;
	default:
		return act_place(a, act);
	}
	return true;
}

/* A key while the help or an explanation lies over the view. */
static void overlay_key(struct qf_app *a, enum qf_action act)
{
	int page = a->screen.h > 4 ? a->screen.h - 4 : 1;

	switch (act) {
	case QF_ACT_UP:
		a->overlay_top--;
		break;
	case QF_ACT_DOWN:
		a->overlay_top++;
		break;
	case QF_ACT_PAGE_UP:
		a->overlay_top -= page;
		break;
	case QF_ACT_PAGE_DOWN:
		a->overlay_top += page;
		break;
	case QF_ACT_FIRST:
		a->overlay_top = 0;
		break;
	case QF_ACT_LAST:
		a->overlay_top = 1000; /* drawing sets it right */
		break;
	default: /* also q: it closes what is open first */
		a->help = false;
		free(a->explain);
		a->explain = NULL;
		break;
	}
	if (a->overlay_top < 0)
		a->overlay_top = 0;
}

void qf_drive_key(struct qf_app *a, uint32_t key)
{
	enum qf_action act = qf_keys_action(key, qf_views[a->view]->letter);

	if (key == QF_KEY_NONE)
		return;
	a->message[0] = '\0';
	if (a->ask != QF_ASK_NOTHING) {
		qf_prompt_key(a, key);
		return;
	}
	if (a->help || a->explain) {
		overlay_key(a, act);
		return;
	}
	if (a->hex.searching) {
		a->hex.searching = false;
		qf_app_say(a, QF_TINT_WARN, "search stopped");
		return;
	}
	if (act != QF_ACT_NONE && !qf_views[a->view]->act(a, act))
		act_everywhere(a, act);
}

void qf_drive_click(struct qf_app *a, int x, int y, enum qf_drive_click c)
{
	int i;

	if (c == QF_WHEEL_UP || c == QF_WHEEL_DOWN) {
		for (i = 0; i < 3; i++)
			qf_drive_key(a, c == QF_WHEEL_UP ? QF_KEY_UP
							 : QF_KEY_DOWN);
		return;
	}
	if (c == QF_DRAG &&
	    (a->help || a->explain || y == 0 || a->ask != QF_ASK_NOTHING))
		return;
	a->message[0] = '\0';
	if (a->help || a->explain) {
		overlay_key(a, QF_ACT_NONE);
	} else if (a->ask != QF_ASK_NOTHING) {
		a->ask = QF_ASK_NOTHING;
	} else if (y == 0 && a->screen.h > 1) {
		i = qf_frame_tab_at(a, x);
		if (i >= 0)
			qf_app_go(a, (enum qf_view_id)i, a->at);
	} else if (qf_views[a->view]->click) {
		qf_views[a->view]->click(a, x, y, c == QF_CLICK_TWICE);
	}
}

/* Takes over the model whose scene is whole, with the marks set so far. */
static void take_scene(struct qf_app *a, struct qf_model *m)
{
	struct qf_model *old = a->model;
	uint32_t i;

	for (i = 0; i < m->scene.n_holders && i < old->scene.n_holders; i++)
		m->scene.holder[i].marked = old->scene.holder[i].marked;
	a->model = m;
	qf_model_free(old);
	qf_app_marks_changed(a);
}

static void take_owners(struct qf_app *a, struct qf_beside_result *r)
{
	struct qf_owners_state *st = &a->owners;

	free(st->owner);
	st->owner = r->owner;
	st->n = r->n_owners;
	st->total = r->total_owners;
	st->cluster = r->order.cluster;
	st->loaded = true;
	st->failed = r->err != QF_OK;
}

/* Of the same cluster, on the disk: its byte if they lie as in the file. */
static uint64_t guest_place(const struct qf_app *a,
			    const struct qf_model_owner *o)
{
	enum qf_kind kind;
	uint32_t set;

	kind = qf_scene_under(&a->model->scene, qf_app_cluster(a), &set);
	if (kind == QF_KIND_L2 || kind == QF_KIND_COMPRESSED)
		return o->guest_off;
	return o->guest_off + (a->at & (a->img->geo.cluster_bytes - 1));
}

/* Goes to where the cluster whose owners are known is on the guest's disk: of
 * the state that is shown, if it has it. */
static void go_to_guest(struct qf_app *a)
{
	const struct qf_model_owner *best = qf_app_owner(a, true);
	const struct qf_owners_state *st = &a->owners;

	a->guest.close |= best != NULL;
	if (best) {
		qf_app_go_guest(a, best->holder,
				a->wish == QF_WISH_BYTES ? guest_place(a, best)
							 : best->guest_off);
		if (a->wish == QF_WISH_BYTES) {
			a->view = QF_VIEW_HEX;
			a->hex.guest = true;
		}
	} else {
		qf_app_say(a, QF_TINT_WARN,
			   st->n ? "it belongs to the image, and is nowhere on "
				   "the guest's disk"
				 : "nobody says where it is on the guest's "
				   "disk");
	}
	a->wish = QF_WISH_NOTHING;
}

static void take_path(struct qf_app *a, const struct qf_beside_result *r)
{
	a->wish = QF_WISH_NOTHING;
	a->message[0] = '\0';
	if (r->at == QF_NOWHERE) {
		qf_app_say(a, QF_TINT_WARN, "%s", r->text);
		return;
	}
	a->guest.close = true;
	qf_app_go_guest(a, a->guest.holder, r->at);
}

static void take_guest(struct qf_app *a, struct qf_beside_result *r)
{
	struct qf_guestview_state *st = &a->guest;

	if (!r->guest)
		return;
	qf_guestmap_free(st->map);
	st->map = r->guest;
	st->age++;
	st->from = st->to = 0;
	a->hex.buf_off = a->hex.whose_at = QF_NOWHERE;
	/* another state was chosen meanwhile */
	st->tried = st->map->holder == st->holder;
}

static void take_files(struct qf_app *a, const struct qf_beside_result *r)
{
	memcpy(a->guest.files, r->text, sizeof(a->guest.files));
	a->guest.files_at = r->order.at;
	a->guest.from = r->order.from;
	a->guest.to = r->order.to;
}

/* Takes over what the job has found; waits for it. */
static void take_job(struct qf_app *a)
{
	struct qf_beside_result r;

	qf_beside_take(a->job, &r);
	a->job = NULL;
	if (r.err)
		qf_app_say(a, QF_TINT_BAD, "%s",
			   r.why.text[0] ? r.why.text : "no memory");
	switch (r.order.kind) {
	case QF_BESIDE_SCENE:
		if (r.model)
			take_scene(a, r.model);
		break;
	case QF_BESIDE_CHECK:
		if (!r.err && !qf_model_take_report(a->model, &r.report))
			qf_app_say(
				a, QF_TINT_BAD,
				"not enough memory to show all that is wrong");
		qf_check_free(&r.report);
		break;
	case QF_BESIDE_OWNERS:
		take_owners(a, &r);
		break;
	case QF_BESIDE_GUEST:
		take_guest(a, &r);
		return;
	case QF_BESIDE_FILES:
		take_files(a, &r);
		return;
	case QF_BESIDE_PATH:
		take_path(a, &r);
		return;
	case QF_BESIDE_WHOSE:
		memcpy(a->hex.whose, r.text, sizeof(a->hex.whose));
		a->hex.whose_at = r.order.at;
		return;
	}
	a->age++;
}

static bool owners_known(const struct qf_app *a)
{
	const struct qf_owners_state *st = &a->owners;

	return st->loaded && st->cluster == qf_app_cluster(a);
}

static bool owners_wanted(const struct qf_app *a)
{
	return (a->view == QF_VIEW_OWNERS || a->wish >= QF_WISH_BYTES ||
		(a->view == QF_VIEW_HEX && !a->hex.guest)) &&
	       a->model->scene.whole && !owners_known(a);
}

/* Whose bytes those under the cursor are is asked once. */
static bool files_wanted(const struct qf_app *a, struct qf_beside_order *o)
{
	const struct qf_guestview_state *st = &a->guest;
	const struct qf_guestmap *map = st->map;
	uint64_t first, end;
	uint32_t bits;

	if (a->view != QF_VIEW_GUEST || !map || !map->guest || !st->grid.cols)
		return false;
	bits = map->scene.cluster_bits;
	qf_grid_cell(&st->grid, &map->scene, st->at >> bits, &first, &end);
	o->map = st->map;
	o->at = st->at;
	o->from = first << bits;
	o->to = end << bits;
	return o->from < o->to && (o->at != st->files_at ||
				   o->from != st->from || o->to != st->to);
}

/* The same of the cluster in hex: whose it is, once it is known where it is on
 * the disk. */
static bool whose_wanted(const struct qf_app *a, struct qf_beside_order *o)
{
	const struct qf_guestmap *map = a->guest.map;
	const struct qf_model_owner *best;
	uint64_t at = a->guest.at;

	if (a->view != QF_VIEW_HEX || !map || !map->guest)
		return false;
	if (!a->hex.guest) {
		best = qf_app_owner(a, true);
		if (!best || best->holder != map->holder)
			return false;
		at = guest_place(a, best);
	} else if (map->holder != a->guest.holder) {
		return false;
	}
	at -= at % SECTOR;
	o->map = a->guest.map;
	o->at = at;
	o->from = at - at % map->cluster_bytes;
	o->to = o->from + map->cluster_bytes;
	return at < map->disk_bytes && at != a->hex.whose_at;
}

/* What is to be done next; false: nothing. */
static bool next_order(struct qf_app *a, struct qf_beside_order *o)
{
	if (!a->scene_tried) {
		o->kind = QF_BESIDE_SCENE;
		a->scene_tried = true;
	} else if (owners_wanted(a)) {
		o->kind = QF_BESIDE_OWNERS;
	} else if (!a->check_tried && a->model->scene.whole) {
		o->kind = QF_BESIDE_CHECK;
		a->check_tried = true;
	} else if (!a->guest.tried && a->model->scene.whole) {
		o->kind = QF_BESIDE_GUEST;
		a->guest.tried = true;
	} else if (a->wish == QF_WISH_PATH && a->guest.map) {
		o->kind = QF_BESIDE_PATH;
		o->map = a->guest.map;
		memcpy(o->path, a->path, sizeof(o->path));
	} else if (files_wanted(a, o)) {
		o->kind = QF_BESIDE_FILES;
	} else if (whose_wanted(a, o)) {
		o->kind = QF_BESIDE_WHOSE;
	} else {
		return false;
	}
	return true;
}

/* What was to be done cannot be: it is not tried for ever. */
static void give_up(struct qf_app *a, const struct qf_beside_order *o)
{
	qf_app_say(a, QF_TINT_BAD,
		   "could not start a thread to read the image");
	a->wish = QF_WISH_NOTHING;
	if (o->kind == QF_BESIDE_OWNERS) {
		a->owners.loaded = a->owners.failed = true;
		a->owners.n = 0;
		a->owners.cluster = qf_app_cluster(a);
	} else if (o->kind == QF_BESIDE_FILES) {
		a->guest.files[0] = '\0';
		a->guest.files_at = o->at;
		a->guest.from = o->from;
		a->guest.to = o->to;
	}
}

/* Begins what is to be done next, if anything is. */
static void begin_job(struct qf_app *a)
{
	struct qf_beside_order o = {
		.img = a->img,
		.shared = a->shared,
		.model = a->model,
		.cluster = qf_app_cluster(a),
		.holder = a->guest.holder,
	};

	if (a->wish >= QF_WISH_BYTES && owners_known(a))
		go_to_guest(a);
	if (!next_order(a, &o))
		return;
	a->job = qf_beside_start(&o);
	if (!a->job)
		give_up(a, &o);
}

/* All that is shown at once has been read: a VM may start. */
static void release_lock(struct qf_app *a)
{
	if (a->locked && a->img->io->fd >= 0)
		qf_lock_drop(a->img->io->fd);
	a->locked = false;
}

/* Looks what became of the file; true if there is news. */
static bool look_at_file(struct qf_app *a)
{
	enum qf_watch_state now = qf_watch_look(&a->watch, a->img->io);

	if (now <= a->file)
		return false;
	a->file = now;
	return true;
}

bool qf_drive_tick(struct qf_app *a, bool *changed)
{
	*changed = a->job || a->hex.searching;
	if (a->job && qf_beside_done(a->job))
		take_job(a);
	if (!a->job)
		begin_job(a);
	*changed |= a->job != NULL;
	if (!a->job || qf_beside_kind(a->job) > QF_BESIDE_GUEST)
		release_lock(a);
	*changed |= qf_page_tick(a, qf_views[a->view]->page, false);
	*changed |= look_at_file(a);
	if (!a->hex.searching)
		return false;
	qf_hex_search_step(a);
	return true;
}

void qf_drive_wait(struct qf_app *a)
{
	bool changed, asked;

	do {
		if (a->job)
			take_job(a);
		while (qf_drive_tick(a, &changed))
			;
		/* what is on the screen tells whose files are asked for */
		if (!a->job && a->view == QF_VIEW_GUEST) {
			qf_frame_draw(a);
			begin_job(a);
		}
		asked = !a->job &&
			qf_page_tick(a, qf_views[a->view]->page, true);
	} while (a->job || a->child || asked);
}
