// SPDX-License-Identifier: LGPL-2.1-or-later
/* exFAT: Microsoft's "exFAT file system specification". */
#include "lib/otherfs/fatchain.h"
#include "lib/guest/ident.h"
#include "lib/guest/le.h"
#include "lib/otherfs/treewalk.h"
#include "lib/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENTRY 32u
#define MAX_SET 19u /* entries of one file */
#define NAME_UNITS 15u

extern const struct qf_reader qf_fs_exfat_reader;

struct exfat {
	struct qf_fatchain chain;
	uint64_t root_cluster;
	uint64_t bytes;
	/* of the root directory: */
	uint64_t bitmap_cluster, bitmap_bytes;
	char label[40];
};

/* --- directories --- */

/* What is seen of a directory: sets of entries, or single ones. */
typedef bool see_set(void *ctx, const unsigned char *set, uint32_t entries,
		     uint64_t at);

struct listing {
	struct exfat *x;
	see_set *see;
	void *ctx;
	unsigned char set[MAX_SET * ENTRY];
	uint32_t have, want; /* entries of the set */
	uint64_t at;	     /* of its first */
	bool done;
};

static void take_entry(struct listing *l, const unsigned char *e, uint64_t at)
{
	bool secondary = e[0] & 0x40;

	if (!(e[0] & 0x80)) { /* deleted, or the end */
		l->have = 0;
		l->done = !e[0];
		return;
	}
	if (!secondary) {
		l->have = 0;
		l->at = at;
		l->want = e[0] == 0x85 ? e[1] + 1u : 1;
	} else if (!l->have) {
		return;
	}
	if (l->want > MAX_SET)
		return;
	memcpy(l->set + l->have++ * ENTRY, e, ENTRY);
	if (l->have < l->want)
		return;
	l->done = !l->see(l->ctx, l->set, l->want, l->at);
	l->have = 0;
}

static bool list_extent(void *ctx, uint64_t file_off, uint64_t start,
			uint64_t bytes)
{
	struct listing *l = ctx;
	unsigned char s[512];
	uint64_t at;
	uint32_t i;

	(void)file_off;
	for (at = start; at < start + bytes && !l->done; at += sizeof(s)) {
		if (!qf_volume_read(l->x->chain.v, s, sizeof(s), at)) {
			l->have = 0;
			continue;
		}
		for (i = 0; i < sizeof(s) && !l->done; i += ENTRY)
			take_entry(l, s + i, at + i);
	}
	return !l->done;
}

static bool see_root(void *ctx, const unsigned char *e, uint32_t entries,
		     uint64_t at)
{
	struct exfat *x = ctx;

	(void)entries;
	(void)at;
	if (e[0] == 0x81 && !(e[1] & 1)) {
		x->bitmap_cluster = qf_le_get32(e, 20);
		x->bitmap_bytes = qf_le_get64(e, 24);
	} else if (e[0] == 0x83 && e[1] <= 11) {
		qf_ident_utf16(e + 2, e[1], x->label, sizeof(x->label));
	}
	return true;
}

/* --- what it is --- */

static bool parse(const unsigned char *b, struct exfat *x)
{
	struct qf_fatchain *c = &x->chain;
	uint32_t sector = b[108], cluster = sector + b[109];

	if (memcmp(b + 3, "EXFAT   ", 8) || qf_le_get16(b, 510) != 0xaa55 ||
	    sector < 9 || sector > 12 || cluster > 25 || !b[110] || b[110] > 2)
		return false;
	c->bits = 32;
	c->mask = UINT32_MAX;
	c->tables = 1;
	c->table_at = (uint64_t)qf_le_get32(b, 80) << sector;
	c->table_bytes = (uint64_t)qf_le_get32(b, 84) << sector;
	c->data_at = (uint64_t)qf_le_get32(b, 88) << sector;
	c->clusters = qf_le_get32(b, 92);
	c->cluster_bytes = 1ull << cluster;
	x->root_cluster = qf_le_get32(b, 96);
	return qf_mem_mul(qf_le_get64(b, 72), 1ull << sector, &x->bytes) &&
	       x->bytes <= INT64_MAX && c->data_at < x->bytes && c->clusters &&
	       c->clusters <= (x->bytes - c->data_at) >> cluster &&
	       qf_fatchain_has(c, x->root_cluster);
}

