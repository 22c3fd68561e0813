// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A wrong cluster size in the header: all that is read by it is read wrongly,
 * and every other repair would make it worse. The same goes for the width of
 * refcounts, and for the feature bits that say how L2 entries are read. Of all
 * values, one alone makes a sound image of the file, and the stated one does
 * not: then that one was it.
 */
#include "repair/fixes/fix.h"

#include <inttypes.h>
#include <stddef.h>

#define AT(FIELD) offsetof(struct qf_wire_header, FIELD)
#define MAX_ORDER 6u
#define HEAD_ENTRIES 512u
#define MIN_BITS 9u
#define MAX_BITS 21u
/* Where the tables can be found, so many corruptions make one doubt. */
#define MANY_CORRUPTIONS 4u

/* True if the header speaks of an external data file and does not name it. */
static bool names_no_data_file(const struct qf_image *img)
{
	return img->geo.data_file && !qf_ext_find(&img->ext, QF_EXT_DATA_FILE);
}

/* True if so much is leaked as with entries that are taken for double ones:
 * every other one is lost. */
static bool halves_tables(const struct qf_fix_ctx *c)
{
	return c->img->geo.extl2 && c->recount.leaked &&
	       c->recount.leaked >= c->rep->fig.allocated / 2;
}

static const struct qf_finding *leaks(const struct qf_report *rep)
{
	size_t i;

	for (i = 0; i < rep->findings.n; i++)
		if (rep->findings.at[i].problem == QF_P_REFCOUNT_LEAK)
			return &rep->findings.at[i];
	return NULL;
}

/* What makes one doubt the units; NULL: nothing. */
static const struct qf_finding *doubt(const struct qf_fix_ctx *c)
{
	const struct qf_report *rep = c->rep;
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
	if (rep->corruptions >= MANY_CORRUPTIONS || names_no_data_file(c->img))
		return first;
	return halves_tables(c) ? leaks(rep) : NULL;
}

static bool is_allocated(const struct qf_image *img, uint64_t off)
{
	uint64_t stated;

	return !qf_image_refcount(img, off >> img->geo.cluster_bits, &stated,
				  NULL) &&
	       stated;
}

/* True if the L1 table's first entries lead to places that are allocated. */
static bool leads_to_tables(const struct qf_image *img)
{
	struct qf_be64 buf[HEAD_ENTRIES];
	uint64_t n = img->hdr.l1_entries, i, entry;

	if (n > HEAD_ENTRIES)
		n = HEAD_ENTRIES;
	if (qf_io_read_pad(img->io, buf, n * 8, img->hdr.l1_off, NULL))
		return false;
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

/* A field of the header, and the values that it may have had. */
struct field {
	uint64_t off;
	unsigned int bytes; /* 4 or 8 */
	uint64_t value[MAX_BITS - MIN_BITS + 1];
	unsigned int n;
	const char *what;
};

static enum qf_err put_value(struct qf_overlay *over, const struct field *f,
			     uint64_t value, struct qf_why *why)
{
	struct qf_be64 w64 = qf_be_put64(value);
	struct qf_be32 w32 = qf_be_put32((uint32_t)value);

	return f->bytes == 8
		       ? qf_overlay_put(over, f->off, &w64, sizeof(w64), why)
		       : qf_overlay_put(over, f->off, &w32, sizeof(w32), why);
}

/* Looks at the image as it would be with VALUE in the field. */
static enum qf_err try_value(const struct qf_fix_ctx *c, const struct field *f,
			     uint64_t value, bool *sound, struct qf_why *why)
{
	struct qf_overlay *over = NULL;
	struct qf_image *img = NULL;
	struct qf_io *io = NULL;
	enum qf_err err;

	*sound = false;
	err = qf_overlay_new(c->img->io, &over, why);
	if (!err)
		err = put_value(over, f, value, why);
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

/* Gives the field the only value that makes a sound image, if there is one. */
static enum qf_err try_field(struct qf_fix_ctx *c, enum qf_problem p,
			     const struct field *f, struct qf_why *why)
{
	uint64_t found = 0;
	enum qf_err err = QF_OK;
	unsigned int n = 0, i;
	bool sound;

	for (i = 0; !err && i < f->n; i++) {
		err = try_value(c, f, f->value[i], &sound, why);
		if (!err && sound) {
			found = f->value[i];
			n++;
		}
	}
	if (err || n != 1)
		return err;
	if (!qf_plan_licence_all(c->plan, c->img, 0))
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory for the plan");
	c->plan->snapshots_relisted = true;
	return f->bytes == 8
		       ? qf_plan_put64(c->plan, p, f->off, found, why, f->what)
		       : qf_plan_put32(c->plan, p, f->off, (uint32_t)found, why,
				       f->what);
}

static void add_range(struct field *f, uint64_t from, uint64_t to, uint64_t but)
{
	for (; from <= to; from++)
		if (from != but)
			f->value[f->n++] = from;
}

/* The feature bits by which L2 entries are read: one of them turned, where
 * there is a reason to doubt it. */
static void add_bits(struct field *f, const struct qf_fix_ctx *c)
{
	const struct qf_image *img = c->img;
	uint64_t bits = img->hdr.incompatible;

	if (img->hdr.version < 3)
		return;
	if (names_no_data_file(img))
		f->value[f->n++] = bits & ~QF_INCOMPAT_DATA_FILE;
	if (qf_fix_found(c, QF_P_L2_GARBAGE) || halves_tables(c))
		f->value[f->n++] = bits ^ QF_INCOMPAT_EXTL2;
}

/* True if the plan has come to nothing yet that is read in these units. */
static bool is_early(const struct qf_fix_ctx *c)
{
	const struct qf_plan *p = c->plan;
	size_t i;

	for (i = 0; i < p->n; i++)
		if (p->edit[i].host_off >= c->img->hdr.header_bytes)
			return false;
	return true;
}

enum qf_err qf_fix_geometry(struct qf_fix_ctx *c, struct qf_why *why)
{
	const struct qf_finding *f = doubt(c);
	struct field size = { .off = AT(cluster_bits),
			      .bytes = 4,
			      .what = "set the size of clusters to the only "
				      "one that makes a sound image of the "
				      "file" };
	struct field width = { .off = AT(refcount_order),
			       .bytes = 4,
			       .what = "set the width of refcounts to the only "
				       "one that makes a sound image of the "
				       "file" };
	struct field bits = { .off = AT(incompatible_features),
			      .bytes = 8,
			      .what = "set the feature bits to the only ones "
				      "that make a sound image of the file" };
	struct field *field[] = { &size, &width, &bits };
	size_t had = c->plan->n, i;
	enum qf_err err = QF_OK;

	if (!is_early(c) || !f || !qf_plan_allows(c->plan, f->problem))
		return QF_OK;
	add_range(&size, MIN_BITS, MAX_BITS, c->img->geo.cluster_bits);
	if (qf_fix_found(c, QF_P_REFBLOCK_WRONG) ||
	    qf_fix_found(c, QF_P_REFCOUNT_OVERFLOW))
		add_range(&width, 0, MAX_ORDER, c->img->hdr.refcount_order);
	add_bits(&bits, c);
	for (i = 0;
	     !err && c->plan->n == had && i < sizeof(field) / sizeof(*field);
	     i++)
		err = try_field(c, f->problem, field[i], why);
	return err;
}
