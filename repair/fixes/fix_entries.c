// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * L2 entries that break the format's rules. A damaged word has no good bits:
 * what takes its place is built from what is known without it, above all from
 * the refcounts. A pointer that leads nowhere is restored if one cluster fits,
 * given up if there is nothing that it could have meant, and else left alone.
 * Tables that hold no L2 entries at all are not touched.
 */
#include "lib/base/mem.h"
#include "repair/fixes/fix.h"
#include "repair/plan/decide.h"
#include "repair/gate/payload.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SUB_ALLOC 0xffffffffull
#define SUB_ZERO (SUB_ALLOC << 32)

/* An odd entry of one table. */
struct odd_entry {
	uint64_t table_off;
	uint32_t l1_index, index;
	uint64_t entry, bitmap;
	unsigned int odd;
	bool active; /* the active disk has the table */
	/* what becomes of it */
	const char *what;
	bool lost;
};

struct work {
	struct qf_fix_ctx *c;
	struct odd_entry *e;
	size_t n, room;
};

static const struct {
	unsigned int odd;
	enum qf_problem problem;
} problems[] = {
	{ QF_ODD_RESERVED, QF_P_L2_RESERVED },
	{ QF_ODD_UNALIGNED, QF_P_L2_UNALIGNED },
	{ QF_ODD_PAST_END, QF_P_L2_OUTSIDE },
	{ QF_ODD_COMPRESSED_COPIED, QF_P_L2_COMPRESSED_COPIED },
	{ QF_ODD_COMPRESSED_DATA_FILE, QF_P_L2_COMPRESSED_DATA_FILE },
	{ QF_ODD_COMPRESSED_BITMAP, QF_P_L2_COMPRESSED_BITMAP },
	{ QF_ODD_SUB_BOTH, QF_P_L2_SUB_BOTH },
	{ QF_ODD_SUB_NO_CLUSTER, QF_P_L2_SUB_NO_CLUSTER },
	{ QF_ODD_ZERO_V2, QF_P_L2_ZERO_V2 },
	{ QF_ODD_ZERO_EXTL2, QF_P_L2_ZERO_EXTL2 },
	{ QF_ODD_NOT_GUEST_OFF, QF_P_L2_NOT_GUEST_OFFSET },
	{ QF_ODD_DATA_FILE_PLAIN, QF_P_COPIED_L2 },
	{ QF_ODD_COPIED_NOTHING, QF_P_L2_COPIED_NOTHING },
};

#define N_PROBLEMS (sizeof(problems) / sizeof(problems[0]))

/* The gravest of the entry's problems; -1 if one of them is not allowed. */
static int problem_of(const struct qf_plan *p, unsigned int odd)
{
	int found = -1;
	size_t i;

	for (i = 0; i < N_PROBLEMS; i++) {
		if (!(odd & problems[i].odd))
			continue;
		if (!qf_plan_allows(p, problems[i].problem))
			return -1;
		if (found < 0 ||
		    qf_problem_get(problems[i].problem)->risk >
			    qf_problem_get((enum qf_problem)found)->risk)
			found = (int)problems[i].problem;
	}
	return found;
}

static bool keep(struct work *w, const struct qf_group *grp,
		 const struct qf_run *r, uint32_t v)
{
	const struct qf_l2_table *t = &w->c->walk.table[grp->first + v];
	struct odd_entry *e;

	if (qf_fix_shared(w->c, t->off) || t->odd)
		return true;
	if (!qf_mem_grow((void **)&w->e, w->n, &w->room, sizeof(*e)))
		return false;
	e = &w->e[w->n++];
	memset(e, 0, sizeof(*e));
	e->table_off = t->off;
	e->l1_index = grp->l1_index;
	e->index = r->index;
	e->entry = r->entry;
	e->bitmap = r->bitmap;
	e->odd = r->odd;
	e->active = t->active;
	return true;
}

static bool see_runs(void *ctx, unsigned int me, const struct qf_group *grp,
		     const struct qf_run *r, size_t n)
{
	struct work *w = ctx;
	bool ok = true;
	uint32_t v;

	(void)me;
	for (; ok && n; n--, r++)
		for (v = 0; r->odd && ok && v < grp->n; v++)
			if (!r->members || r->members[v / 64] >> (v % 64) & 1)
				ok = keep(w, grp, r, v);
	return ok;
}

