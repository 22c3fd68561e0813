// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/snapshot.h"
#include "lib/base/mem.h"

#include <stdlib.h>

/*
 * The table is read whole, in steps, up to QEMU's limit or the end of the
 * file, and never further than its entries reach.
 */
struct window {
	struct qf_io *io;
	uint64_t base; /* host offset of buf[0] */
	uint64_t have; /* bytes in buf */
	uint64_t room;
	unsigned char *buf;
};

#define STEP 65536ull

/* Makes the bytes [0, end) of the table available in w->buf. */
static enum qf_err need(struct window *w, uint64_t end, struct qf_why *why)
{
	unsigned char *p;
	uint64_t want, limit;
	enum qf_err err;

	if (end <= w->have)
		return QF_OK;
	limit = w->base < w->io->size ? w->io->size - w->base : 0;
	if (limit > QF_MAX_SNAPSHOT_TABLE_BYTES)
		limit = QF_MAX_SNAPSHOT_TABLE_BYTES;
	if (end > limit)
		return QF_ERR_OUTSIDE;
	want = qf_mem_round_up(end, STEP);
	if (want < w->room * 2)
		want = w->room * 2;
	if (want > limit)
		want = limit;
	p = realloc(w->buf, (size_t)want);
	if (!p)
		return QF_ERR_NOMEM;
	w->buf = p;
	w->room = want;
	err = qf_io_read(w->io, w->buf + w->have, want - w->have,
			 w->base + w->have, why);
	if (err) /* perhaps only what lies behind is unreadable */
		err = qf_io_read(w->io, w->buf + w->have, end - w->have,
				 w->base + w->have, why);
	else
		end = want;
	if (!err)
		w->have = end;
	return err;
}

static char *take_string(const unsigned char *p, uint16_t bytes)
{
	char *s = qf_mem_zalloc(1, (size_t)bytes + 1);

	if (s && bytes)
		memcpy(s, p, bytes);
	return s;
}

static void take_fixed(const struct qf_wire_snapshot *f, struct qf_snapshot *s)
{
	s->l1_off = qf_be_get64(f->l1_table_offset);
	s->l1_entries = qf_be_get32(f->l1_size);
	s->id_bytes = qf_be_get16(f->id_len);
	s->name_bytes = qf_be_get16(f->name_len);
	s->date_sec = qf_be_get32(f->date_sec);
	s->date_nsec = qf_be_get32(f->date_nsec);
	s->vm_clock_nsec = qf_be_get64(f->vm_clock_nsec);
	s->vm_state_small = qf_be_get32(f->vm_state_size);
	s->extra_bytes = qf_be_get32(f->extra_len);
}

static void take_extra(const unsigned char *p, const struct qf_header *h,
		       struct qf_snapshot *s)
{
	struct qf_wire_snapshot_extra x;
	size_t n = s->extra_bytes < sizeof(x) ? s->extra_bytes : sizeof(x);

	memset(&x, 0, sizeof(x));
	memcpy(&x, p, n);
	s->vm_state_bytes = n >= 8 ? qf_be_get64(x.vm_state_size)
				   : s->vm_state_small;
	s->disk_bytes = n >= 16 ? qf_be_get64(x.disk_size) : h->disk_bytes;
	s->icount = n >= 24 ? qf_be_get64(x.icount) : UINT64_MAX;
}

static bool keep_nameless(struct qf_snapshot *s, const struct qf_header *h)
{
	s->vm_state_bytes = s->vm_state_small;
	s->disk_bytes = h->disk_bytes;
	s->icount = UINT64_MAX;
	s->id = take_string(NULL, 0);
	s->name = take_string(NULL, 0);
	return s->id && s->name;
}

/* True if S has an L1 table that lies where one can. */
static bool has_l1(const struct window *w, const struct qf_header *h,
		   const struct qf_snapshot *s)
{
	uint64_t bytes = s->l1_entries * 8ull;

	return s->l1_off && !(s->l1_off & ((1ull << h->cluster_bits) - 1)) &&
	       bytes && bytes <= QF_MAX_L1_BYTES && s->l1_off < w->io->size &&
	       bytes <= w->io->size - s->l1_off;
}

/* Reads the entry at AT (relative to the table) and moves AT behind it. */
static enum qf_err read_entry(struct window *w, const struct qf_header *h,
			      struct qf_snapshot *s, uint64_t *at,
			      struct qf_why *why)
{
	struct qf_wire_snapshot f;
	const unsigned char *p;
	uint64_t start = qf_mem_round_up(*at, 8);
	enum qf_err err = need(w, start + sizeof(f), why);

