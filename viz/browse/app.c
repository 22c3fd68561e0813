// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/browse/app.h"
#include "lib/base/mem.h"
#include "lib/base/text.h"
#include "lib/model/open.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum qf_err qf_app_open(struct qf_app *a, struct qf_image *img,
			const char *name, bool shared, struct qf_why *why)
{
	memset(a, 0, sizeof(*a));
	a->img = img;
	a->shared = shared;
	a->locked = !shared;
	qf_watch_start(&a->watch, img->io);
	qf_text_safe(name, a->name, sizeof(a->name));
	a->age = a->opened = 1;
	a->hex.buf_off = a->hex.magic_off = a->hex.whose_at = QF_NOWHERE;
	a->model = qf_model_first(img);
	a->hex.buf = qf_mem_zalloc(1, img->geo.cluster_bytes + 16);
	if (!a->model || !a->hex.buf || !qf_cells_resize(&a->screen, 80, 24))
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "not enough memory for the browser");
	return QF_OK;
}

void qf_app_close(struct qf_app *a)
{
	size_t i;

	qf_beside_drop(a->job);
	qf_guestmap_free(a->guest.map);
	qf_grid_free(&a->guest.grid);
	qf_model_free(a->model);
	qf_cells_free(&a->screen);
	qf_grid_free(&a->map.grid);
	free(a->map.level);
	free(a->snapshots.row);
	free(a->snapshots.fresh);
	free(a->snapshots.gone);
	free(a->findings.row);
	free(a->owners.owner);
	free(a->hex.buf);
	free(a->explain);
	qf_child_drop(a->child);
	for (i = 0; i < sizeof(a->page) / sizeof(a->page[0]); i++) {
		qf_outbuf_free(&a->page[i].text);
		free(a->page[i].line);
		free(a->page[i].edit);
	}
	qf_image_close(a->img);
	memset(a, 0, sizeof(*a));
}

void qf_app_say(struct qf_app *a, enum qf_tint tint, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(a->message, sizeof(a->message), fmt, ap);
	va_end(ap);
	a->message_tint = tint;
}

uint64_t qf_app_cluster(const struct qf_app *a)
{
	return a->at >> a->img->geo.cluster_bits;
}

/* Keeps the cursor inside the file. */
static void keep_inside(struct qf_app *a)
{
	uint64_t size = a->img->io->size;

	if (a->at >= size)
		a->at = size ? size - 1 : 0;
}

void qf_app_set_cluster(struct qf_app *a, uint64_t cluster)
{
	if (cluster >= a->model->scene.clusters)
		cluster = a->model->scene.clusters
				  ? a->model->scene.clusters - 1
				  : 0;
	a->at = cluster << a->img->geo.cluster_bits;
	keep_inside(a);
}

void qf_app_marks_changed(struct qf_app *a)
{
	struct qf_scene *s = &a->model->scene;
	uint32_t i;

	a->marked = a->diff_chosen = false;
	for (i = 0; i < s->n_holders; i++)
		a->marked |= s->holder[i].marked;
	a->freed = qf_model_mark(a->model);
	a->age++;
}

static struct qf_spot here(const struct qf_app *a)
{
	return (struct qf_spot){
		.view = a->view,
		.at = a->at,
		.guest_at = a->guest.at,
		.guest_bytes = a->hex.guest,
		.holder = a->guest.holder,
		.row = a->owners.list.at,
	};
}

/* Remembers where it is. */
static void push_spot(struct qf_app *a)
{
	if (a->n_back == QF_APP_BACK) {
		memmove(a->back, a->back + 1,
			(QF_APP_BACK - 1) * sizeof(*a->back));
		a->n_back--;
	}
	a->back[a->n_back++] = here(a);
}

void qf_app_go(struct qf_app *a, enum qf_view_id view, uint64_t at)
{
	push_spot(a);
	a->view = view;
	a->hex.guest = false;
	if (at == a->at)
		return;
	if (at >= a->img->io->size)
		qf_app_say(a, QF_TINT_WARN,
			   "0x%" PRIx64 " is past the end of the file", at);
	a->at = at;
	keep_inside(a);
}

