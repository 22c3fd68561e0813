// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/many/result.h"
#include "cmd.h"
#include "lib/base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum qf_result_kind kind_of(enum qf_verdict v)
{
	static const enum qf_result_kind kinds[] = {
		[QF_VERDICT_CLEAN] = QF_RESULT_CLEAN,
		[QF_VERDICT_LEAKS] = QF_RESULT_LEAKS,
		[QF_VERDICT_CORRUPT] = QF_RESULT_CORRUPT,
		[QF_VERDICT_UNCHECKED] = QF_RESULT_UNCHECKED,
	};

	return kinds[v];
}

/* The first problem of the gravest kind, up to MOST. */
static const struct qf_problem_row *gravest(const struct qf_findings *l,
					    enum qf_severity most)
{
	const struct qf_problem_row *worst = NULL, *row;
	size_t i;

	for (i = 0; i < l->n; i++) {
		row = qf_problem_get(l->at[i].problem);
		if (row->severity <= most &&
		    (!worst || row->severity > worst->severity))
			worst = row;
	}
	return worst;
}

/* Why no verdict: a part cannot be read, or a file beside it is not there. */
static const char *why_unchecked(const struct qf_findings *l)
{
	const struct qf_problem_row *row = gravest(l, QF_SEV_UNREAD);

	if (row && row->severity != QF_SEV_UNREAD)
		row = gravest(l, QF_SEV_ABSENT);
	return row ? row->message : "";
}

static uint64_t count_errors(const struct qf_findings *l)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < l->n; i++)
		n += qf_problem_get(l->at[i].problem)->severity >= QF_SEV_ERROR;
	return n;
}

static void note_corrupt(struct qf_result *r, const char *problem)
{
	char lost[80] = "", bytes[32];

	if (r->lost_bytes)
		snprintf(lost, sizeof(lost), ", up to %s lost",
			 qf_text_bytes(r->lost_bytes, bytes, sizeof(bytes)));
	if (asprintf(&r->note, "%" PRIu64 " error%s%s: %s", r->errors,
		     r->errors == 1 ? "" : "s", lost, problem) < 0)
		r->note = NULL;
}

static void make_note(struct qf_result *r, const struct qf_report *rep)
{
	const struct qf_problem_row *worst =
		gravest(&rep->findings, QF_SEV_FATAL);
	char bytes[32];

	if (r->kind == QF_RESULT_CORRUPT)
		note_corrupt(r, worst ? worst->name : "");
	else if (r->kind == QF_RESULT_UNCHECKED)
		r->note = strdup(why_unchecked(&rep->findings));
	else if (r->kind == QF_RESULT_LEAKS &&
		 asprintf(&r->note, "up to %s wasted",
			  qf_text_bytes(r->leaked_bytes, bytes,
					sizeof(bytes))) < 0)
		r->note = NULL;
	else if (r->kind == QF_RESULT_CLEAN && rep->warnings &&
		 asprintf(&r->note, "with warnings: %s", worst->name) < 0)
		r->note = NULL;
}

void qf_result_of_report(struct qf_result *r, const struct qf_image *img,
			 const struct qf_report *rep)
{
	size_t i;

	memset(r, 0, sizeof(*r));
	r->kind = kind_of(rep->verdict);
	r->code = qf_report_exit(rep->verdict);
	r->errors = count_errors(&rep->findings);
	r->leaked_bytes = rep->leaks << img->geo.cluster_bits;
	for (i = 0; i < rep->lost.n; i++)
		if (!rep->lost.at[i].free)
			r->lost_bytes += rep->lost.at[i].bytes;
	make_note(r, rep);
}

void qf_result_of_why(struct qf_result *r, const struct qf_why *why)
{
	memset(r, 0, sizeof(*r));
	r->kind = why->err == QF_ERR_FOREIGN ? QF_RESULT_FOREIGN
		  : why->err == QF_ERR_BUSY  ? QF_RESULT_IN_USE
					     : QF_RESULT_UNCHECKED;
	r->code = why->err == QF_ERR_FOREIGN ? QF_EXIT_FOREIGN : QF_EXIT_FAILED;
	r->note = strdup(why->text);
}

enum qf_result_kind qf_result_of_code(int code)
{
	switch (code) {
	case QF_EXIT_CLEAN:
		return QF_RESULT_CLEAN;
	case QF_EXIT_CORRUPT:
		return QF_RESULT_CORRUPT;
	case QF_EXIT_LEAKS:
		return QF_RESULT_LEAKS;
	case QF_EXIT_FOREIGN:
		return QF_RESULT_FOREIGN;
	default:
		return QF_RESULT_UNCHECKED;
	}
}

const char *qf_result_word(enum qf_result_kind kind)
{
	static const char *const words[] = {
		[QF_RESULT_CORRUPT] = "corrupt",
		[QF_RESULT_UNCHECKED] = "not checked",
		[QF_RESULT_LEAKS] = "leaks",
		[QF_RESULT_IN_USE] = "in use",
		[QF_RESULT_FOREIGN] = "another format",
		[QF_RESULT_GONE] = "gone",
		[QF_RESULT_CLEAN] = "clean",
	};

	return words[kind];
}

const char *qf_result_key(enum qf_result_kind kind)
{
	static const char *const words[] = {
		[QF_RESULT_CORRUPT] = "corrupt",
		[QF_RESULT_UNCHECKED] = "unchecked",
		[QF_RESULT_LEAKS] = "leaks",
		[QF_RESULT_IN_USE] = "in-use",
		[QF_RESULT_FOREIGN] = "foreign",
		[QF_RESULT_GONE] = "gone",
		[QF_RESULT_CLEAN] = "clean",
	};

	return words[kind];
}

void qf_result_free(struct qf_result *r)
{
	free(r->note);
	r->note = NULL;
}
