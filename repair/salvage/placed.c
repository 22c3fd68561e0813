// SPDX-License-Identifier: GPL-2.0-or-later
#include "repair/salvage/placed.h"
#include "lib/base/mem.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define L1_SIZE_OFF offsetof(struct qf_wire_header, l1_size)

static enum qf_err refuse(const struct qf_image *img, uint64_t host,
			  uint64_t guest, struct qf_why *why)
{
	if (host & (img->geo.cluster_bytes - 1) || !host)
		return qf_err_set(why, QF_ERR_USAGE, 0, host,
				  "no table can stand there: 0x%" PRIx64
				  " is no multiple of the cluster size",
				  host);
	if (host >= img->io->size)
		return qf_err_set(why, QF_ERR_USAGE, 0, host,
				  "no table can stand there: the file ends "
				  "at 0x%" PRIx64,
				  img->io->size);
	if (guest >= img->hdr.disk_bytes)
		return qf_err_set(why, QF_ERR_USAGE, 0, QF_NOWHERE,
				  "the disk has no guest offset 0x%" PRIx64
				  ": it ends at 0x%" PRIx64,
				  guest, img->hdr.disk_bytes);
	return QF_OK;
}

/* The L1 table of BASE, N entries, as far as it can be read. */
static struct qf_be64 *read_l1(const struct qf_image *base, uint64_t n)
{
	struct qf_be64 *l1 = qf_mem_zalloc(n, sizeof(*l1));
	uint64_t off, i;
	uint32_t entries;

	if (!l1 || !qf_image_l1(base, QF_HOLDER_ACTIVE, &off, &entries))
		return l1;
	for (i = 0; i < n && i < entries; i++)
		if (qf_io_read_pad(base->io, &l1[i], 8, off + i * 8, NULL))
			l1[i] = qf_be_put64(0);
	return l1;
}

/* Puts a new L1 table behind the file's end, and lets the header name it. */
static enum qf_err put_l1(const struct qf_image *base, uint64_t index,
			  uint64_t host, struct qf_overlay *over,
			  struct qf_why *why)
{
	const struct qf_geometry *g = &base->geo;
	uint64_t n = g->l1_needed, off;
	struct qf_be64 *l1, at;
	struct qf_be32 size;
	enum qf_err err;

	if (n < base->hdr.l1_entries &&
	    base->hdr.l1_entries <= QF_MAX_L1_BYTES / 8)
		n = base->hdr.l1_entries;
	off = qf_mem_round_up(base->io->size, g->cluster_bytes);
	l1 = read_l1(base, n);
	if (!l1)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory for the L1 table");
	l1[index] = qf_be_put64(host);
	size = qf_be_put32((uint32_t)n);
	at = qf_be_put64(off);
	err = qf_overlay_put(over, off, l1, n * 8, why);
	free(l1);
	if (!err)
		err = qf_overlay_put(over, L1_SIZE_OFF, &size, 4, why);
	return err ? err
		   : qf_overlay_put(over,
				    offsetof(struct qf_wire_header,
					     l1_table_offset),
				    &at, 8, why);
}

enum qf_err qf_placed_open(struct qf_image *base, uint64_t host, uint64_t guest,
			   struct qf_placed *p, struct qf_why *why)
{
	enum qf_err err = refuse(base, host, guest, why);
	struct qf_io *io = NULL;

	memset(p, 0, sizeof(*p));
	if (!err)
		err = qf_overlay_new(base->io, &p->over, why);
	if (!err)
		err = put_l1(
			base,
			guest >> (base->geo.l2_bits + base->geo.cluster_bits),
			host, p->over, why);
	if (!err)
		err = qf_overlay_view(p->over, &io, why);
	return err ? err : qf_image_open(io, &p->img, why);
}

void qf_placed_free(struct qf_placed *p)
{
	qf_image_close(p->img);
	qf_overlay_free(p->over);
	memset(p, 0, sizeof(*p));
}
