// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/browse/drive.h"
#include "lib/base/mem.h"
#include "lib/io/lock.h"
#include "viz/browse/frame.h"
#include "viz/views/hex_search.h"
#include "viz/views/views.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* "0x10000", "64k", "c12", "50%": a host offset. */
static bool parse_place(const struct qf_app *a, const char *s, uint64_t *off)
{
	static const char units[] = "kmgt";
	const char *unit;
	bool cluster = *s == 'c' || *s == 'C';
	char *end;

	s += cluster;
	if (!isdigit((unsigned char)*s))
		return false;
	errno = 0;
	*off = strtoull(s, &end, 0);
	if (errno)
		return false;
	if (cluster)
		return !*end &&
		       qf_mem_mul(*off, a->img->geo.cluster_bytes, off);
	if (*end == '%' && !end[1] && *off <= 100) {
		*off = a->img->io->size / 100 * *off +
		       a->img->io->size % 100 * *off / 100;
		return true;
	}
	unit = *end ? strchr(units, tolower((unsigned char)*end)) : NULL;
	if (unit) {
		end++;
		if (!qf_mem_mul(*off, 1ull << (10 * (unit - units + 1)), off))
			return false;
	}
	return !*end;
}

static void search(struct qf_app *a, bool back)
{
	if (!a->pattern[0])
		qf_app_say(a, QF_TINT_WARN, "no search yet: / starts one");
	else if (!qf_views[a->view]->find)
		qf_app_say(a, QF_TINT_WARN, "this view has no search");
	else if (!qf_views[a->view]->find(a, back))
		qf_app_say(a, QF_TINT_WARN, "\"%s\" not found %s here",
			   a->pattern, back ? "above" : "below");
}

static void answer(struct qf_app *a)
{
	enum qf_ask ask = a->ask;
	uint64_t off;

	a->ask = QF_ASK_NOTHING;
	if (!a->typed[0])
		return;
	if (ask == QF_ASK_SEARCH) {
		memcpy(a->pattern, a->typed, sizeof(a->pattern));
		search(a, false);
	} else if (!parse_place(a, a->typed, &off)) {
		qf_app_say(
			a, QF_TINT_WARN,
			"\"%s\" is not a place: try 0x10000, 4M, c12 or 50%%",
			a->typed);
	} else {
		qf_app_go(a,
			  a->view == QF_VIEW_HEX      ? QF_VIEW_HEX
			  : a->view == QF_VIEW_OWNERS ? QF_VIEW_OWNERS
						      : QF_VIEW_MAP,
			  off);
	}
}

/* A key while something is typed at the bottom. */
static void type(struct qf_app *a, uint32_t key)
{
	size_t n = strlen(a->typed);
	char utf8[5];
	int len;

	if (key == QF_KEY_ENTER) {
		answer(a);
	} else if (key == QF_KEY_ESC || key == 3) {
		a->ask = QF_ASK_NOTHING;
	} else if (key == QF_KEY_BACKSPACE || key == QF_KEY_DELETE) {
		if (!n)
			a->ask = QF_ASK_NOTHING;
		while (n && (a->typed[--n] & 0xc0) == 0x80)
			;
		a->typed[n] = '\0';
	} else if (key == 21) { /* Ctrl-U */
		a->typed[0] = '\0';
	} else if (key >= ' ' && key < QF_KEY_NONE && key != 0x7f) {
		len = qf_cells_utf8(key, utf8);
		if (n + (size_t)len < sizeof(a->typed))
			memcpy(a->typed + n, utf8, (size_t)len + 1);
	}
}

static void ask(struct qf_app *a, enum qf_ask what)
{
	a->ask = what;
	a->typed[0] = '\0';
}

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

