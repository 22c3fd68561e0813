// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/show/duchain.h"
#include "lib/base/mem.h"

#include <stdlib.h>

struct counting {
	const struct qf_chain *chain;
	struct qf_disk *disk;
	struct qf_duchain_layer *layer;
	struct qf_why *why;
};

/* What a writer allocates at once in the file of NODE; 0: all is there. */
static uint64_t unit_of(const struct qf_chain_node *node)
{
	if (!node->img)
		return 0;
	return node->img->geo.cluster_bytes /
	       (node->img->geo.extl2 ? QF_SUBCLUSTERS : 1);
}

/* How much of [AT, END) the file at DEPTH does not map. */
static enum qf_err count_unmapped(struct counting *c, uint32_t depth,
				  uint64_t at, uint64_t end, uint64_t *n)
{
	uint64_t size = c->chain->node[depth].disk_bytes;
	struct qf_disk_extent e;
	enum qf_err err;

	for (; at < end && at < size; at += e.bytes) {
		err = qf_disk_layer_at(c->disk, depth, at, end - at, &e,
				       c->why);
		if (err)
			return err;
		if (!e.present && e.kind != QF_DISK_BAD)
			*n += e.bytes;
	}
	if (at < end)
		*n += end - at;
	return QF_OK;
}

/* What the range E of the layer at DEPTH needs in the file below, from *DONE
 * on. */
static enum qf_err count_growth(struct counting *c, uint32_t depth,
				const struct qf_disk_extent *e, uint64_t *done)
{
	uint64_t unit, from, to;

	if (depth + 1 >= qf_disk_layers(c->disk))
		return QF_OK;
	unit = unit_of(&c->chain->node[depth + 1]);
	if (!unit)
		return QF_OK;
	from = e->start & ~(unit - 1);
	to = qf_mem_round_up(e->start + e->bytes, unit);
	if (from < *done)
		from = *done;
	*done = to;
	return from < to ? count_unmapped(c, depth + 1, from, to,
					  &c->layer[depth].grows)
			 : QF_OK;
}

static enum qf_err count_layer(struct counting *c, uint32_t depth)
{
	uint64_t end = c->chain->node[depth].disk_bytes, at, done = 0;
	struct qf_duchain_layer *l = &c->layer[depth];
	struct qf_disk_extent e;
	enum qf_err err = QF_OK;

	for (at = 0; !err && at < end; at += e.bytes) {
		err = qf_disk_layer_at(c->disk, depth, at, end - at, &e,
				       c->why);
		if (err)
			break;
		if (e.kind == QF_DISK_BAD)
			l->unknown += e.bytes;
		if (!e.present)
			continue;
		*(e.zero ? &l->zeros : &l->data) += e.bytes;
		err = count_growth(c, depth, &e, &done);
	}
	return err;
}

static enum qf_err count_shown(struct counting *c)
{
	uint64_t end = qf_disk_bytes(c->disk), at;
	struct qf_duchain_layer *l;
	struct qf_disk_extent e;
	enum qf_err err;

	for (at = 0; at < end; at += e.bytes) {
		err = qf_disk_at(c->disk, at, end - at, &e, c->why);
		if (err)
			return err;
		l = &c->layer[e.depth];
		if (e.present)
			*(e.zero ? &l->shown_zeros : &l->shown_data) += e.bytes;
		else if (e.kind != QF_DISK_BAD && e.depth &&
			 e.depth + 1 < qf_disk_layers(c->disk))
			l[1].past_end += e.bytes;
	}
	return QF_OK;
}

enum qf_err qf_duchain_make(const struct qf_chain *chain, struct qf_disk *disk,
			    struct qf_duchain_layer **layer, struct qf_why *why)
{
	struct counting c = { .chain = chain, .disk = disk, .why = why };
	enum qf_err err;
	uint32_t i;

	c.layer = qf_mem_zalloc(chain->n, sizeof(*c.layer));
	if (!c.layer)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory to look at the backing chain");
	err = count_shown(&c);
	for (i = 0; !err && i < qf_disk_layers(disk); i++)
		err = count_layer(&c, i);
	if (err)
		free(c.layer);
	else
		*layer = c.layer;
	return err;
}
