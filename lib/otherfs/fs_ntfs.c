// SPDX-License-Identifier: LGPL-2.1-or-later
/* NTFS: what it is, use, files, records of the master file table. */
#include "lib/guest/ident.h"
#include "lib/guest/le.h"
#include "lib/otherfs/ntfs_lib.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REFERENCE 0xffffffffffffull
/* Seconds from 1601 to the Epoch. */
#define EPOCH 11644473600

static int64_t time_of(const unsigned char *p, size_t at)
{
	return (int64_t)(qf_le_get64(p, at) / 10000000) - EPOCH;
}

/* --- what it is --- */

static bool see_volume(void *ctx, const struct qf_ntfs_attribute *a)
{
	struct qf_guest_fs *fs = ctx;

	if (a->type == QF_NTFS_VOLUME_NAME && a->resident)
		qf_ident_utf16(a->value, a->value_bytes / 2, fs->label,
			       sizeof(fs->label));
	if (a->type == QF_NTFS_VOLUME_INFO && a->resident &&
	    a->value_bytes >= 12)
		fs->clean = qf_le_get16(a->value, 10) & 1 ? QF_GUEST_UNCLEAN
							  : QF_GUEST_CLEAN;
	if (a->type == QF_NTFS_STANDARD && a->resident && a->value_bytes >= 16)
		fs->made = time_of(a->value, 0);
	return true;
}

/* A restart page of the log at B: its number of changes in *LSN, and whether
 * the volume was closed behind it. */
static bool read_restart(const unsigned char *b, uint64_t *lsn, bool *closed)
{
	uint32_t at = qf_le_get16(b, 24);

	if (memcmp(b, "RSTR", 4) || at < 48 || at > 400)
		return false;
	*lsn = qf_le_get64(b, at);
	*closed = qf_le_get16(b, at + 12) == 0xffff ||
		  qf_le_get16(b, at + 14) & 2;
	return true;
}

struct log {
	struct qf_ntfs *x;
	bool found, closed, empty;
};

/* The log begins with two restart pages; an empty one is all ones. */
static bool see_log_run(void *ctx, const struct qf_ntfs_run *run)
{
	struct log *l = ctx;
	uint64_t at = run->lcn * l->x->cluster, lsn, newest = 0;
	unsigned char b[512];
	bool closed, one;
	uint32_t i;

	if (run->lcn == QF_NOWHERE)
		return false;
	l->found = true;
	for (i = 0, one = false; i < 2; i++, at += 4096) {
		if (!qf_volume_read(l->x->v, b, sizeof(b), at))
			continue;
		if (!i && qf_le_get64(b, 0) == UINT64_MAX)
			l->empty = true;
		if (!read_restart(b, &lsn, &closed) || (one && lsn < newest))
			continue;
		one = true;
		newest = lsn;
		l->closed = closed;
	}
	return false;
}

static bool see_log(void *ctx, const struct qf_ntfs_attribute *a)
{
	struct log *l = ctx;

	if (a->type == QF_NTFS_DATA && !a->named && !a->vcn)
		qf_ntfs_each_run(l->x, a, see_log_run, l);
	return !l->found;
}

/* The mark of a dirty volume is for what is broken: one that is merely in
 * use has an open log. */
static void tell_log(struct qf_ntfs *x, struct qf_guest_fs *fs)
{
	struct log l = { .x = x };

	qf_ntfs_each_of(x, QF_NTFS_LOG, see_log, &l);
	if (!l.found || l.closed)
		return;
	if (!l.empty) {
		fs->clean = QF_GUEST_UNCLEAN;
		strcpy(fs->note, "its journal has not been replayed");
	} else if (fs->clean == QF_GUEST_CLEAN) {
		/* who empties it keeps none, and leaves no word at the end */
		fs->clean = QF_GUEST_CLEAN_UNKNOWN;
		strcpy(fs->note, "its journal is empty: whether it was closed "
				 "in order is not known");
	}
}

static bool probe(struct qf_volume *v, struct qf_guest_fs *fs)
{
	struct qf_ntfs x = { .v = v };
	unsigned char b[512];
	void *open = NULL;

	if (!qf_volume_read(v, b, sizeof(b), 0) || !qf_ntfs_parse(b, &x))
		return false;
	strcpy(fs->kind, "NTFS");
	snprintf(fs->uuid, sizeof(fs->uuid), "%016" PRIX64, qf_le_get64(b, 72));
	fs->block_bytes = x.cluster;
	fs->bytes = x.bytes;
	if (qf_ntfs_open(v, &open, NULL)) {
		strcpy(fs->note, "its master file table cannot be found");
		fs->opaque = true;
		return true;
	}
	qf_ntfs_each_of(open, QF_NTFS_VOLUME, see_volume, fs);
	tell_log(open, fs);
	qf_ntfs_close(open);
	return true;
}

/* --- use --- */

struct telling_use {
	struct qf_ntfs *x;
	qf_reader_use *tell;
	void *ctx;
	uint64_t left; /* bytes of the bitmap */
	bool stopped;
};

