// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * FAT: nothing has a checksum. But the table is there twice and begins with a
 * mark, a directory begins with an entry that names its own cluster, and a
 * file has as many clusters as its size needs.
 */
#include "lib/otherfs/fat_lib.h"
#include "lib/guest/le.h"
#include "lib/otherfs/treewalk.h"
#include "lib/base/mem.h"

#include <stdio.h>
#include <string.h>

#define SECTOR 512u

struct seeing {
	const struct qf_reader *r;
	struct qf_fat *f;
	qf_reader_block *tell;
	void *ctx;
	uint64_t root_clusters;
	bool stopped;
	/* the extents of the file that is looked at */
	uint64_t first, last, clusters;
};

static void tell(struct seeing *s, const char *what, uint64_t start,
		 uint64_t parent, bool read, bool holds)
{
	struct qf_guest_block b = { .start = start,
				    .bytes = SECTOR,
				    .says = QF_NOWHERE,
				    .parent = parent,
				    .bond = QF_GUEST_BY_NUMBER };

	b.state = !read	  ? QF_GUEST_UNREAD
		  : holds ? QF_GUEST_HOLDS
			  : QF_GUEST_FAILS;
	snprintf(b.what, sizeof(b.what), "%s", what);
	if (!s->stopped && qf_volume_asked(s->f->chain.v, start, SECTOR))
		s->stopped = !s->tell(s->ctx, &b);
}

/* --- the tables --- */

/* How many of the entries in a sector of a table cannot be. */
static uint32_t absurd(const struct qf_fatchain *c, const unsigned char *b)
{
	const uint32_t bytes = c->bits / 8;
	uint32_t i, n = 0, v;

	for (i = 0; c->bits != 12 && i < SECTOR; i += bytes) {
		v = bytes == 2 ? qf_le_get16(b, i)
			       : qf_le_get32(b, i) & c->mask;
		n += v == 1 || (v > c->clusters + 1 && v < c->mask - 8);
	}
	return n;
}

static bool is_zero(const unsigned char *b)
{
	return !b[0] && !memcmp(b, b + 1, SECTOR - 1);
}

/* Of two sectors that differ: whether A is worse. */
static bool is_worse(const struct qf_fatchain *c, const unsigned char *a,
		     const unsigned char *b)
{
	uint32_t na = absurd(c, a), nb = absurd(c, b);

	return na != nb ? na > nb : is_zero(a) && !is_zero(b);
}

/* What is compared of sector AT of a table: not the marks at its beginning,
 * and of an entry with 32 bits not the highest four. */
static void trim(const struct qf_fatchain *c, uint64_t at, unsigned char *b)
{
	uint32_t i;

	if (!at)
		memset(b, 0, c->bits / 4);
	for (i = 3; c->bits == 32 && i < SECTOR; i += 4)
		b[i] &= 0x0f;
}

static void see_sector(struct seeing *s, uint64_t at, uint32_t copy)
{
	const struct qf_fatchain *c = &s->f->chain;
	const uint64_t one = c->table_at + at;
	const uint64_t two = one + copy * c->table_bytes;
	unsigned char a[SECTOR], b[SECTOR];
	bool equal, first;

	if (!qf_volume_read(c->v, a, SECTOR, one) ||
	    !qf_volume_read(c->v, b, SECTOR, two))
		return;
	trim(c, at, a);
	trim(c, at, b);
	equal = !memcmp(a, b, SECTOR);
	first = !equal && is_worse(c, a, b);
	tell(s, "file allocation table", first ? one : two, first ? two : one,
	     true, equal);
}

/* The first entry: the kind of disk, and ones above. */
static void see_mark(struct seeing *s, uint32_t copy)
{
	const struct qf_fatchain *c = &s->f->chain;
	const uint64_t at = c->table_at + copy * c->table_bytes;
	unsigned char b[SECTOR];
	bool read = qf_volume_read(c->v, b, SECTOR, at);

	tell(s, "file allocation table", at, 0, read,
	     read && b[0] == s->f->media &&
		     (qf_le_get32(b, 0) & c->mask & ~0xffu) ==
			     (c->mask & ~0xffu));
}

