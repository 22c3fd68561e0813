// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/loss.h"
#include "lib/base/mem.h"

#include <stdlib.h>
#include <string.h>

struct qf_loss_file {
	uint64_t id[2]; /* as struct qf_io has it; 0, 0: not known */
	const struct qf_image *img; /* that was told; or NULL */
	struct qf_lost_list lost;
};

static enum qf_err no_memory(struct qf_why *why)
{
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
			  "no memory for what is lost");
}

static const struct qf_loss_file *known(const struct qf_loss *l,
					const struct qf_image *img)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (l->file[i].img == img ||
		    (l->file[i].id[1] && l->file[i].id[0] == img->io->id[0] &&
		     l->file[i].id[1] == img->io->id[1]))
			return &l->file[i];
	return NULL;
}

/* The list's holders by IMG's numbers: OTHER is the same file, read at
 * another moment, and snapshots may have come and gone. */
static void renumber(struct qf_lost_list *l, const struct qf_image *img,
		     const struct qf_image *other)
{
	uint32_t h;
	int64_t found;
	size_t i;

	for (i = 0; i < l->n; i++) {
		h = l->at[i].holder;
		if (h == QF_HOLDER_ACTIVE || h > other->snapshots.n)
			continue;
		found = qf_snapshot_find(&img->snapshots,
					 other->snapshots.snap[h - 1].id);
		l->at[i].holder = found < 0 ? QF_HOLDER_IMAGE
					    : QF_HOLDER_SNAPSHOT(found);
	}
}

/* Checks NODE's image, while a writer may be at work. */
static enum qf_err check_shared(const struct qf_chain_node *node,
				const struct qf_check_opts *opts,
				struct qf_report *rep, struct qf_why *why)
{
	struct qf_image *now;
	enum qf_err err =
		qf_check_shared(node->img->io->name, opts, &now, rep, why);

	if (err)
		return err;
	renumber(&rep->lost, node->img, now);
	qf_image_close(now);
	return QF_OK;
}

static enum qf_err judge(struct qf_loss *l, const struct qf_chain_node *node,
			 const struct qf_loss_file **out, struct qf_why *why)
{
	const struct qf_check_opts opts = { .data = l->data,
					    .shared = l->shared };
	struct qf_loss_file *f;
	struct qf_report rep;
	enum qf_err err;

	if (!qf_mem_grow((void **)&l->file, l->n, &l->room, sizeof(*l->file)))
		return no_memory(why);
	if (l->shared) {
		err = check_shared(node, &opts, &rep, why);
	} else {
		err = qf_check_run(node->img, &opts, &rep, why);
		if (err)
			qf_check_free(&rep);
	}
	if (err)
		return err;
	f = &l->file[l->n++];
	memcpy(f->id, node->img->io->id, sizeof(f->id));
	f->img = NULL;
	f->lost = rep.lost;
	memset(&rep.lost, 0, sizeof(rep.lost));
	qf_check_free(&rep);
	*out = f;
	return QF_OK;
}

/* What HOLDER has lost. */
static bool take(const struct qf_lost_list *l, uint32_t holder,
		 struct qf_ranges *r)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (l->at[i].holder == holder && !l->at[i].id[0] &&
		    !l->at[i].free &&
		    !qf_ranges_add(r, l->at[i].guest_off, l->at[i].bytes))
			return false;
	return true;
}

enum qf_err qf_loss_tell(struct qf_loss *l, const struct qf_chain *chain,
			 uint32_t holder, struct qf_disk *disk,
			 struct qf_why *why)
{
	const struct qf_loss_file *f;
	struct qf_ranges r = { 0 };
	enum qf_err err = QF_OK;
	uint32_t i;

	for (i = 0; !err && i < chain->n; i++) {
		if (!chain->node[i].img)
			continue;
		f = known(l, chain->node[i].img);
		if (!f)
			err = judge(l, &chain->node[i], &f, why);
		if (!err && !take(&f->lost, i ? QF_HOLDER_ACTIVE : holder, &r))
			err = no_memory(why);
		if (!err)
			qf_disk_lose(disk, i, &r);
	}
	qf_ranges_free(&r);
	return err;
}

enum qf_err qf_loss_know(struct qf_loss *l, const struct qf_image *img,
			 const struct qf_lost_list *lost, struct qf_why *why)
{
	struct qf_lost_range *at = qf_mem_zalloc(lost->n + 1, sizeof(*at));
	struct qf_loss_file *f;

	if (!at ||
	    !qf_mem_grow((void **)&l->file, l->n, &l->room, sizeof(*l->file))) {
		free(at);
		return no_memory(why);
	}
	if (lost->n)
		memcpy(at, lost->at, lost->n * sizeof(*at));
	f = &l->file[l->n++];
	memset(f, 0, sizeof(*f));
	memcpy(f->id, img->io->id, sizeof(f->id));
	f->img = img;
	f->lost.at = at;
	f->lost.n = lost->n;
	return QF_OK;
}

void qf_loss_free(struct qf_loss *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		free(l->file[i].lost.at);
	free(l->file);
	l->file = NULL;
	l->n = l->room = 0;
}
