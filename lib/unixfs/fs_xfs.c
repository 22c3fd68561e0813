// SPDX-License-Identifier: LGPL-2.1-or-later
/* XFS: what it is, its use, its metadata. */
#include "lib/guest/ident.h"
#include "lib/unixfs/xfs_lib.h"
#include "lib/unixfs/xfs_log.h"
#include "lib/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- what it is --- */

static bool probe(struct qf_volume *v, struct qf_guest_fs *fs)
{
	unsigned char s[QF_XFS_SUPER_BYTES];
	struct qf_xfs x;
	bool by_copy;
	uint64_t unused;

	if (!qf_xfs_load(v, s, &x, &by_copy)) {
		if (memcmp(s, "XFSB", 4) &&
		    (!qf_volume_read(v, s, 4, 0) || memcmp(s, "XFSB", 4)))
			return false;
		strcpy(fs->kind, "XFS");
		strcpy(fs->note, "its superblock is damaged, and no copy was "
				 "found");
		fs->opaque = true;
		return true;
	}
	strcpy(fs->kind, "XFS");
	qf_ident_text(s + 108, 12, fs->label, sizeof(fs->label));
	qf_ident_uuid(s + 32, fs->uuid, sizeof(fs->uuid));
	fs->block_bytes = x.block;
	fs->bytes = x.blocks * x.block;
	unused = qf_xfs_get64(s, 144);
	if (unused <= x.blocks && !by_copy)
		fs->free_bytes = unused * x.block;
	fs->clean = qf_xfs_log_state(&x);
	if (by_copy)
		strcpy(fs->note, "its superblock is damaged, it is read by a "
				 "copy");
	else if (fs->clean == QF_GUEST_UNCLEAN)
		strcpy(fs->note, "its journal has not been replayed");
	return true;
}

static enum qf_err open_xfs(struct qf_volume *v, void **fs, struct qf_why *why)
{
	struct qf_xfs *x = qf_mem_zalloc(1, sizeof(*x));
	unsigned char s[QF_XFS_SUPER_BYTES];
	bool by_copy;

	if (!x)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory for its tables");
	if (!qf_xfs_load(v, s, x, &by_copy)) {
		free(x);
		return qf_err_set(why, QF_ERR_FORMAT, 0, QF_NOWHERE,
				  "its superblock cannot be followed");
	}
	*fs = x;
	return QF_OK;
}

/* --- use --- */

/* The free ranges of a group, in the order of its tree. */
struct telling_use {
	struct qf_xfs *x;
	uint32_t ag;
	uint64_t next; /* the first block that is not told yet */
	bool in_order, stopped;
	bool used_too; /* the second time: between them all is in use */
	qf_reader_use *tell;
	void *ctx;
};

static void tell_use(struct telling_use *t, enum qf_guest_use use,
		     uint64_t first, uint64_t n)
{
	if (n && !t->stopped)
		t->stopped = !t->tell(t->ctx, use,
				      qf_xfs_ag_place(t->x, t->ag, first),
				      n * t->x->block);
}

static bool see_free(void *ctx, const unsigned char *r)
{
	struct telling_use *t = ctx;
	uint64_t first = qf_xfs_get32(r, 0), n = qf_xfs_get32(r, 4);

	if (first < t->next || first + n > qf_xfs_ag_blocks(t->x, t->ag))
		t->in_order = false;
	if (!t->in_order)
		return false;
	if (t->used_too) {
		tell_use(t, QF_GUEST_USED, t->next, first - t->next);
		tell_use(t, QF_GUEST_FREE, first, n);
	}
	t->next = first + n;
	return !t->stopped;
}

/* Only where the whole tree is sound, what it does not list is in use. */
static void use(void *fs, qf_reader_use *tell, void *ctx)
{
	struct telling_use t = { .x = fs, .tell = tell, .ctx = ctx };
	const struct qf_xfs_visitor see = { .record = see_free, .ctx = &t };
	uint64_t n;

	for (; t.ag < t.x->ags && !t.stopped; t.ag++) {
		n = qf_xfs_ag_blocks(t.x, t.ag);
		if (!qf_volume_asked(t.x->v, qf_xfs_ag_place(t.x, t.ag, 0),
				     n * t.x->block))
			continue;
		t.in_order = true;
		for (t.used_too = false;; t.used_too = true) {
			t.next = 0;
			if (!qf_xfs_walk(t.x, t.ag, QF_XFS_BY_BLOCK, &see) ||
			    !t.in_order)
				break;
			if (t.used_too) {
				tell_use(&t, QF_GUEST_USED, t.next, n - t.next);
				break;
			}
		}
	}
}

/* --- areas --- */

