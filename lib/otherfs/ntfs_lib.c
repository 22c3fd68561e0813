// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/otherfs/ntfs_lib.h"
#include "lib/guest/le.h"
#include "lib/base/mem.h"

#include <stdlib.h>
#include <string.h>

#define SECTOR 512u
/* Further records that a file can have; and a list of them. */
#define MAX_FURTHER 4096u
#define MAX_LIST (1u << 20)
#define REFERENCE 0xffffffffffffull

/* --- boot sector --- */

bool qf_ntfs_parse(const unsigned char *b, struct qf_ntfs *x)
{
	uint32_t sector = qf_le_get16(b, 11), unit = b[13];
	int8_t record = (int8_t)b[64];

	if (memcmp(b + 3, "NTFS    ", 8) || sector < 512 || sector > 4096 ||
	    (sector & (sector - 1)))
		return false;
	if (unit > 0x80) /* a power of two, negative */
		unit = unit >= 0xf4 ? 1u << (256 - unit) : 0;
	if (!unit || (unit & (unit - 1)) || unit * sector > 2u << 20)
		return false;
	x->cluster = unit * sector;
	if (record > 0)
		x->record = (uint32_t)record * x->cluster;
	else if (record <= -9 && record >= -12)
		x->record = 1u << -record;
	x->clusters = qf_le_get64(b, 40) / unit;
	return x->record >= 512 && x->record <= QF_NTFS_MAX_RECORD &&
	       !(x->record & (x->record - 1)) && x->clusters &&
	       x->clusters <= INT64_MAX / x->cluster &&
	       qf_mem_mul(qf_le_get64(b, 40), sector, &x->bytes) &&
	       qf_mem_mul(qf_le_get64(b, 48), x->cluster, &x->mft_at) &&
	       qf_mem_mul(qf_le_get64(b, 56), x->cluster, &x->mirror_at);
}

/* --- records --- */

bool qf_ntfs_fix(const char *magic, unsigned char *b, uint32_t bytes)
{
	uint32_t at = qf_le_get16(b, 4), n = qf_le_get16(b, 6), i;
	unsigned char *end;

	if (memcmp(b, magic, 4) || n != bytes / SECTOR + 1 || at % 2 ||
	    at < 40 || at + 2 * n > SECTOR - 2)
		return false;
	for (i = 1; i < n; i++) {
		end = b + i * SECTOR - 2;
		if (memcmp(end, b + at, 2))
			return false;
		memcpy(end, b + at + 2 * i, 2);
	}
	return true;
}

bool qf_ntfs_fix_record(const struct qf_ntfs *x, unsigned char *r)
{
	return qf_le_get16(r, 4) >= 42 && qf_ntfs_fix("FILE", r, x->record);
}

uint64_t qf_ntfs_record_place(const struct qf_ntfs *x, uint64_t n)
{
	uint64_t at = n * x->record, vcn = at / x->cluster;
	const struct qf_ntfs_run *r;
	size_t i;

	if (n >= x->records)
		return QF_NOWHERE;
	for (i = 0; i < x->n_runs; i++) {
		r = &x->run[i];
		if (vcn >= r->vcn && vcn - r->vcn < r->n)
			return (r->lcn - r->vcn) * x->cluster + at;
	}
	return QF_NOWHERE;
}

bool qf_ntfs_read_record(struct qf_ntfs *x, uint64_t n, unsigned char *r)
{
	uint64_t at = qf_ntfs_record_place(x, n);

	return at != QF_NOWHERE && qf_volume_read(x->v, r, x->record, at) &&
	       qf_ntfs_fix_record(x, r) && qf_le_get32(r, 44) == n;
}

/* --- attributes --- */

static bool parse_attribute(const unsigned char *p, uint32_t bytes,
			    struct qf_ntfs_attribute *a)
{
	uint32_t at;

