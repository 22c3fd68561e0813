// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A wrong cluster size in the header: all that is read by it is read wrongly,
 * and every other repair would make it worse. The same goes for the width of
 * refcounts, and for the feature bits that say how L2 entries are read. Of all
 * values, one alone makes a sound image of the file, and the stated one does
 * not: then that one was it.
 *
 * The width goes first: with another one, the guest reads what it reads now.
 * A file in large clusters is sound in small ones as well, if its counts are
 * halved; but not the other way round, for QEMU puts the refcount table into
 * the second cluster.
 */
#include "repair/fixes/fix.h"

#include <inttypes.h>
#include <stddef.h>

#define AT(FIELD) offsetof(struct qf_wire_header, FIELD)
#define MAX_ORDER 6u
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

/* True if counts are wrong throughout: not some clusters, but the way in which
 * they are read. */
static bool miscounts(const struct qf_fix_ctx *c)
{
	return qf_fix_found(c, QF_P_REFBLOCK_WRONG) ||
	       qf_fix_found(c, QF_P_REFCOUNT_OVERFLOW) ||
	       c->recount.too_low >= c->rep->fig.allocated / 4;
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

/* A field of the header, and the values that it may have had. */
struct field {
	uint64_t off;
	unsigned int bytes; /* 4 or 8 */
	uint64_t value[MAX_BITS - MIN_BITS + 1];
	unsigned int n;
	const char *what;
};

/* Looks at the image as it would be with VALUE in the field. */
static enum qf_err try_value(const struct qf_fix_ctx *c, const struct field *f,
			     uint64_t value, bool *sound, struct qf_why *why)
{
	struct qf_be64 w64 = qf_be_put64(value);
	struct qf_be32 w32 = qf_be_put32((uint32_t)value);

	return f->bytes == 8 ? qf_units_try(c->img->io, f->off, &w64,
					    sizeof(w64), sound, why)
			     : qf_units_try(c->img->io, f->off, &w32,
					    sizeof(w32), sound, why);
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
	struct field *field[] = { &width, &size, &bits };
	size_t had = c->plan->n, i;
	enum qf_err err = QF_OK;

	/* the plan has come to nothing yet that is read in these units */
	if (!qf_plan_is_within(c->plan, c->img->hdr.header_bytes) || !f ||
	    !qf_plan_allows(c->plan, f->problem))
		return QF_OK;
	add_range(&size, MIN_BITS, MAX_BITS, c->img->geo.cluster_bits);
	if (miscounts(c))
		add_range(&width, 0, MAX_ORDER, c->img->hdr.refcount_order);
	add_bits(&bits, c);
	for (i = 0;
	     !err && c->plan->n == had && i < sizeof(field) / sizeof(*field);
	     i++)
		err = try_field(c, f->problem, field[i], why);
	return err;
}
