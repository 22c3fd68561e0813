// SPDX-License-Identifier: LGPL-2.1-or-later
/* ISO 9660 (ECMA-119), with the names of Rock Ridge where they are. */
#include "lib/guest/ident.h"
#include "lib/guest/le.h"
#include "lib/otherfs/treewalk.h"
#include "lib/base/mem.h"

#include <stdlib.h>
#include <string.h>

#define SECTOR 2048u
#define DESCRIPTORS_AT (16ull * SECTOR)
#define ROOT_AT (DESCRIPTORS_AT + 156)
#define MAX_PARTS 64 /* records of one large file */

extern const struct qf_reader qf_fs_iso_reader;

struct iso {
	struct qf_volume *v;
	uint64_t bytes;
	uint32_t block;
};

static int64_t time_of(const unsigned char *p)
{
	int part[6], i, k, at = 0;

	for (i = 0; i < 6; i++) {
		part[i] = 0;
		for (k = i ? 2 : 4; k; k--, at++) {
			if (p[at] < '0' || p[at] > '9')
				return QF_GUEST_NO_TIME;
			part[i] = part[i] * 10 + p[at] - '0';
		}
	}
	return qf_ident_time(part[0], part[1], part[2], part[3], part[4],
			     part[5]);
}

static bool parse(struct qf_volume *v, struct iso *x, unsigned char *d)
{
	x->v = v;
	if (!qf_volume_read(v, d, SECTOR, DESCRIPTORS_AT) ||
	    memcmp(d, "\1CD001\1", 7))
		return false;
	x->block = qf_le_get16(d, 128);
	x->bytes = (uint64_t)qf_le_get32(d, 80) * x->block;
	return x->block >= 512 && x->block <= SECTOR &&
	       !(x->block & (x->block - 1)) && d[156] >= 34;
}

static bool probe(struct qf_volume *v, struct qf_guest_fs *fs)
{
	unsigned char d[SECTOR];
	struct iso x;

	if (!parse(v, &x, d))
		return false;
	strcpy(fs->kind, "ISO 9660");
	qf_ident_text(d + 40, 32, fs->label, sizeof(fs->label));
	fs->block_bytes = x.block;
	fs->bytes = x.bytes;
	fs->free_bytes = 0;
	fs->made = time_of(d + 813);
	fs->written = time_of(d + 830);
	fs->clean = QF_GUEST_CLEAN;
	return true;
}

static enum qf_err open_iso(struct qf_volume *v, void **fs, struct qf_why *why)
{
	struct iso *x = qf_mem_zalloc(1, sizeof(*x));
	unsigned char d[SECTOR];

	if (!x)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory for its tables");
	if (!parse(v, x, d)) {
		free(x);
		return qf_err_set(why, QF_ERR_FORMAT, 0, QF_NOWHERE,
				  "its descriptor cannot be followed");
	}
	*fs = x;
	return QF_OK;
}

/* Nothing is free in a file system that is never written to. */
static void use(void *fs, qf_reader_use *tell, void *ctx)
{
	tell(ctx, QF_GUEST_USED, 0, ((struct iso *)fs)->bytes);
}

static void areas(void *fs, qf_reader_area *tell, void *ctx)
{
	struct iso *x = fs;
	unsigned char d[SECTOR];
	int i;

	if (!tell(ctx, "volume descriptors", DESCRIPTORS_AT, SECTOR) ||
	    !qf_volume_read(x->v, d, SECTOR, DESCRIPTORS_AT))
		return;
	/* little-endian ones, then big-endian ones */
	for (i = 0; i < 4; i++) {
		const uint64_t at = i < 2 ? qf_le_get32(d, 140 + 4 * (size_t)i)
					  : __builtin_bswap32(qf_le_get32(
						    d, 140 + 4 * (size_t)i));

		if (at && !tell(ctx, "path table", at * x->block,
				qf_le_get32(d, 132)))
			return;
	}
}

/* The directory record at AT, which is at most 255 bytes; zeros behind. */
static bool read_record(struct iso *x, uint64_t at, unsigned char *r)
{
	memset(r, 0, 256);
	if (at < DESCRIPTORS_AT || at >= x->bytes)
		return false;
	qf_volume_read(x->v, r, 256, at);
	return r[0] >= 34 && r[32] && r[32] <= r[0] - 33;
}

static uint64_t root(void *fs)
{
	(void)fs;
	return ROOT_AT;
}

