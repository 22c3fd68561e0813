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
	const uint32_t n = qf_btrfs_sum_bytes(s->x);
	uint32_t i;

	if (key->type != QF_BTRFS_EXTENT_CSUM)
		return true;
	for (i = 0; i < bytes / n && !s->stopped; i++)
		see_sector(s, key->offset + (uint64_t)i * s->x->sector,
			   data + n * i);
	return !s->stopped;
}

/* Each device has up to three, written with every commit. */
static void see_supers(struct seeing *s)
{
	static const uint64_t places[] = { QF_BTRFS_SUPER_AT, 64ull << 20,
					   256ull << 30 };
	unsigned char b[QF_BTRFS_SUPER_BYTES];
	struct qf_guest_block g = { .bytes = QF_BTRFS_SUPER_BYTES,
				    .parent = QF_NOWHERE,
				    .bond = QF_GUEST_BY_ADDRESS };
	bool read;
	size_t i;

	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (places[i] + sizeof(b) > s->x->bytes || s->stopped)
			return;
		read = qf_volume_read(s->x->v, b, sizeof(b), places[i]);
		g.start = g.says = places[i];
		g.state = !read				       ? QF_GUEST_UNREAD
			  : qf_btrfs_super_sound(b, places[i]) ? QF_GUEST_HOLDS
							       : QF_GUEST_FAILS;
		if (qf_volume_asked(s->x->v, places[i], sizeof(b)))
			tell(s, &g, "superblock");
	}
}

/* The node that vouches for the sectors. */
static bool note_node(void *ctx, uint64_t logical, uint64_t generation,
		      uint64_t parent)
{
	struct seeing *s = ctx;

	(void)generation;
	(void)parent;
	s->leaf = qf_btrfs_place(s->x, logical, 0);
	return true;
}

void qf_btrfs_blocks(void *fs, qf_reader_block *tell_fn, void *ctx)
{
	struct seeing s = { .x = fs, .tell = tell_fn, .ctx = ctx };
	const struct qf_btrfs_visitor nodes = { .node = see_node,
						.ctx = &s,
						.last_id = UINT64_MAX };
	const struct qf_btrfs_visitor sums = { .node = note_node,
					       .item = see_sums,
					       .ctx = &s,
					       .last_id = UINT64_MAX };
	size_t i;

	see_supers(&s);
	for (i = 0; i < s.x->roots && !s.stopped; i++)
		qf_btrfs_walk(fs, &s.x->root[i], &nodes);
	/* what files hold is much, and comes last */
	if (!s.stopped && !s.x->v->metadata_only && qf_btrfs_sum_bytes(s.x))
		qf_btrfs_walk(fs, qf_btrfs_root_of(fs, QF_BTRFS_CSUM_TREE),
			      &sums);
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
		if (!qf_btrfs_sum_bytes(s.x) ||
		    !qf_btrfs_node_sound(s.x, bytes + b.start, logical, 0))
			continue;
		for (i = 0; i < QF_BTRFS_COPIES && !s.stopped; i++) {
			b.says = qf_btrfs_place(s.x, logical, i);
			if (b.says != QF_NOWHERE)
				tell(&s, &b, "tree block");
		}
	}
}