void qf_app_set_holder(struct qf_app *a, uint32_t holder)
{
	if (holder >= a->model->scene.n_holders || holder == a->guest.holder)
		return;
	a->guest.holder = holder;
	a->guest.tried = false;
}

void qf_app_go_guest(struct qf_app *a, uint32_t holder, uint64_t at)
{
	push_spot(a);
	a->view = QF_VIEW_GUEST;
	qf_app_set_holder(a, holder);
	a->guest.at = at;
}

static void go_to_spot(struct qf_app *a, const struct qf_spot *b)
{
	a->view = b->view;
	a->at = b->at;
	a->guest.at = b->guest_at;
	a->hex.guest = b->guest_bytes;
	qf_app_set_holder(a, b->holder);
	a->owners.list.at = b->row;
	keep_inside(a);
}

void qf_app_back(struct qf_app *a)
{
	if (a->n_back)
		go_to_spot(a, &a->back[--a->n_back]);
	else
		qf_app_say(a, QF_TINT_DIM, "nowhere to go back to");
}

static bool same_spot(const struct qf_spot *a, const struct qf_spot *b)
{
	return a->view == b->view && a->at == b->at &&
	       a->guest_at == b->guest_at && a->guest_bytes == b->guest_bytes &&
	       a->holder == b->holder && a->row == b->row;
}

void qf_app_bookmark(struct qf_app *a)
{
	struct qf_spot now = here(a);
	size_t i;

	for (i = 0; i < a->n_bookmarks; i++) {
		if (!same_spot(&a->bookmark[i], &now))
			continue;
		a->n_bookmarks--;
		memmove(a->bookmark + i, a->bookmark + i + 1,
			(a->n_bookmarks - i) * sizeof(*a->bookmark));
		qf_app_say(a, QF_TINT_NOTE, "the bookmark is gone: %zu left",
			   a->n_bookmarks);
		return;
	}
	if (a->n_bookmarks == QF_APP_BOOKMARKS) {
		qf_app_say(a, QF_TINT_WARN,
			   "no more than %d bookmarks: M on "
			   "one takes it away",
			   QF_APP_BOOKMARKS);
		return;
	}
	a->bookmark_at = a->n_bookmarks;
	a->bookmark[a->n_bookmarks++] = now;
	qf_app_say(a, QF_TINT_NOTE, "bookmark %zu: ' goes from one to the next",
		   a->n_bookmarks);
}

void qf_app_next_bookmark(struct qf_app *a)
{
	if (!a->n_bookmarks) {
		qf_app_say(a, QF_TINT_WARN, "no bookmark yet: M sets one");
		return;
	}
	a->bookmark_at = (a->bookmark_at + 1) % a->n_bookmarks;
	push_spot(a);
	go_to_spot(a, &a->bookmark[a->bookmark_at]);
	qf_app_say(a, QF_TINT_NOTE, "bookmark %zu of %zu", a->bookmark_at + 1,
		   a->n_bookmarks);
}

/* The marks of the snapshots that are still there. */
static void keep_marks(const struct qf_scene *old, struct qf_scene *now)
{
	uint32_t i, k;

	for (i = 0; i < now->n_holders; i++)
		for (k = 0; k < old->n_holders; k++)
			now->holder[i].marked |=
				old->holder[k].marked &&
				!strcmp(old->holder[k].id, now->holder[i].id) &&
				!strcmp(old->holder[k].name,
					now->holder[i].name);
}

/* The holder of NOW that is the holder H of OLD; else the active disk. */
static uint32_t same_holder(const struct qf_scene *old, uint32_t h,
			    const struct qf_scene *now)
{
	uint32_t i;

	for (i = 1; h && h < old->n_holders && i < now->n_holders; i++)
		if (!strcmp(old->holder[h].id, now->holder[i].id))
			return i;
	return 0;
}

