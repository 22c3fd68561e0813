// SPDX-License-Identifier: GPL-2.0-or-later
/* The snapshot table and the L1 tables that it points to. */
#include "check/passes/pass.h"
#include "lib/walk/describe.h"

#include "lib/base/mem.h"
#include "lib/base/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void check_table(struct qf_pass_ctx *c)
{
	const struct qf_snapshot_table *t = &c->img->snapshots;
	static const enum qf_problem problems[] = {
		[QF_SNAPSHOTS_COUNT] = QF_P_SNAP_COUNT,
		[QF_SNAPSHOTS_OFFSET] = QF_P_SNAP_TABLE_OFFSET,
		[QF_SNAPSHOTS_UNREADABLE] = QF_P_SNAP_TABLE_UNREADABLE,
		[QF_SNAPSHOTS_CUT] = QF_P_SNAP_TABLE_CUT,
		[QF_SNAPSHOTS_GARBLED] = QF_P_SNAP_ENTRY_GARBLED,
	};
	struct qf_finding *f;

	if (t->state == QF_SNAPSHOTS_OK)
		return;
	f = qf_pass_at(c, problems[t->state], t->bad_off, 40);
	qf_finding_say(f,
		       "the header counts %" PRIu32 " snapshots; %" PRIu32
		       " of them can be read",
		       t->stated, t->n);
}

static struct qf_finding *add(struct qf_pass_ctx *c, uint32_t i,
			      enum qf_problem p)
{
	const struct qf_snapshot *s = &c->img->snapshots.snap[i];
	struct qf_finding *f = qf_pass_at(c, p, s->entry_off, s->entry_bytes);
	char who[400];

	qf_finding_owner(f, "%s",
			 qf_describe_holder(c->img, QF_HOLDER_SNAPSHOT(i), who,
					    sizeof(who)));
	return f;
}

static void check_l1(struct qf_pass_ctx *c, uint32_t i)
{
	const struct qf_image *img = c->img;
	const struct qf_snapshot *s = &img->snapshots.snap[i];
	uint64_t end = s->l1_off + s->l1_entries * 8ull;
	struct qf_finding *f;

	if (s->l1_off & (img->geo.cluster_bytes - 1)) {
		qf_finding_say(add(c, i, QF_P_SNAP_L1_UNALIGNED),
			       "it is said to be at 0x%" PRIx64, s->l1_off);
		return;
	}
	if (s->l1_entries > QF_MAX_L1_BYTES / 8) {
		qf_finding_say(add(c, i, QF_P_SNAP_L1_SIZE),
			       "it is said to have %" PRIu32 " entries",
			       s->l1_entries);
		return;
	}
	/* the sum may be 2^64, which is 0 */
	if (!s->l1_entries || (end > s->l1_off && end <= img->io->size))
		return;
	f = add(c, i, QF_P_SNAP_L1_OUTSIDE);
	if (!qf_entry_past_end(&img->geo, img->io->size, s->l1_off,
			       s->l1_entries * 8ull))
		qf_finding_unseen(f);
	qf_finding_say(f,
		       "it needs the file's bytes up to 0x%" PRIx64
		       ", and the file ends at 0x%" PRIx64,
		       end, img->io->size);
}

/*
 * The size of the VM state stands in two fields: a small one, which is 0 if it
 * cannot hold it, and one of the extra data. Where they disagree, the extra
 * data were damaged, or moved, and the size of the disk stands among them.
 */
static void check_state_twice(struct qf_pass_ctx *c, uint32_t i)
{
	const struct qf_snapshot *s = &c->img->snapshots.snap[i];
	const struct qf_geometry *g = &c->img->geo;
	uint64_t reach = (uint64_t)s->l1_entries
			 << (g->l2_bits + g->cluster_bits);
	uint32_t small = s->vm_state_bytes > UINT32_MAX
				 ? 0
				 : (uint32_t)s->vm_state_bytes;
	struct qf_finding *f;

	if (s->vm_state_small == small)
		return;
	f = add(c, i, QF_P_SNAP_VM_STATE_TWICE);
	qf_finding_unseen(f);
	qf_finding_say(f,
		       "it is said to have %" PRIu32 " bytes, and %" PRIu64
		       "; the disk, %" PRIu64,
		       s->vm_state_small, s->vm_state_bytes, s->disk_bytes);
	if (reach > s->disk_bytes)
		qf_lost_add_beyond(c->lost_ranges, QF_HOLDER_SNAPSHOT(i),
				   s->disk_bytes, reach - s->disk_bytes);
}

/*
 * What lies behind the disk in the snapshot's L1 table is all the room that
 * a VM state can have; and the table must reach over the whole disk.
 */
