// SPDX-License-Identifier: LGPL-2.1-or-later
/* btrfs: what it is, use, metadata, files of all subvolumes. */
#include "lib/unixfs/btrfs_lib.h"
#include "lib/guest/ident.h"
#include "lib/guest/le.h"
#include "lib/base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An inode's number counts within its subvolume: both make the id. */
#define INODE_BITS 40
#define INODE_MASK ((1ull << INODE_BITS) - 1)
#define ROOT_DIR 256
#define RESERVED (1ull << 20)

/* --- what it is --- */

static bool probe(struct qf_volume *v, struct qf_guest_fs *fs)
{
	unsigned char s[QF_BTRFS_SUPER_BYTES];
	uint64_t used;
	bool by_copy;

	if (!qf_btrfs_find_super(v, s, &by_copy))
		return false;
	strcpy(fs->kind, "btrfs");
	qf_ident_text(s + 0x12b, sizeof(fs->label) - 1, fs->label,
		      sizeof(fs->label));
	qf_ident_uuid(s + 0x20, fs->uuid, sizeof(fs->uuid));
	fs->block_bytes = qf_le_get32(s, 0x90);
	fs->bytes = qf_le_get64(s, 0xd1);
	used = qf_le_get64(s, 0xd9); /* by its chunks */
	if (used <= fs->bytes)
		fs->free_bytes = fs->bytes - used;
	fs->clean = qf_le_get64(s, 0x60) ? QF_GUEST_UNCLEAN : QF_GUEST_CLEAN;
	if (qf_le_get64(s, 0x88) != 1) {
		strcpy(fs->note, "it has several devices");
		fs->opaque = true;
	} else if (by_copy) {
		strcpy(fs->note, "its superblock is damaged, it is read by a "
				 "copy");
	} else if (fs->clean == QF_GUEST_UNCLEAN) {
		strcpy(fs->note, "its journal has not been replayed");
	} else if (qf_le_get16(s, 0xc4) > QF_BTRFS_BLAKE2) {
		strcpy(fs->note, "its kind of checksum is not verified");
	}
	return true;
}

/* --- use --- */

struct telling_use {
	struct qf_btrfs *x;
	qf_reader_use *tell;
	void *ctx;
	uint64_t next; /* the first logical address that is not told yet */
	bool stopped;
};

static const uint64_t supers[] = { QF_BTRFS_SUPER_AT, 64ull << 20,
				   256ull << 30 };
#define SUPERS (sizeof(supers) / sizeof(supers[0]))

/* A free range, without the superblocks, which no tree lists. */
static void tell_free(struct telling_use *t, uint64_t place, uint64_t bytes)
{
	uint64_t end = place + bytes, next;
	size_t i;

	for (i = 0; i < SUPERS && !t->stopped; i++) {
		if (supers[i] >= end ||
		    supers[i] + QF_BTRFS_SUPER_BYTES <= place)
			continue;
		next = supers[i] + QF_BTRFS_SUPER_BYTES;
		if (supers[i] > place)
			t->stopped = !t->tell(t->ctx, QF_GUEST_FREE, place,
					      supers[i] - place);
		place = next;
	}
	if (place < end && !t->stopped)
		t->stopped =
			!t->tell(t->ctx, QF_GUEST_FREE, place, end - place);
}

static void tell_logical(struct telling_use *t, enum qf_guest_use use,
			 uint64_t start, uint64_t bytes)
{
	uint64_t place;
	uint32_t i;

	for (i = 0; bytes && i < QF_BTRFS_COPIES && !t->stopped; i++) {
		place = qf_btrfs_place(t->x, start, i);
		if (place == QF_NOWHERE)
			continue;
		if (use == QF_GUEST_FREE)
			tell_free(t, place, bytes);
		else
			t->stopped = !t->tell(t->ctx, use, place, bytes);
	}
}

/* What lies in chunks from the last extent told up to END is free. */
static void tell_free_to(struct telling_use *t, uint64_t end)
{
	const struct qf_btrfs_chunk *c;
	uint64_t from, to;
	size_t i;

	for (i = 0; i < t->x->chunks && !t->stopped; i++) {
		c = &t->x->chunk[i];
		from = c->start > t->next ? c->start : t->next;
		to = c->start + c->bytes < end ? c->start + c->bytes : end;
		if (from < to)
			tell_logical(t, QF_GUEST_FREE, from, to - from);
	}
}

static uint64_t extent_bytes(const struct qf_btrfs *x,
			     const struct qf_btrfs_key *key)
{
	return key->type == QF_BTRFS_METADATA_ITEM ? x->node
	       : key->type == QF_BTRFS_EXTENT_ITEM ? key->offset
						   : 0;
}