/* What means the same in every view. */
static bool act_everywhere(struct qf_app *a, enum qf_action act)
{
	switch (act) {
	case QF_ACT_QUIT:
		a->quit = true;
		break;
	case QF_ACT_NEXT_VIEW:
		turn_view(a, 1);
		break;
	case QF_ACT_PREV_VIEW:
		turn_view(a, -1);
		break;
	case QF_ACT_VIEW_MAP:
	case QF_ACT_VIEW_SNAPSHOTS:
	case QF_ACT_VIEW_FINDINGS:
	case QF_ACT_VIEW_OWNERS:
	case QF_ACT_VIEW_HEX:
		qf_app_go(a, (enum qf_view_id)(act - QF_ACT_VIEW_MAP), a->at);
		break;
	case QF_ACT_BACK:
		qf_app_back(a);
		break;
	case QF_ACT_UNMARK:
		unmark(a);
		break;
	case QF_ACT_SEARCH:
		ask(a, QF_ASK_SEARCH);
		break;
	case QF_ACT_GOTO:
		ask(a, QF_ASK_GOTO);
		break;
	case QF_ACT_SEARCH_NEXT:
	case QF_ACT_SEARCH_PREV:
		search(a, act == QF_ACT_SEARCH_PREV);
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
		return false;
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
		type(a, key);
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

static void take_owners(struct qf_app *a, struct qf_job_result *r)
{
	struct qf_owners_state *st = &a->owners;

	free(st->owner);
	st->owner = r->owner;
	st->n = r->n_owners;
	st->total = r->total_owners;
	st->cluster = r->cluster;
	st->loaded = true;
	st->failed = r->err != QF_OK;
}

/* Takes over what the job has found; waits for it. */
static void take_job(struct qf_app *a)
{
	struct qf_job_result r;

	qf_job_take(a->job, &r);
	a->job = NULL;
	if (r.err)
		qf_app_say(a, QF_TINT_BAD, "%s",
			   r.why.text[0] ? r.why.text : "no memory");
	switch (r.kind) {
	case QF_JOB_SCENE:
		if (r.model)
			take_scene(a, r.model);
		break;
	case QF_JOB_CHECK:
		if (!r.err && !qf_model_take_report(a->model, &r.report))
			qf_app_say(
				a, QF_TINT_BAD,
				"not enough memory to show all that is wrong");
		qf_check_free(&r.report);
		break;
	case QF_JOB_OWNERS:
		take_owners(a, &r);
		break;
	}
	a->age++;
}

static bool owners_wanted(const struct qf_app *a)
{
	const struct qf_owners_state *st = &a->owners;

	return a->view == QF_VIEW_OWNERS && a->model->scene.whole &&
	       (!st->loaded || st->cluster != qf_app_cluster(a));
}

/* Begins what is to be done next, if anything is. */
static void begin_job(struct qf_app *a)
{
	enum qf_job_kind kind;

	if (!a->scene_tried)
		kind = QF_JOB_SCENE;
	else if (owners_wanted(a))
		kind = QF_JOB_OWNERS;
	else if (!a->check_tried && a->model->scene.whole)
		kind = QF_JOB_CHECK;
	else
		return;
	a->scene_tried = true;
	a->check_tried |= kind == QF_JOB_CHECK;
	a->job = qf_job_start(kind, a->img, a->shared, a->model,
			      qf_app_cluster(a));
	if (a->job)
		return;
	qf_app_say(a, QF_TINT_BAD,
		   "could not start a thread to read the image");
	if (kind == QF_JOB_OWNERS) {
		a->owners.loaded = a->owners.failed = true;
		a->owners.n = 0;
		a->owners.cluster = qf_app_cluster(a);
	}
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
	if (a->job && qf_job_done(a->job))
		take_job(a);
	if (!a->job)
		begin_job(a);
	*changed |= a->job != NULL;
	if (!a->job)
		release_lock(a);
	*changed |= look_at_file(a);
	if (!a->hex.searching)
		return false;
	qf_hex_search_step(a);
	return true;
}

void qf_drive_wait(struct qf_app *a)
{
	bool changed;

	do {
		if (a->job)
			take_job(a);
		while (qf_drive_tick(a, &changed))
			;
	} while (a->job);
}