static void check_sizes(struct qf_pass_ctx *c, uint32_t i)
{
	const struct qf_geometry *g = &c->img->geo;
	const struct qf_snapshot *s = &c->img->snapshots.snap[i];
	unsigned int span_bits = g->l2_bits + g->cluster_bits;
	uint64_t needed = qf_mem_div_up(s->disk_bytes, 1ull << span_bits);
	uint64_t room = 0;
	struct qf_finding *f;

	if (s->l1_entries > QF_MAX_L1_BYTES / 8)
		return; /* told already: there is nothing to compare with */
	/* without the extra data, the disk's size is the header's of today */
	if (s->l1_entries < needed && s->extra_bytes >= 16) {
		f = add(c, i, QF_P_SNAP_DISK_SIZE);
		qf_finding_unseen(f);
		qf_finding_say(f,
			       "its L1 table has %" PRIu32
			       " entries, and its disk of %" PRIu64
			       " bytes needs %" PRIu64,
			       s->l1_entries, s->disk_bytes, needed);
		return;
	}
	if (s->l1_entries > needed)
		room = (s->l1_entries - needed) << span_bits;
	if (s->vm_state_bytes > room) {
		f = add(c, i, QF_P_SNAP_VM_STATE);
		qf_finding_unseen(f);
		qf_finding_say(f,
			       "it is said to have %" PRIu64
			       " bytes, and its L1 table has room for %" PRIu64
			       " behind the disk",
			       s->vm_state_bytes, room);
		return;
	}
	check_state_twice(c, i);
}

/* An order by id (or name), and by place where they are the same. */
struct label {
	const char *text;
	uint32_t i;
};

static int by_text(const void *a, const void *b)
{
	const struct label *x = a, *y = b;
	int order = strcmp(x->text, y->text);

	if (order)
		return order;
	return x->i < y->i ? -1 : x->i > y->i;
}

/* One finding for the N snapshots that are called the same. */
static void same_label(struct qf_pass_ctx *c, const struct label *l, uint32_t n,
		       enum qf_problem p)
{
	char text[300], who[400];
	struct qf_finding *f;

	f = add(c, l[0].i, p);
	f->count = n;
	qf_finding_unseen(f);
	if (!*l->text) {
		qf_finding_say(f, "%" PRIu32 " of the table's %" PRIu32, n,
			       c->img->snapshots.n);
		return;
	}
	qf_finding_say(f, "%" PRIu32 " are called \"%s\"", n,
		       qf_text_safe(l->text, text, sizeof(text)));
	qf_finding_other(f, "%s",
			 qf_describe_holder(c->img, QF_HOLDER_SNAPSHOT(l[1].i),
					    who, sizeof(who)));
}

/* A name may be empty, an id may not. */
static void judge_label(struct qf_pass_ctx *c, const struct label *l,
			uint32_t n, bool name)
{
	if (!*l->text && !name)
		same_label(c, l, n, QF_P_SNAP_ID_EMPTY);
	else if (*l->text && n > 1)
		same_label(c, l, n,
			   name ? QF_P_SNAP_NAME_TWICE : QF_P_SNAP_ID_TWICE);
}

static bool check_labels(struct qf_pass_ctx *c, bool names)
{
	const struct qf_snapshot_table *t = &c->img->snapshots;
	struct label *l = qf_mem_zalloc(t->n, sizeof(*l));
	uint32_t i, first = 0;

	if (!l)
		return false;
	for (i = 0; i < t->n; i++) {
		l[i].text = names ? t->snap[i].name : t->snap[i].id;
		l[i].i = i;
	}
	qsort(l, t->n, sizeof(*l), by_text);
	for (i = 1; i <= t->n; i++) {
		if (i < t->n && !strcmp(l[i].text, l[first].text))
			continue;
		judge_label(c, &l[first], i - first, names);
		first = i;
	}
	free(l);
	return true;
}

/* True if nothing is left of the entry: no snapshot is without an L1 table. */
static bool is_erased(const struct qf_snapshot *s)
{
	return !s->l1_off && !s->l1_entries && !s->id_bytes && !s->name_bytes;
}

static void check_entry(struct qf_pass_ctx *c, uint32_t i)
{
	const struct qf_snapshot *s = &c->img->snapshots.snap[i];

	/* in version 3 it lacks its extra data, too */
	if (c->img->hdr.version < 3 && is_erased(s)) {
		struct qf_finding *f = add(c, i, QF_P_SNAP_ENTRY_GARBLED);

		qf_finding_unseen(f);
		qf_finding_say(f, "it holds nothing but zeros");
		return;
	}

	if (c->img->hdr.version >= 3 && s->extra_bytes < 16)
		qf_finding_say(add(c, i, QF_P_SNAP_EXTRA_SHORT),
			       "it has %" PRIu32 " bytes of 16",
			       s->extra_bytes);
	if (s->extra_bytes > QF_MAX_SNAPSHOT_EXTRA)
		qf_finding_say(add(c, i, QF_P_SNAP_EXTRA_LONG),
			       "it has %" PRIu32 " bytes", s->extra_bytes);
	check_l1(c, i);
	check_sizes(c, i);
}

enum qf_err qf_pass_snapshots(struct qf_pass_ctx *c, struct qf_why *why)
{
	const struct qf_snapshot_table *t = &c->img->snapshots;
	uint32_t i;

	check_table(c);
	if (c->img->geo.data_file && t->n)
		qf_finding_say(qf_pass_at(c, QF_P_SNAP_DATA_FILE, 60, 4),
			       "%" PRIu32 " snapshots", t->n);
	for (i = 0; i < t->n; i++)
		check_entry(c, i);
	if (t->n && (!check_labels(c, false) || !check_labels(c, true)))
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory for the snapshots' names");
	return QF_OK;
}
