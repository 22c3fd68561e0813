// SPDX-License-Identifier: GPL-2.0-or-later
#include "repair/search/snaptable.h"
#include "lib/base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KNOWN sizeof(struct qf_wire_snapshot_extra)
#define MAX_ID 127u
#define MAX_NAME 1023u

static const struct qf_wire_snapshot *fixed_at(const struct qf_snaptable *t,
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
static bool fits(const struct qf_snaptable *t,
		 const struct qf_snaptable_entry *e)
{
	const struct qf_wire_snapshot *f = fixed_at(t, e->at);
	uint64_t off = qf_be_get64(f->l1_table_offset);
	uint64_t strings = (uint64_t)e->id + e->name, end;

	if (!qf_mem_add(e->at + QF_SNAPTABLE_FIXED + strings, e->extra, &end) ||
	    end > t->room)
		return false;
	return e->id && e->id <= MAX_ID && e->name <= MAX_NAME && off &&
	       !(off & (t->img->geo.cluster_bytes - 1)) &&
	       off < t->img->io->size &&
	       qf_be_get32(f->l1_size) <= QF_MAX_L1_BYTES / 8 &&
	       printable(t->buf + e->at + QF_SNAPTABLE_FIXED + e->extra,
			 (uint32_t)strings);
}

/* The lengths of id and name where one of the two is damaged: the text ends
 * where zeros begin. */
static bool fits_text(const struct qf_snaptable *t,
		      struct qf_snaptable_entry *e)
{
	const unsigned char *s = t->buf + e->at + QF_SNAPTABLE_FIXED + e->extra;
	uint32_t n = 0, id = e->id;

	while (e->at + QF_SNAPTABLE_FIXED + e->extra + n < t->room &&
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
static bool find_lengths(const struct qf_snaptable *t,
			 struct qf_snaptable_entry *e)
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
static bool is_blank(const struct qf_snaptable *t, uint64_t at)
{
	uint64_t i;

	for (i = at; i < t->room && i < at + QF_SNAPTABLE_FIXED; i++)
		if (t->buf[i])
			return false;
	return true;
}

bool qf_snaptable_take(struct qf_snaptable *t, uint32_t count)
{
	struct qf_snaptable_entry e = { 0 };

	for (t->n = 0; t->n < count && e.at + QF_SNAPTABLE_FIXED <= t->room;
	     t->n++) {
		if (!find_lengths(t, &e))
			break;
		if (!qf_mem_grow((void **)&t->entry, t->n, &t->entry_room,
				 sizeof(e)))
			return false;
		t->entry[t->n] = e;
		e.at = qf_mem_round_up(
			e.at + QF_SNAPTABLE_FIXED + e.extra + e.id + e.name, 8);
	}
	t->ends = !t->cut && is_blank(t, e.at);
	return true;
}

bool qf_snaptable_take_known(struct qf_snaptable *t,
			     const struct qf_snapshot_table *known)
{
	const struct qf_snapshot *s;
	struct qf_snaptable_entry *e;
	uint32_t i;

	t->entry = qf_mem_zalloc(known->n, sizeof(*t->entry));
	if (!t->entry)
		return false;
	for (i = 0; i < known->n; i++) {
		s = &known->snap[i];
		e = &t->entry[i];
		e->at = s->entry_off - known->off;
		if (e->at + QF_SNAPTABLE_FIXED > t->room)
			break;
		/* else nothing behind the fixed part is sure */
		if (!s->id[0] && known->state != QF_SNAPSHOTS_OK) {
			e->disk = s->disk_bytes;
			continue;
		}
		e->extra = s->extra_bytes;
		e->id = s->id_bytes;
		e->name = s->name_bytes;
		if (e->at + QF_SNAPTABLE_FIXED + e->extra + e->id + e->name >
		    t->room)
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
static void append(struct qf_snaptable *t, const struct qf_snaptable_entry *e)
{
	struct qf_wire_snapshot f;
	struct qf_wire_snapshot_extra x;
	uint64_t keep = e->extra < KNOWN ? e->extra : KNOWN;
	uint64_t id = e->new_id[0] ? strlen(e->new_id) : e->id;
	const unsigned char *in = t->buf + e->at + QF_SNAPTABLE_FIXED;
	unsigned char *out = t->out + t->out_bytes;

	memcpy(&f, t->buf + e->at, QF_SNAPTABLE_FIXED);
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
	memcpy(out, &f, QF_SNAPTABLE_FIXED);
	memcpy(out + QF_SNAPTABLE_FIXED, &x, keep);
	memcpy(out + QF_SNAPTABLE_FIXED + keep,
	       e->new_id[0] ? (const void *)e->new_id : in + e->extra, id);
	memcpy(out + QF_SNAPTABLE_FIXED + keep + id, in + e->extra + e->id,
	       e->name);
	t->out_bytes = qf_mem_round_up(
		t->out_bytes + QF_SNAPTABLE_FIXED + keep + id + e->name, 8);
}

bool qf_snaptable_compose(struct qf_snaptable *t)
{
	uint64_t room = 4096;
	uint32_t i;

	for (i = 0; i < t->n; i++)
		room += QF_SNAPTABLE_FIXED + KNOWN + 32 + t->entry[i].id +
			t->entry[i].name;
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

bool qf_snaptable_give_ids(struct qf_snaptable *t, const struct qf_plan *p)
{
	struct label *l = qf_mem_zalloc((size_t)t->n + 1, sizeof(*l));
	uint64_t most = 0, n;
	uint32_t i;
	bool twice;

	if (!l)
		return false;
	for (i = 0; i < t->n; i++) {
		l[i].text = t->buf + t->entry[i].at + QF_SNAPTABLE_FIXED +
			    t->entry[i].extra;
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
	t->most = most;
	free(l);
	return true;
}

enum qf_err qf_snaptable_read(struct qf_snaptable *t,
			      const struct qf_image *img, uint64_t off,
			      uint64_t most, struct qf_why *why)
{
	memset(t, 0, sizeof(*t));
	t->img = img;
	t->room = img->io->size > off ? img->io->size - off : 0;
	if (t->room > QF_MAX_SNAPSHOT_TABLE_BYTES)
		t->room = QF_MAX_SNAPSHOT_TABLE_BYTES;
	if (t->room > most)
		t->room = most;
	t->buf = qf_mem_zalloc(1, t->room + QF_SNAPTABLE_FIXED);
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

void qf_snaptable_free(struct qf_snaptable *t)
{
	free(t->buf);
	free(t->out);
	free(t->entry);
	memset(t, 0, sizeof(*t));
}
