// SPDX-License-Identifier: GPL-2.0-or-later
#include "repair/search/relist.h"
#include "lib/base/mem.h"
#include "repair/search/orphan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ENTRIES (1ull << 20) /* of all the tables together */
#define STEP 512u

/* The L2 tables that are named, as often as they are. */
struct named {
	uint64_t *off;
	size_t n, room;
};

/* Adds what the table T names; false if it cannot be an L1 table. */
static bool add_table(const struct qf_fix_ctx *c,
		      const struct qf_l1find_table *t, struct named *l)
{
	const struct qf_image *img = c->img;
	struct qf_be64 buf[STEP];
	uint64_t at, n, i, e;

	for (at = 0; at < t->end; at += n) {
		n = t->end - at < STEP ? t->end - at : STEP;
		if (qf_io_read_pad(img->io, buf, n * 8, t->off + at * 8, NULL))
			return false;
		for (i = 0; i < n; i++) {
			e = qf_be_get64(buf[i]);
			if (!e)
				continue;
			if (!(e & QF_ENTRY_OFFSET_MASK) ||
			    qf_entry_l1_odd(&img->geo, img->io->size, e) ||
			    !qf_mem_grow((void **)&l->off, l->n, &l->room,
					 sizeof(*l->off)))
				return false;
			l->off[l->n++] = e & QF_ENTRY_OFFSET_MASK;
		}
	}
	return true;
}

static int by_value(const void *pa, const void *pb)
{
	uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;

	return a < b ? -1 : a > b;
}

/* True if the L2 table at OFF lacks N owners. */
static bool lacks(const struct qf_fix_ctx *c, uint64_t off, uint64_t n,
		  bool exactly)
{
	uint64_t cluster = off >> c->img->geo.cluster_bits, stated, counted;
	unsigned int flags = 0;

	if (cluster >= c->recount.clusters ||
	    qf_image_refcount(c->img, cluster, &stated, NULL))
		return false;
	counted = qf_ledger_count(c->recount.ledger, cluster, &flags);
	if (flags & QF_LEDGER_DOUBLE || stated < counted + n)
		return false;
	return !exactly || stated == counted + n;
}

bool qf_relist_proves(const struct qf_fix_ctx *c,
		      const struct qf_l1find_table *t, uint32_t n, bool exactly)
{
	struct named l = { 0 };
	uint64_t entries = 0;
	bool ok = n > 0;
	size_t i, k;

	for (i = 0; ok && i < n; i++) {
		entries += t[i].end;
		ok = entries <= MAX_ENTRIES && qf_orphan_is(c, t[i].off) &&
		     add_table(c, &t[i], &l);
	}
	if (ok && l.n)
		qsort(l.off, l.n, sizeof(*l.off), by_value);
	for (i = 0; ok && i < l.n; i += k) {
		for (k = 1; i + k < l.n && l.off[i + k] == l.off[i]; k++)
			;
		ok = lacks(c, l.off[i], k, exactly);
	}
	free(l.off);
	return ok;
}

uint32_t qf_relist_find(const struct qf_fix_ctx *c, struct qf_l1find_table *t,
			bool exactly)
{
	struct qf_l1find s = { .c = c,
			       .holder = UINT32_MAX,
			       .entries = c->img->hdr.l1_entries,
			       .budget = QF_L1FIND_BYTES,
			       .at = t,
			       .room = QF_RELIST_MOST };

	if (!s.entries || s.entries > MAX_ENTRIES || !qf_l1find_look(&s) ||
	    s.n > QF_RELIST_MOST || !qf_relist_proves(c, t, s.n, exactly))
		return 0;
	return s.n;
}

/* What lies behind the disk in the snapshot's table is its VM state. */
static uint64_t vm_state_bytes(const struct qf_image *img,
			       const struct qf_l1find_table *t)
{
	const struct qf_geometry *g = &img->geo;

	if (t->end <= g->l1_needed)
		return 0;
	return (t->end - g->l1_needed) << (g->l2_bits + g->cluster_bits);
}

uint64_t qf_relist_entry(const struct qf_image *img,
			 const struct qf_l1find_table *t, uint64_t id,
			 unsigned char *out)
{
	uint64_t vm = vm_state_bytes(img, t);
	struct qf_wire_snapshot_extra x = {
		.vm_state_size = qf_be_put64(vm),
		.disk_size = qf_be_put64(img->hdr.disk_bytes),
	};
	struct qf_wire_snapshot f = {
		.l1_table_offset = qf_be_put64(t->off),
		.l1_size = qf_be_put32(img->hdr.l1_entries),
		.vm_state_size = qf_be_put32(vm > UINT32_MAX ? UINT32_MAX
							     : (uint32_t)vm),
		.extra_len = qf_be_put32(16),
	};
	char label[24], name[40];
	size_t n, m;

	snprintf(label, sizeof(label), "%" PRIu64, id);
	snprintf(name, sizeof(name), "recovered-%" PRIu64, id);
	n = strlen(label);
	m = strlen(name);
	f.id_len = qf_be_put16((uint16_t)n);
	f.name_len = qf_be_put16((uint16_t)m);
	memcpy(out, &f, sizeof(f));
	memcpy(out + sizeof(f), &x, 16);
	memcpy(out + sizeof(f) + 16, label, n);
	memcpy(out + sizeof(f) + 16 + n, name, m);
	return qf_mem_round_up(sizeof(f) + 16 + n + m, 8);
}
