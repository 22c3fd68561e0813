// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/report/units.h"
#include "lib/format/entry.h"
#include "lib/format/header.h"
#include "lib/io/io_overlay.h"

#include <stddef.h>

#define L1_PIECE 512u /* entries read at once */
#define MIN_BITS 9u
#define MAX_BITS 21u
/* Runs of refcounts that are zero: a block of them makes one doubt. */
#define MANY_RUNS 16u

static bool is_allocated(const struct qf_image *img, uint64_t off)
{
	uint64_t stated;

	return !qf_image_refcount(img, off >> img->geo.cluster_bits, &stated,
				  NULL) &&
	       stated;
}

/* True if each of the N L1 entries at BUF leads to a place that is allocated. */
static bool lead_to_tables(const struct qf_image *img,
			   const struct qf_be64 *buf, uint64_t n)
{
	uint64_t i, entry;

	for (i = 0; i < n; i++) {
		entry = qf_be_get64(buf[i]);
		if (entry &&
		    (qf_entry_l1_odd(&img->geo, img->io->size, entry) ||
		     !is_allocated(img, entry & QF_ENTRY_OFFSET_MASK)))
			return false;
	}
	return true;
}

/*
 * True if the L1 table leads to places that are allocated, to its last entry:
 * with a wrong width of refcounts it is often the far half of the file that has
 * none. One entry that does not is a fault that the check would find.
 */
static bool leads_to_tables(const struct qf_image *img)
{
	struct qf_be64 buf[L1_PIECE];
	uint64_t all = img->hdr.l1_entries, at, n;

	for (at = 0; at < all; at += n) {
		n = all - at < L1_PIECE ? all - at : L1_PIECE;
		if (qf_io_read_pad(img->io, buf, n * 8,
				   img->hdr.l1_off + at * 8, NULL) ||
		    !lead_to_tables(img, buf, n))
			return false;
	}
	return true;
}

/*
 * True if the tables that the header names can be there. That is told by few
 * reads, and spares the check of an image that is read in wrong units, which
 * finds millions of faults.
 */
static bool is_plausible(const struct qf_image *img)
{
	return img->l1_state == QF_PART_OK &&
	       img->reftable_state == QF_PART_OK && img->hdr.l1_entries &&
	       img->hdr.l1_entries >= img->geo.l1_needed &&
	       is_allocated(img, 0) && is_allocated(img, img->hdr.l1_off) &&
	       is_allocated(img, img->hdr.reftable_off) && leads_to_tables(img);
}

/* *SOUND: the check finds nothing but leaks at the most, and something that
 * is mapped. */
static enum qf_err judge(struct qf_image *img, bool *sound, struct qf_why *why)
{
	struct qf_check_opts opts = { .jobs = 1 };
	struct qf_report rep;
	enum qf_err err = qf_check_run(img, &opts, &rep, why);
	size_t i;

	*sound = !err && rep.fig.allocated;
	for (i = 0; *sound && i < rep.findings.n; i++)
		*sound = qf_problem_get(rep.findings.at[i].problem)->severity <
			 QF_SEV_UNREAD;
	qf_check_free(&rep);
	return err;
}

enum qf_err qf_units_try(struct qf_io *base, uint64_t off, const void *bytes,
			 uint64_t n, bool *sound, struct qf_why *why)
{
	struct qf_overlay *over = NULL;
	struct qf_image *img = NULL;
	struct qf_io *io = NULL;
	enum qf_err err;

	*sound = false;
	err = qf_overlay_new(base, &over, why);
	if (!err)
		err = qf_overlay_put(over, off, bytes, n, why);
	if (!err)
		err = qf_overlay_view(over, &io, why);
	if (err)
		goto out;
	/* such an image need not even open: that says enough */
	err = qf_image_open(io, &img, NULL);
	if (err == QF_ERR_NOMEM)
		qf_err_set(why, err, 0, QF_NOWHERE, "no memory");
	else
		err = QF_OK;
	if (!err && img && is_plausible(img))
		err = judge(img, sound, why);
out:
	qf_image_close(img);
	qf_overlay_free(over);
	return err;
}

/* True if tables are not where they should be, or count throughout wrongly. */
static bool is_doubtful(const struct qf_report *rep)
{
	uint64_t zero = 0;
	size_t i;

	for (i = 0; i < rep->findings.n; i++)
		switch (rep->findings.at[i].problem) {
		case QF_P_HEADER_L1_SMALL:
		case QF_P_HEADER_L1_OFFSET:
		case QF_P_HEADER_L1_OUTSIDE:
		case QF_P_HEADER_REFTABLE_OFFSET:
		case QF_P_HEADER_REFTABLE_OUTSIDE:
		case QF_P_REFBLOCK_WRONG:
			return true;
		case QF_P_REFCOUNT_ZERO: /* --all: each by itself */
			zero++;
			break;
		default:
			break;
		}
	return zero > MANY_RUNS;
}

uint32_t qf_units_cluster_bits(const struct qf_image *img,
			       const struct qf_report *rep)
{
	uint32_t bits, found = 0, n = 0;
	struct qf_be32 word;
	bool sound;

	if (!is_doubtful(rep))
		return 0;
	for (bits = MIN_BITS; bits <= MAX_BITS; bits++) {
		word = qf_be_put32(bits);
		if (bits == img->geo.cluster_bits ||
		    qf_units_try(img->io,
				 offsetof(struct qf_wire_header, cluster_bits),
				 &word, sizeof(word), &sound, NULL) ||
		    !sound)
			continue;
		found = bits;
		n++;
	}
	return n == 1 ? found : 0;
}
