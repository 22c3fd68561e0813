// SPDX-License-Identifier: LGPL-2.1-or-later
/* FAT12, FAT16, FAT32: Microsoft's "FAT: General Overview of On-Disk Format". */
#include "lib/otherfs/fat_lib.h"
#include "lib/guest/ident.h"
#include "lib/guest/le.h"
#include "lib/otherfs/treewalk.h"
#include "lib/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENTRY QF_FAT_ENTRY
#define LONG_PARTS 20u
#define LONG_UNITS 13u

extern const struct qf_reader qf_fs_fat_reader;

/* --- what it is --- */

static bool power_of_two(uint32_t n)
{
	return n && !(n & (n - 1));
}

/* The layout in the boot sector B; false if it is none. */
static bool parse(const unsigned char *b, struct qf_fat *f)
{
	uint64_t sector = qf_le_get16(b, 11), total, table, head, clusters;
	uint32_t a_cluster = b[13], roots = qf_le_get16(b, 17);
	struct qf_fatchain *c = &f->chain;

	total = qf_le_get16(b, 19) ? qf_le_get16(b, 19) : qf_le_get32(b, 32);
	table = qf_le_get16(b, 22) ? qf_le_get16(b, 22) : qf_le_get32(b, 36);
	if (qf_le_get16(b, 510) != 0xaa55 || !power_of_two((uint32_t)sector) ||
	    sector < 512 || sector > 4096 || !power_of_two(a_cluster) ||
	    !qf_le_get16(b, 14) || !b[16] || b[16] > 4 || b[21] < 0xf0 ||
	    !table || !total)
		return false;
	f->sector = (uint32_t)sector;
	f->media = b[21];
	f->mirrored = qf_le_get16(b, 22) || !(b[40] & 0x80);
	f->reserved_bytes = qf_le_get16(b, 14) * sector;
	c->tables = b[16];
	c->table_at = f->reserved_bytes;
	c->table_bytes = table * sector;
	f->root_at = c->table_at + c->tables * c->table_bytes;
	f->root_bytes = qf_mem_round_up((uint64_t)roots * ENTRY, sector);
	head = f->root_at + f->root_bytes;
	f->bytes = total * sector;
	if (head >= f->bytes)
		return false;
	c->data_at = head;
	c->cluster_bytes = a_cluster * sector;
	clusters = (f->bytes - head) / c->cluster_bytes;
	c->bits = !qf_le_get16(b, 22) ? 32 : clusters < 4085 ? 12 : 16;
	c->mask = c->bits == 32 ? 0x0fffffff : (1u << c->bits) - 1;
	/* no more clusters than have an entry */
	if (clusters > c->table_bytes * 8 / c->bits - 2)
		clusters = c->table_bytes * 8 / c->bits - 2;
	c->clusters = clusters;
	f->root_cluster = c->bits == 32 ? qf_le_get32(b, 44) : 0;
	return clusters && clusters <= c->mask - 15;
}

/* The second entry of the first table that begins as a table does. */
static bool read_state(const struct qf_fatchain *c, uint8_t media,
		       uint32_t *entry)
{
	const uint32_t bytes = c->bits / 8;
	unsigned char b[8];
	uint32_t i;

	for (i = 0; i < c->tables; i++)
		if (qf_volume_read(c->v, b, 2 * bytes,
				   c->table_at + i * c->table_bytes) &&
		    b[0] == media && b[1] == 0xff) {
			*entry = bytes == 4 ? qf_le_get32(b, 4)
					    : qf_le_get16(b, 2);
			return true;
		}
	return false;
}

static void tell_clean(const struct qf_fat *f, const unsigned char *b,
		       struct qf_guest_fs *fs)
{
	const uint32_t good = f->chain.bits == 32 ? 1u << 27 : 1u << 15;
	uint32_t entry;

	if (f->chain.bits == 12 || !read_state(&f->chain, f->media, &entry))
		return;
	fs->clean = entry & good && !(b[f->chain.bits == 32 ? 0x41 : 0x25] & 1)
			    ? QF_GUEST_CLEAN
			    : QF_GUEST_UNCLEAN;
}