static void see_tables(struct seeing *s)
{
	const struct qf_fatchain *c = &s->f->chain;
	uint64_t end = qf_mem_div_up((c->clusters + 2) * c->bits, 8), at;
	uint32_t i;

	for (i = 0; i < c->tables && !s->stopped; i++)
		see_mark(s, i);
	for (i = 1; i < c->tables && s->f->mirrored; i++)
		for (at = 0; at < end && !s->stopped; at += SECTOR)
			see_sector(s, at, i);
}

/* --- directories and files --- */

static bool see_extent(void *ctx, uint64_t file_off, uint64_t start,
		       uint64_t bytes)
{
	const struct qf_fatchain *c = &((struct seeing *)ctx)->f->chain;
	struct seeing *s = ctx;

	if (!file_off)
		s->first = start;
	s->clusters += bytes / c->cluster_bytes;
	s->last = start + bytes - c->cluster_bytes;
	return true;
}

/* The number of the cluster at PLACE. */
static uint64_t number_of(const struct qf_fatchain *c, uint64_t place)
{
	return (place - c->data_at) / c->cluster_bytes + 2;
}

/* A directory's first entry is "." and names the cluster it stands in. */
static void see_directory(struct seeing *s, uint64_t id)
{
	const struct qf_fatchain *c = &s->f->chain;
	unsigned char e[SECTOR];
	uint64_t n;
	bool read;

	if (!s->clusters)
		return;
	read = qf_volume_read(c->v, e, SECTOR, s->first);
	n = qf_le_get16(e, 26);
	if (c->bits == 32)
		n |= (uint64_t)qf_le_get16(e, 20) << 16;
	tell(s, "directory", s->first, id, read,
	     !memcmp(e, ".          ", 11) && e[11] & 0x10 &&
		     n == number_of(c, s->first));
}

/* A chain that ends too early was cut in the table, where its last cluster
 * has its entry. */
static void see_file(struct seeing *s, const struct qf_inode *inode)
{
	const struct qf_fatchain *c = &s->f->chain;
	uint64_t at = inode->id;
	bool whole = s->clusters >=
		     qf_mem_div_up(inode->bytes, c->cluster_bytes);

	if (s->clusters)
		at = c->table_at + number_of(c, s->last) * c->bits / 8;
	tell(s, "chain of a file", at & ~(uint64_t)(SECTOR - 1), inode->id,
	     true, whole);
}

static bool see_inode(void *ctx, const struct qf_inode *inode)
{
	struct seeing *s = ctx;

	s->clusters = 0;
	s->r->extents(s->f, inode->id, see_extent, s);
	if (!inode->id)
		s->root_clusters = s->clusters;
	else if (inode->kind == QF_GUEST_DIRECTORY)
		see_directory(s, inode->id);
	else
		see_file(s, inode);
	return !s->stopped;
}

/* An empty root directory has no business on a disk in use. */
static void see_root(struct seeing *s)
{
	const struct qf_fatchain *c = &s->f->chain;
	uint64_t at = s->f->root_at, n, used = 0;
	unsigned char b[SECTOR];
	uint32_t entry;
	bool read;

	if (c->bits == 32)
		at = qf_fatchain_place(c, s->f->root_cluster);
	if (c->bits == 32 && !qf_fatchain_has(c, s->f->root_cluster))
		return;
	read = qf_volume_read(c->v, b, SECTOR, at);
	for (n = 2; read && !b[0] && n < c->clusters + 2; n++)
		if (qf_fatchain_entry(c, n, &entry) && entry &&
		    entry != c->mask - 8)
			used++;
	tell(s, "root directory", at, 0, read, used <= s->root_clusters);
}

void qf_fat_blocks(const struct qf_reader *r, void *fs,
		   qf_reader_block *tell_fn, void *ctx)
{
	struct seeing s = { .r = r, .f = fs, .tell = tell_fn, .ctx = ctx };

	see_tables(&s);
	if (!s.stopped)
		qf_treewalk_inodes(r, fs, see_inode, &s);
	if (!s.stopped)
		see_root(&s);
}
