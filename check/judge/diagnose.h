/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which story the findings tell. */
#ifndef QF_DIAGNOSE_H
#define QF_DIAGNOSE_H

#include "check/judge/question.h"

struct qf_pass_ctx;

enum qf_cause {
#define QF_CAUSE(NAME, name, named, right, story, advice) QF_CAUSE_##NAME,
#include "check/judge/causes.def"
#undef QF_CAUSE
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

const char *qf_diagnose_name(enum qf_cause c); /* "two-writers" */
/* How sure it is that a named cause is the true one, by what was measured; and
 * so "What has likely happened". */
enum qf_grade qf_diagnose_grade(enum qf_cause c);
const char *qf_diagnose_heading(enum qf_cause c);
const char *qf_diagnose_story(enum qf_cause c);	 /* what happened */
const char *qf_diagnose_advice(enum qf_cause c); /* what to do now */

#endif