/* Entry INDEX of the table; 0 if it has none. */
static uint64_t word_at(const struct qf_image *img, uint64_t table_off,
			uint32_t index)
{
	struct qf_be64 e;

	if (index >= img->geo.l2_entries ||
	    qf_io_read_pad(img->io, &e, sizeof(e),
			   table_off +
				   (uint64_t)index * img->geo.l2_entry_bytes,
			   NULL))
		return 0;
	return qf_be_get64(e);
}

/* True if E may have read as zeros, as an entry beside it does, and the data
 * in the file may be other ones. */
static bool may_be_zeros(const struct qf_image *img, const struct odd_entry *e)
{
	const uint64_t flags = QF_ENTRY_COMPRESSED | QF_ENTRY_ZERO;

	return !img->geo.extl2 && img->hdr.version >= 3 &&
	       e->entry & QF_ENTRY_ZERO &&
	       ((word_at(img, e->table_off, e->index - 1) & flags) ==
			QF_ENTRY_ZERO ||
		(word_at(img, e->table_off, e->index + 1) & flags) ==
			QF_ENTRY_ZERO);
}

static uint64_t guest_off(const struct qf_image *img, const struct odd_entry *e)
{
	return (((uint64_t)e->l1_index << img->geo.l2_bits) + e->index)
	       << img->geo.cluster_bits;
}

/* The entry that names the data cluster at OFF, and nothing else. */
static uint64_t word_for(const struct qf_fix_ctx *c, const struct odd_entry *e,
			 uint64_t off)
{
	uint64_t stated = 0;

	if (!c->img->geo.data_file &&
	    (!e->active ||
	     qf_fix_refcount(c, off >> c->img->geo.cluster_bits, &stated)))
		stated = 0;
	return off |
	       (c->img->geo.data_file || stated == 1 ? QF_ENTRY_COPIED : 0);
}

/* True if the counts bear out the data cluster that the entry names: it is
 * allocated, and no one else's. */
static bool is_borne_out(const struct qf_fix_ctx *c, const struct odd_entry *e)
{
	uint64_t off = e->entry & QF_ENTRY_OFFSET_MASK, stated;

	return off && !(off & (c->img->geo.cluster_bytes - 1)) &&
	       off < c->img->io->size && !qf_fix_shared(c, off) &&
	       !qf_fix_refcount(c, off >> c->img->geo.cluster_bits, &stated) &&
	       stated;
}

/* What the guest read there before was zeros, or an error; subclusters without
 * a place go on showing the backing file. */
static void give_up(const struct qf_fix_ctx *c, struct odd_entry *e)
{
	bool v3 = c->img->hdr.version >= 3;

	e->lost = true;
	e->what = "give up an L2 entry whose cluster is gone; the guest reads "
		  "zeros there";
	e->entry = v3 && !c->img->geo.extl2 ? QF_ENTRY_ZERO : 0;
	e->bitmap = c->img->geo.extl2 ? (e->bitmap & SUB_ZERO) |
						(e->bitmap & SUB_ALLOC) << 32
				      : 0;
}

/* Names the cluster at OFF; false: it is left as it is. */
static bool restore(const struct qf_fix_ctx *c, struct odd_entry *e,
		    uint64_t off)
{
	if (may_be_zeros(c->img, e) && !qf_payload_is_blank(c->img, off))
		return false;
	e->entry = word_for(c, e, off);
	return true;
}

/* What a pointer that leads nowhere had, as the judge has it; false: it is left
 * as it is. */
static bool mend_pointer(const struct qf_fix_ctx *c, struct odd_entry *e)
{
	uint64_t place =
		e->table_off + (uint64_t)e->index * c->img->geo.l2_entry_bytes;
	uint64_t found;

	switch (qf_decide(c->plan, c->rep, QF_QUESTION_ENTRY, place, &found,
			  NULL)) {
	case QF_DECIDE_VALUE:
		e->what = "point the L2 entry back to the cluster that it had";
		return restore(c, e, found);
	case QF_DECIDE_GONE:
		/* counts that were behind do not tell that nothing is there;
		 * the next repair finds them made anew, and must know it */
		if (c->plan->no_parts) {
			c->plan->kept_unowned = true;
			return false;
		}
		give_up(c, e);
		return true;
	case QF_DECIDE_AS_IS:
		give_up(c, e);
		return true;
	default:
		return false;
	}
}

