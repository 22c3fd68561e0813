// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Data of the active disk behind the size that the header states. Right
 * behind the last L1 entry that the disk needs, a machine's state may lie:
 * it is told from data by the snapshots, or by its first bytes.
 */
#include "check/judge/beyond.h"
#include "lib/base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* So many L2 tables are read, and so many ranges are listed. */
#define MAX_TABLES 4096u
#define MAX_RANGES 65536u

struct search {
	struct qf_pass_ctx *c;
	unsigned char *buf; /* an L2 table */
	uint64_t n;	    /* clusters found */
	uint64_t first;	    /* guest offset of the first */
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

/* Takes the entries of an active table from index FROM on. */
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
			qf_lost_add_beyond(c->lost_ranges, guest,
					   c->img->geo.cluster_bytes);
	}
}

/* False where nothing more can be found: it is a machine's state. */
static bool see_group(struct search *s, const struct qf_group *g)
{
	const struct qf_image *img = s->c->img;
	const struct qf_l2_table *t;
	uint64_t span = img->geo.cluster_bytes << img->geo.l2_bits, from = 0;
	uint32_t v;

	if ((uint64_t)g->l1_index + 1 == img->geo.l1_needed)
		from = qf_mem_div_up(img->hdr.disk_bytes - g->l1_index * span,
				     img->geo.cluster_bytes);
	for (v = 0; v < g->n; v++) {
		t = &s->c->walk.table[g->first + v];
		if (!t->active || !t->off || t->odd || t->unread ||
		    !t->filled ||
		    qf_detail_garbage_table(&s->c->detail, g->first + v))
			continue;
		if (s->reads++ >= MAX_TABLES)
			return false;
		if (qf_io_read_pad(img->io, s->buf, img->geo.cluster_bytes,
				   t->off, NULL))
			continue;
		if (g->l1_index == img->geo.l1_needed && is_vm_state(s))
			return false;
		take_entries(s, g->l1_index, (uint32_t)from);
	}
	return true;
}

void qf_beyond_check(struct qf_pass_ctx *c)
{
	struct search s = { .c = c };
	struct qf_finding *f;
	uint32_t i;

	s.buf = qf_mem_zalloc(1, c->img->geo.cluster_bytes);
	for (i = 0; s.buf && i < c->walk.n_groups; i++)
		if (c->walk.group[i].l1_index + 1ull >= c->img->geo.l1_needed &&
		    !see_group(&s, &c->walk.group[i]))
			break;
	free(s.buf);
	if (!s.n)
		return;
	f = qf_pass_at(c, QF_P_BEYOND_DISK, 24, 8);
	f->count = s.n;
	f->guest_off = s.first;
	qf_finding_unseen(f);
	qf_finding_say(f,
		       "%" PRIu64 " cluster%s from guest offset 0x%" PRIx64
		       " on; the header states %" PRIu64 " bytes",
		       s.n, s.n == 1 ? "" : "s", s.first,
		       c->img->hdr.disk_bytes);
	qf_finding_owner(f, "the active disk");
}
