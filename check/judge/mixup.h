/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bytes of the file that have changed places, and the image as it would be
 * with each back in its own. A whole cluster of one structure can stand where
 * another belongs, and the other there; two fields of the header likewise, or
 * all its fields of one width from one on, each in the next one's place.
 */
#ifndef QF_MIXUP_H
#define QF_MIXUP_H

#include "check/judge/question.h"
#include "lib/io/io_overlay.h"
#include "lib/walk/recount.h"

/*
 * KIND is _VALUE: what stands at the host offsets A and B belongs to B and A, a
 * cluster, or, where A is no cluster's start, a field of the header. _UP: the
 * header's fields from A on hold what belongs to the one before, and the last
 * one's is gone: 0. _DOWN: what belongs to the one behind; A's is gone: B.
 */
struct qf_mixup {
	enum qf_hypo_kind kind;
	uint64_t a, b;
};

struct qf_mixup qf_mixup_of(const struct qf_hypothesis *h);

/* A piece of the file as it was: LENGTH bytes at OFF. */
#define QF_MIXUP_PIECES 16u

struct qf_mixup_pieces {
	unsigned int n;
	struct {
		uint64_t off, length;
		unsigned char *bytes; /* in the buffer */
	} at[QF_MIXUP_PIECES];
	unsigned char *buf; /* owned */
};

/* The pieces that undo M in IMG. Errors: QF_ERR_NOMEM, QF_ERR_IO. Free with
 * qf_mixup_free, also after an error. */
enum qf_err qf_mixup_undo(struct qf_image *img, const struct qf_mixup *m,
			  struct qf_mixup_pieces *p);
void qf_mixup_free(struct qf_mixup_pieces *p);

/* The header's fields of WIDTH bytes that IMG has, in order: their offsets. */
unsigned int qf_mixup_fields(const struct qf_image *img, uint64_t width,
			     uint64_t *off);

/* An image as it would be. */
struct qf_mended {
	struct qf_overlay *over;
	struct qf_image *img;
	struct qf_walk walk;
	struct qf_recount recount;
	uint64_t wrong; /* what contradicts itself; 0: nothing at all */
};

/*
 * IMG with M undone, its tables walked and counted; nothing is written. Where
 * more of its parts are wrong than MOST, no more than needed is read. Errors:
 * QF_ERR_NOMEM. Free with qf_mended_close, also after an error; IMG must live
 * longer.
 */
enum qf_err qf_mended_open(struct qf_image *img, const struct qf_mixup *m,
			   unsigned int jobs, uint64_t most,
			   struct qf_mended *out);
void qf_mended_close(struct qf_mended *w);

/* How much is wrong with what the header points to; and, with that, with all
 * of the image: tables that are none, entries that break the rules, clusters
 * whose refcounts or flags do not agree with their uses. */
uint64_t qf_mended_parts(const struct qf_image *img);

/* The same, and what no rule forbids there, and no writer that is known makes:
 * what shows that the header is not as it was. */
uint64_t qf_mended_header(const struct qf_image *img);
uint64_t qf_mended_wrong(const struct qf_image *img, const struct qf_walk *w,
			 const struct qf_recount *t);

#endif