	if (err)
		return err;
	memcpy(&f, w->buf + start, sizeof(f));
	memset(s, 0, sizeof(*s));
	take_fixed(&f, s);
	s->entry_off = w->base + start;
	/* QEMU takes up to 1024 bytes of extra data as it is */
	if (s->extra_bytes > QF_MAX_SNAPSHOT_TABLE_BYTES) {
		if (has_l1(w, h, s) && !keep_nameless(s, h))
			return QF_ERR_NOMEM;
		return QF_ERR_FORMAT;
	}
	s->entry_bytes = (uint32_t)sizeof(f) + s->extra_bytes + s->id_bytes +
			 s->name_bytes;
	err = need(w, start + s->entry_bytes, why);
	if (err) /* the L1 pointer is worth keeping without a name */
		return keep_nameless(s, h) ? err : QF_ERR_NOMEM;
	p = w->buf + start + sizeof(f);
	take_extra(p, h, s);
	p += s->extra_bytes;
	s->id = take_string(p, s->id_bytes);
	s->name = take_string(p + s->id_bytes, s->name_bytes);
	*at = start + s->entry_bytes;
	return s->id && s->name ? QF_OK : QF_ERR_NOMEM;
}

/* QEMU's own bounds on id and name; others may go further, and are read. */
#define MAX_ID 127u
#define MAX_NAME 255u
/* How far behind a bad entry the next good one is looked for. */
#define RESYNC 65536ull

static bool is_printable(const unsigned char *p, uint64_t n)
{
	while (n--)
		if (*p <= 0x20 || *p++ >= 0x7f)
			return false;
	return true;
}

/* True if a snapshot table entry, as QEMU writes it, begins at AT. */
static bool is_entry(struct window *w, const struct qf_header *h, uint64_t at)
{
	struct qf_wire_snapshot f;
	struct qf_snapshot s;
	uint64_t id = at + sizeof(f);

	if (need(w, at + sizeof(f), NULL))
		return false;
	memcpy(&f, w->buf + at, sizeof(f));
	take_fixed(&f, &s);
	if (!has_l1(w, h, &s) || !s.id_bytes || s.id_bytes > MAX_ID ||
	    s.name_bytes > MAX_NAME || s.extra_bytes > QF_MAX_SNAPSHOT_EXTRA ||
	    (h->version >= 3 && s.extra_bytes < 16) ||
	    s.date_nsec >= 1000000000)
		return false;
	id += s.extra_bytes;
	if (need(w, id + s.id_bytes + s.name_bytes, NULL))
		return false;
	return is_printable(w->buf + id, s.id_bytes);
}

/*
 * After the entry S at START that makes no sense, or reaches so far that it
 * may swallow others: where the next one begins, or 0.
 */
static uint64_t resync(struct window *w, const struct qf_header *h,
		       struct qf_snapshot *s, uint64_t start)
{
	uint64_t at, end = start + RESYNC;

	if (s->id && s->name && s->id_bytes <= MAX_ID &&
	    s->name_bytes <= MAX_NAME &&
	    s->extra_bytes <= QF_MAX_SNAPSHOT_EXTRA)
		return 0;
	for (at = start + 40; at < end; at += 8)
		if (is_entry(w, h, at))
			return at;
	return 0;
}

static enum qf_snapshot_state state_of(enum qf_err err)
{
	switch (err) {
	case QF_OK:
		return QF_SNAPSHOTS_OK;
	case QF_ERR_IO:
		return QF_SNAPSHOTS_UNREADABLE;
	case QF_ERR_FORMAT:
		return QF_SNAPSHOTS_GARBLED;
	default:
		return QF_SNAPSHOTS_CUT;
	}
}

static bool start_table(struct qf_io *io, const struct qf_header *h,
			struct qf_snapshot_table *t)
{
	memset(t, 0, sizeof(*t));
	t->off = h->snapshots_off;
	t->stated = h->snapshot_count;
	t->bad_off = h->snapshots_off;
	/* QEMU asks for an aligned place even of a table without entries */
	if (h->snapshots_off & ((1ull << h->cluster_bits) - 1) ||
	    h->snapshots_off > INT64_MAX ||
	    (h->snapshot_count &&
	     (h->snapshots_off >= io->size || !h->snapshots_off))) {
		t->state = QF_SNAPSHOTS_OFFSET;
		return false;
	}
	if (h->snapshot_count > QF_MAX_SNAPSHOTS)
		t->state = QF_SNAPSHOTS_COUNT;
	return h->snapshot_count;
}

static void free_names(struct qf_snapshot *s)
{
	free(s->id);
	free(s->name);
}

/*
 * Finds the lengths that the entry S must have if it spans SPAN bytes from
 * P on: one of the three is damaged, and follows from the others. Returns
 * false if nothing fits.
 */
static bool mend_lengths(const unsigned char *p, uint64_t span,
			 struct qf_snapshot *s)
{
	const uint32_t extra[] = { s->extra_bytes, 24, 16 };
	uint64_t head, bytes, id, name;
	unsigned int k;

