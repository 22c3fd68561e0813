// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The snapshot table. Where all its entries are found, it is written anew,
 * with an id of its own for each; where the refcounts prove which L1 tables
 * the others had, they get new entries. Else the header counts those that can
 * be read, and what the others held stays allocated. A table that the header
 * forgot is named again.
 */
#include "lib/base/mem.h"
#include "repair/search/orphan.h"
#include "repair/search/relist.h"
#include "repair/search/snaptable.h"
#include "repair/plan/space.h"
#include "repair/write/stop.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_OFF offsetof(struct qf_wire_header, nb_snapshots)
#define TABLE_OFF offsetof(struct qf_wire_header, snapshots_offset)
#define MAX_ORPHANS 65536u
/* A candidate is read on while its entries go on: so much at first, which
 * is room for any entry, and so much of all together. */
#define FIRST_BYTES 4096u
#define MAX_READ (512ull << 20)

/* The table that the header names, with its entries as they are to be. */
static enum qf_err read_own(struct qf_snaptable *t, const struct qf_fix_ctx *c,
			    struct qf_why *why)
{
	const struct qf_snapshot_table *s = &c->img->snapshots;
	uint32_t count = s->stated < QF_MAX_SNAPSHOTS ? s->stated
						      : QF_MAX_SNAPSHOTS;
	enum qf_err err;
	bool known, ok;

	err = qf_snaptable_read(t, c->img, s->off,
				s->bytes + (uint64_t)count * 2048 + 65536, why);
	if (err)
		return err;
	/* a wrong length of the extra data may lie to the reader */
	known = s->n && s->n == s->stated &&
		(s->resumed || (s->state == QF_SNAPSHOTS_OK &&
				!qf_fix_found(c, QF_P_SNAP_ENTRY_GARBLED) &&
				!qf_fix_found(c, QF_P_SNAP_EXTRA_SHORT) &&
				!qf_fix_found(c, QF_P_SNAP_EXTRA_LONG)));
	ok = known ? qf_snaptable_take_known(t, s)
		   : qf_snaptable_take(t, count);
	if (ok && qf_snaptable_give_ids(t, c->plan) && qf_snaptable_compose(t))
		return QF_OK;
	return qf_err_set(why, QF_ERR_NOMEM, 0, s->off,
			  "no memory for the snapshot table");
}

/* The header counts N snapshots from now on. */
static enum qf_err set_count(struct qf_fix_ctx *c, enum qf_problem p,
			     uint32_t n, struct qf_why *why)
{
	struct qf_be32 w = qf_be_put32(n);

	c->plan->snapshots_relisted = true;
	return qf_plan_put(c->plan, p, COUNT_OFF, &w, sizeof(w), why,
			   "let the header count %" PRIu32
			   " snapshots, which can be read, instead of "
			   "%" PRIu32,
			   n, c->img->snapshots.stated);
}

static enum qf_err write_anew(struct qf_fix_ctx *c, enum qf_problem p,
			      const struct qf_snaptable *t, struct qf_why *why)
{
	uint64_t bytes =
		qf_mem_round_up(t->out_bytes, c->img->geo.cluster_bytes);
	unsigned char *buf = qf_mem_zalloc(1, bytes);
	enum qf_err err;
	uint64_t off;

	if (!buf)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory for the snapshot table");
	memcpy(buf, t->out, t->out_bytes);
	err = qf_space_take(c, bytes >> c->img->geo.cluster_bits, &off, why);
	if (!err)
		err = qf_plan_put(c->plan, p, off, buf, bytes, why,
				  "write the snapshot table with its %" PRIu32
				  " entries anew",
				  t->n);
	if (!err)
		err = qf_plan_put64(c->plan, p, TABLE_OFF, off, why,
				    "point the header to it");
	if (!err && c->img->snapshots.bytes &&
	    !qf_ranges_add(&c->plan->released, c->img->snapshots.off,
			   qf_mem_round_up(c->img->snapshots.bytes,
					   c->img->geo.cluster_bytes)))
		err = qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				 "no memory for the plan");
	free(buf);
	return err;
}

/*
 * Snapshots whose entries are gone get new ones, if the refcounts prove which
 * L1 tables were theirs; their names and dates are gone. Where the file was
 * cut, others are gone with their L1 tables, and were counted as well. *DONE:
 * so it is.
 */
static enum qf_err relist(struct qf_fix_ctx *c, enum qf_problem p,
			  struct qf_snaptable *t, bool *done,
			  struct qf_why *why)
{
	struct qf_l1find_table l1[QF_RELIST_MOST];
	uint32_t n = qf_relist_find(c, l1, !c->plan->cut_told), i;
	unsigned char *out;
	enum qf_err err;