/* Shows IMG from now on. BUF: room for a cluster of it. */
static void take_image(struct qf_app *a, struct qf_image *img,
		       struct qf_model *m, unsigned char *buf)
{
	keep_marks(&a->model->scene, &m->scene);
	a->guest.holder =
		same_holder(&a->model->scene, a->guest.holder, &m->scene);
	a->guest.tried = false;
	qf_guestmap_free(a->guest.map);
	a->guest.map = NULL;
	a->guest.from = a->guest.to = 0;
	qf_model_free(a->model);
	qf_image_close(a->img);
	free(a->hex.buf);
	a->img = img;
	a->model = m;
	a->hex.buf = buf;
	a->hex.buf_off = a->hex.magic_off = a->hex.whose_at = QF_NOWHERE;
	a->owners.loaded = false;
	a->opened++;
	a->locked = !a->shared;
	a->file = QF_WATCH_SAME;
	qf_watch_start(&a->watch, img->io);
	keep_inside(a);
	qf_app_marks_changed(a);
	qf_app_say(a, QF_TINT_NOTE, "image reopened");
}

void qf_app_reread(struct qf_app *a)
{
	struct qf_why why = { 0 };
	struct qf_image *img = NULL;
	struct qf_model *m = NULL;
	unsigned char *buf = NULL;

	if (a->img->io->fd < 0)
		return;
	qf_beside_drop(a->job);
	a->job = NULL;
	a->hex.searching = false;
	a->wish = QF_WISH_NOTHING;
	if (!qf_open_image(a->img->io->name, qf_open_format(a->img),
			   QF_LOCK_READ, a->shared, &img, &why)) {
		m = qf_model_first(img);
		buf = qf_mem_zalloc(1, img->geo.cluster_bytes + 16);
	}
	a->scene_tried = a->check_tried = false;
	if (m && buf) {
		take_image(a, img, m, buf);
		return;
	}
	qf_app_say(a, QF_TINT_BAD, "not reread: %s",
		   img ? "no memory" : why.text);
	a->scene_tried = a->model->scene.whole;
	a->check_tried = a->model->checked;
	qf_model_free(m);
	qf_image_close(img);
	free(buf);
}

static bool same_letter(unsigned char a, unsigned char b)
{
	return tolower(a) == tolower(b);
}

bool qf_app_matches(const char *text, const char *pattern)
{
	size_t i;

	for (; text && *text; text++) {
		for (i = 0; pattern[i]; i++)
			if (!same_letter((unsigned char)text[i],
					 (unsigned char)pattern[i]))
				break;
		if (!pattern[i])
			return true;
	}
	return false;
}

size_t qf_app_turn(struct qf_app *a, size_t *i, size_t n, bool back)
{
	a->wrapped |= back ? *i == 0 : *i + 1 >= n;
	*i = (back ? *i + n - 1 : *i + 1) % n;
	return *i;
}

/* How well it fits; of compressed clusters, whose ends are known to a sector
 * only, the one that begins last. */
static uint64_t fit(const struct qf_app *a, const struct qf_model_owner *o)
{
	bool has = a->at >= o->host_off && a->at - o->host_off < o->bytes;

	return 1 + (has ? (o->host_off + 1) << 1 : 0) +
	       (o->holder == a->guest.holder);
}

const struct qf_model_owner *qf_app_owner(const struct qf_app *a, bool on_disk)
{
	const struct qf_owners_state *st = &a->owners;
	const struct qf_model_owner *o, *best = NULL;
	size_t i;

	if (!st->loaded || st->cluster != qf_app_cluster(a))
		return NULL;
	for (i = 0; i < st->n; i++) {
		o = &st->owner[i];
		if (on_disk && (o->guest_off == QF_NOWHERE ||
				o->holder == QF_HOLDER_IMAGE))
			continue;
		if (!best || fit(a, o) > fit(a, best))
			best = o;
	}
	return best;
}
