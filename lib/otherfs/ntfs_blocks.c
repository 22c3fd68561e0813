// SPDX-License-Identifier: LGPL-2.1-or-later
/* NTFS: records of the master file table, which state their number, their
 * copies, and blocks of indexes, which state their place in the index. */
#include "lib/guest/le.h"
#include "lib/otherfs/ntfs_lib.h"

#include <stdlib.h>
#include <string.h>

struct seeing {
	struct qf_ntfs *x;
	qf_reader_block *tell;
	void *ctx;
	uint64_t first; /* the record of the bitmap's next bit */
	bool stopped;
};

static void tell_block(struct seeing *s, const char *what, uint64_t at,
		       uint32_t bytes, uint64_t parent, enum qf_guest_state st)
{
	struct qf_guest_block b = { .start = at,
				    .bytes = bytes,
				    .says = st == QF_GUEST_HOLDS ? at
								 : QF_NOWHERE,
				    .parent = parent,
				    .bond = QF_GUEST_BY_NUMBER,
				    .state = st };

	if (s->stopped || !qf_volume_asked(s->x->v, at, bytes))
		return;
	strcpy(b.what, what);
	s->stopped = !s->tell(s->ctx, &b);
}

static enum qf_guest_state state_of(bool read, bool holds)
{
	return !read   ? QF_GUEST_UNREAD
	       : holds ? QF_GUEST_HOLDS
		       : QF_GUEST_FAILS;
}

/* Whether R is record N; before version 3.1 they did not bear a number. */
static bool is_record(const struct qf_ntfs *x, unsigned char *r, uint64_t n)
{
	return qf_ntfs_fix_record(x, r) &&
	       (qf_le_get16(r, 4) < 48 || qf_le_get32(r, 44) == n);
}

/* One that is not in use may be anything. */
static void see_record(struct seeing *s, uint64_t n, bool used)
{
	unsigned char r[QF_NTFS_MAX_RECORD];
	uint64_t at = qf_ntfs_record_place(s->x, n);
	bool read;

	if (!used || at == QF_NOWHERE ||
	    !qf_volume_asked(s->x->v, at, s->x->record))
		return;
	read = qf_volume_read(s->x->v, r, s->x->record, at);
	tell_block(s, "file record", at, s->x->record, s->x->mft_at,
		   state_of(read, is_record(s->x, r, n)));
}

static void see_bits(struct seeing *s, const unsigned char *bits, uint64_t n)
{
	uint64_t i;

	for (i = 0; i < n && !s->stopped; i++, s->first++)
		see_record(s, s->first, bits[i / 8] >> (i % 8) & 1);
}

static bool see_bits_run(void *ctx, const struct qf_ntfs_run *run)
{
	struct seeing *s = ctx;
	unsigned char b[512];
	uint64_t at, end = run->n * s->x->cluster;

	s->first = run->vcn * s->x->cluster * 8;
	for (at = 0; at < end && !s->stopped && s->first < s->x->records;
	     at += sizeof(b))
		if (qf_volume_read(s->x->v, b, sizeof(b),
				   run->lcn * s->x->cluster + at))
			see_bits(s, b, sizeof(b) * 8);
		else
			s->first += sizeof(b) * 8;
	return !s->stopped;
}

static bool see_table_bits(void *ctx, const struct qf_ntfs_attribute *a)
{
	struct seeing *s = ctx;

	if (a->type != QF_NTFS_BITS)
		return true;
	if (a->resident)
		see_bits(s, a->value, (uint64_t)a->value_bytes * 8);
	else
		qf_ntfs_each_run(s->x, a, see_bits_run, s);
	return !s->stopped;
}

/* The first records are kept twice. */
static void see_mirror(struct seeing *s)
{
	unsigned char r[QF_NTFS_MAX_RECORD];
	uint64_t at = s->x->mirror_at;
	uint32_t n;
	bool read;

	for (n = 0; n < 4; n++, at += s->x->record) {
		read = qf_volume_read(s->x->v, r, s->x->record, at);
		tell_block(s, "copy of a file record", at, s->x->record, 0,
			   state_of(read, is_record(s->x, r, n)));
	}
}

/* --- indexes: directories, and what the system has --- */

#define MAX_INDEXES 8u
#define MAX_NAME 64u
#define MAX_BITS 65536u /* bytes: of half a million blocks */
#define MAX_INDEX_BLOCK 65536u

struct index {
	unsigned char name[MAX_NAME];
	uint32_t name_bytes;
	uint32_t block;	     /* bytes; 0: not known */
	unsigned char *bits; /* owned; which of its blocks are in use */
	uint32_t n_bits;
};

struct indexes {
	struct seeing *s;
	uint64_t record; /* whose they are */
	struct index at[MAX_INDEXES];
	uint32_t n;
	struct index *now;
	uint64_t in; /* bytes of its bitmap that were read */
};

static struct index *index_of(struct indexes *l,
			      const struct qf_ntfs_attribute *a)
{
	struct index *i;
	uint32_t k;

	for (k = 0; k < l->n; k++)
		if (l->at[k].name_bytes == a->name_bytes &&
		    !memcmp(l->at[k].name, a->name, a->name_bytes))
			return &l->at[k];
	if (l->n == MAX_INDEXES || a->name_bytes > MAX_NAME)
		return NULL;
	i = &l->at[l->n++];
	memcpy(i->name, a->name, a->name_bytes);
	i->name_bytes = a->name_bytes;
	return i;
}

