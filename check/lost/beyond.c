// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Data of a disk behind the size that the header, or the snapshot's entry,
 * states. Right behind the last L1 entry that the disk needs, a machine's
 * state may lie: it is told from data by the snapshots, or by its first bytes.
 */
#include "check/lost/beyond.h"
#include "lib/base/mem.h"
#include "lib/walk/describe.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* So many L2 tables are read, and so many ranges are listed. */
#define MAX_TABLES 4096u
#define MAX_RANGES 65536u

/* Where the sizes stand: in the header; in a snapshot's entry, whose extra
 * data must reach so far. */
#define HEADER_SIZE 24u
#define SNAPSHOT_SIZE 48u
#define EXTRA_WITH_SIZE 16u

struct search {
	struct qf_pass_ctx *c;
	uint32_t holder;
	struct qf_lost_l1 l1; /* the holder's */
	unsigned char *buf;   /* an L2 table */
	uint64_t n;	      /* clusters found */
	uint64_t first;	      /* guest offset of the first */
	unsigned int reads;
};

static uint64_t word_at(const struct search *s, uint32_t i, unsigned int half)
{
	struct qf_be64 w;

	memcpy(&w,
	       s->buf + (uint64_t)i * s->c->img->geo.l2_entry_bytes + half * 8,
	       sizeof(w));
	return qf_be_get64(w);
}

static bool maps_data(const struct search *s, uint32_t i)
{
	const struct qf_geometry *g = &s->c->img->geo;

	switch (qf_entry_kind(g, word_at(s, i, 0))) {
	case QF_ENTRY_KIND_COMPRESSED:
		return true;
	case QF_ENTRY_KIND_DATA:
		return !g->extl2 || word_at(s, i, 1) & UINT32_MAX;
	default:
		return false;
	}
}

/* The machine's state begins with these bytes (QEMU: QEMU_VM_FILE_MAGIC). */
static bool is_vm_state(const struct search *s)
{
	static const char magic[] = "QEVM";
	const struct qf_image *img = s->c->img;
	char head[4];
	uint64_t e;
	uint32_t i;

	for (i = 0; i < img->snapshots.n; i++)
		if (img->snapshots.snap[i].vm_state_bytes)
			return true;
	if (img->snapshots.n < img->snapshots.stated)
		return true;
	e = word_at(s, 0, 0);
	if (!maps_data(s, 0))
		return false;
	/* what cannot be read could be one */
	return e & QF_ENTRY_COMPRESSED || img->hdr.crypt_method ||
	       qf_io_read_pad(img->io, head, sizeof(head),
			      e & QF_ENTRY_OFFSET_MASK, NULL) ||
	       !memcmp(head, magic, sizeof(head));
}

/* Takes the entries of a table of the disk from index FROM on. */
static void take_entries(struct search *s, uint32_t l1_index, uint32_t from)
{
	struct qf_pass_ctx *c = s->c;
	uint64_t guest;
	uint32_t i;

	for (i = from; i < c->img->geo.l2_entries; i++) {
		if (!maps_data(s, i))
			continue;
		guest = qf_pass_guest(c->img, l1_index, i);
		if (!s->n++)
			s->first = guest;
		if (c->lost_ranges->n < MAX_RANGES)
			qf_lost_add_beyond(c->lost_ranges, s->holder, guest,
					   c->img->geo.cluster_bytes);
	}
}

/* True if the L2 table at OFF can be believed; it is then read. */
static bool read_table(struct search *s, const struct qf_group *g, uint64_t off)
{
	const struct qf_l2_table *t = qf_walk_find_in(&s->c->walk, g, off);

	if (!t || t->odd || t->unread || !t->filled ||
	    qf_detail_garbage_table(&s->c->detail,
				    (uint64_t)(t - s->c->walk.table)))
		return false;
	s->reads++;
	return !qf_io_read_pad(s->c->img->io, s->buf,
			       s->c->img->geo.cluster_bytes, off, NULL);
}

/* What the holder has in the stretch G from index FROM on. False where
 * nothing more can be found: it is a machine's state. */
static bool see_group(struct search *s, const struct qf_group *g, uint32_t from,
		      uint64_t needed)
{
	uint64_t entry;

	if (s->reads >= MAX_TABLES)
		return false;
	if (!qf_lost_l1_at(s->c->img, &s->l1, g->l1_index, &entry) ||
	    !(entry & QF_ENTRY_OFFSET_MASK) ||
	    !read_table(s, g, entry & QF_ENTRY_OFFSET_MASK))
		return true;
	if (g->l1_index == needed && is_vm_state(s))
		return false;
	take_entries(s, g->l1_index, from);
	return true;
}

/* The stretches that end behind the disk of the holder. */
static void see_holder(struct search *s, uint64_t disk)
{
	const struct qf_image *img = s->c->img;
	const struct qf_walk *w = &s->c->walk;
	uint64_t span = img->geo.cluster_bytes << img->geo.l2_bits;
	uint64_t needed = qf_mem_div_up(disk, span), whole = disk / span;
	uint32_t i, from;

	s->n = 0;
	qf_lost_l1_open(img, s->holder, &s->l1);
	for (i = qf_walk_first_group(w, whole); i < w->n_groups; i++) {
		if (w->group[i].l1_index >= s->l1.entries)
			return;
		from = 0;
		if (w->group[i].l1_index == whole)
			from = (uint32_t)qf_mem_div_up(disk % span,
						       img->geo.cluster_bytes);
		if (!see_group(s, &w->group[i], from, needed))
			return;
	}
}

static void report(struct search *s, uint64_t field, uint64_t disk)
{
	struct qf_finding *f;
	char who[400];

	if (!s->n)
		return;
	f = qf_pass_at(s->c, QF_P_BEYOND_DISK, field, 8);
	f->count = s->n;
	f->guest_off = s->first;
	qf_finding_unseen(f);
	qf_finding_say(f,
		       "%" PRIu64 " cluster%s from guest offset 0x%" PRIx64
		       " on; %s states %" PRIu64 " bytes",
		       s->n, s->n == 1 ? "" : "s", s->first,
		       s->holder == QF_HOLDER_ACTIVE ? "the header"
						     : "its entry",
		       disk);
	qf_finding_owner(f, "%s",
			 qf_describe_holder(s->c->img, s->holder, who,
					    sizeof(who)));
}

void qf_beyond_check(struct qf_pass_ctx *c)
{
	const struct qf_snapshot_table *t = &c->img->snapshots;
	struct search s = { .c = c, .holder = QF_HOLDER_ACTIVE };
	uint32_t i;

	s.buf = qf_mem_zalloc(1, c->img->geo.cluster_bytes);
	if (!s.buf)
		return;
	see_holder(&s, c->img->hdr.disk_bytes);
	report(&s, HEADER_SIZE, c->img->hdr.disk_bytes);
	/* a snapshot without a size of its own has the header's of today */
	for (i = 0; i < t->n; i++) {
		if (t->snap[i].extra_bytes < EXTRA_WITH_SIZE)
			continue;
		s.holder = QF_HOLDER_SNAPSHOT(i);
		see_holder(&s, t->snap[i].disk_bytes);
		report(&s, t->snap[i].entry_off + SNAPSHOT_SIZE,
		       t->snap[i].disk_bytes);
	}
	free(s.buf);
}