struct telling_areas {
	struct qf_xfs *x;
	uint32_t ag;
	const char *name;
	bool stopped;
	qf_reader_area *tell;
	void *ctx;
};

static void tell_area(struct telling_areas *t, const char *what, uint64_t at,
		      uint64_t bytes)
{
	char name[64];

	if (at == QF_NOWHERE || t->stopped)
		return;
	snprintf(name, sizeof(name), "%s of group %u", what,
		 (unsigned int)t->ag);
	t->stopped = !t->tell(t->ctx, name, at, bytes);
}

static bool see_block(void *ctx, uint64_t place, uint64_t parent,
		      enum qf_guest_state state)
{
	struct telling_areas *t = ctx;

	(void)parent;
	(void)state;
	tell_area(t, t->name, place, t->x->block);
	return !t->stopped;
}

/* Chunks of 64 inodes; a sparse one lacks some of its blocks. */
static bool see_chunk(void *ctx, const unsigned char *r)
{
	struct telling_areas *t = ctx;
	const struct qf_xfs *x = t->x;
	uint32_t holes = x->sparse_inodes ? qf_xfs_get16(r, 4) : 0, i, n;
	uint64_t at = (uint64_t)t->ag << (x->ag_bits + x->inode_bits) |
		      qf_xfs_get32(r, 0);

	for (i = 0; i < 16; i += n) {
		for (n = 1;
		     i + n < 16 && (holes >> (i + n) & 1) == (holes >> i & 1);)
			n++;
		if (!(holes >> i & 1))
			tell_area(t, "inodes",
				  qf_xfs_inode_place(x, at + 4 * i),
				  4ull * n * x->inode);
	}
	return !t->stopped;
}

/* The blocks that are kept for the btrees to grow. */
static void tell_free_list(struct telling_areas *t)
{
	unsigned char f[QF_XFS_MAX_BLOCK], l[QF_XFS_MAX_BLOCK];
	struct qf_xfs *x = t->x;
	const uint32_t head = x->v5 ? 36 : 0;
	const uint32_t room = (x->sector - head) / 4;
	uint32_t first, n, i;

	if (!qf_xfs_header(x, t->ag, QF_XFS_BY_BLOCK, f, NULL) ||
	    !qf_volume_read(x->v, l, x->sector,
			    qf_xfs_ag_place(x, t->ag, 0) + 3 * x->sector) ||
	    (x->v5 && !qf_xfs_crc_holds(l, x->sector, 32)))
		return;
	first = qf_xfs_get32(f, 40);
	n = qf_xfs_get32(f, 48);
	if (first >= room || n > room)
		return;
	for (i = 0; i < n; i++)
		tell_area(
			t, "room for btrees",
			qf_xfs_ag_place(
				x, t->ag,
				qf_xfs_get32(l, head + (first + i) % room * 4)),
			x->block);
}

static void tell_group(struct telling_areas *t)
{
	const struct qf_xfs_visitor see = { .block = see_block, .ctx = t };
	const struct qf_xfs_visitor chunks = { .block = see_block,
					       .record = see_chunk,
					       .ctx = t };
	enum qf_xfs_tree i;

	tell_area(t, "headers", qf_xfs_ag_place(t->x, t->ag, 0),
		  qf_mem_round_up(4ull * t->x->sector, t->x->block));
	for (i = 0; i < QF_XFS_TREES && !t->stopped; i++) {
		t->name = qf_xfs_tree_names[i];
		qf_xfs_walk(t->x, t->ag, i,
			    i == QF_XFS_INODES ? &chunks : &see);
	}
	tell_free_list(t);
}

static void areas(void *fs, qf_reader_area *tell, void *ctx)
{
	struct telling_areas t = { .x = fs, .tell = tell, .ctx = ctx };
	uint64_t log = t.x->log_start ? qf_xfs_place(t.x, t.x->log_start)
				      : QF_NOWHERE;

	for (; t.ag < t.x->ags && !t.stopped; t.ag++)
		tell_group(&t);
	if (log != QF_NOWHERE && !t.stopped)
		tell(ctx, "journal", log, t.x->log_blocks * t.x->block);
}

static uint64_t root(void *fs)
{
	return ((struct qf_xfs *)fs)->root;
}

const struct qf_reader qf_fs_xfs_reader = {
	.probe = probe,
	.open = open_xfs,
	.close = free,
	.use = use,
	.areas = areas,
	.root = root,
	.inodes = qf_xfs_inodes,
	.inode = qf_xfs_inode,
	.extents = qf_xfs_extents,
	.content = qf_xfs_content,
	.links = qf_xfs_links,
	.blocks = qf_xfs_blocks,
	.loose = qf_xfs_loose,
};
