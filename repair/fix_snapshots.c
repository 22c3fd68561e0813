// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The snapshot table. Entries with a wrong length are told apart by what must
 * follow: a printable id and name, and then the next entry. Where all entries
 * are found so, the table is written anew, with an id of its own for each;
 * where not, the header counts those that can be read, and what the others
 * held stays allocated.
 */
#include "lib/mem.h"
#include "repair/orphan.h"
#include "repair/space.h"
#include "repair/stop.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_OFF offsetof(struct qf_wire_header, nb_snapshots)
#define TABLE_OFF offsetof(struct qf_wire_header, snapshots_offset)
#define FIXED sizeof(struct qf_wire_snapshot)
#define KNOWN sizeof(struct qf_wire_snapshot_extra)
#define MAX_ORPHANS 65536u
/* A candidate is read on while its entries go on: so much at first, which
 * is room for any entry, and so much of all together. */
#define FIRST_BYTES 4096u
#define MAX_READ (512ull << 20)
#define MAX_ID 127u
#define MAX_NAME 1023u

/* An entry of the table as it is to be. */
struct entry {
	uint64_t at;		  /* in the table */
	uint32_t extra, id, name; /* bytes of each, as they are there */
	uint64_t disk;		  /* bytes; 0: what its extra data say */
	char new_id[24];	  /* "": it keeps its own */
};

/* A table under examination, and what it shall become. */
struct table {
	const struct qf_image *img;
	unsigned char *buf; /* the bytes as they are */
	uint64_t room;
	unsigned char *out;
	uint64_t out_bytes;
	struct entry *entry;
	size_t entry_room;
	uint32_t n; /* whole entries */
	bool ends;  /* behind them there is nothing */
	bool same;  /* each entry was right already */
	bool cut;   /* what lies behind ROOM cannot be read */
};

static const struct qf_wire_snapshot *fixed_at(const struct table *t,
					       uint64_t at)
{
	return (const struct qf_wire_snapshot *)(t->buf + at);
}

static bool printable(const unsigned char *s, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if (s[i] < 0x20 || s[i] == 0x7f)
			return false;
	return true;
}

/* True if E can be an entry. */
static bool fits(const struct table *t, const struct entry *e)
{
	const struct qf_wire_snapshot *f = fixed_at(t, e->at);
	uint64_t off = qf_be_get64(f->l1_table_offset);
	uint64_t strings = (uint64_t)e->id + e->name, end;

	if (!qf_mem_add(e->at + FIXED + strings, e->extra, &end) ||
	    end > t->room)
		return false;
	return e->id && e->id <= MAX_ID && e->name <= MAX_NAME && off &&
	       !(off & (t->img->geo.cluster_bytes - 1)) &&
	       off < t->img->io->size &&
	       qf_be_get32(f->l1_size) <= QF_MAX_L1_BYTES / 8 &&
	       printable(t->buf + e->at + FIXED + e->extra, (uint32_t)strings);
}

/* The lengths of id and name where one of the two is damaged: the text ends
 * where zeros begin. */
static bool fits_text(const struct table *t, struct entry *e)
{
	const unsigned char *s = t->buf + e->at + FIXED + e->extra;
	uint32_t n = 0, id = e->id;

	while (e->at + FIXED + e->extra + n < t->room &&
	       n < MAX_ID + MAX_NAME && s[n])
		n++;
	if (id && id <= MAX_ID && id <= n) {
		e->name = n - id;
		if (fits(t, e))
			return true;
	}
	e->name = qf_be_get16(fixed_at(t, e->at)->name_len);
	e->id = n > e->name ? n - e->name : 0;
	return fits(t, e);
}

