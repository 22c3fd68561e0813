// SPDX-License-Identifier: GPL-2.0-or-later
#include "repair/write/verify.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR 512u

/* A look at the image, and what it is compared with. */
struct verify {
	struct qf_io *io;
	struct qf_undofile *u;
	enum qf_want want;
	unsigned char *now; /* owned: QF_UNDO_MAX_RECORD bytes */
	/* the states that sector 0 goes through */
	unsigned char first[2 * QF_UNDO_PHASES][SECTOR];
	unsigned int n_first;
};

/* The sector AT of a before- or after-image of LEN bytes, padded. */
static void sector_of(const unsigned char *image, uint32_t len, uint32_t at,
		      unsigned char *out)
{
	uint32_t n = at < len ? len - at : 0;

	memset(out, 0, SECTOR);
	if (n)
		memcpy(out, image + at, n < SECTOR ? n : SECTOR);
}

static bool known_first(const struct verify *v, const unsigned char *now)
{
	unsigned int i;

	if (v->want == QF_WANT_BEFORE)
		return !memcmp(now, v->first[0], SECTOR);
	if (v->want == QF_WANT_AFTER)
		return !memcmp(now, v->first[v->n_first - 1], SECTOR);
	for (i = 0; i < v->n_first; i++)
		if (!memcmp(now, v->first[i], SECTOR))
			return true;
	return false;
}

/* True if the sector NOW may stand where record R has AT. (3) */
static bool is_known(const struct verify *v, const struct qf_undo_record *r,
		     uint32_t at, const unsigned char *now)
{
	unsigned char want[SECTOR];

	if (r->off + at == 0)
		return known_first(v, now);
	sector_of(r->before, r->before_len, at, want);
	/* one that was interrupted may have left out what was to be trimmed */
	if ((v->want != QF_WANT_AFTER || !r->after) &&
	    !memcmp(now, want, SECTOR))
		return true;
	if (v->want == QF_WANT_BEFORE)
		return false;
	/* a trimmed place holds zeros */
	sector_of(r->after, r->after ? r->len : 0, at, want);
	return !memcmp(now, want, SECTOR);
}

static enum qf_err not_as_recorded(const struct qf_undo_record *r, uint32_t at,
				   struct qf_why *why)
{
	return qf_err_set(why, QF_ERR_USAGE, 0, r->off + at,
			  "does not hold what the undo file expects at host "
			  "offset 0x%" PRIx64
			  ": it has been written to since, or is another image",
			  r->off + at);
}

static enum qf_err verify_chunk(struct verify *v,
				const struct qf_undo_record *r, uint32_t from,
				uint32_t len, struct qf_why *why)
{
	unsigned char last[SECTOR];
	const unsigned char *now;
	enum qf_err err;
	uint32_t at;

	err = qf_io_read_pad(v->io, v->now, len, r->off + from, why);
	for (at = 0; !err && at < len; at += SECTOR) {
		now = v->now + at;
		if (len - at < SECTOR) {
			sector_of(v->now, len, at, last);
			now = last;
		}
		if (!is_known(v, r, from + at, now))
			err = not_as_recorded(r, from + at, why);
	}
	return err;
}

static enum qf_err verify_record(struct verify *v,
				 const struct qf_undo_record *r,
				 struct qf_why *why)
{
	bool zeros = !r->after && !r->before_len;
	enum qf_err err = QF_OK;
	uint64_t end;
	uint32_t at, n;

	for (at = 0; !err && at < r->len; at += n) {
		n = r->len - at;
		if (r->off + at >= v->io->size && zeros)
			continue;
		if (zeros && qf_io_extent(v->io, r->off + at, r->off + r->len,
					  &end) == QF_IO_HOLE) {
			n = (uint32_t)(end - r->off - at);
			continue;
		}
		if (n > QF_UNDO_MAX_RECORD)
			n = QF_UNDO_MAX_RECORD;
		err = verify_chunk(v, r, at, n, why);
	}
	return err;
}

/* Collects the states of sector 0, first to last. */
static enum qf_err collect_first(struct verify *v, struct qf_why *why)
{
	struct qf_undo_record r;
	enum qf_err err;
	uint64_t i;

	for (i = 0; i < v->u->n; i++) {
		if (v->u->off[i] || v->n_first + 2 > sizeof(v->first) / SECTOR)
			continue;
		err = qf_undofile_read(v->u, i, &r, why);
		if (err)
			return err;
		sector_of(r.before, r.before_len, 0, v->first[v->n_first++]);
		sector_of(r.after, r.after ? r.len : 0, 0,
			  v->first[v->n_first++]);
	}
	return QF_OK;
}

static bool is_known_size(const struct verify *v, uint64_t size)
{
	uint64_t before = v->u->size_before, after = v->u->size_after;

	if (v->want == QF_WANT_BEFORE)
		return size == before;
	/* the free end may have been left, as above */
	if (v->want == QF_WANT_AFTER && after >= before)
		return size == after;
	return size >= (before < after ? before : after) &&
	       size <= (before < after ? after : before);
}

enum qf_err qf_verify_image(struct qf_io *io, struct qf_undofile *u,
			    enum qf_want want, struct qf_why *why)
{
	struct verify v = { .io = io, .u = u, .want = want };
	struct qf_undo_record r;
	enum qf_err err;
	uint64_t i;

	if (!io->block_dev && !is_known_size(&v, io->size))
		return qf_err_set(why, QF_ERR_USAGE, 0, QF_NOWHERE,
				  "has another size than recorded: it has been "
				  "written to since, or is another image");
	v.now = malloc(QF_UNDO_MAX_RECORD);
	if (!v.now)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory");
	err = collect_first(&v, why);
	for (i = 0; !err && i < u->n; i++) {
		err = qf_undofile_read(u, i, &r, why);
		if (!err)
			err = verify_record(&v, &r, why);
	}
	free(v.now);
	return err;
}
