/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the passes share. A pass reads facts and adds findings. */
#ifndef QF_PASS_H
#define QF_PASS_H

#include "check/lost/blocks.h"
#include "check/check.h"
#include "check/detail/detail.h"
#include "check/lost/lost.h"
#include "lib/walk/recount.h"

struct qf_pass_ctx {
	struct qf_image *img;
	const struct qf_check_opts *opts;
	struct qf_walk walk;
	struct qf_recount recount;
	struct qf_blocks blocks;
	const struct qf_cut *cut; /* what went with the end of the file */
	struct qf_detail detail;
	struct qf_lost lost;
	struct qf_lost_list *lost_ranges; /* the report's */
	struct qf_lost_runs lost_runs;	  /* of the last table that was lost */
	uint64_t lost_looks;		  /* to find who loses what */
	unsigned int asked;		  /* questions to qf_whatis */
	bool withhold; /* leaks may be lost data: they must not be freed */
	const struct qf_questions *questions; /* judged; the report's */
	struct qf_questions *more; /* the same, for who asks more of it */
	struct qf_findings *out;
};

typedef enum qf_err qf_pass_fn(struct qf_pass_ctx *c, struct qf_why *why);

#define QF_PASS(NAME, fn, title) qf_pass_fn fn;
#include "check/catalogue/passes.def"
#undef QF_PASS

/* Adds a finding of P at the host range; the text is said by the caller. */
static inline struct qf_finding *qf_pass_at(struct qf_pass_ctx *c,
					    enum qf_problem p, uint64_t off,
					    uint64_t bytes)
{
	struct qf_finding *f = qf_finding_add(c->out, p);

	f->host_off = off;
	f->length = bytes;
	return f;
}

/* The host offset of the L1 entry L1_INDEX of the first holder that names
 * the table at OFF; QF_NOWHERE if there is none. */
uint64_t qf_pass_l1_place(struct qf_pass_ctx *c, uint32_t l1_index,
			  uint64_t off);

/* Names who uses the L2 table T of L1 index L1_INDEX as F's owner. */
void qf_pass_own_table(struct qf_pass_ctx *c, struct qf_finding *f,
		       uint32_t l1_index, const struct qf_l2_table *t);

/* As qf_whatis; after QF_WHATIS_MAX of them, quickly. */
char *qf_pass_whatis(struct qf_pass_ctx *c, uint64_t off, char *out,
		     size_t room);

/* The guest offset of an entry. */
static inline uint64_t qf_pass_guest(const struct qf_image *img,
				     uint32_t l1_index, uint64_t l2_index)
{
	return (((uint64_t)l1_index << img->geo.l2_bits) + l2_index)
	       << img->geo.cluster_bits;
}

/* qf_walk_metadata with a reason for its failure. */
enum qf_err qf_pass_metadata(struct qf_pass_ctx *c,
			     const struct qf_claim_fns *fns,
			     struct qf_why *why);

#endif