/* The lengths that E, of which AT is set, must have. */
static bool find_lengths(const struct table *t, struct entry *e)
{
	const struct qf_wire_snapshot *f = fixed_at(t, e->at);
	const uint32_t extra[] = { qf_be_get32(f->extra_len), KNOWN, 16, 0 };
	unsigned int i;

	e->id = qf_be_get16(f->id_len);
	e->name = qf_be_get16(f->name_len);
	for (i = 0; i < 4; i++) {
		e->extra = extra[i];
		if (fits(t, e))
			return true;
	}
	for (i = 0; i < 3; i++) {
		e->id = qf_be_get16(f->id_len);
		e->extra = extra[i];
		if (e->extra <= QF_MAX_SNAPSHOT_EXTRA && fits_text(t, e))
			return true;
	}
	return false;
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

/* Takes as many entries as there are, COUNT at most; false without memory. */
static bool take_entries(struct table *t, uint32_t count)
{
	struct entry e = { 0 };

	for (t->n = 0; t->n < count && e.at + FIXED <= t->room; t->n++) {
		if (!find_lengths(t, &e))
			break;
		if (!qf_mem_grow((void **)&t->entry, t->n, &t->entry_room,
				 sizeof(e)))
			return false;
		t->entry[t->n] = e;
		e.at = qf_mem_round_up(e.at + FIXED + e.extra + e.id + e.name,
				       8);
	}
	t->ends = !t->cut && is_blank(t, e.at);
	return true;
}

/*
 * Takes the entries as the reader of the image has made them out: it knows
 * where each begins. Of one whose strings cannot be told, the L1 table is
 * kept.
 */
static bool take_known(struct table *t, const struct qf_snapshot_table *known)
{
	const struct qf_snapshot *s;
	struct entry *e;
	uint32_t i;

	t->entry = qf_mem_zalloc(known->n, sizeof(*t->entry));
	if (!t->entry)
		return false;
	for (i = 0; i < known->n; i++) {
		s = &known->snap[i];
		e = &t->entry[i];
		e->at = s->entry_off - known->off;
		if (e->at + FIXED > t->room)
			break;
		/* else nothing behind the fixed part is sure */
		if (!s->id[0] && known->state != QF_SNAPSHOTS_OK) {
			e->disk = s->disk_bytes;
			continue;
		}
		e->extra = s->extra_bytes;
		e->id = s->id_bytes;
		e->name = s->name_bytes;
		if (e->at + FIXED + e->extra + e->id + e->name > t->room)
			break;
		/* more text than the lengths say: one of them was damaged */
		if (!e->id && !fits_text(t, e)) {
			e->id = 0;
			e->name = s->name_bytes;
		}
	}
	t->n = i;
	t->ends = true;
	return true;
}

/* Appends E to what is written. */
static void append(struct table *t, const struct entry *e)
{
	struct qf_wire_snapshot f;
	struct qf_wire_snapshot_extra x;
	uint64_t keep = e->extra < KNOWN ? e->extra : KNOWN;
	uint64_t id = e->new_id[0] ? strlen(e->new_id) : e->id;
	const unsigned char *in = t->buf + e->at + FIXED;
	unsigned char *out = t->out + t->out_bytes;

	memcpy(&f, t->buf + e->at, FIXED);
	memset(&x, 0, sizeof(x));
	memcpy(&x, in, keep);
	if (keep < 8)
		x.vm_state_size = qf_be_put64(qf_be_get32(f.vm_state_size));
	if (keep < 16)
		x.disk_size =
			qf_be_put64(e->disk ? e->disk : t->img->hdr.disk_bytes);
	if (keep < 16)
		keep = 16;
	t->same &= keep == qf_be_get32(f.extra_len) &&
		   e->id == qf_be_get16(f.id_len) &&
		   e->name == qf_be_get16(f.name_len) && !e->new_id[0];
	f.extra_len = qf_be_put32((uint32_t)keep);
	f.id_len = qf_be_put16((uint16_t)id);
	f.name_len = qf_be_put16((uint16_t)e->name);
	memcpy(out, &f, FIXED);
	memcpy(out + FIXED, &x, keep);
	memcpy(out + FIXED + keep,
	       e->new_id[0] ? (const void *)e->new_id : in + e->extra, id);
	memcpy(out + FIXED + keep + id, in + e->extra + e->id, e->name);
	t->out_bytes =
		qf_mem_round_up(t->out_bytes + FIXED + keep + id + e->name, 8);
}

/* Writes all entries to t->out; false without memory. */
static bool compose(struct table *t)
{
	uint64_t room = 4096;
	uint32_t i;

	for (i = 0; i < t->n; i++)
		room += FIXED + KNOWN + 32 + t->entry[i].id + t->entry[i].name;
	t->out = qf_mem_zalloc(1, room);
	t->same = true;
	for (i = 0; t->out && i < t->n; i++)
		append(t, &t->entry[i]);
	return t->out;
}

/* An id and whose it is. */
struct label {
	const unsigned char *text;
	uint32_t bytes, i;
};

static int by_id(const void *pa, const void *pb)
{
	const struct label *a = pa, *b = pb;
	uint32_t n = a->bytes < b->bytes ? a->bytes : b->bytes;
	int order = n ? memcmp(a->text, b->text, n) : 0;

	if (order || a->bytes != b->bytes)
		return order ? order : a->bytes < b->bytes ? -1 : 1;
	return a->i < b->i ? -1 : a->i > b->i;
}

/* The number that an id of digits is, as QEMU gives them; else 0. */
static uint64_t number_of(const struct label *l)
{
	uint64_t n = 0;
	uint32_t k;

	if (l->bytes > 18)
		return 0;
	for (k = 0; k < l->bytes; k++) {
		if (l->text[k] < '0' || l->text[k] > '9')
			return 0;
		n = n * 10 + (uint64_t)(l->text[k] - '0');
	}
	return n;
}

/* Gives an id of its own to each entry that has none, or one that an earlier
 * entry has too; false without memory. */
static bool give_ids(struct table *t, const struct qf_plan *p)
{
	struct label *l = qf_mem_zalloc((size_t)t->n + 1, sizeof(*l));
	uint64_t most = 0, n;
	uint32_t i;
	bool twice;

	if (!l)
		return false;
	for (i = 0; i < t->n; i++) {
		l[i].text = t->buf + t->entry[i].at + FIXED + t->entry[i].extra;
		l[i].bytes = t->entry[i].id;
		l[i].i = i;
		n = number_of(&l[i]);
		most = n > most ? n : most;
	}
	qsort(l, t->n, sizeof(*l), by_id);
	for (i = 0; i < t->n; i++) {
		twice = i && l[i].bytes == l[i - 1].bytes &&
			!memcmp(l[i].text, l[i - 1].text, l[i].bytes);
		if (!l[i].bytes
			    ? qf_plan_allows(p, QF_P_SNAP_ID_EMPTY)
			    : twice && qf_plan_allows(p, QF_P_SNAP_ID_TWICE))
			snprintf(t->entry[l[i].i].new_id,
				 sizeof(t->entry->new_id), "%" PRIu64, ++most);
	}
	free(l);
	return true;
}

/* Reads the table at OFF, which may have COUNT entries. */
static enum qf_err read_bytes(struct table *t, const struct qf_image *img,
			      uint64_t off, uint64_t most, struct qf_why *why)
{
	memset(t, 0, sizeof(*t));
	t->img = img;
	t->room = img->io->size > off ? img->io->size - off : 0;
	if (t->room > QF_MAX_SNAPSHOT_TABLE_BYTES)
		t->room = QF_MAX_SNAPSHOT_TABLE_BYTES;
	if (t->room > most)
		t->room = most;
	t->buf = qf_mem_zalloc(1, t->room + FIXED);
	if (!t->buf)
		return qf_err_set(why, QF_ERR_NOMEM, 0, off,
				  "no memory for the snapshot table");
	/* perhaps only what lies behind cannot be read */
	while (qf_io_read_pad(img->io, t->buf, t->room, off, NULL) && t->room) {
		t->room /= 2;
		t->cut = true;
	}
	return QF_OK;
}

/* The table that the header names, with its entries as they are to be. */
static enum qf_err read_own(struct table *t, const struct qf_fix_ctx *c,
			    struct qf_why *why)
{
	const struct qf_snapshot_table *s = &c->img->snapshots;
	uint32_t count = s->stated < QF_MAX_SNAPSHOTS ? s->stated
						      : QF_MAX_SNAPSHOTS;
	enum qf_err err;
	bool known, ok;

	err = read_bytes(t, c->img, s->off,
			 s->bytes + (uint64_t)count * 2048 + 65536, why);
	if (err)
		return err;
	/* a wrong length of the extra data may lie to the reader */
	known = s->n && s->n == s->stated &&
		(s->resumed || (s->state == QF_SNAPSHOTS_OK &&
				!qf_fix_found(c, QF_P_SNAP_EXTRA_SHORT) &&
				!qf_fix_found(c, QF_P_SNAP_EXTRA_LONG)));
	ok = known ? take_known(t, s) : take_entries(t, count);
	if (ok && give_ids(t, c->plan) && compose(t))
		return QF_OK;
	return qf_err_set(why, QF_ERR_NOMEM, 0, s->off,
			  "no memory for the snapshot table");
}

static void free_table(struct table *t)
{
	free(t->buf);
	free(t->out);
	free(t->entry);
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
	struct table t;
	enum qf_err err = read_own(&t, c, why);

	if (err) {
		free_table(&t);
		return err;
	}
	if (t.n && !t.same && (t.n == s->stated || t.ends) &&
	    qf_fix_can_take(c))
		err = write_anew(c, p, &t, why);
	/* a smaller count would cut off the good ones behind a bad one */
	if (!err && t.n < s->stated && !s->resumed && !t.cut &&
	    (t.ends || s->state)) {
		/* what cannot be read may have held more than is known */
		c->plan->snapshots_cut |= !t.ends;
		err = set_count(c, p, t.n, why);
	}
	free_table(&t);
	return err;
}

/* True if T's entries fill what was read of it: there may be more. */
static bool runs_on(const struct table *t)
{
	const struct entry *e;

	if (!t->n)
		return false;
	e = &t->entry[t->n - 1];
	return e->at + FIXED + e->extra + e->id + e->name + FIRST_BYTES >
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
	struct table t;

	for (*whole = false; !err && more && most <= *left; most *= 8) {
		*left -= most;
		err = read_bytes(&t, img, off, most, why);
		if (!err && !take_entries(&t, count))
			err = qf_err_set(why, QF_ERR_NOMEM, 0, off,
					 "no memory for the snapshot table");
		*whole = !err && t.n == count;
		more = !err && !*whole && t.room == most && most < all &&
		       runs_on(&t);
		free_table(&t);
	}
	if (more) /* there was no end of it */
		*left = 0;
	return err;
}

/* The header points astray: is there one table that nobody names? */
static enum qf_err find_table(struct qf_fix_ctx *c, struct qf_why *why)
{
	const struct qf_trouble *tr = c->tally.trouble;
	uint64_t found = 0, cl, off, seen = 0, left = MAX_READ;
	uint32_t count = c->img->snapshots.stated;
	enum qf_err err = QF_OK;
	unsigned int n = 0;
	bool whole;
	size_t i;

	if (count > QF_MAX_SNAPSHOTS)
		return QF_OK;
	for (i = 0; !err && i < c->tally.n_troubles; i++, tr++) {
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
	/* what was not looked at could be one as well */
	if (err || n != 1 || left < FIRST_BYTES || qf_stop_asked())
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
	static const enum qf_problem of_entries[] = { QF_P_SNAP_EXTRA_SHORT,
						      QF_P_SNAP_EXTRA_LONG,
						      QF_P_SNAP_ID_TWICE,
						      QF_P_SNAP_ID_EMPTY };
	enum qf_snapshot_state state = c->img->snapshots.state;
	enum qf_problem p = problems[state];
	size_t i;

	if (state == QF_SNAPSHOTS_UNREADABLE || c->img->geo.data_file)
		return QF_OK;
	if (state == QF_SNAPSHOTS_OK) {
		for (i = 0; i < sizeof(of_entries) / sizeof(p); i++)
			if (qf_fix_found(c, of_entries[i]) &&
			    qf_plan_allows(c->plan, of_entries[i]))
				break;
		if (i == sizeof(of_entries) / sizeof(p))
			return QF_OK;
		p = of_entries[i];
	}
	if (!qf_plan_allows(c->plan, p))
		return QF_OK;
	return state == QF_SNAPSHOTS_OFFSET ? find_table(c, why)
					    : fix_table(c, p, why);
}
