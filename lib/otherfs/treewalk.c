// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/otherfs/treewalk.h"
#include "lib/base/mem.h"

#include <stdlib.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/* An inode that was told; directories wait their turn in a list. */
struct seen {
	uint64_t id, place; /* of its first byte; directories alone */
	UT_hash_handle hh, hh_place;
};

struct walk {
	const struct qf_reader *r;
	void *fs;
	qf_reader_inode *tell;
	void *ctx;
	struct seen *all, *places;
	uint64_t *dir;
	size_t n, room;
	bool stopped;
};

static bool first_place(void *ctx, uint64_t file_off, uint64_t start,
			uint64_t bytes)
{
	(void)file_off;
	(void)bytes;
	*(uint64_t *)ctx = start;
	return false;
}

/* Whether there was a directory with the same first byte: a circle leads
 * back to a place, by whatever entry. */
static bool place_is_new(struct walk *w, struct seen *s)
{
	struct seen *same;

	s->place = QF_NOWHERE;
	w->r->extents(w->fs, s->id, first_place, &s->place);
	HASH_FIND(hh_place, w->places, &s->place, sizeof(s->place), same);
	if (same)
		return false;
	HASH_ADD(hh_place, w->places, place, sizeof(s->place), s);
	return s->hh_place.tbl;
}

static bool see(void *ctx, uint64_t dir, uint64_t id, const char *name,
		size_t bytes)
{
	struct walk *w = ctx;
	struct qf_inode inode;
	struct seen *s;

	(void)dir;
	(void)name;
	(void)bytes;
	HASH_FIND(hh, w->all, &id, sizeof(id), s);
	if (s || !w->r->inode(w->fs, id, &inode))
		return true;
	s = qf_mem_zalloc(1, sizeof(*s));
	if (!s)
		return true;
	s->id = id;
	HASH_ADD(hh, w->all, id, sizeof(s->id), s);
	if (!s->hh.tbl) {
		free(s);
		return true;
	}
	if (inode.kind == QF_GUEST_DIRECTORY) {
		if (!place_is_new(w, s) ||
		    !qf_mem_grow((void **)&w->dir, w->n, &w->room,
				 sizeof(*w->dir)))
			return true;
		w->dir[w->n++] = id;
	}
	w->stopped = !w->tell(w->ctx, &inode);
	return !w->stopped;
}

void qf_treewalk_inodes(const struct qf_reader *r, void *fs,
			qf_reader_inode *tell, void *ctx)
{
	struct walk w = { .r = r, .fs = fs, .tell = tell, .ctx = ctx };
	struct seen *s, *next;

	see(&w, 0, r->root(fs), "", 0);
	while (w.n && !w.stopped)
		r->links(fs, w.dir[--w.n], see, &w);
	HASH_CLEAR(hh_place, w.places);
	HASH_ITER(hh, w.all, s, next) {
		HASH_DEL(w.all, s);
		free(s);
	}
	free(w.dir);
}