	for (k = 0; k < sizeof(extra) / sizeof(extra[0]); k++) {
		head = sizeof(struct qf_wire_snapshot) + extra[k];
		if (extra[k] > QF_MAX_SNAPSHOT_EXTRA || head >= span)
			continue;
		for (bytes = span - head; bytes && !p[head + bytes - 1];)
			bytes--; /* the padding */
		id = s->id_bytes;
		name = s->name_bytes;
		if (!k && id <= MAX_ID && id <= bytes)
			name = bytes - id;
		else if (!k && name < bytes)
			id = bytes - name;
		if (id + name != bytes || !id || id > MAX_ID ||
		    name > MAX_NAME || !is_printable(p + head, id))
			continue;
		s->extra_bytes = extra[k];
		s->id_bytes = (uint16_t)id;
		s->name_bytes = (uint16_t)name;
		return true;
	}
	return false;
}

/* What the entry S at P holds, once it is known to span SPAN bytes. */
static bool mend(const unsigned char *p, uint64_t span,
		 const struct qf_header *h, struct qf_snapshot *s)
{
	free_names(s);
	s->entry_bytes = (uint32_t)span;
	if (!mend_lengths(p, span, s))
		return keep_nameless(s, h);
	p += sizeof(struct qf_wire_snapshot);
	take_extra(p, h, s);
	p += s->extra_bytes;
	s->id = take_string(p, s->id_bytes);
	s->name = take_string(p + s->id_bytes, s->name_bytes);
	return s->id && s->name;
}

/*
 * Goes on behind the entry S at START, if it is a bad one (ERR says how, or
 * it swallows others) and another follows. Of S is kept what can be told, if
 * its L1 pointer is one. Returns what is left of the error.
 */
static enum qf_err pass_over(struct window *w, const struct qf_header *h,
			     struct qf_snapshot_table *t, struct qf_snapshot *s,
			     uint64_t start, enum qf_err err)
{
	uint64_t next = resync(w, h, s, start);

	if (!next || (!err && next >= qf_mem_round_up(t->bytes, 8)))
		return err;
	if (t->state == QF_SNAPSHOTS_OK) {
		t->state = state_of(err ? err : QF_ERR_FORMAT);
		t->bad_off = w->base + start;
	}
	if (s->id && !mend(w->buf + start, next - start, h, s))
		return QF_ERR_NOMEM;
	t->bytes = next;
	t->resumed = true;
	return QF_OK;
}

/* True if S is nothing but zeros. */
static bool is_blank(const struct qf_snapshot *s)
{
	return !s->l1_off && !s->l1_entries && !s->id_bytes && !s->name_bytes &&
	       !s->date_sec && !s->date_nsec && !s->vm_clock_nsec &&
	       !s->vm_state_small && !s->extra_bytes;
}

enum qf_err qf_snapshot_read(struct qf_io *io, const struct qf_header *h,
			     struct qf_snapshot_table *t, struct qf_why *why)
{
	struct window w = { .io = io, .base = h->snapshots_off };
	enum qf_err err = QF_OK;
	struct qf_snapshot *s;
	size_t room = 0;
	uint64_t start = 0;
	uint32_t limit, seen;

	if (!start_table(io, h, t))
		return QF_OK;
	limit = t->stated < QF_MAX_SNAPSHOTS ? t->stated : QF_MAX_SNAPSHOTS;
	for (seen = 0; !err && seen < limit; seen++) {
		if (!qf_mem_grow((void **)&t->snap, t->n, &room,
				 sizeof(*t->snap))) {
			err = QF_ERR_NOMEM;
			break;
		}
		s = &t->snap[t->n];
		memset(s, 0, sizeof(*s));
		start = qf_mem_round_up(t->bytes, 8);
		err = read_entry(&w, h, s, &t->bytes, why);
		if (err != QF_ERR_NOMEM && err != QF_ERR_IO)
			err = pass_over(&w, h, t, s, start, err);
		/* of a count that no image may have, nothing is believed */
		if (!err && t->state == QF_SNAPSHOTS_COUNT && is_blank(s)) {
			free_names(s);
			t->bytes = start;
			break;
		}
		if (!err && !t->resumed)
			t->whole++;
		if (s->id && s->name)
			t->n++;
		else
			free_names(s);
	}
	if (err && t->state == QF_SNAPSHOTS_OK)
		t->bad_off = w.base + start;
	free(w.buf);
	if (err == QF_ERR_NOMEM) {
		qf_snapshot_free(t);
		return qf_err_set(why, err, 0, t->off,
				  "no memory for the snapshot table");
	}
	if (t->state == QF_SNAPSHOTS_OK)
		t->state = state_of(err);
	return QF_OK;
}

void qf_snapshot_free(struct qf_snapshot_table *t)
{
	uint32_t i;

	for (i = 0; i < t->n; i++)
		free_names(&t->snap[i]);
	free(t->snap);
	t->snap = NULL;
	t->n = 0;
}

int64_t qf_snapshot_find(const struct qf_snapshot_table *t,
			 const char *id_or_name)
{
	uint32_t i;

	for (i = 0; i < t->n; i++)
		if (!strcmp(t->snap[i].id, id_or_name))
			return i;
	for (i = 0; i < t->n; i++)
		if (!strcmp(t->snap[i].name, id_or_name))
			return i;
	return -1;
}
