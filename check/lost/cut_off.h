/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Was the file cut? The one place that judges it. A pointer past the end is
 * bent, or it is right and what it led to went with the end of the file. The
 * refcounts tell the two apart: what was cut off had been counted, by a block
 * that still stands in the file, or by one that was cut off as well. A bent
 * pointer hits such a place by chance only.
 */
#ifndef QF_CUT_OFF_H
#define QF_CUT_OFF_H

#include "lib/base/ranges.h"
#include "lib/format/entry.h"
#include "lib/model/image.h"

struct qf_blocks;
struct qf_pass_ctx;

struct qf_cut {
	uint64_t end; /* bytes of the file */
	/* host ranges past the end that had been allocated, or whose refcounts
	 * were cut off too */
	struct qf_ranges gone;
	/* the refcount table itself is past the end: what was counted is not
	 * known, and perhaps it is the header that is wrong */
	bool uncounted;
};

/*
 * Fills CUT from the refcounts of IMG, but for those blocks that B (or NULL)
 * calls garbage. Reads only the blocks that count clusters past the end. Free
 * with qf_cut_free. False without memory.
 */
bool qf_cut_find(const struct qf_image *img, const struct qf_blocks *b,
		 struct qf_cut *cut);
void qf_cut_free(struct qf_cut *cut);

/* True if what stood at the host offset OFF, a cluster's begin, went with the
 * end of the file. */
bool qf_cut_took(const struct qf_cut *cut, uint64_t off);

/* The same of what a table's ENTRY leads to, whose only oddities are ODD; of a
 * compressed cluster the begin may be there. */
bool qf_cut_took_entry(const struct qf_cut *cut, const struct qf_geometry *g,
		       uint64_t entry, unsigned int odd);

/* True if pointers bear it out: some lead to what was cut off. */
bool qf_cut_is_sure(const struct qf_pass_ctx *c);

/* True if snapshots' tables went with the end: what only they had looks as if
 * nobody had it. */
bool qf_cut_took_snapshots(const struct qf_pass_ctx *c);

/* True if the file was cut, and everything that the passes have found comes
 * from that. */
bool qf_cut_explains(const struct qf_pass_ctx *c);

#endif