/* True if nothing of the entry is against the rules but the flag that calls it
 * compressed: a compressed one has bits where no other entry has any. */
static bool is_flag_alone(const struct qf_image *img, const struct odd_entry *e)
{
	return !qf_entry_l2_odd(&img->geo, img->hdr.version, img->io->size,
				e->entry & ~QF_ENTRY_COMPRESSED, e->bitmap);
}

/* A compressed cluster, if one is there; else the flag may be the damage. */
static bool mend_compressed(const struct qf_fix_ctx *c, struct odd_entry *e)
{
	e->what = "put the flags of the L2 entry right";
	if (qf_payload_inflates(c->img, e->entry)) {
		e->entry &= ~QF_ENTRY_COPIED;
		e->bitmap = 0;
		return true;
	}
	if (is_flag_alone(c->img, e) && is_borne_out(c, e))
		return restore(c, e, e->entry & QF_ENTRY_OFFSET_MASK);
	if (!(e->odd & QF_ODD_PAST_END) || c->recount.leaked)
		return false;
	give_up(c, e);
	return true;
}

/* The data file has each cluster at its guest offset. A raw one has the zeros
 * that a flag may stand for as well. */
static bool mend_in_data_file(const struct qf_fix_ctx *c, struct odd_entry *e)
{
	bool raw = c->img->hdr.autoclear & QF_AUTOCLEAR_RAW_DATA;

	if (!raw && (may_be_zeros(c->img, e) ||
		     (e->entry & QF_ENTRY_ZERO && !c->img->geo.extl2 &&
		      !(e->odd & QF_ODD_UNALIGNED))))
		return false;
	e->entry = word_for(c, e, guest_off(c->img, e));
	e->what = "point the L2 entry to its place in the data file";
	return true;
}

/* The guest reads past what is odd, and goes on reading what it reads: a
 * flag is set or cleared that the entry is known to have or not to have. */
static bool mend_readable(const struct qf_fix_ctx *c, struct odd_entry *e)
{
	uint64_t off = e->entry & QF_ENTRY_OFFSET_MASK;
	uint64_t zero = c->img->geo.extl2 ? 0 : e->entry & QF_ENTRY_ZERO;
	uint64_t bits = e->entry & QF_L2_RESERVED_MASK;

	e->what = "put the flags of the L2 entry right";
	if (c->img->geo.data_file && !bits) {
		e->entry = word_for(c, e, off) | zero;
		return true;
	}
	if (!c->img->geo.data_file && off && !is_borne_out(c, e) &&
	    c->recount.leaked)
		return mend_pointer(c, e);
	/* zeros, or the data that stand there? */
	if (off && zero && c->img->geo.data_file)
		return mend_in_data_file(c, e);
	if (off && zero && !qf_payload_is_blank(c->img, off))
		return false;
	/* one bit too many, or what is left of a pointer? */
	if (!off && c->recount.leaked && bits & (bits - 1))
		return false;
	e->entry = (off ? word_for(c, e, off) : 0) | zero;
	return true;
}

/* With two bits that contradict each other the bitmap is damaged in one place;
 * with more of them, the others say nothing either. */
static bool mend_bitmap(struct odd_entry *e)
{
	uint64_t both = (e->bitmap >> 32) & e->bitmap & SUB_ALLOC;

	e->what = "let the subcluster read what stands in the cluster";
	e->bitmap &= ~(both << 32);
	return !(both & (both - 1));
}