static bool probe(struct qf_volume *v, struct qf_guest_fs *fs)
{
	unsigned char b[512], info[512];
	struct qf_fat f = { .chain.v = v };
	size_t id;

	if (!qf_volume_read(v, b, sizeof(b), 0) || !parse(b, &f))
		return false;
	snprintf(fs->kind, sizeof(fs->kind), "FAT%u",
		 (unsigned int)f.chain.bits);
	fs->block_bytes = (uint32_t)f.chain.cluster_bytes;
	fs->bytes = f.bytes;
	id = f.chain.bits == 32 ? 67 : 39;
	snprintf(fs->uuid, sizeof(fs->uuid), "%04X-%04X",
		 (unsigned int)qf_le_get16(b, id + 2),
		 (unsigned int)qf_le_get16(b, id));
	if (memcmp(b + id + 4, "NO NAME", 7))
		qf_ident_text(b + id + 4, 11, fs->label, sizeof(fs->label));
	if (f.chain.bits == 32 &&
	    qf_volume_read(v, info, sizeof(info),
			   (uint64_t)qf_le_get16(b, 48) * qf_le_get16(b, 11)) &&
	    !memcmp(info, "RRaA", 4) &&
	    qf_le_get32(info, 488) <= f.chain.clusters)
		fs->free_bytes = (uint64_t)qf_le_get32(info, 488) *
				 f.chain.cluster_bytes;
	tell_clean(&f, b, fs);
	return true;
}

static enum qf_err open_fat(struct qf_volume *v, void **fs, struct qf_why *why)
{
	unsigned char b[512];
	struct qf_fat *f = qf_mem_zalloc(1, sizeof(*f));

	if (!f)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory for its tables");
	f->chain.v = v;
	qf_volume_read(v, b, sizeof(b), 0);
	if (!parse(b, f)) {
		free(f);
		return qf_err_set(why, QF_ERR_FORMAT, 0, QF_NOWHERE,
				  "its boot sector cannot be followed");
	}
	*fs = f;
	return QF_OK;
}

/* --- use and areas --- */

static void use(void *fs, qf_reader_use *tell, void *ctx)
{
	struct qf_fat *f = fs;
	const struct qf_fatchain *c = &f->chain;
	enum qf_guest_use now, last = QF_GUEST_UNKNOWN;
	uint64_t n, first = 2, end;
	uint32_t entry;

	if (!tell(ctx, QF_GUEST_USED, 0, c->data_at))
		return;
	for (n = 2; n < c->clusters + 2; n++) {
		now = QF_GUEST_UNKNOWN;
		if (qf_fatchain_entry(c, n, &entry))
			now = entry ? QF_GUEST_USED : QF_GUEST_FREE;
		if (now == last)
			continue;
		if (n > first && !tell(ctx, last, qf_fatchain_place(c, first),
				       (n - first) * c->cluster_bytes))
			return;
		last = now;
		first = n;
	}
	if (!tell(ctx, last, qf_fatchain_place(c, first),
		  (n - first) * c->cluster_bytes))
		return;
	/* less than a cluster, or without an entry in the table */
	end = qf_fatchain_place(c, n);
	if (end < f->bytes)
		tell(ctx, QF_GUEST_FREE, end, f->bytes - end);
}

static void areas(void *fs, qf_reader_area *tell, void *ctx)
{
	struct qf_fat *f = fs;
	char name[48];
	uint32_t i;

	if (!tell(ctx, "boot sectors", 0, f->reserved_bytes))
		return;
	for (i = 0; i < f->chain.tables; i++) {
		snprintf(name, sizeof(name), "file allocation table %u",
			 (unsigned int)i + 1);
		if (!tell(ctx, name,
			  f->chain.table_at + i * f->chain.table_bytes,
			  f->chain.table_bytes))
			return;
	}
	if (f->root_bytes)
		tell(ctx, "root directory", f->root_at, f->root_bytes);
}

/* --- directories --- */

/* What is seen of a directory: its entries, with their long names. */
struct listing {
	struct qf_fat *f;
	uint64_t dir;
	qf_reader_link *tell;
	void *ctx;
	unsigned char units[LONG_PARTS * LONG_UNITS * 2];
	uint32_t parts, expected; /* of a long name: all, and the next one */
	uint8_t sum;
	bool done;
};

static void take_part(struct listing *l, const unsigned char *e)
{
	static const struct {
		uint8_t at, bytes;
	} where[] = { { 1, 10 }, { 14, 12 }, { 28, 4 } };
	uint32_t n = e[0] & 0x3f;
	unsigned char *to;
	size_t i;

	if (e[0] & 0x40) {
		l->parts = l->expected = n;
		l->sum = e[13];
		memset(l->units, 0, sizeof(l->units));
	}
	if (!n || n > LONG_PARTS || n != l->expected || e[13] != l->sum) {
		l->parts = 0;
		return;
	}
	l->expected--;
	to = l->units + (n - 1) * LONG_UNITS * 2;
	for (i = 0; i < 3; to += where[i++].bytes)
		memcpy(to, e + where[i].at, where[i].bytes);
}

static uint8_t sum_of(const unsigned char *e)
{
	uint8_t sum = 0;
	int i;

	for (i = 0; i < 11; i++)
		sum = (uint8_t)((sum << 7 | sum >> 1) + e[i]);
	return sum;
}