	*done = n && n <= c->img->snapshots.stated - t->n && qf_fix_can_take(c);
	if (!*done)
		return QF_OK;
	out = qf_mem_zalloc(1, t->out_bytes + (uint64_t)n * QF_RELIST_BYTES);
	if (!out)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory for the snapshot table");
	memcpy(out, t->out, t->out_bytes);
	free(t->out);
	t->out = out;
	for (i = 0; i < n; i++)
		t->out_bytes += qf_relist_entry(c->img, &l1[i], ++t->most,
						out + t->out_bytes);
	t->n += n;
	err = write_anew(c, p, t, why);
	return err ? err : set_count(c, p, t->n, why);
}

/* There is no table, and no snapshot. */
static enum qf_err drop_pointer(struct qf_fix_ctx *c, enum qf_problem p,
				struct qf_why *why)
{
	unsigned char none[12] = { 0 };

	c->plan->snapshots_relisted = true;
	return qf_plan_put(c->plan, p, TABLE_OFF - 4, none, sizeof(none), why,
			   "let the header count no snapshots, and point to no "
			   "table of them: %s",
			   c->plan->cut_told ? "they were cut off with the file"
					     : "every cluster has its owner");
}

/* True if the entry's L1 table was cut off with the file. */
static bool is_cut_off(const struct qf_fix_ctx *c, const struct qf_snaptable *t,
		       const struct qf_snaptable_entry *e)
{
	struct qf_wire_snapshot f;

	memcpy(&f, t->buf + e->at, sizeof(f));
	return qf_cut_took(&c->plan->cut, qf_be_get64(f.l1_table_offset));
}

/* Those snapshots are left of whose tables something is still in the file. */
static enum qf_err drop_cut(struct qf_fix_ctx *c, struct qf_why *why)
{
	const struct qf_snapshot_table *s = &c->img->snapshots;
	enum qf_problem p = s->n < s->stated ? QF_P_SNAP_TABLE_CUT
					     : QF_P_SNAP_L1_OUTSIDE;
	struct qf_snaptable t;
	enum qf_err err;
	uint32_t i, n;
	bool ok;

	if (!qf_plan_allows(c->plan, p))
		return QF_OK;
	err = qf_snaptable_read(&t, c->img, s->off, s->bytes + 65536, why);
	ok = !err && qf_snaptable_take_known(&t, s);
	for (i = n = 0; ok && i < t.n; i++)
		if (!is_cut_off(c, &t, &t.entry[i]))
			t.entry[n++] = t.entry[i];
	t.n = n;
	if (!err && (!ok || !qf_snaptable_compose(&t)))
		err = qf_err_set(why, QF_ERR_NOMEM, 0, s->off,
				 "no memory for the snapshot table");
	c->plan->snapshots_cut |= n < s->stated;
	if (!err && n < s->stated && n)
		err = write_anew(c, p, &t, why);
	if (!err && n < s->stated)
		err = n ? set_count(c, p, n, why) : drop_pointer(c, p, why);
	qf_snaptable_free(&t);
	return err;
}

/* True if the end of the file took snapshots with it, and nothing else is
 * wrong. */
static bool has_cut(const struct qf_fix_ctx *c)
{
	const struct qf_snapshot_table *s = &c->img->snapshots;
	uint32_t i;

	if (!c->plan->cut_told || s->state == QF_SNAPSHOTS_OFFSET)
		return false;
	for (i = 0; i < s->n; i++)
		if (qf_cut_took(&c->plan->cut, s->snap[i].l1_off))
			return true;
	return s->state == QF_SNAPSHOTS_CUT;
}

/* The table is where it should be, and something in it is wrong. */
static enum qf_err fix_table(struct qf_fix_ctx *c, enum qf_problem p,
			     struct qf_why *why)
{
	const struct qf_snapshot_table *s = &c->img->snapshots;
	struct qf_snaptable t;
	enum qf_err err = read_own(&t, c, why);
	bool fewer, done = false;

	fewer = !err && t.n < s->stated && !s->resumed && !t.cut;
	/* some of its entries were none: other ones stand for them now */
	c->plan->snapshots_relisted |= s->whole < s->n;
	if (fewer && c->recount.leaked)
		err = relist(c, p, &t, &done, why);
	if (!err && !done && t.n && !t.same && (t.n == s->stated || t.ends) &&
	    qf_fix_can_take(c))
		err = write_anew(c, p, &t, why);
	/* a smaller count would cut off the good ones behind a bad one */
	if (!err && !done && fewer && (t.ends || s->state)) {
		/* what cannot be read may have held more than is known */
		c->plan->snapshots_cut |= !t.ends || c->recount.leaked;
		err = set_count(c, p, t.n, why);
	}
	qf_snaptable_free(&t);
	return err;
}

