/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A report in words and as JSON. */
#ifndef QF_REPORT_H
#define QF_REPORT_H

#include "check/check.h"
#include "check/report/json.h"

#include <stdio.h>

struct qf_report_style {
	bool colour;
	bool all;      /* no limit on the findings of one problem */
	bool quiet;    /* only what is wrong, no figures */
	bool no_guest; /* do not look into the guest's disk */
	bool data;     /* compressed clusters were inflated */
	bool chain;    /* the files behind the image were checked, too */
	bool why;      /* what speaks for and against each answer */
};

/* Prints the questions that the image raises, what speaks for and against each
 * answer, and how to choose one. NAME is the image as given. */
void qf_report_why(FILE *out, const char *name, const struct qf_questions *l,
		   bool all);

/* What the lost ranges are to the guest: see hits.h. */
struct qf_hits;

/* Prints the report on IMG for a person. NAME is the image as given. HITS may
 * be NULL. */
void qf_report_human(FILE *out, const struct qf_image *img, const char *name,
		     const struct qf_report *rep, const struct qf_hits *hits,
		     const struct qf_report_style *style);

/* The verdict alone, in words, and what to do next. */
void qf_report_verdict(FILE *out, const struct qf_image *img, const char *name,
		       const struct qf_report *rep,
		       const struct qf_report_style *style);

/* The report as one JSON object, owned by the caller. HITS may be NULL. */
json_t *qf_report_json(const struct qf_image *img, const char *name,
		       const struct qf_report *rep, const struct qf_hits *hits);

/* The findings alone, as a JSON array. */
json_t *qf_report_findings(const struct qf_findings *l);

/* The object of an image NAME that has no report: its FORMAT (NULL: not
 * known), and the ERROR for which it could not be checked (NULL: none). */
json_t *qf_report_no_json(const char *name, const char *format,
			  const char *verdict, const char *error);

/* The same of one that could not be opened or read. */
json_t *qf_report_why_json(const char *name, const struct qf_why *why);

/* How many errors the image has, as every command counts them. */
uint64_t qf_report_errors(const struct qf_report *rep);

/* The exit code of check for a verdict. */
int qf_report_exit(enum qf_verdict v);

/* The exit code of several images, from those of two. */
int qf_report_gravest(int a, int b);

#endif
