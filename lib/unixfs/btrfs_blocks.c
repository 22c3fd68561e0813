// SPDX-License-Identifier: LGPL-2.1-or-later
/* btrfs: nodes, which state their logical address under a checksum, and the
 * sectors of files, whose checksums a tree holds. */
#include "lib/unixfs/btrfs_lib.h"
#include "lib/guest/le.h"

#include <stdlib.h>
#include <string.h>

struct seeing {
	struct qf_btrfs *x;
	qf_reader_block *tell;
	void *ctx;
	uint64_t leaf; /* the last node that was seen */
	bool stopped;
};

static void tell(struct seeing *s, struct qf_guest_block *b, const char *what)
{
	if (b->bond == QF_GUEST_BY_PARENT || b->state != QF_GUEST_HOLDS)
		b->says = QF_NOWHERE;
	strcpy(b->what, what);
	s->stopped = !s->tell(s->ctx, b);
}

static bool see_node(void *ctx, uint64_t logical, uint64_t generation,
		     uint64_t parent)
{
	unsigned char n[QF_BTRFS_MAX_NODE];
	struct seeing *s = ctx;
	struct qf_guest_block b;
	uint64_t place;
	uint32_t i;

	s->leaf = qf_btrfs_place(s->x, logical, 0);
	for (i = 0; i < QF_BTRFS_COPIES && !s->stopped; i++) {
		place = qf_btrfs_place(s->x, logical, i);
		if (place == QF_NOWHERE ||
		    !qf_volume_asked(s->x->v, place, s->x->node))
			continue;
		b = (struct qf_guest_block){ .start = place,
					     .bytes = s->x->node,
					     .says = place,
					     .parent = parent,
					     .bond = QF_GUEST_BY_ADDRESS };
		if (!qf_volume_read(s->x->v, n, s->x->node, place))
			b.state = QF_GUEST_UNREAD;
		else if (!qf_btrfs_node_sound(s->x, n, logical, generation))
			b.state = QF_GUEST_FAILS;
		tell(s, &b, "tree block");
	}
	return !s->stopped;
}

static void see_sector(struct seeing *s, uint64_t logical,
		       const unsigned char *sum)
{
	unsigned char data[QF_BTRFS_MAX_NODE];
	struct qf_guest_block b;
	uint64_t place;
	uint32_t i;

	for (i = 0; i < QF_BTRFS_COPIES && !s->stopped; i++) {
		place = qf_btrfs_place(s->x, logical, i);
		if (place == QF_NOWHERE ||
		    !qf_volume_asked(s->x->v, place, s->x->sector))
			continue;
		b = (struct qf_guest_block){ .start = place,
					     .bytes = s->x->sector,
					     .parent = s->leaf,
					     .bond = QF_GUEST_BY_PARENT };
		if (!qf_volume_read(s->x->v, data, s->x->sector, place))
			b.state = QF_GUEST_UNREAD;
		else if (!qf_btrfs_sum_holds(s->x, sum, data, s->x->sector))
			b.state = QF_GUEST_FAILS;
		tell(s, &b, "file data");
	}
}

/* Checksums of sectors behind each other. */
static bool see_sums(void *ctx, const struct qf_btrfs_key *key,
		     const unsigned char *data, uint32_t bytes)
{
	struct seeing *s = ctx;
	uint32_t i;

	if (key->type != QF_BTRFS_EXTENT_CSUM)
		return true;
	for (i = 0; i < bytes / 4 && !s->stopped; i++)
		see_sector(s, key->offset + (uint64_t)i * s->x->sector,
			   data + 4 * i);
	return !s->stopped;
}

void qf_btrfs_blocks(void *fs, qf_reader_block *tell_fn, void *ctx)
{
	struct seeing s = { .x = fs, .tell = tell_fn, .ctx = ctx };
	struct qf_btrfs_visitor see = { .node = see_node,
					.ctx = &s,
					.last_id = UINT64_MAX };
	size_t i;

	for (i = 0; i < s.x->roots && !s.stopped; i++) {
		see.item = s.x->root[i].id == QF_BTRFS_CSUM_TREE &&
					   !s.x->csum_type
				   ? see_sums
				   : NULL;
		qf_btrfs_walk(fs, &s.x->root[i], &see);
	}
}

void qf_btrfs_loose(void *fs, const unsigned char *bytes, uint32_t n,
		    qf_reader_block *tell_fn, void *ctx)
{
	struct seeing s = { .x = fs, .tell = tell_fn, .ctx = ctx };
	struct qf_guest_block b = { .bytes = s.x->node,
				    .parent = QF_NOWHERE,
				    .bond = QF_GUEST_BY_ADDRESS };
	uint64_t logical;
	uint32_t i;

	for (; n - b.start >= s.x->node && !s.stopped; b.start += s.x->sector) {
		logical = qf_le_get64(bytes + b.start, 0x30);
		if (s.x->csum_type ||
		    !qf_btrfs_node_sound(s.x, bytes + b.start, logical, 0))
			continue;
		for (i = 0; i < QF_BTRFS_COPIES && !s.stopped; i++) {
			b.says = qf_btrfs_place(s.x, logical, i);
			if (b.says != QF_NOWHERE)
				tell(&s, &b, "tree block");
		}
	}
}