static bool mend_entry(const struct qf_fix_ctx *c, struct odd_entry *e)
{
	const unsigned int dead = QF_ODD_UNALIGNED | QF_ODD_PAST_END |
				  QF_ODD_SUB_NO_CLUSTER | QF_ODD_COPIED_NOTHING;
	const unsigned int flags = QF_ODD_RESERVED | QF_ODD_ZERO_EXTL2 |
				   QF_ODD_DATA_FILE_PLAIN;
	uint64_t off = e->entry & QF_ENTRY_OFFSET_MASK;

	if (e->odd & (QF_ODD_RESERVED | QF_ODD_UNALIGNED) &&
	    qf_payload_inflates(c->img, e->entry | QF_ENTRY_COMPRESSED)) {
		e->entry |= QF_ENTRY_COMPRESSED;
		return mend_compressed(c, e);
	}
	if (!(e->odd & ~flags))
		return mend_readable(c, e);
	if (c->img->geo.data_file)
		return mend_in_data_file(c, e);
	if (e->entry & QF_ENTRY_COMPRESSED)
		return mend_compressed(c, e);
	e->what = "put the flags of the L2 entry right";
	if (is_borne_out(c, e))
		return restore(c, e, off);
	if (e->odd & QF_ODD_ZERO_V2 && !off) {
		e->what = "clear the flag of an L2 entry that names nothing";
		e->entry = 0;
		return !c->recount.leaked;
	}
	return e->odd & dead ? mend_pointer(c, e) : false;
}

/* Finds what is to become of E; false: nothing. */
static bool decide(const struct qf_fix_ctx *c, struct odd_entry *e)
{
	const struct qf_image *img = c->img;
	unsigned int odd = e->odd;

	if (odd & QF_ODD_SUB_BOTH && !mend_bitmap(e))
		return false;
	e->odd &= ~(unsigned int)QF_ODD_SUB_BOTH;
	if (e->odd && !mend_entry(c, e))
		return false;
	/* what shows the backing file, or zeros, goes on doing so */
	if (e->lost && odd & (QF_ODD_SUB_NO_CLUSTER | QF_ODD_COPIED_NOTHING))
		e->entry = 0;
	return !qf_entry_l2_odd(&img->geo, img->hdr.version, img->io->size,
				e->entry, e->bitmap);
}

static enum qf_err plan_entry(struct qf_fix_ctx *c, struct odd_entry *e,
			      struct qf_why *why)
{
	const struct qf_image *img = c->img;
	uint64_t was = e->entry, was_bitmap = e->bitmap, size, bytes;
	int problem = problem_of(c->plan, e->odd);
	struct qf_be64 w[2];
	uint32_t holder = QF_HOLDER_ACTIVE;

	if (problem < 0 || !decide(c, e) ||
	    (e->entry == was && e->bitmap == was_bitmap))
		return QF_OK;
	w[0] = qf_be_put64(e->entry);
	w[1] = qf_be_put64(e->bitmap);
	bytes = img->geo.cluster_bytes;
	size = img->geo.l2_entry_bytes;
	if (e->lost) {
		qf_walk_holders(&c->walk, e->l1_index, e->table_off, &holder,
				1);
		if (!qf_plan_lose(c->plan, holder, guest_off(img, e), bytes))
			return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
					  "no memory for the plan");
	}
	return qf_plan_put(c->plan, (enum qf_problem)problem,
			   e->table_off + e->index * size, w, size, why,
			   "%s (guest offset 0x%" PRIx64 ")", e->what,
			   guest_off(img, e));
}

static bool any_odd(const struct qf_fix_ctx *c)
{
	unsigned int k;

	for (k = 0; k < QF_ODD_KINDS; k++)
		if (c->recount.odd[k])
			return true;
	return false;
}

enum qf_err qf_fix_entries(struct qf_fix_ctx *c, struct qf_why *why)
{
	struct work w = { .c = c };
	struct qf_visitor v = { .ctx = &w, .runs = see_runs };
	uint64_t last = QF_NOWHERE;
	enum qf_err err = QF_OK;
	bool skip = false;
	size_t i;

	if (any_odd(c))
		err = qf_walk_run(&c->walk, 1, &v, why);
	if (err == QF_ERR_STOPPED)
		err = qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				 "no memory for the plan");
	for (i = 0; !err && i < w.n; i++) {
		if (w.e[i].table_off != last)
			skip = qf_fix_garbage(c, w.e[i].table_off);
		last = w.e[i].table_off;
		if (!skip)
			err = plan_entry(c, &w.e[i], why);
	}
	free(w.e);
	return err;
}