static void tell_bits(struct telling_use *t, const unsigned char *bits,
		      uint64_t first, uint64_t n)
{
	uint64_t i, k;
	bool used;

	if (first >= t->x->clusters)
		return;
	if (n > t->x->clusters - first)
		n = t->x->clusters - first;
	for (i = 0; i < n && !t->stopped; i = k) {
		used = bits[i / 8] >> (i % 8) & 1;
		for (k = i + 1; k < n && (bits[k / 8] >> (k % 8) & 1) == used;
		     k++)
			;
		t->stopped = !t->tell(t->ctx,
				      used ? QF_GUEST_USED : QF_GUEST_FREE,
				      (first + i) * t->x->cluster,
				      (k - i) * t->x->cluster);
	}
}

static bool see_bitmap_run(void *ctx, const struct qf_ntfs_run *run)
{
	struct telling_use *t = ctx;
	uint64_t at = 0, end = run->n * t->x->cluster;
	uint64_t first = run->vcn * t->x->cluster * 8;
	unsigned char b[4096];
	uint64_t n;

	for (; run->lcn != QF_NOWHERE && at < end && !t->stopped; at += n) {
		n = end - at < sizeof(b) ? end - at : sizeof(b);
		if (qf_volume_asked(t->x->v, (first + at * 8) * t->x->cluster,
				    n * 8 * t->x->cluster) &&
		    qf_volume_read(t->x->v, b, n,
				   run->lcn * t->x->cluster + at))
			tell_bits(t, b, first + at * 8, n * 8);
	}
	return !t->stopped;
}

static bool see_bitmap(void *ctx, const struct qf_ntfs_attribute *a)
{
	struct telling_use *t = ctx;

	if (a->type != QF_NTFS_DATA || a->named)
		return true;
	if (a->resident)
		tell_bits(t, a->value, 0, (uint64_t)a->value_bytes * 8);
	else
		qf_ntfs_each_run(t->x, a, see_bitmap_run, t);
	return !t->stopped;
}

static void use(void *fs, qf_reader_use *tell, void *ctx)
{
	struct telling_use t = { .x = fs, .tell = tell, .ctx = ctx };

	qf_ntfs_each_of(fs, QF_NTFS_BITMAP, see_bitmap, &t);
}

/* Its own files have names; but the last sector is behind all clusters. */
static void areas(void *fs, qf_reader_area *tell, void *ctx)
{
	struct qf_ntfs *x = fs;

	tell(ctx, "copy of the boot sector", x->bytes, 512);
}

/* --- files --- */

static uint64_t root(void *fs)
{
	(void)fs;
	return QF_NTFS_ROOT;
}

static bool see_facts(void *ctx, const struct qf_ntfs_attribute *a)
{
	struct qf_inode *i = ctx;

	if (a->type == QF_NTFS_STANDARD && a->resident && a->value_bytes >= 16)
		i->modified = time_of(a->value, 8);
	if (a->type == QF_NTFS_DATA && !a->named && !a->vcn)
		i->bytes = a->data_bytes;
	return true;
}

static bool inode(void *fs, uint64_t id, struct qf_inode *out)
{
	unsigned char r[QF_NTFS_MAX_RECORD];

	*out = (struct qf_inode){ .id = id, .modified = QF_GUEST_NO_TIME };
	if (!qf_ntfs_each_of(fs, id, see_facts, out) ||
	    !qf_ntfs_read_record(fs, id, r))
		return false;
	if (qf_le_get16(r, 22) & 2)
		out->kind = QF_GUEST_DIRECTORY;
	return true;
}

static void inodes(void *fs, qf_reader_inode *tell, void *ctx)
{
	struct qf_ntfs *x = fs;
	struct qf_inode i;
	uint64_t n;

	for (n = 0; n < x->records && !x->v->src->spent; n++)
		if (inode(fs, n, &i) && !tell(ctx, &i))
			return;
}

struct telling_extents {
	struct qf_ntfs *x;
	qf_reader_extent *tell;
	void *ctx;
	bool data; /* what the file itself holds */
	bool stopped;
};

static bool see_run(void *ctx, const struct qf_ntfs_run *run)
{
	struct telling_extents *t = ctx;

	if (run->lcn != QF_NOWHERE)
		t->stopped = !t->tell(
			t->ctx, t->data ? run->vcn * t->x->cluster : QF_NOWHERE,
			run->lcn * t->x->cluster, run->n * t->x->cluster);
	return !t->stopped;
}

static bool see_attribute(void *ctx, const struct qf_ntfs_attribute *a)
{
	struct telling_extents *t = ctx;

	t->data = a->type == QF_NTFS_DATA && !a->named;
	qf_ntfs_each_run(t->x, a, see_run, t);
	return !t->stopped;
}

static void extents(void *fs, uint64_t id, qf_reader_extent *tell, void *ctx)
{
	struct telling_extents t = { .x = fs, .tell = tell, .ctx = ctx };

	qf_ntfs_each_of(fs, id, see_attribute, &t);
}