static bool see_extent(void *ctx, const struct qf_btrfs_key *key,
		       const unsigned char *data, uint32_t bytes)
{
	struct telling_use *t = ctx;
	uint64_t n = extent_bytes(t->x, key);
	const struct qf_btrfs_chunk *c = qf_btrfs_chunk_of(t->x, key->id);

	(void)data;
	(void)bytes;
	if (!n || !c || n > c->start + c->bytes - key->id || key->id < t->next)
		return true;
	tell_free_to(t, key->id);
	tell_logical(t, QF_GUEST_USED, key->id, n);
	t->next = key->id + n;
	return !t->stopped;
}

/* What is in no chunk is free, but for the first MiB. */
static void tell_device(struct telling_use *t)
{
	const struct qf_btrfs *x = t->x;
	struct qf_guest_range *r =
		qf_mem_zalloc(x->chunks * QF_BTRFS_COPIES + 2, sizeof(*r));
	size_t n = 0, i;
	uint32_t k;

	if (!r)
		return;
	r[n++].bytes = RESERVED;
	for (i = 0; i < x->chunks; i++)
		for (k = 0; k < x->chunk[i].copies; k++)
			r[n++] = (struct qf_guest_range){ x->chunk[i].place[k],
							  x->chunk[i].bytes };
	r[n++].start = x->bytes;
	n = qf_volume_merge(r, n);
	for (i = 1; i < n && !t->stopped; i++)
		tell_free(t, r[i - 1].start + r[i - 1].bytes,
			  r[i].start - r[i - 1].start - r[i - 1].bytes);
	free(r);
	if (!t->stopped)
		t->stopped = !t->tell(t->ctx, QF_GUEST_USED, 0, RESERVED);
	for (i = 1; i < SUPERS && !t->stopped; i++)
		if (supers[i] + QF_BTRFS_SUPER_BYTES <= x->bytes)
			t->stopped = !t->tell(t->ctx, QF_GUEST_USED, supers[i],
					      QF_BTRFS_SUPER_BYTES);
}

/* Only where the whole tree is sound, what it does not list is free. */
static void use(void *fs, qf_reader_use *tell, void *ctx)
{
	struct telling_use t = { .x = fs, .tell = tell, .ctx = ctx };
	struct qf_btrfs_visitor see = { .last_id = UINT64_MAX, .ctx = &t };
	const struct qf_btrfs_root *root =
		qf_btrfs_root_of(fs, QF_BTRFS_EXTENT_TREE);

	if (!qf_btrfs_walk(fs, root, &see))
		return;
	tell_device(&t);
	see.item = see_extent;
	if (!t.stopped && qf_btrfs_walk(fs, root, &see))
		tell_free_to(&t, UINT64_MAX);
}

/* --- areas --- */

struct telling_areas {
	struct qf_btrfs *x;
	qf_reader_area *tell;
	void *ctx;
	bool stopped;
};

static const char *tree_name(uint64_t id, char *buf, size_t room)
{
	static const char *const names[] = {
		"",
		"root tree",
		"extent tree",
		"chunk tree",
		"device tree",
		"tree of files",
		"",
		"checksum tree",
		"quota tree",
		"tree of UUIDs",
		"free space tree",
	};

	if (id < sizeof(names) / sizeof(names[0]) && *names[id])
		return names[id];
	if (id < QF_BTRFS_FIRST_SUBVOLUME || id > QF_BTRFS_LAST_SUBVOLUME)
		return "tree block";
	snprintf(buf, room, "tree of files of subvolume %" PRIu64, id);
	return buf;
}

/* A block of a tree, and the tree by its first reference. */
static bool see_tree_block(void *ctx, const struct qf_btrfs_key *key,
			   const unsigned char *data, uint32_t bytes)
{
	struct telling_areas *t = ctx;
	uint32_t at = key->type == QF_BTRFS_METADATA_ITEM ? 24 : 24 + 18;
	uint64_t n = extent_bytes(t->x, key), id = 0, place;
	char name[64];
	uint32_t i;

	if (!n || bytes < 24 || !(qf_le_get64(data, 16) & 2))
		return true;
	if (at + 9 <= bytes && data[at] == 176)
		id = qf_le_get64(data, at + 1);
	for (i = 0; i < QF_BTRFS_COPIES && !t->stopped; i++) {
		place = qf_btrfs_place(t->x, key->id, i);
		if (place != QF_NOWHERE)
			t->stopped = !t->tell(t->ctx,
					      tree_name(id, name, sizeof(name)),
					      place, n);
	}
	return !t->stopped;
}

