/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which story the findings tell. */
#ifndef QF_DIAGNOSE_H
#define QF_DIAGNOSE_H

#include "check/catalogue/problem.h"

struct qf_pass_ctx;

enum qf_cause {
	QF_CAUSE_TWO_WRITERS,
	QF_CAUSE_SNAPSHOT_UNDER_WRITER,
	QF_CAUSE_TRUNCATED,
	QF_CAUSE_PUNCH_HOLE,
	QF_CAUSE_HOST_CRASH,
	QF_CAUSE_LAZY_REFCOUNTS,
	QF_CAUSE_NO_REFCOUNTS,
	QF_CAUSES
};

struct qf_diagnosis {
	enum qf_cause cause;
	enum qf_problem evidence[8];
	unsigned int n;
};

/*
 * Puts the stories that the evidence supports into D, at most QF_CAUSES,
 * and returns how many. None is a good answer.
 */
unsigned int qf_diagnose(const struct qf_pass_ctx *c, struct qf_diagnosis *d);

const char *qf_diagnose_name(enum qf_cause c);	 /* "two-writers" */
const char *qf_diagnose_story(enum qf_cause c);	 /* what happened */
const char *qf_diagnose_advice(enum qf_cause c); /* what to do now */

#endif