/* --- what a file holds --- */

struct telling_parts {
	struct qf_ntfs *x;
	qf_reader_part *tell;
	void *ctx;
	uint64_t valid; /* bytes of it that were written */
	bool coded;
	bool stopped;
};

/* Files that Windows has packed are empty but for a mark of this tag. */
#define PACKED 0x80000017u

static bool see_kind(void *ctx, const struct qf_ntfs_attribute *a)
{
	struct telling_parts *t = ctx;

	if (a->type == QF_NTFS_REPARSE && a->resident && a->value_bytes >= 4 &&
	    qf_le_get32(a->value, 0) == PACKED)
		t->coded = true;
	if (a->type != QF_NTFS_DATA || a->named || a->resident || a->vcn)
		return true;
	t->valid = a->valid_bytes;
	t->coded |= a->coded;
	return true;
}

static void tell_part(struct telling_parts *t, const struct qf_guest_part *p)
{
	if (p->bytes && !t->stopped)
		t->stopped = !t->tell(t->ctx, p);
}

static bool see_part_run(void *ctx, const struct qf_ntfs_run *run)
{
	struct telling_parts *t = ctx;
	struct qf_guest_part p = { .file_off = run->vcn * t->x->cluster,
				   .bytes = run->n * t->x->cluster,
				   .start = run->lcn * t->x->cluster };
	uint64_t all = p.bytes, valid = 0;

	if (t->coded) {
		p.content = QF_GUEST_CODED;
		tell_part(t, &p);
		return !t->stopped;
	}
	if (run->lcn != QF_NOWHERE && t->valid > p.file_off)
		valid = t->valid - p.file_off < all ? t->valid - p.file_off
						    : all;
	p.bytes = valid;
	tell_part(t, &p);
	p.file_off += valid;
	p.bytes = all - valid;
	p.content = QF_GUEST_ZEROS;
	tell_part(t, &p);
	return !t->stopped;
}

static bool see_part(void *ctx, const struct qf_ntfs_attribute *a)
{
	struct telling_parts *t = ctx;
	struct qf_guest_part p = { .content = QF_GUEST_INLINE };

	if (a->type != QF_NTFS_DATA || a->named)
		return true;
	if (a->resident) {
		p.bytes = a->value_bytes;
		p.data = (unsigned char *)a->value;
		if (t->coded)
			p.content = QF_GUEST_CODED;
		tell_part(t, &p);
	} else {
		qf_ntfs_each_run(t->x, a, see_part_run, t);
	}
	return !t->stopped;
}

/* Holes are runs as well: what no run tells of is not known. */
static bool content(void *fs, uint64_t id, qf_reader_part *tell, void *ctx)
{
	struct telling_parts t = { .x = fs, .tell = tell, .ctx = ctx };

	if (qf_ntfs_each_of(fs, id, see_kind, &t))
		qf_ntfs_each_of(fs, id, see_part, &t);
	return false;
}

/* --- names: they stand in the records of the files --- */

struct telling_links {
	uint64_t id;
	qf_reader_link *tell;
	void *ctx;
	bool stopped;
};

static bool see_name(void *ctx, const struct qf_ntfs_attribute *a)
{
	struct telling_links *t = ctx;
	const unsigned char *p = a->value;
	char name[256 * 4];
	size_t n;

	/* of a file's two names, not the one for DOS */
	if (a->type != QF_NTFS_FILE_NAME || !a->resident ||
	    a->value_bytes < 66 || p[65] == 2 ||
	    66 + 2u * p[64] > a->value_bytes || t->id == QF_NTFS_ROOT)
		return true;
	n = qf_ident_utf16(p + 66, p[64], name, sizeof(name));
	t->stopped =
		!t->tell(t->ctx, qf_le_get64(p, 0) & REFERENCE, t->id, name, n);
	return !t->stopped;
}

static void links(void *fs, uint64_t dir, qf_reader_link *tell, void *ctx)
{
	struct telling_links t = { .tell = tell, .ctx = ctx };
	unsigned char r[QF_NTFS_MAX_RECORD];
	struct qf_ntfs *x = fs;
	uint64_t n, base;

	(void)dir;
	for (n = 0; n < x->records && !t.stopped && !x->v->src->spent; n++) {
		if (!qf_ntfs_read_record(x, n, r) || !(qf_le_get16(r, 22) & 1))
			continue;
		base = qf_le_get64(r, 32) & REFERENCE;
		t.id = base ? base : n;
		qf_ntfs_each(x, r, see_name, &t);
	}
}

const struct qf_reader qf_fs_ntfs_reader = {
	.probe = probe,
	.open = qf_ntfs_open,
	.close = qf_ntfs_close,
	.use = use,
	.areas = areas,
	.root = root,
	.inodes = inodes,
	.inode = inode,
	.extents = extents,
	.content = content,
	.links = links,
	.links_all = true,
	.any_case = true,
	.blocks = qf_ntfs_blocks,
	.loose = qf_ntfs_loose,
};