static void areas(void *fs, qf_reader_area *tell, void *ctx)
{
	struct telling_areas t = { .x = fs, .tell = tell, .ctx = ctx };
	const struct qf_btrfs_visitor see = { .item = see_tree_block,
					      .ctx = &t,
					      .last_id = UINT64_MAX };
	size_t i;

	for (i = 0; i < SUPERS && !t.stopped; i++)
		t.stopped = supers[i] < t.x->bytes &&
			    !tell(ctx,
				  i ? "copy of the superblock" : "superblock",
				  supers[i], QF_BTRFS_SUPER_BYTES);
	if (!t.stopped)
		qf_btrfs_walk(fs, qf_btrfs_root_of(fs, QF_BTRFS_EXTENT_TREE),
			      &see);
}

/* --- files --- */

static uint64_t id_of(const struct qf_btrfs_root *root, uint64_t ino)
{
	return root->id << INODE_BITS | (ino & INODE_MASK);
}

static uint64_t root(void *fs)
{
	(void)fs;
	return (uint64_t)QF_BTRFS_FS_TREE << INODE_BITS | ROOT_DIR;
}

/* Whether files lie in that tree, and have ids here. */
static bool has_files(const struct qf_btrfs_root *r)
{
	return r->id == QF_BTRFS_FS_TREE ||
	       (r->id >= QF_BTRFS_FIRST_SUBVOLUME &&
		r->id < 1ull << (64 - INODE_BITS));
}

struct telling {
	struct qf_btrfs *x;
	const struct qf_btrfs_root *root;
	qf_reader_inode *inode;
	qf_reader_extent *extent;
	qf_reader_link *link;
	void *ctx;
	bool stopped;
};

static bool see_inode(void *ctx, const struct qf_btrfs_key *key,
		      const unsigned char *p, uint32_t bytes)
{
	struct telling *t = ctx;
	struct qf_inode i;
	uint32_t type;

	if (key->type != QF_BTRFS_INODE_ITEM || bytes < 160 ||
	    key->id > INODE_MASK)
		return true;
	type = qf_le_get32(p, 52) >> 12 & 15;
	i = (struct qf_inode){
		.id = id_of(t->root, key->id),
		.bytes = qf_le_get64(p, 16),
		.modified = (int64_t)qf_le_get64(p, 136),
		.kind = type == 8   ? QF_GUEST_FILE
			: type == 4 ? QF_GUEST_DIRECTORY
				    : QF_GUEST_OTHER,
	};
	t->stopped = !t->inode(t->ctx, &i);
	return !t->stopped;
}

static void inodes(void *fs, qf_reader_inode *tell, void *ctx)
{
	struct telling t = { .x = fs, .inode = tell, .ctx = ctx };
	const struct qf_btrfs_visitor see = { .item = see_inode,
					      .ctx = &t,
					      .last_id = INODE_MASK };
	size_t i;

	for (i = 0; i < t.x->roots && !t.stopped; i++) {
		t.root = &t.x->root[i];
		if (has_files(t.root))
			qf_btrfs_walk(fs, t.root, &see);
	}
}

/* The items of one inode. */
static void walk_inode(struct telling *t, uint64_t id,
		       bool (*item)(void *ctx, const struct qf_btrfs_key *key,
				    const unsigned char *p, uint32_t bytes))
{
	const struct qf_btrfs_visitor see = { .item = item,
					      .ctx = t,
					      .first_id = id & INODE_MASK,
					      .last_id = id & INODE_MASK };

	t->root = qf_btrfs_root_of(t->x, id >> INODE_BITS);
	if (t->root && has_files(t->root))
		qf_btrfs_walk(t->x, t->root, &see);
}

static bool keep_inode(void *ctx, const struct qf_inode *i)
{
	*(struct qf_inode *)ctx = *i;
	return false;
}

static bool inode(void *fs, uint64_t id, struct qf_inode *out)
{
	struct telling t = { .x = fs, .inode = keep_inode, .ctx = out };

	walk_inode(&t, id, see_inode);
	return t.stopped;
}

/* Of a compressed extent all belongs to its first byte. */
static bool see_file_extent(void *ctx, const struct qf_btrfs_key *key,
			    const unsigned char *p, uint32_t bytes)
{
	struct telling *t = ctx;
	uint64_t at, n, place;
	uint32_t i;

	if (key->type != QF_BTRFS_EXTENT_DATA || bytes < 53 || !p[20])
		return true;
	at = qf_le_get64(p, 21);
	n = qf_le_get64(p, 29);
	if (!at) /* a hole */
		return true;
	if (!p[16] && !qf_mem_add(at, qf_le_get64(p, 37), &at))
		return true;
	if (!p[16])
		n = qf_le_get64(p, 45);
	for (i = 0; i < QF_BTRFS_COPIES && !t->stopped; i++) {
		place = qf_btrfs_place(t->x, at, i);
		if (place != QF_NOWHERE && n <= t->x->bytes)
			t->stopped = !t->extent(t->ctx, key->offset, place, n);
	}
	return !t->stopped;
}

static void extents(void *fs, uint64_t id, qf_reader_extent *tell, void *ctx)
{
	struct telling t = { .x = fs, .extent = tell, .ctx = ctx };

	walk_inode(&t, id, see_file_extent);
}