	memset(a, 0, sizeof(*a));
	a->type = qf_le_get32(p, 0);
	a->bytes = bytes;
	a->resident = !p[8];
	a->named = p[9];
	a->name_bytes = 2u * p[9];
	at = qf_le_get16(p, 10);
	if (at > bytes || a->name_bytes > bytes - at)
		return false;
	a->name = p + at;
	at = qf_le_get16(p, a->resident ? 20 : 32);
	if (a->resident) {
		a->value_bytes = qf_le_get32(p, 16);
		a->data_bytes = a->value_bytes;
		a->value = p + at;
		return at <= bytes && a->value_bytes <= bytes - at;
	}
	if (bytes < 64 || at > bytes)
		return false;
	a->vcn = qf_le_get64(p, 16);
	a->data_bytes = qf_le_get64(p, 48);
	a->valid_bytes = qf_le_get64(p, 56);
	a->coded = qf_le_get16(p, 12) & 0x40ff;
	a->runs = p + at;
	a->runs_bytes = bytes - at;
	return a->vcn <= INT64_MAX;
}

void qf_ntfs_each(const struct qf_ntfs *x, const unsigned char *r,
		  qf_ntfs_see *see, void *ctx)
{
	uint32_t at = qf_le_get16(r, 20), end = qf_le_get32(r, 24), bytes;
	struct qf_ntfs_attribute a;

	if (end > x->record)
		end = x->record;
	for (; at % 8 == 0 && at + 24 <= end; at += bytes) {
		bytes = qf_le_get32(r, at + 4);
		if (qf_le_get32(r, at) == UINT32_MAX || bytes < 24 ||
		    bytes > end - at)
			return;
		if (parse_attribute(r + at, bytes, &a) && !see(ctx, &a))
			return;
	}
}

void qf_ntfs_each_run(const struct qf_ntfs *x,
		      const struct qf_ntfs_attribute *a, qf_ntfs_see_run *see,
		      void *ctx)
{
	struct qf_ntfs_run r = { .vcn = a->vcn };
	uint32_t at = 0, lengths, places;
	int64_t lcn = 0;

	if (a->resident)
		return;
	while (at < a->runs_bytes && a->runs[at]) {
		lengths = a->runs[at] & 15;
		places = a->runs[at] >> 4;
		if (!lengths || lengths > 8 || places > 8 ||
		    at + 1 + lengths + places > a->runs_bytes)
			return;
		r.n = qf_le_get(a->runs, at + 1, lengths);
		r.lcn = QF_NOWHERE;
		if (places) {
			/* a difference, with its sign */
			lcn += (int64_t)(qf_le_get(a->runs, at + 1 + lengths,
						   places)
					 << (64 - 8 * places)) >>
			       (64 - 8 * places);
			r.lcn = (uint64_t)lcn;
			if (r.lcn >= x->clusters || r.n > x->clusters - r.lcn)
				return;
		}
		if (!r.n || r.n > INT64_MAX - r.vcn || !see(ctx, &r))
			return;
		r.vcn += r.n;
		at += 1 + lengths + places;
	}
}

/* --- files of several records --- */

struct further {
	struct qf_ntfs *x;
	uint64_t n;	     /* of the first record */
	unsigned char *list; /* owned */
	uint64_t bytes, room;
	uint64_t seen[MAX_FURTHER];
	uint32_t n_seen;
};

static bool read_list_run(void *ctx, const struct qf_ntfs_run *run)
{
	struct further *f = ctx;
	uint64_t n = run->n * f->x->cluster;

	if (run->lcn == QF_NOWHERE)
		return false;
	if (n > f->room - f->bytes)
		n = f->room - f->bytes;
	qf_volume_read(f->x->v, f->list + f->bytes, n,
		       run->lcn * f->x->cluster);
	f->bytes += n;
	return f->bytes < f->room;
}

static bool see_list(void *ctx, const struct qf_ntfs_attribute *a)
{
	struct further *f = ctx;

	if (a->type != QF_NTFS_LIST || f->list)
		return true;
	f->room = a->data_bytes < MAX_LIST ? a->data_bytes : MAX_LIST;
	f->list = qf_mem_zalloc(1, f->room + 1);
	if (!f->list)
		return false;
	if (a->resident) {
		memcpy(f->list, a->value, f->room);
		f->bytes = f->room;
	} else {
		qf_ntfs_each_run(f->x, a, read_list_run, f);
	}
	return false;
}

/* Whether record N is a further one that was not seen yet. */
static bool is_new(const struct further *f, uint64_t n)
{
	uint32_t i;

	for (i = 0; i < f->n_seen; i++)
		if (f->seen[i] == n)
			return false;
	return n && n != f->n;
}

