// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The snapshot table. Entries whose extra data have a wrong length are told
 * apart by what must follow: a printable id and name, and then the next
 * entry. Where all entries are found so, the table is written anew; where
 * not, the header counts those that can be read, and what the others held
 * stays allocated.
 */
#include "lib/mem.h"
#include "repair/orphan.h"
#include "repair/space.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_OFF offsetof(struct qf_wire_header, nb_snapshots)
#define TABLE_OFF offsetof(struct qf_wire_header, snapshots_offset)
#define FIXED sizeof(struct qf_wire_snapshot)
#define KNOWN sizeof(struct qf_wire_snapshot_extra)
#define MAX_ORPHANS 65536u

/* A table under examination, and what it shall become. */
struct table {
	const struct qf_image *img;
	unsigned char *buf; /* the bytes as they are */
	uint64_t room;
	unsigned char *out;
	uint64_t out_bytes;
	uint32_t n; /* whole entries */
	bool ends;  /* behind them there is nothing */
	bool same;  /* each entry had the right length already */
};

static bool printable(const unsigned char *s, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if (s[i] < 0x20 || s[i] == 0x7f)
			return false;
	return true;
}

/* True if the entry at AT can be one, with EXTRA bytes of extra data. */
static bool fits(const struct table *t, uint64_t at, uint64_t extra)
{
	const struct qf_wire_snapshot *f =
		(const struct qf_wire_snapshot *)(t->buf + at);
	uint32_t id = qf_be_get16(f->id_len), name = qf_be_get16(f->name_len);
	uint64_t off = qf_be_get64(f->l1_table_offset);
	uint64_t end;

	if (!qf_mem_add(at + FIXED + id + name, extra, &end) || end > t->room)
		return false;
	return id && id < 128 && name < 1024 && off &&
	       !(off & (t->img->geo.cluster_bytes - 1)) &&
	       off < t->img->io->size &&
	       qf_be_get32(f->l1_size) <= QF_MAX_L1_BYTES / 8 &&
	       printable(t->buf + at + FIXED + extra, id + name);
}

/* Appends the entry at AT, whose extra data are EXTRA bytes. */
static void append(struct table *t, uint64_t at, uint64_t extra)
{
	struct qf_wire_snapshot f;
	struct qf_wire_snapshot_extra x;
	uint64_t strings, keep = extra < KNOWN ? extra : KNOWN;
	unsigned char *out = t->out + t->out_bytes;

	memcpy(&f, t->buf + at, FIXED);
	strings = (uint64_t)qf_be_get16(f.id_len) + qf_be_get16(f.name_len);
	memset(&x, 0, sizeof(x));
	memcpy(&x, t->buf + at + FIXED, keep);
	if (keep < 8)
		x.vm_state_size = qf_be_put64(qf_be_get32(f.vm_state_size));
	if (keep < 16)
		x.disk_size = qf_be_put64(t->img->hdr.disk_bytes);
	if (keep < 16)
		keep = 16;
	if (keep != qf_be_get32(f.extra_len))
		t->same = false;
	f.extra_len = qf_be_put32((uint32_t)keep);
	memcpy(out, &f, FIXED);
	memcpy(out + FIXED, &x, keep);
	memcpy(out + FIXED + keep, t->buf + at + FIXED + extra, strings);
	t->out_bytes =
		qf_mem_round_up(t->out_bytes + FIXED + keep + strings, 8);
}

/* True if nothing is written at AT. */
static bool is_blank(const struct table *t, uint64_t at)
{
	uint64_t i;

	for (i = at; i < t->room && i < at + FIXED; i++)
		if (t->buf[i])
			return false;
	return true;
}

/* Takes as many entries as there are, COUNT at most. */
static void take_entries(struct table *t, uint32_t count)
{
	uint64_t at = 0, choice[4] = { 0, KNOWN, 16, 0 };
	const struct qf_wire_snapshot *f;
	unsigned int i;

	t->same = true;
	for (t->n = 0; t->n < count && at + FIXED <= t->room; t->n++) {
		f = (const struct qf_wire_snapshot *)(t->buf + at);
		choice[0] = qf_be_get32(f->extra_len);
		for (i = 0; i < 4 && !fits(t, at, choice[i]); i++)
			;
		if (i == 4)
			break;
		append(t, at, choice[i]);
		at = qf_mem_round_up(at + FIXED + choice[i] +
					     qf_be_get16(f->id_len) +
					     qf_be_get16(f->name_len),
				     8);
	}
	t->ends = is_blank(t, at);
}