/* --- what a file holds --- */

struct telling_parts {
	struct telling t; /* first */
	qf_reader_part *part;
};

static bool tell_part(struct telling_parts *t, const struct qf_guest_part *p)
{
	t->t.stopped = p->bytes && !t->part(t->t.ctx, p);
	return !t->t.stopped;
}

/* N bytes in the item itself, in pieces that can be told. */
static bool tell_inline(struct telling_parts *t, uint64_t file_off,
			const unsigned char *data, uint32_t n)
{
	struct qf_guest_part p = { .content = QF_GUEST_INLINE };
	uint32_t at;

	for (at = 0; at < n; at += (uint32_t)p.bytes) {
		p.file_off = file_off + at;
		p.bytes = n - at < QF_READER_INLINE ? n - at : QF_READER_INLINE;
		p.data = (unsigned char *)data + at;
		if (!tell_part(t, &p))
			return false;
	}
	return true;
}

/* The copies of what a regular extent has. */
static bool tell_copies(struct telling_parts *t, struct qf_guest_part *p,
			uint64_t logical)
{
	uint32_t i;

	for (i = 0; i < QF_BTRFS_COPIES && !t->t.stopped; i++) {
		p->start = qf_btrfs_place(t->t.x, logical, i);
		if (p->start != QF_NOWHERE && p->bytes <= t->t.x->bytes)
			tell_part(t, p);
	}
	return !t->t.stopped;
}

static bool see_part(void *ctx, const struct qf_btrfs_key *key,
		     const unsigned char *p, uint32_t bytes)
{
	struct telling_parts *t = ctx;
	struct qf_guest_part part = { .file_off = key->offset };
	bool coded;
	uint64_t at;

	if (key->type != QF_BTRFS_EXTENT_DATA || bytes < 21)
		return true;
	coded = p[16] || p[17] || qf_le_get16(p, 18);
	if (!p[20] && !coded)
		return tell_inline(t, key->offset, p + 21, bytes - 21);
	if (p[20] && bytes < 53)
		return true;
	part.bytes = p[20] ? qf_le_get64(p, 45) : qf_le_get64(p, 8);
	at = p[20] ? qf_le_get64(p, 21) : 0;
	part.content = coded		  ? QF_GUEST_CODED
		       : at && p[20] == 1 ? QF_GUEST_BYTES
					  : QF_GUEST_ZEROS;
	if (part.content != QF_GUEST_BYTES)
		return tell_part(t, &part);
	return !qf_mem_add(at, qf_le_get64(p, 37), &at) ||
	       tell_copies(t, &part, at);
}

static bool content(void *fs, uint64_t id, qf_reader_part *tell, void *ctx)
{
	struct telling_parts t = { .t = { .x = fs, .ctx = ctx }, .part = tell };
	const struct qf_btrfs_visitor see = { .item = see_part,
					      .ctx = &t,
					      .first_id = id & INODE_MASK,
					      .last_id = id & INODE_MASK };

	t.t.root = qf_btrfs_root_of(fs, id >> INODE_BITS);
	return t.t.root && has_files(t.t.root) &&
	       qf_btrfs_walk(fs, t.t.root, &see);
}

/* An entry can lead to another subvolume's root. */
static bool see_link(void *ctx, const struct qf_btrfs_key *key,
		     const unsigned char *p, uint32_t bytes)
{
	const struct qf_btrfs_root *to;
	struct telling *t = ctx;
	uint64_t id;
	uint32_t n;

	if (key->type != QF_BTRFS_DIR_INDEX || bytes < 30)
		return true;
	n = qf_le_get16(p, 27);
	if (n > bytes - 30)
		return true;
	id = qf_le_get64(p, 0);
	to = p[8] == QF_BTRFS_ROOT_ITEM ? qf_btrfs_root_of(t->x, id) : t->root;
	if (!to || !has_files(to))
		return true;
	id = id_of(to, to == t->root ? id : ROOT_DIR);
	t->stopped = !t->link(t->ctx, id_of(t->root, key->id), id,
			      (const char *)p + 30, n);
	return !t->stopped;
}

static void links(void *fs, uint64_t dir, qf_reader_link *tell, void *ctx)
{
	struct telling t = { .x = fs, .link = tell, .ctx = ctx };

	walk_inode(&t, dir, see_link);
}

const struct qf_reader qf_fs_btrfs_reader = {
	.probe = probe,
	.open = qf_btrfs_open,
	.close = qf_btrfs_close,
	.use = use,
	.areas = areas,
	.root = root,
	.inodes = inodes,
	.inode = inode,
	.extents = extents,
	.content = content,
	.links = links,
	.blocks = qf_btrfs_blocks,
	.loose = qf_btrfs_loose,
};