/* "NAME.EXT", in small letters where flags say so. */
static size_t short_name(const unsigned char *e, char *out)
{
	size_t n = 0, i, end, base;
	int part;

	for (part = 0; part < 2; part++) {
		base = part ? 8 : 0;
		end = part ? 11 : 8;
		while (end > base && e[end - 1] == ' ')
			end--;
		if (part && end > base)
			out[n++] = '.';
		for (i = base; i < end; i++, n++) {
			out[n] = (char)e[i];
			if (e[12] & (part ? 0x10 : 0x08) && e[i] >= 'A' &&
			    e[i] <= 'Z')
				out[n] = (char)(e[i] + 32);
		}
	}
	if (out[0] == 5)
		out[0] = (char)0xe5;
	return n;
}

static void take_entry(struct listing *l, const unsigned char *e, uint64_t at)
{
	char name[LONG_PARTS * LONG_UNITS * 4 + 8];
	size_t n;

	if (e[0] == 0xe5 || e[11] & 0x08 || e[0] == '.') {
		if (e[11] == 0x0f && e[0] != 0xe5)
			take_part(l, e);
		else
			l->parts = 0;
		return;
	}
	if (l->parts && !l->expected && l->sum == sum_of(e))
		n = qf_ident_utf16(l->units, (size_t)l->parts * LONG_UNITS,
				   name, sizeof(name));
	else
		n = short_name(e, name);
	l->parts = 0;
	if (n)
		l->done = !l->tell(l->ctx, l->dir, at, name, n);
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
		if (!qf_volume_read(l->f->chain.v, s, sizeof(s), at))
			continue;
		for (i = 0; i < sizeof(s) && !l->done; i += ENTRY) {
			l->done = !s[i]; /* the end of the directory */
			if (!l->done)
				take_entry(l, s + i, at + i);
		}
	}
	return !l->done;
}

/* The entry at AT; for the root one that is made up. */
static bool read_entry(struct qf_fat *f, uint64_t at, unsigned char *e)
{
	memset(e, 0, ENTRY);
	if (at)
		return at >= f->root_at && at < f->bytes &&
		       qf_volume_read(f->chain.v, e, ENTRY, at);
	e[11] = 0x10;
	e[26] = (unsigned char)f->root_cluster;
	e[27] = (unsigned char)(f->root_cluster >> 8);
	e[20] = (unsigned char)(f->root_cluster >> 16);
	e[21] = (unsigned char)(f->root_cluster >> 24);
	return true;
}

static bool inode(void *fs, uint64_t id, struct qf_inode *out)
{
	unsigned char e[ENTRY];

	if (!read_entry(fs, id, e))
		return false;
	*out = (struct qf_inode){
		.id = id,
		.bytes = qf_le_get32(e, 28),
		.modified = id ? qf_ident_dos_time(qf_le_get16(e, 24),
						   qf_le_get16(e, 22))
			       : QF_GUEST_NO_TIME,
		.kind = e[11] & 0x10 ? QF_GUEST_DIRECTORY : QF_GUEST_FILE,
	};
	return true;
}

static void extents(void *fs, uint64_t id, qf_reader_extent *tell, void *ctx)
{
	struct qf_fat *f = fs;
	unsigned char e[ENTRY];
	uint64_t first, bytes;

	if (!read_entry(f, id, e))
		return;
	/* a directory states no length */
	bytes = e[11] & 0x10 ? INT64_MAX : qf_le_get32(e, 28);
	first = qf_le_get16(e, 26);
	if (f->chain.bits == 32)
		first |= (uint64_t)qf_le_get16(e, 20) << 16;
	qf_fatchain_extents(&f->chain, first, false, bytes, tell, ctx);
}

static void links(void *fs, uint64_t dir, qf_reader_link *tell, void *ctx)
{
	struct listing l = { .f = fs, .dir = dir, .tell = tell, .ctx = ctx };
	struct qf_inode i;

	if (!inode(fs, dir, &i) || i.kind != QF_GUEST_DIRECTORY)
		return;
	if (!dir && l.f->root_bytes)
		list_extent(&l, 0, l.f->root_at, l.f->root_bytes);
	else
		extents(fs, dir, list_extent, &l);
}

static uint64_t root(void *fs)
{
	(void)fs;
	return 0;
}

static void inodes(void *fs, qf_reader_inode *tell, void *ctx)
{
	qf_treewalk_inodes(&qf_fs_fat_reader, fs, tell, ctx);
}

static void blocks(void *fs, qf_reader_block *tell, void *ctx)
{
	qf_fat_blocks(&qf_fs_fat_reader, fs, tell, ctx);
}

const struct qf_reader qf_fs_fat_reader = {
	.probe = probe,
	.open = open_fat,
	.close = free,
	.use = use,
	.areas = areas,
	.root = root,
	.inodes = inodes,
	.inode = inode,
	.extents = extents,
	.links = links,
	.any_case = true,
	.blocks = blocks,
};