/* The further records that the list names, each once. */
static void see_further(struct further *f, qf_ntfs_see *see, void *ctx)
{
	unsigned char r[QF_NTFS_MAX_RECORD];
	uint64_t at, bytes, n;

	for (at = 0; at + 24 <= f->bytes; at += bytes) {
		bytes = qf_le_get16(f->list, at + 4);
		n = qf_le_get64(f->list, at + 16) & REFERENCE;
		if (bytes < 24 || f->n_seen == MAX_FURTHER)
			return;
		if (!is_new(f, n))
			continue;
		f->seen[f->n_seen++] = n;
		if (qf_ntfs_read_record(f->x, n, r) &&
		    (qf_le_get64(r, 32) & REFERENCE) == f->n)
			qf_ntfs_each(f->x, r, see, ctx);
	}
}

bool qf_ntfs_each_of(struct qf_ntfs *x, uint64_t n, qf_ntfs_see *see, void *ctx)
{
	unsigned char r[QF_NTFS_MAX_RECORD];
	struct further f;

	if (!qf_ntfs_read_record(x, n, r) || !(qf_le_get16(r, 22) & 1) ||
	    qf_le_get64(r, 32) & REFERENCE)
		return false;
	qf_ntfs_each(x, r, see, ctx);
	/* most have no list, and seen is large: it is left as it is */
	f.x = x;
	f.n = n;
	f.list = NULL;
	f.bytes = f.room = 0;
	f.n_seen = 0;
	qf_ntfs_each(x, r, see_list, &f);
	see_further(&f, see, ctx);
	free(f.list);
	return true;
}

/* --- the table --- */

static bool add_run(void *ctx, const struct qf_ntfs_run *run)
{
	struct qf_ntfs *x = ctx;

	if (run->lcn == QF_NOWHERE || !qf_mem_grow((void **)&x->run, x->n_runs,
						   &x->room, sizeof(*x->run)))
		return false;
	x->run[x->n_runs++] = *run;
	x->records = (run->vcn + run->n) * x->cluster / x->record;
	return true;
}

static bool see_table(void *ctx, const struct qf_ntfs_attribute *a)
{
	struct qf_ntfs *x = ctx;
	uint64_t known =
		x->n_runs ? x->run[x->n_runs - 1].vcn + x->run[x->n_runs - 1].n
			  : 0;

	/* further records go on where the ones before end */
	if (a->type != QF_NTFS_DATA || a->named || a->vcn != known)
		return true;
	if (!a->vcn)
		x->table_bytes = a->valid_bytes;
	qf_ntfs_each_run(x, a, add_run, x);
	return true;
}

static bool load_table(struct qf_ntfs *x, uint64_t at)
{
	unsigned char r[QF_NTFS_MAX_RECORD];

	if (!qf_volume_read(x->v, r, x->record, at) ||
	    !qf_ntfs_fix_record(x, r))
		return false;
	qf_ntfs_each(x, r, see_table, x);
	if (!x->n_runs)
		return false;
	qf_ntfs_each_of(x, QF_NTFS_MFT, see_table, x);
	/* there may be those of an older file system behind */
	if (x->table_bytes && x->table_bytes / x->record < x->records)
		x->records = x->table_bytes / x->record;
	return true;
}

enum qf_err qf_ntfs_open(struct qf_volume *v, void **fs, struct qf_why *why)
{
	struct qf_ntfs *x = qf_mem_zalloc(1, sizeof(*x));
	unsigned char b[SECTOR];

	if (!x)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory for its tables");
	x->v = v;
	qf_volume_read(v, b, sizeof(b), 0);
	if (qf_ntfs_parse(b, x) &&
	    (load_table(x, x->mft_at) || load_table(x, x->mirror_at))) {
		*fs = x;
		return QF_OK;
	}
	qf_ntfs_close(x);
	return qf_err_set(why, QF_ERR_FORMAT, 0, QF_NOWHERE,
			  "its master file table cannot be found");
}

void qf_ntfs_close(void *fs)
{
	struct qf_ntfs *x = fs;

	if (x)
		free(x->run);
	free(x);
}
