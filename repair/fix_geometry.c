// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A wrong cluster size in the header: all that is read by it is read wrongly,
 * and every other repair would make it worse. Of all sizes, one alone makes a
 * sound image of the file, and the stated one does not: then that one was it.
 */
#include "repair/fix.h"

#include <inttypes.h>
#include <stddef.h>

#define BITS_OFF offsetof(struct qf_wire_header, cluster_bits)
#define MIN_BITS 9u
#define MAX_BITS 21u
/* Where the tables can be found, so many corruptions make one doubt. */
#define MANY_CORRUPTIONS 4u

/* What makes one doubt the cluster size; NULL: nothing. */
static const struct qf_finding *doubt(const struct qf_report *rep)
{
	const struct qf_finding *f = rep->findings.at, *first = NULL;
	enum qf_severity s;
	size_t i;

	for (i = 0; i < rep->findings.n; i++, f++) {
		s = qf_problem_get(f->problem)->severity;
		if (s == QF_SEV_FATAL)
			return f;
		if (s == QF_SEV_ERROR && !first)
			first = f;
	}
	return rep->corruptions >= MANY_CORRUPTIONS ? first : NULL;
}

static bool is_allocated(const struct qf_image *img, uint64_t off)
{
	uint64_t stated;

	return !qf_image_refcount(img, off >> img->geo.cluster_bits, &stated,
				  NULL) &&
	       stated;
}

/* True if the tables that the header names can be there. */
static bool is_plausible(const struct qf_image *img)
{
	return img->l1_state == QF_PART_OK &&
	       img->reftable_state == QF_PART_OK && img->hdr.l1_entries &&
	       is_allocated(img, 0) && is_allocated(img, img->hdr.l1_off) &&
	       is_allocated(img, img->hdr.reftable_off);
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

/* Looks at the image as it would be with clusters of 1 << BITS. */
static enum qf_err try_bits(const struct qf_fix_ctx *c, uint32_t bits,
			    bool *sound, struct qf_why *why)
{
	struct qf_be32 w = qf_be_put32(bits);
	struct qf_overlay *over = NULL;
	struct qf_image *img = NULL;
	struct qf_io *io = NULL;
	enum qf_err err;

	*sound = false;
	err = qf_overlay_new(c->img->io, &over, why);
	if (!err)
		err = qf_overlay_put(over, BITS_OFF, &w, sizeof(w), why);
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

enum qf_err qf_fix_geometry(struct qf_fix_ctx *c, struct qf_why *why)
{
	const struct qf_finding *f = doubt(c->rep);
	uint32_t bits, found = 0;
	enum qf_err err = QF_OK;
	unsigned int n = 0;
	bool sound;

	if (c->plan->n || !f || !qf_plan_allows(c->plan, f->problem))
		return QF_OK;
	for (bits = MIN_BITS; !err && bits <= MAX_BITS; bits++) {
		if (bits == c->img->geo.cluster_bits)
			continue;
		err = try_bits(c, bits, &sound, why);
		if (!err && sound) {
			found = bits;
			n++;
		}
	}
	if (err || n != 1)
		return err;
	return qf_plan_put32(c->plan, f->problem, BITS_OFF, found, why,
			     "set the size of clusters to the only one that "
			     "makes a sound image of the file");
}