static bool load(struct qf_volume *v, struct exfat *x, unsigned char *b)
{
	struct listing l = { .x = x, .see = see_root, .ctx = x };

	memset(x, 0, sizeof(*x));
	x->chain.v = v;
	if (!qf_volume_read(v, b, 512, 0) || !parse(b, x))
		return false;
	qf_fatchain_extents(&x->chain, x->root_cluster, false, INT64_MAX,
			    list_extent, &l);
	return true;
}

static bool probe(struct qf_volume *v, struct qf_guest_fs *fs)
{
	unsigned char b[512];
	struct exfat x;

	if (!load(v, &x, b))
		return false;
	strcpy(fs->kind, "exFAT");
	strcpy(fs->label, x.label);
	snprintf(fs->uuid, sizeof(fs->uuid), "%04X-%04X",
		 (unsigned int)qf_le_get16(b, 102),
		 (unsigned int)qf_le_get16(b, 100));
	fs->block_bytes = (uint32_t)x.chain.cluster_bytes;
	fs->bytes = x.bytes;
	fs->clean = qf_le_get16(b, 106) & 2 ? QF_GUEST_UNCLEAN : QF_GUEST_CLEAN;
	return true;
}

static enum qf_err open_exfat(struct qf_volume *v, void **fs,
			      struct qf_why *why)
{
	struct exfat *x = qf_mem_zalloc(1, sizeof(*x));
	unsigned char b[512];

	if (!x)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory for its tables");
	if (!load(v, x, b)) {
		free(x);
		return qf_err_set(why, QF_ERR_FORMAT, 0, QF_NOWHERE,
				  "its boot sector cannot be followed");
	}
	*fs = x;
	return QF_OK;
}

/* --- use and areas --- */

struct telling_use {
	struct exfat *x;
	qf_reader_use *tell;
	void *ctx;
	uint64_t n; /* the next cluster */
};

static bool tell_bits(struct telling_use *t, const unsigned char *bits,
		      uint64_t n, bool read)
{
	const struct qf_fatchain *c = &t->x->chain;
	uint64_t i, k;
	bool used;

	for (i = 0; read && i < n; i = k) {
		used = bits[i / 8] >> (i % 8) & 1;
		for (k = i + 1; k < n && (bits[k / 8] >> (k % 8) & 1) == used;
		     k++)
			;
		if (!t->tell(t->ctx, used ? QF_GUEST_USED : QF_GUEST_FREE,
			     qf_fatchain_place(c, t->n + i),
			     (k - i) * c->cluster_bytes))
			return false;
	}
	t->n += n;
	return true;
}

static bool use_extent(void *ctx, uint64_t file_off, uint64_t start,
		       uint64_t bytes)
{
	struct telling_use *t = ctx;
	const struct qf_fatchain *c = &t->x->chain;
	unsigned char b[4096];
	uint64_t at, n, left, room;
	bool read;

	(void)file_off;
	for (at = 0; at < bytes; at += n) {
		n = bytes - at < sizeof(b) ? bytes - at : sizeof(b);
		left = c->clusters + 2 - t->n;
		room = n * 8 < left ? n * 8 : left;
		read = qf_volume_read(c->v, b, n, start + at);
		if (!room || !tell_bits(t, b, room, read))
			return false;
	}
	return true;
}

static void use(void *fs, qf_reader_use *tell, void *ctx)
{
	struct telling_use t = { fs, tell, ctx, 2 };
	struct exfat *x = fs;

	if (tell(ctx, QF_GUEST_USED, 0, x->chain.data_at))
		qf_fatchain_extents(&x->chain, x->bitmap_cluster, false,
				    x->bitmap_bytes, use_extent, &t);
}

struct telling_area {
	qf_reader_area *tell;
	void *ctx;
	const char *name;
};

static bool area_extent(void *ctx, uint64_t file_off, uint64_t start,
			uint64_t bytes)
{
	struct telling_area *t = ctx;

	(void)file_off;
	return t->tell(t->ctx, t->name, start, bytes);
}

static void areas(void *fs, qf_reader_area *tell, void *ctx)
{
	struct telling_area t = { tell, ctx, "allocation bitmap" };
	struct exfat *x = fs;

	if (tell(ctx, "boot sectors", 0, x->chain.table_at) &&
	    tell(ctx, "file allocation table", x->chain.table_at,
		 x->chain.table_bytes))
		qf_fatchain_extents(&x->chain, x->bitmap_cluster, false,
				    x->bitmap_bytes, area_extent, &t);
}

/* --- files --- */

