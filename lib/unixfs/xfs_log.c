// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/unixfs/xfs_log.h"
#include "lib/base/mem.h"

#define SECTOR 512u
#define RECORD 0xfeedbabeu
#define UNMOUNT 0x20
/* The longest record, with its headers, in sectors. */
#define MAX_RECORD (512u + 8u)

struct log {
	struct qf_xfs *x;
	uint64_t at; /* in the volume */
	uint64_t n;  /* sectors */
	bool failed;
};

static void read_sector(struct log *l, uint64_t i, unsigned char *b)
{
	if (!qf_volume_read(l->x->v, b, SECTOR, l->at + i % l->n * SECTOR))
		l->failed = true;
}

/* Each sector begins with the number of the turn that wrote it. */
static uint32_t turn_of(struct log *l, uint64_t i)
{
	unsigned char b[SECTOR];

	read_sector(l, i, b);
	return qf_xfs_get32(b, 0) == RECORD ? qf_xfs_get32(b, 4)
					    : qf_xfs_get32(b, 0);
}

/* Where the next record would be written: the turn changes there. */
static uint64_t find_head(struct log *l)
{
	uint32_t first = turn_of(l, 0);
	uint64_t lo = 0, hi = l->n, mid;

	while (hi - lo > 1) {
		mid = lo + (hi - lo) / 2;
		if (turn_of(l, mid) == first)
			lo = mid;
		else
			hi = mid;
	}
	return hi;
}

enum qf_guest_clean qf_xfs_log_state(struct qf_xfs *x)
{
	struct log l = { .x = x, .at = qf_xfs_place(x, x->log_start) };
	unsigned char r[SECTOR], op[SECTOR];
	uint64_t head, back, heads = 1;

	l.n = x->log_blocks * x->block / SECTOR;
	if (!x->log_start || l.at == QF_NOWHERE || l.n < MAX_RECORD)
		return QF_GUEST_CLEAN_UNKNOWN;
	head = find_head(&l);
	for (back = 1; back <= MAX_RECORD && !l.failed; back++) {
		read_sector(&l, head + l.n - back, r);
		if (qf_xfs_get32(r, 0) == RECORD)
			break;
	}
	if (l.failed || back > MAX_RECORD)
		return QF_GUEST_CLEAN_UNKNOWN;
	if (qf_xfs_get32(r, 8) & 2 && qf_xfs_get32(r, 320) > 32768)
		heads = qf_xfs_get32(r, 320) / 32768;
	read_sector(&l, head + l.n - back + heads, op);
	if (l.failed)
		return QF_GUEST_CLEAN_UNKNOWN;
	return back == heads + qf_mem_div_up(qf_xfs_get32(r, 12), SECTOR) &&
			       qf_xfs_get32(r, 40) == 1 && op[9] & UNMOUNT
		       ? QF_GUEST_CLEAN
		       : QF_GUEST_UNCLEAN;
}