static bool inode(void *fs, uint64_t id, struct qf_inode *out)
{
	unsigned char r[256];

	if (!read_record(fs, id, r))
		return false;
	*out = (struct qf_inode){
		.id = id,
		.bytes = qf_le_get32(r, 10),
		.modified = qf_ident_time(1900 + r[18], r[19], r[20], r[21],
					  r[22], r[23]),
		.kind = r[25] & 2 ? QF_GUEST_DIRECTORY : QF_GUEST_FILE,
	};
	return true;
}

static void extents(void *fs, uint64_t id, qf_reader_extent *tell, void *ctx)
{
	struct iso *x = fs;
	unsigned char r[256];
	uint64_t off = 0, bytes;
	int part;

	/* a large file has several records behind each other */
	for (part = 0; part < MAX_PARTS && read_record(x, id, r); part++) {
		bytes = qf_le_get32(r, 10);
		if (bytes &&
		    !tell(ctx, off,
			  ((uint64_t)qf_le_get32(r, 2) + r[1]) * x->block,
			  qf_mem_round_up(bytes, x->block)))
			return;
		off += bytes;
		if (!(r[25] & 0x80))
			return;
		id += r[0];
	}
}

/* --- directories --- */

struct listing {
	struct iso *x;
	uint64_t dir;
	qf_reader_link *tell;
	void *ctx;
	bool done;
};

/* The name of Rock Ridge in the system use field of R; its length. */
static size_t rock_ridge(const unsigned char *r, char *name)
{
	size_t at = 33u + r[32] + !(r[32] % 2), n = 0, len;

	for (; at + 4 <= r[0] && r[at + 2] >= 4; at += len) {
		len = r[at + 2];
		if (at + len > r[0])
			break;
		if (memcmp(r + at, "NM", 2) || len < 5)
			continue;
		memcpy(name + n, r + at + 5, len - 5);
		n += len - 5;
	}
	return n;
}

/* The name by the standard, without its version. */
static size_t plain_name(const unsigned char *r, char *name)
{
	size_t n = r[32], i;

	memcpy(name, r + 33, n);
	for (i = 0; i < n; i++)
		if (name[i] == ';')
			n = i;
	return n > 1 && name[n - 1] == '.' ? n - 1 : n;
}

/* The records of one sector, where none reaches into the next. */
static void list_sector(struct listing *l, const unsigned char *s, uint64_t at)
{
	unsigned char r[256];
	char name[256];
	uint32_t i;
	bool more = false;
	size_t n;

	for (i = 0; i + 34 <= SECTOR && s[i] >= 34 && !l->done; i += s[i]) {
		if (i + s[i] > SECTOR)
			return;
		memset(r, 0, sizeof(r));
		memcpy(r, s + i, s[i]);
		if (r[32] > r[0] - 33 || !r[32])
			return;
		/* itself, its parent, and the further parts of a file */
		if ((r[32] == 1 && r[33] <= 1) || more) {
			more = r[25] & 0x80;
			continue;
		}
		more = r[25] & 0x80;
		n = rock_ridge(r, name);
		if (!n)
			n = plain_name(r, name);
		l->done = !l->tell(l->ctx, l->dir, at + i, name, n);
	}
}

static bool list_extent(void *ctx, uint64_t file_off, uint64_t start,
			uint64_t bytes)
{
	struct listing *l = ctx;
	unsigned char s[SECTOR];
	uint64_t at;

	(void)file_off;
	for (at = start; at < start + bytes && !l->done; at += SECTOR)
		if (qf_volume_read(l->x->v, s, SECTOR, at))
			list_sector(l, s, at);
	return !l->done;
}

static void links(void *fs, uint64_t dir, qf_reader_link *tell, void *ctx)
{
	struct listing l = { .x = fs, .dir = dir, .tell = tell, .ctx = ctx };
	struct qf_inode i;

	if (inode(fs, dir, &i) && i.kind == QF_GUEST_DIRECTORY)
		extents(fs, dir, list_extent, &l);
}

static void inodes(void *fs, qf_reader_inode *tell, void *ctx)
{
	qf_treewalk_inodes(&qf_fs_iso_reader, fs, tell, ctx);
}

const struct qf_reader qf_fs_iso_reader = {
	.probe = probe,
	.open = open_iso,
	.close = free,
	.use = use,
	.areas = areas,
	.root = root,
	.inodes = inodes,
	.inode = inode,
	.extents = extents,
	.links = links,
};