/* The finding that a table was forgotten, or NULL. */
static const struct qf_finding *forgotten(const struct qf_fix_ctx *c)
{
	const struct qf_finding *f = c->rep->findings.at;
	size_t i;

	for (i = 0; i < c->rep->findings.n; i++, f++)
		if (f->problem == QF_P_SNAP_ORPHANS &&
		    f->host_off != QF_NOWHERE)
			return f;
	return NULL;
}

/* True if the entries of T from FIRST on are snapshots that nobody lists. */
static bool are_lost(const struct qf_fix_ctx *c, const struct qf_snaptable *t,
		     uint32_t first)
{
	struct qf_l1find_table l1[QF_RELIST_MOST];
	struct qf_wire_snapshot f;
	uint32_t i, n = t->n - first;

	if (t->n <= first || n > QF_RELIST_MOST)
		return false;
	for (i = 0; i < n; i++) {
		memcpy(&f, t->buf + t->entry[first + i].at, sizeof(f));
		l1[i].off = qf_be_get64(f.l1_table_offset);
		l1[i].end = qf_be_get32(f.l1_size);
	}
	return qf_relist_proves(c, l1, n, false);
}

/* The header has forgotten a table, or its last entries. */
static enum qf_err list_again(struct qf_fix_ctx *c, struct qf_why *why)
{
	const struct qf_snapshot_table *s = &c->img->snapshots;
	const struct qf_finding *f = forgotten(c);
	struct qf_snaptable t = { 0 };
	enum qf_err err = QF_OK;
	uint64_t count;

	if (!f || !qf_plan_allows(c->plan, QF_P_SNAP_ORPHANS) ||
	    (s->stated && s->off != f->host_off))
		return QF_OK;
	count = s->stated + f->count;
	if (count > QF_MAX_SNAPSHOTS)
		return QF_OK;
	err = qf_snaptable_read(&t, c->img, f->host_off, count * 2048 + 65536,
				why);
	if (!err && !qf_snaptable_take(&t, (uint32_t)count))
		err = qf_err_set(why, QF_ERR_NOMEM, 0, f->host_off,
				 "no memory for the snapshot table");
	if (!err && t.n == count && are_lost(c, &t, s->stated)) {
		err = qf_plan_put64(c->plan, QF_P_SNAP_ORPHANS, TABLE_OFF,
				    f->host_off, why,
				    "point the header to the snapshot table");
		if (!err)
			err = set_count(c, QF_P_SNAP_ORPHANS, t.n, why);
	}
	qf_snaptable_free(&t);
	return err;
}

/* True if T's entries fill what was read of it: there may be more. */
static bool runs_on(const struct qf_snaptable *t)
{
	const struct qf_snaptable_entry *e;

	if (!t->n)
		return false;
	e = &t->entry[t->n - 1];
	return e->at + QF_SNAPTABLE_FIXED + e->extra + e->id + e->name +
		       FIRST_BYTES >
	       t->room;
}

/* Sets *WHOLE if COUNT entries stand at OFF; takes what it reads of LEFT. */
static enum qf_err try_table(const struct qf_image *img, uint64_t off,
			     uint32_t count, uint64_t *left, bool *whole,
			     struct qf_why *why)
{
	uint64_t most = FIRST_BYTES, all = (uint64_t)count * 2048 + 65536;
	enum qf_err err = QF_OK;
	bool more = true;
	struct qf_snaptable t;

	for (*whole = false; !err && more && most <= *left; most *= 8) {
		*left -= most;
		err = qf_snaptable_read(&t, img, off, most, why);
		if (!err && !qf_snaptable_take(&t, count))
			err = qf_err_set(why, QF_ERR_NOMEM, 0, off,
					 "no memory for the snapshot table");
		*whole = !err && t.n == count;
		more = !err && !*whole && t.room == most && most < all &&
		       runs_on(&t);
		qf_snaptable_free(&t);
	}
	if (more) /* there was no end of it */
		*left = 0;
	return err;
}

/* The table was cut off with the file: those snapshots are listed again whose
 * L1 tables are still there. */
static enum qf_err list_cut(struct qf_fix_ctx *c, bool *done,
			    struct qf_why *why)
{
	struct qf_snaptable t = { 0 };
	enum qf_err err = relist(c, QF_P_SNAP_TABLE_OFFSET, &t, done, why);

