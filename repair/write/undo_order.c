// SPDX-License-Identifier: GPL-2.0-or-later
#include "repair/write/undo_order.h"
#include "lib/undofile/undoscan.h"

#include <stdlib.h>
#include <string.h>

/* More repairs of one image, each on top of the other, are not followed. */
#define MOST 1000u

struct search {
	const struct qf_undofile *u;
	uint64_t ended; /* the time at which the one before had ended */
	uint64_t next;	/* and at which this one did */
	char *path;	/* owned: this one's undo file */
};

static bool see(void *ctx, const char *path, bool note)
{
	struct search *s = ctx;
	struct qf_undofile *v;

	if (note || s->path || qf_undofile_peek(path, &v, NULL))
		return !s->path;
	if (v->inode == s->u->inode && v->committed &&
	    v->state == QF_UNDO_APPLIED && v->mtime_before == s->ended &&
	    v->state_mtime != s->ended) {
		s->path = strdup(path);
		s->next = v->state_mtime;
	}
	qf_undofile_close(v);
	return !s->path;
}

char *qf_undo_order_find(const struct qf_undofile *u, const char *name,
			 uint64_t mtime)
{
	struct search s = { .u = u, .ended = u->state_mtime };
	char *last = NULL;
	unsigned int i;

	for (i = 0; s.ended && s.ended != mtime && i < MOST; i++) {
		(void)qf_undoscan_folders(name, see, &s, NULL);
		if (!s.path)
			(void)qf_undoscan_all(u->io->name, see, &s, NULL);
		free(last);
		last = s.path;
		s.path = NULL;
		if (!last)
			return NULL;
		s.ended = s.next;
	}
	if (s.ended == mtime)
		return last;
	free(last);
	return NULL;
}

bool qf_undo_order_is_copy(const struct qf_undofile *u, const struct qf_io *io)
{
	return u->inode != io->id[1] || qf_undoscan_born(io) > u->state_mtime;
}

bool qf_undo_order_is_written(const struct qf_undofile *u,
			      const struct qf_io *io)
{
	uint64_t born = qf_undoscan_born(io);

	return born && u->io->mtime_ns > 0 &&
	       born < (uint64_t)u->io->mtime_ns &&
	       u->io->mtime_ns < io->mtime_ns;
}
