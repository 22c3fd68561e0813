// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Any bytes at all, and the plan of their repair: no crash, no hang, and what is
 * planned is not worse than what is there. The last byte chooses the options.
 */
#include "repair/plan/planner.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct qf_planner_opts opts = { .jobs = 1, .limit = QF_RISK_DATA };
	struct qf_planner m;
	struct qf_io *io;

	if (!size)
		return 0;
	opts.guess = data[size - 1] & 1;
	opts.drop_in_use = data[size - 1] & 2;
	opts.forget = data[size - 1] & 4;
	if (data[size - 1] & 8)
		opts.limit = QF_RISK_METADATA;
	if (qf_io_mem_open(data, size - 1, "fuzz", &io, NULL))
		return 0;
	if (!qf_planner_plan(io, &opts, &m, NULL) && m.plan && m.plan->n &&
	    !m.refused && m.before.verdict != QF_VERDICT_CORRUPT &&
	    m.after.verdict == QF_VERDICT_CORRUPT)
		abort();
	qf_planner_free(&m);
	qf_io_close(io);
	return 0;
}
