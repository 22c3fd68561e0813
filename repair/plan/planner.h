/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From an image to a plan that is proven to make it better. */
#ifndef QF_PLANNER_H
#define QF_PLANNER_H

#include "repair/gate/gate.h"
#include "repair/plan/plan.h"
#include "repair/write/trim.h"

/* So often a plan is made anew without what the gate stopped. */
#define QF_PLANNER_BREACHES 8u

struct qf_planner {
	struct qf_plan *plan;
	struct qf_report before, after; /* as found, and as planned */
	uint64_t cluster_bytes;
	uint32_t version;
	bool withheld; /* leaks are kept: they may be what is lost */
	bool refused;  /* the plan is not better: nothing must be written */
	char reason[256];
	/* what the limit kept from being planned: edits, and their risk */
	size_t beyond;
	enum qf_risk beyond_risk;
	bool beyond_mends[QF_PROBLEMS]; /* these would then be gone */
	/* what the gate stopped, and what was planned without it since */
	struct qf_gate_breach breach[QF_PLANNER_BREACHES];
	unsigned int n_breaches;
	struct qf_trim trim; /* by qf_trim_plan, where it is wanted */
};

/*
 * Plans the repair of the image behind IO, which stays the caller's. LIMIT,
 * REFUSED (QF_PROBLEMS of them, or NULL) and LEAKS_ONLY bound what is
 * planned. *M is freed with qf_planner_free, also after an error. Errors:
 * QF_ERR_NOMEM, QF_ERR_IO, those of qf_image_open.
 */
struct qf_planner_opts {
	enum qf_risk limit;
	const bool *refused;
	const struct qf_spared *spared; /* edits that are not wanted */
	size_t n_spared;
	bool leaks_only;
	bool withhold_leaks; /* none is to be freed */
	bool drop_in_use;    /* bitmaps that may have missed writes go */
	bool forget;	     /* the mark that something was given up goes */
	bool guess;	     /* restore what the evidence does not prove */
	const struct qf_choice *choice;
	size_t n_choices;
	const struct qf_choice *placed; /* see struct qf_plan */
	size_t n_places;
	bool guest; /* what check --guest finds as well */
	unsigned int jobs;
};

enum qf_err qf_planner_plan(struct qf_io *io,
			    const struct qf_planner_opts *opts,
			    struct qf_planner *m, struct qf_why *why);
void qf_planner_free(struct qf_planner *m);

#endif