/* The set of entries at AT: the file's own and its stream. */
static bool read_set(struct exfat *x, uint64_t at, unsigned char *e)
{
	return at >= x->chain.data_at && at < x->bytes &&
	       qf_volume_read(x->chain.v, e, 2 * ENTRY, at) && e[0] == 0x85 &&
	       e[ENTRY] == 0xc0;
}

static uint64_t root(void *fs)
{
	(void)fs;
	return 0;
}

static bool inode(void *fs, uint64_t id, struct qf_inode *out)
{
	unsigned char e[2 * ENTRY];

	*out = (struct qf_inode){ .id = id,
				  .kind = QF_GUEST_DIRECTORY,
				  .modified = QF_GUEST_NO_TIME };
	if (!id)
		return true;
	if (!read_set(fs, id, e))
		return false;
	if (!(e[4] & 0x10))
		out->kind = QF_GUEST_FILE;
	out->bytes = qf_le_get64(e, ENTRY + 24);
	out->modified =
		qf_ident_dos_time(qf_le_get16(e, 14), qf_le_get16(e, 12));
	return true;
}

static void extents(void *fs, uint64_t id, qf_reader_extent *tell, void *ctx)
{
	unsigned char e[2 * ENTRY];
	struct exfat *x = fs;

	if (!id)
		qf_fatchain_extents(&x->chain, x->root_cluster, false,
				    INT64_MAX, tell, ctx);
	else if (read_set(x, id, e))
		qf_fatchain_extents(&x->chain, qf_le_get32(e, ENTRY + 20),
				    e[ENTRY + 1] & 2,
				    qf_le_get64(e, ENTRY + 24), tell, ctx);
}

struct telling_parts {
	qf_reader_part *tell;
	void *ctx;
	uint64_t valid; /* bytes that were written; zeros follow */
};

static bool tell_parts(void *ctx, uint64_t file_off, uint64_t start,
		       uint64_t bytes)
{
	struct telling_parts *t = ctx;
	struct qf_guest_part p = { .file_off = file_off, .start = start };

	if (t->valid > file_off)
		p.bytes = t->valid - file_off < bytes ? t->valid - file_off
						      : bytes;
	if (p.bytes && !t->tell(t->ctx, &p))
		return false;
	p.file_off += p.bytes;
	p.bytes = bytes - p.bytes;
	p.content = QF_GUEST_ZEROS;
	return !p.bytes || t->tell(t->ctx, &p);
}

/* There are no holes. */
static bool content(void *fs, uint64_t id, qf_reader_part *tell, void *ctx)
{
	struct telling_parts t = { tell, ctx, 0 };
	unsigned char e[2 * ENTRY];

	if (id && read_set(fs, id, e)) {
		t.valid = qf_le_get64(e, ENTRY + 8);
		extents(fs, id, tell_parts, &t);
	}
	return false;
}

struct linking {
	uint64_t dir;
	qf_reader_link *tell;
	void *ctx;
};

static bool link_set(void *ctx, const unsigned char *set, uint32_t entries,
		     uint64_t at)
{
	unsigned char units[(MAX_SET - 2) * NAME_UNITS * 2];
	struct linking *k = ctx;
	char name[1100];
	uint32_t i;
	size_t n;

	if (set[0] != 0x85 || entries < 3 || set[ENTRY] != 0xc0)
		return true;
	for (i = 2; i < entries; i++)
		memcpy(units + (i - 2) * NAME_UNITS * 2, set + i * ENTRY + 2,
		       NAME_UNITS * 2);
	n = set[ENTRY + 3];
	if (n > (entries - 2) * NAME_UNITS)
		return true;
	n = qf_ident_utf16(units, n, name, sizeof(name));
	return k->tell(k->ctx, k->dir, at, name, n);
}

static void links(void *fs, uint64_t dir, qf_reader_link *tell, void *ctx)
{
	struct linking k = { dir, tell, ctx };
	struct listing l = { .x = fs, .see = link_set, .ctx = &k };
	struct qf_inode i;

	if (inode(fs, dir, &i) && i.kind == QF_GUEST_DIRECTORY)
		extents(fs, dir, list_extent, &l);
}

static void inodes(void *fs, qf_reader_inode *tell, void *ctx)
{
	qf_treewalk_inodes(&qf_fs_exfat_reader, fs, tell, ctx);
}

const struct qf_reader qf_fs_exfat_reader = {
	.probe = probe,
	.open = open_exfat,
	.close = free,
	.use = use,
	.areas = areas,
	.root = root,
	.inodes = inodes,
	.inode = inode,
	.extents = extents,
	.content = content,
	.links = links,
	.any_case = true,
};