	/* with all of them there, what has no owner was none of theirs */
	if (*done && t.n == c->img->snapshots.stated)
		c->plan->cut_frees = false;
	qf_snaptable_free(&t);
	return err;
}

/* The header points astray: is there one table that nobody names? */
static enum qf_err find_table(struct qf_fix_ctx *c, struct qf_why *why)
{
	const struct qf_trouble *tr = c->recount.trouble;
	uint64_t found = 0, cl, off, seen = 0, left = MAX_READ;
	uint32_t count = c->img->snapshots.stated;
	enum qf_err err = QF_OK;
	unsigned int n = 0;
	bool whole = false;
	size_t i;

	c->plan->snapshots_cut |= count && c->plan->cut_told;
	if (count && c->plan->cut_told)
		err = list_cut(c, &whole, why);
	if (err || whole)
		return err;
	if (!count || c->plan->cut_told)
		return drop_pointer(c, QF_P_SNAP_TABLE_OFFSET, why);
	if (count > QF_MAX_SNAPSHOTS && c->recount.leaked)
		return QF_OK;
	for (i = 0; !err && i < c->recount.n_troubles; i++, tr++) {
		for (cl = tr->first;
		     tr->stated > tr->counted && cl < tr->first + tr->n &&
		     !err && seen < MAX_ORPHANS && !qf_stop_asked();
		     cl++, seen++) {
			off = cl << c->img->geo.cluster_bits;
			if (!qf_orphan_is(c, off))
				continue;
			err = try_table(c->img, off, count, &left, &whole, why);
			if (!err && whole) {
				found = off;
				n++;
			}
		}
	}
	if (!err && !n && !c->recount.leaked)
		return drop_pointer(c, QF_P_SNAP_TABLE_OFFSET, why);
	/* what was not looked at could be one as well */
	if (err || n != 1 || left < FIRST_BYTES || qf_stop_asked())
		return err;
	c->plan->snapshots_relisted = true;
	return qf_plan_put64(c->plan, QF_P_SNAP_TABLE_OFFSET, TABLE_OFF, found,
			     why, "point the header to the snapshot table");
}

/* True if someone else owns the cluster where the table should be. */
static bool is_anothers(const struct qf_fix_ctx *c)
{
	const struct qf_snapshot_table *t = &c->img->snapshots;

	return qf_fix_shared(c, t->off) ||
	       (!t->bytes &&
		qf_ledger_count(c->recount.ledger,
				t->off >> c->img->geo.cluster_bits, NULL));
}

enum qf_err qf_fix_snapshots(struct qf_fix_ctx *c, struct qf_why *why)
{
	static const enum qf_problem problems[] = {
		[QF_SNAPSHOTS_COUNT] = QF_P_SNAP_COUNT,
		[QF_SNAPSHOTS_OFFSET] = QF_P_SNAP_TABLE_OFFSET,
		[QF_SNAPSHOTS_UNREADABLE] = QF_P_SNAP_TABLE_UNREADABLE,
		[QF_SNAPSHOTS_CUT] = QF_P_SNAP_TABLE_CUT,
		[QF_SNAPSHOTS_GARBLED] = QF_P_SNAP_ENTRY_GARBLED,
	};
	static const enum qf_problem of_entries[] = {
		QF_P_SNAP_ENTRY_GARBLED, QF_P_SNAP_EXTRA_SHORT,
		QF_P_SNAP_EXTRA_LONG, QF_P_SNAP_ID_TWICE, QF_P_SNAP_ID_EMPTY
	};
	enum qf_snapshot_state state = c->img->snapshots.state;
	enum qf_problem p = problems[state];
	size_t had = c->plan->n, i;
	enum qf_err err;

	if (state == QF_SNAPSHOTS_UNREADABLE || c->img->geo.data_file)
		return QF_OK;
	if (has_cut(c))
		return drop_cut(c, why);
	if (state == QF_SNAPSHOTS_OK) {
		for (i = 0; i < sizeof(of_entries) / sizeof(p); i++)
			if (qf_fix_found(c, of_entries[i]) &&
			    qf_plan_allows(c->plan, of_entries[i]))
				break;
		if (i == sizeof(of_entries) / sizeof(p))
			return list_again(c, why);
		p = of_entries[i];
	}
	if (!qf_plan_allows(c->plan, p))
		return QF_OK;
	if (state == QF_SNAPSHOTS_OFFSET)
		return find_table(c, why);
	/* what stands there may be another's: then the pointer is wrong */
	if (is_anothers(c) && qf_plan_allows(c->plan, QF_P_SNAP_TABLE_OFFSET)) {
		err = find_table(c, why);
		if (err || c->plan->n != had)
			return err;
	}
	return fix_table(c, p, why);
}