/* Reads the table at OFF. */
static enum qf_err read_table(struct table *t, const struct qf_image *img,
			      uint64_t off, uint32_t count, struct qf_why *why)
{
	uint64_t most = (uint64_t)count * 2048 + 65536;
	enum qf_err err;

	memset(t, 0, sizeof(*t));
	t->img = img;
	t->room = img->io->size > off ? img->io->size - off : 0;
	if (t->room > QF_MAX_SNAPSHOT_TABLE_BYTES)
		t->room = QF_MAX_SNAPSHOT_TABLE_BYTES;
	if (t->room > most)
		t->room = most;
	t->buf = qf_mem_zalloc(1, t->room + FIXED);
	t->out = qf_mem_zalloc(1, t->room + (uint64_t)count * 64 + 4096);
	if (!t->buf || !t->out)
		return qf_err_set(why, QF_ERR_NOMEM, 0, off,
				  "no memory for the snapshot table");
	err = qf_io_read_pad(img->io, t->buf, t->room, off, why);
	if (!err)
		take_entries(t, count);
	return err;
}

static void free_table(struct table *t)
{
	free(t->buf);
	free(t->out);
	memset(t, 0, sizeof(*t));
}

/* The header counts N snapshots from now on. */
static enum qf_err set_count(struct qf_fix_ctx *c, enum qf_problem p,
			     uint32_t n, struct qf_why *why)
{
	struct qf_be32 w = qf_be_put32(n);

	return qf_plan_put(c->plan, p, COUNT_OFF, &w, sizeof(w), why,
			   "let the header count %" PRIu32
			   " snapshots, which can be read, instead of "
			   "%" PRIu32,
			   n, c->img->snapshots.stated);
}

static enum qf_err write_anew(struct qf_fix_ctx *c, enum qf_problem p,
			      const struct table *t, struct qf_why *why)
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
	if (!err && !qf_ranges_add(&c->plan->released, c->img->snapshots.off,
				   qf_mem_round_up(c->img->snapshots.bytes,
						   c->img->geo.cluster_bytes)))
		err = qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				 "no memory for the plan");
	free(buf);
	return err;
}

/* The table is where it should be, and something in it is wrong. */
static enum qf_err fix_table(struct qf_fix_ctx *c, enum qf_problem p,
			     struct qf_why *why)
{
	const struct qf_snapshot_table *s = &c->img->snapshots;
	uint32_t count = s->stated < QF_MAX_SNAPSHOTS ? s->stated
						      : QF_MAX_SNAPSHOTS;
	struct table t;
	enum qf_err err = read_table(&t, c->img, s->off, count, why);

	if (err) {
		free_table(&t);
		return err;
	}
	if (t.n && !t.same && (t.n == s->stated || t.ends))
		err = write_anew(c, p, &t, why);
	/* a smaller count would cut off the good ones behind a bad one */
	if (!err && t.n < s->stated && !s->resumed && (t.ends || s->state)) {
		/* what cannot be read may have held more than is known */
		c->plan->snapshots_cut |= !t.ends;
		err = set_count(c, p, t.n, why);
	}
	free_table(&t);
	return err;
}

/* The header points astray: is there one table that nobody names? */
static enum qf_err find_table(struct qf_fix_ctx *c, struct qf_why *why)
{
	const struct qf_trouble *tr = c->tally.trouble;
	uint64_t found = 0, cl, off, seen = 0;
	uint32_t count = c->img->snapshots.stated;
	enum qf_err err = QF_OK;
	unsigned int n = 0;
	struct table t;
	size_t i;

	if (count > QF_MAX_SNAPSHOTS)
		return QF_OK;
	for (i = 0; !err && i < c->tally.n_troubles; i++, tr++) {
		for (cl = tr->first;
		     tr->stated > tr->counted && cl < tr->first + tr->n &&
		     !err && seen < MAX_ORPHANS;
		     cl++, seen++) {
			off = cl << c->img->geo.cluster_bits;
			if (!qf_orphan_is(c, off))
				continue;
			err = read_table(&t, c->img, off, count, why);
			if (!err && t.n == count) {
				found = off;
				n++;
			}
			free_table(&t);
		}
	}
	if (err || n != 1)
		return err;
	return qf_plan_put64(c->plan, QF_P_SNAP_TABLE_OFFSET, TABLE_OFF, found,
			     why, "point the header to the snapshot table");
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
	enum qf_snapshot_state state = c->img->snapshots.state;
	enum qf_problem p = problems[state];

	if (state == QF_SNAPSHOTS_UNREADABLE || c->img->geo.data_file)
		return QF_OK;
	if (state == QF_SNAPSHOTS_OK) {
		p = QF_P_SNAP_EXTRA_SHORT;
		if (!qf_fix_found(c, p))
			p = QF_P_SNAP_EXTRA_LONG;
		if (!qf_fix_found(c, p))
			return QF_OK;
	}
	if (!qf_plan_allows(c->plan, p))
		return QF_OK;
	return state == QF_SNAPSHOTS_OFFSET ? find_table(c, why)
					    : fix_table(c, p, why);
}
