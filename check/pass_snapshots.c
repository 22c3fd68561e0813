// SPDX-License-Identifier: GPL-2.0-or-later
/* The snapshot table and the L1 tables that it points to. */
#include "check/pass.h"
#include "lib/describe.h"

#include <inttypes.h>

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
	if (s->l1_entries && qf_entry_past_end(&img->geo, img->io->size,
					       s->l1_off, s->l1_entries * 8ull))
		qf_finding_say(add(c, i, QF_P_SNAP_L1_OUTSIDE),
			       "it needs the file's bytes up to 0x%" PRIx64
			       ", and the file ends at 0x%" PRIx64,
			       end, img->io->size);
}

enum qf_err qf_pass_snapshots(struct qf_pass_ctx *c, struct qf_why *why)
{
	const struct qf_snapshot_table *t = &c->img->snapshots;
	uint32_t i;

	(void)why;
	check_table(c);
	if (c->img->geo.data_file && t->n)
		qf_finding_say(qf_pass_at(c, QF_P_SNAP_DATA_FILE, 60, 4),
			       "%" PRIu32 " snapshots", t->n);
	for (i = 0; i < t->n; i++) {
		if (c->img->hdr.version >= 3 && t->snap[i].extra_bytes < 16)
			qf_finding_say(add(c, i, QF_P_SNAP_EXTRA_SHORT),
				       "it has %" PRIu32 " bytes of 16",
				       t->snap[i].extra_bytes);
		if (t->snap[i].extra_bytes > QF_MAX_SNAPSHOT_EXTRA)
			qf_finding_say(add(c, i, QF_P_SNAP_EXTRA_LONG),
				       "it has %" PRIu32 " bytes",
				       t->snap[i].extra_bytes);
		check_l1(c, i);
	}
	return QF_OK;
}
