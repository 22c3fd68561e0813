// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/judge/suits.h"
#include "lib/base/mem.h"
#include "lib/format/luks.h"
#include "lib/format/refblock.h"
#include "lib/walk/walk_l2.h"

#include <stdlib.h>
#include <string.h>

/* So many tables that an L1 table names are looked at. */
#define MAX_DEEP 8u
/* So many entries tell whether a table is suspect, and so many counts that a
 * cluster is no refcount block: most of them are wrong. */
#define MAX_LED 64u
#define FIRST_COUNTS 256u

struct look {
	const struct qf_facts *f;
	const struct qf_place_of *p;
	const unsigned char *buf;
	const struct qf_geometry *g;
	uint64_t size; /* of the file */
};

static uint64_t word(const unsigned char *buf, uint64_t i)
{
	struct qf_be64 w;

	memcpy(&w, buf + i * 8, sizeof(w));
	return qf_be_get64(w);
}

/* -- L2 tables -- */

/* True if something is the matter with the cluster that an entry leads to, or
 * nobody has it. */
static bool is_troubled(const struct look *l, uint64_t off)
{
	uint64_t cluster = off >> l->g->cluster_bits;

	return qf_recount_at(l->f->recount, cluster) ||
	       !qf_ledger_count(l->f->recount->ledger, cluster, NULL);
}

static uint64_t host_of(const struct look *l, uint64_t e)
{
	uint64_t off, bytes;

	if (!(e & QF_ENTRY_COMPRESSED))
		return e & QF_ENTRY_OFFSET_MASK;
	qf_entry_compressed(l->g, e, &off, &bytes);
	return off;
}

/* How many entries lead to a cluster, of the first MOST that do, and how many of
 * these to one that is in trouble; false if it is no L2 table. */
static bool count_entries(const struct look *l, const unsigned char *buf,
			  uint64_t most, uint64_t *led, uint64_t *troubled)
{
	uint64_t step = l->g->l2_entry_bytes / 8, i, e, bitmap;

	*led = *troubled = 0;
	for (i = 0; i < l->g->l2_entries && *led < most; i++) {
		e = word(buf, i * step);
		bitmap = l->g->extl2 ? word(buf, i * step + 1) : 0;
		if (qf_entry_l2_odd(l->g, l->f->img->hdr.version, l->size, e,
				    bitmap) &
		    ~(unsigned int)QF_ODD_DATA_FILE_PLAIN)
			return false;
		if (!host_of(l, e))
			continue;
		++*led;
		*troubled += is_troubled(l, host_of(l, e));
	}
	return true;
}

/* What a lost table leads to lacks an owner. */
static bool suits_l2(const struct look *l)
{
	uint64_t led, troubled;

	return count_entries(l, l->buf, UINT64_MAX, &led, &troubled) && led &&
	       (l->g->data_file || 2 * troubled >= led);
}

/* -- L1 tables -- */

/* True if what the L1 entry names could be an L2 table. */
static bool leads_to_l2(const struct look *l, uint64_t off, unsigned char *buf)
{
	uint64_t led, troubled;

	return !qf_io_read_pad(l->f->img->io, buf, l->g->cluster_bytes, off,
			       NULL) &&
	       count_entries(l, buf, UINT64_MAX, &led, &troubled);
}

static bool suits_l1(const struct look *l)
{
	uint64_t i, e, filled = 0, sound = 0, per = l->g->cluster_bytes / 8;
	unsigned char *buf = qf_mem_zalloc(1, l->g->cluster_bytes);
	bool ok = buf && qf_l2_is_zero(l->buf + l->p->entries * 8,
				       (per - l->p->entries) * 8);

	for (i = 0; ok && i < l->p->entries; i++) {
		e = word(l->buf, i);
		if (!e)
			continue;
		ok = (e & QF_ENTRY_OFFSET_MASK) &&
		     !qf_entry_l1_odd(l->g, l->size, e);
		if (ok && ++filled <= MAX_DEEP)
			sound += leads_to_l2(l, e & QF_ENTRY_OFFSET_MASK, buf);
	}
	free(buf);
	if (filled > MAX_DEEP)
		filled = MAX_DEEP;
	/* one of them may be damaged itself */
	return ok && filled && 4 * sound >= 3 * filled;
}

/* -- refcounts -- */

static bool suits_reftable(const struct look *l)
{
	uint64_t i, e, per = l->g->cluster_bytes / 8, filled = 0;

	for (i = 0; i < per; i++) {
		e = word(l->buf, i);
		if (e & (l->g->cluster_bytes - 1) || e >= l->size)
			return false;
		filled += e != 0;
	}
	/* what counts the file's first clusters is there */
	return filled && (l->p->index || word(l->buf, 0));
}

