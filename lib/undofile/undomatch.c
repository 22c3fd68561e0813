// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/undofile/undomatch.h"
#include "lib/base/mem.h"
#include "lib/format/believe.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR 512u

bool qf_undomatch_is_marked(struct qf_io *io)
{
	struct qf_wire_header h;

	return !qf_io_read_pad(io, &h, sizeof(h), 0, NULL) &&
	       qf_believe_version(io, &h) >= 3 &&
	       qf_be_get64(h.incompatible_features) & QF_INCOMPAT_CORRUPT;
}

bool qf_undomatch_is_marked_only(const struct qf_undofile *u, struct qf_io *io)
{
	const size_t at =
		offsetof(struct qf_wire_header, incompatible_features);
	struct qf_be64 bits;
	unsigned char *first;
	bool same = false;

	if (u->first_bytes < at + sizeof(bits) ||
	    u->first_bytes > 1u << QF_MAX_CLUSTER_BITS)
		return false;
	first = qf_mem_zalloc(1, u->first_bytes);
	if (first && !qf_io_read_pad(io, first, u->first_bytes, 0, NULL)) {
		memcpy(&bits, first + at, sizeof(bits));
		if (qf_be_get64(bits) & QF_INCOMPAT_CORRUPT) {
			bits = qf_be_put64(qf_be_get64(bits) &
					   ~QF_INCOMPAT_CORRUPT);
			memcpy(first + at, &bits, sizeof(bits));
			same = qf_undofile_crc(0, first, u->first_bytes) ==
			       u->first_crc;
		}
	}
	free(first);
	return same;
}

static void compare_sector(const struct qf_undo_record *r, uint32_t at,
			   const unsigned char *now, struct qf_undomatch *t)
{
	uint32_t n = r->len - at < SECTOR ? r->len - at : SECTOR;
	unsigned char was[SECTOR] = { 0 }, will[SECTOR] = { 0 };
	bool is_before, is_after;

	if (at < r->before_len)
		memcpy(was, r->before + at,
		       r->before_len - at < n ? r->before_len - at : n);
	if (r->after)
		memcpy(will, r->after + at, n);
	is_before = !memcmp(now, was, n);
	is_after = !memcmp(now, will, n);
	t->before += is_before && !is_after;
	t->after += is_after && !is_before;
	t->strange = t->strange || (!is_before && !is_after);
}

bool qf_undomatch_compare(struct qf_undofile *u, struct qf_io *io,
			  struct qf_undomatch *t)
{
	unsigned char now[SECTOR];
	struct qf_undo_record r;
	uint64_t i;
	uint32_t at, n;

	for (i = 0; i < u->n_whole; i++) {
		if (qf_undofile_read(u, i, &r, NULL))
			return false;
		/* sector 0 has many states; of zeros nothing is seen */
		if (!r.off || (!r.after && !r.before_len))
			continue;
		for (at = 0; at < r.len; at += SECTOR) {
			n = r.len - at < SECTOR ? r.len - at : SECTOR;
			if (qf_io_read_pad(io, now, n, r.off + at, NULL))
				return false;
			compare_sector(&r, at, now, t);
		}
	}
	return true;
}

bool qf_undomatch_knows_first(struct qf_undofile *u, struct qf_io *io)
{
	unsigned char now[SECTOR];
	struct qf_undo_record r;
	struct qf_undomatch t;
	bool any = false;
	uint64_t i;

	if (qf_io_read_pad(io, now, SECTOR, 0, NULL))
		return true;
	for (i = 0; i < u->n_whole; i++) {
		if (u->off[i])
			continue;
		if (qf_undofile_read(u, i, &r, NULL))
			return true;
		any = true;
		memset(&t, 0, sizeof(t));
		compare_sector(&r, 0, now, &t);
		if (!t.strange)
			return true;
	}
	return !any;
}

/* True if the file is as long as it may be while U is at work. */
static bool is_sized(const struct qf_undofile *u, const struct qf_io *io)
{
	uint64_t low = u->size_before, high = u->size_after;

	if (low > high) {
		low = u->size_after;
		high = u->size_before;
	}
	return io->block_dev || (io->size >= low && io->size <= high);
}

bool qf_undomatch_is_begun(struct qf_undofile *u, struct qf_io *io)
{
	struct qf_undomatch t = { 0, 0, false };

	return u->n_whole && is_sized(u, io) &&
	       qf_undomatch_compare(u, io, &t) && !t.strange &&
	       qf_undomatch_knows_first(u, io) &&
	       (qf_undomatch_is_marked(io) || t.after);
}