static bool read_bits_run(void *ctx, const struct qf_ntfs_run *run)
{
	struct indexes *l = ctx;
	uint64_t n = run->n * l->s->x->cluster, room = l->now->n_bits - l->in;

	if (n > room)
		n = room;
	/* what cannot be read is taken for not in use */
	if (run->lcn != QF_NOWHERE)
		qf_volume_read(l->s->x->v, l->now->bits + l->in, n,
			       run->lcn * l->s->x->cluster);
	l->in += n;
	return l->in < l->now->n_bits;
}

static void read_bits(struct indexes *l, const struct qf_ntfs_attribute *a)
{
	if (l->now->bits || a->vcn)
		return;
	l->now->n_bits = a->data_bytes < MAX_BITS ? (uint32_t)a->data_bytes
						  : MAX_BITS;
	l->now->bits = calloc(1, l->now->n_bits + 1);
	l->in = 0;
	if (!l->now->bits)
		l->now->n_bits = 0;
	else if (a->resident)
		memcpy(l->now->bits, a->value, l->now->n_bits);
	else
		qf_ntfs_each_run(l->s->x, a, read_bits_run, l);
}

static bool find_indexes(void *ctx, const struct qf_ntfs_attribute *a)
{
	struct indexes *l = ctx;
	uint32_t bytes;

	if (a->type != QF_NTFS_INDEX_ROOT && a->type != QF_NTFS_BITS)
		return true;
	l->now = index_of(l, a);
	if (!l->now)
		return true;
	if (a->type == QF_NTFS_BITS) {
		read_bits(l, a);
	} else if (a->resident && a->value_bytes >= 12) {
		bytes = qf_le_get32(a->value, 8);
		if (bytes >= 512 && bytes <= MAX_INDEX_BLOCK &&
		    !(bytes & (bytes - 1)))
			l->now->block = bytes;
	}
	return true;
}

/* Block N of the index, which stands at AT. */
static void see_index_block(struct indexes *l, uint64_t n, uint64_t at)
{
	static unsigned char b[MAX_INDEX_BLOCK];
	const struct qf_ntfs *x = l->s->x;
	const uint32_t bytes = l->now->block;
	const uint32_t unit = x->cluster <= bytes ? x->cluster : 512;
	bool read;

	if (n / 8 >= l->now->n_bits || !(l->now->bits[n / 8] >> (n % 8) & 1) ||
	    !qf_volume_asked(x->v, at, bytes))
		return;
	read = qf_volume_read(x->v, b, bytes, at);
	tell_block(l->s, "index block", at, bytes,
		   qf_ntfs_record_place(x, l->record),
		   state_of(read,
			    qf_ntfs_fix("INDX", b, bytes) &&
				    qf_le_get64(b, 16) == n * bytes / unit));
}

/* Those blocks that lie in one piece. */
static bool see_index_run(void *ctx, const struct qf_ntfs_run *run)
{
	struct indexes *l = ctx;
	const uint64_t cluster = l->s->x->cluster, bytes = l->now->block;
	uint64_t off = run->vcn * cluster, end = off + run->n * cluster, n;

	for (n = (off + bytes - 1) / bytes;
	     run->lcn != QF_NOWHERE && (n + 1) * bytes <= end && !l->s->stopped;
	     n++)
		see_index_block(l, n, run->lcn * cluster + n * bytes - off);
	return !l->s->stopped;
}

static bool see_index(void *ctx, const struct qf_ntfs_attribute *a)
{
	struct indexes *l = ctx;

	if (a->type != QF_NTFS_INDEX)
		return true;
	l->now = index_of(l, a);
	if (l->now && l->now->block && l->now->bits)
		qf_ntfs_each_run(l->s->x, a, see_index_run, l);
	return !l->s->stopped;
}

static void see_indexes(struct seeing *s, uint64_t n)
{
	struct indexes l = { .s = s, .record = n };
	uint32_t i;

	if (qf_ntfs_each_of(s->x, n, find_indexes, &l) && l.n)
		qf_ntfs_each_of(s->x, n, see_index, &l);
	for (i = 0; i < l.n; i++)
		free(l.at[i].bits);
}

/* --- all of them --- */

void qf_ntfs_blocks(void *fs, qf_reader_block *tell, void *ctx)
{
	struct seeing s = { .x = fs, .tell = tell, .ctx = ctx };
	uint64_t n;

	qf_ntfs_each_of(fs, QF_NTFS_MFT, see_table_bits, &s);
	see_mirror(&s);
	for (n = 0; n < s.x->records && !s.stopped && !s.x->v->src->spent; n++)
		see_indexes(&s, n);
}

void qf_ntfs_loose(void *fs, const unsigned char *bytes, uint32_t n,
		   qf_reader_block *tell, void *ctx)
{
	struct qf_guest_block b = { .parent = QF_NOWHERE,
				    .bond = QF_GUEST_BY_NUMBER,
				    .what = "file record" };
	unsigned char r[QF_NTFS_MAX_RECORD];
	struct qf_ntfs *x = fs;

	b.bytes = x->record;
	for (; n - b.start >= x->record; b.start += x->record) {
		memcpy(r, bytes + b.start, x->record);
		/* one that was never in use bears any number */
		if (!qf_ntfs_fix_record(x, r) || !(qf_le_get16(r, 22) & 1))
			continue;
		b.says = qf_ntfs_record_place(x, qf_le_get32(r, 44));
		if (b.says != QF_NOWHERE && !tell(ctx, &b))
			return;
	}
}