/* True if one byte fills it all: a guest writes that, too, and it says the same
 * of every cluster. */
static bool is_of_one_byte(const struct look *l)
{
	return !memcmp(l->buf, l->buf + 1, l->g->cluster_bytes - 1);
}

/* The counts of three clusters of four are as the uses, and nothing counts
 * behind the file. */
static bool suits_refblock(const struct look *l)
{
	uint64_t per = 1ull << l->g->refblock_bits, first = l->p->index * per;
	uint64_t n = qf_image_clusters(l->f->img), i, v, used = 0, same = 0;

	for (i = 0; i < per; i++) {
		v = qf_refblock_get(l->buf, l->f->img->hdr.refcount_order, i);
		if (!v && first + i >= n)
			continue;
		if (first + i >= n)
			return false;
		if (!v &&
		    !qf_ledger_count(l->f->recount->ledger, first + i, NULL))
			continue;
		used++;
		same += v ==
			qf_ledger_count(l->f->recount->ledger, first + i, NULL);
		if (used == FIRST_COUNTS && 2 * same < used)
			return false;
	}
	return used && 4 * same >= 3 * used;
}

/* -- others -- */

static bool is_place(const struct look *l, uint64_t off)
{
	return off && !(off & (l->g->cluster_bytes - 1)) && off < l->size;
}

static bool suits_snapshots(const struct look *l)
{
	struct qf_wire_snapshot w;
	uint32_t id, extra;

	memcpy(&w, l->buf, sizeof(w));
	id = qf_be_get16(w.id_len);
	extra = qf_be_get32(w.extra_len);
	return is_place(l, qf_be_get64(w.l1_table_offset)) &&
	       qf_be_get32(w.l1_size) && id && id < 64 && extra <= 64;
}

static bool suits_bitmap_dir(const struct look *l)
{
	struct qf_wire_bitmap w;

	memcpy(&w, l->buf, sizeof(w));
	return is_place(l, qf_be_get64(w.table_offset)) &&
	       w.type == QF_BITMAP_TYPE_DIRTY && qf_be_get16(w.name_len);
}

static bool suits_bitmap_table(const struct look *l)
{
	uint64_t i, e, per = l->g->cluster_bytes / 8, filled = 0;

	for (i = 0; i < per; i++) {
		e = word(l->buf, i);
		if (e & QF_BME_RESERVED_MASK ||
		    (e & ~QF_BME_ALL_ONES && !is_place(l, e)))
			return false;
		filled += e != 0;
	}
	return filled;
}

static bool suits_luks(const struct look *l)
{
	return !memcmp(l->buf, "LUKS\xba\xbe", 6);
}

static bool (*const kinds[QF_REF_KINDS])(const struct look *l) = {
	[QF_REF_L1] = suits_l1,
	[QF_REF_L2] = suits_l2,
	[QF_REF_REFTABLE] = suits_reftable,
	[QF_REF_REFBLOCK] = suits_refblock,
	[QF_REF_SNAPSHOT_TABLE] = suits_snapshots,
	[QF_REF_BITMAP_DIR] = suits_bitmap_dir,
	[QF_REF_BITMAP_TABLE] = suits_bitmap_table,
	[QF_REF_CRYPTO] = suits_luks,
};

bool qf_suits_is_suspect(const struct qf_facts *f, const struct qf_place_of *p,
			 const unsigned char *buf)
{
	struct look l = { f, p, buf, &f->img->geo, f->img->io->size };
	uint64_t led, troubled;

	if (p->kind != QF_REF_L2)
		return !kinds[p->kind] || !kinds[p->kind](&l);
	if (qf_facts_is_garbage(f, p->off) ||
	    !count_entries(&l, buf, MAX_LED, &led, &troubled))
		return true;
	if (!led)
		return f->refs_high || f->unknown;
	return !l.g->data_file && 2 * troubled >= led;
}

bool qf_suits_may_be_suspect(const struct qf_facts *f,
			     const struct qf_place_of *p)
{
	uint64_t per = 1ull << f->img->geo.refblock_bits;
	const struct qf_trouble *tr;

	if (p->kind != QF_REF_REFBLOCK)
		return true;
	tr = qf_recount_from(f->recount, p->index * per);
	return tr && tr < f->recount->trouble + f->recount->n_troubles &&
	       tr->first < (p->index + 1) * per;
}

bool qf_suits_knows(enum qf_ref_kind kind)
{
	return kinds[kind];
}

bool qf_suits(const struct qf_facts *f, const struct qf_place_of *p,
	      const unsigned char *buf)
{
	struct look l = { f, p, buf, &f->img->geo, f->img->io->size };

	return kinds[p->kind] && kinds[p->kind](&l) &&
	       (p->kind != QF_REF_REFBLOCK || !is_of_one_byte(&l));
}
