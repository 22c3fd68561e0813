// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/many/promfile.h"
#include "check/many/keepfile.h"
#include "lib/base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC "# HELP qfsck_"

/* One figure of each image. */
struct figure {
	const char *name, *help;
	double (*of)(const struct qf_result *r);
};

static double errors(const struct qf_result *r)
{
	return (double)r->errors;
}

static double lost(const struct qf_result *r)
{
	return (double)r->lost_bytes;
}

static double leaked(const struct qf_result *r)
{
	return (double)r->leaked_bytes;
}

static double checked(const struct qf_result *r)
{
	return (double)r->checked;
}

static double seconds(const struct qf_result *r)
{
	return r->seconds;
}

/* True if its tables were looked at. */
static bool was_read(const struct qf_result *r)
{
	return r->kind == QF_RESULT_CLEAN || r->kind == QF_RESULT_LEAKS ||
	       r->kind == QF_RESULT_CORRUPT;
}

static const struct figure figures[] = {
	{ "qfsck_image_errors", "Errors found in the image.", errors },
	{ "qfsck_image_lost_bytes",
	  "Bytes of its disk, and of its snapshots, that are lost, at the most.",
	  lost },
	{ "qfsck_image_leaked_bytes",
	  "Bytes of the file that are in use by nobody.", leaked },
	{ "qfsck_image_last_check_timestamp_seconds",
	  "When its tables were read last.", checked },
	{ "qfsck_image_check_duration_seconds", "How long that took.",
	  seconds },
};

/* NAME as a label's value; what is no UTF-8 is shown as \xNN. */
static void print_value(FILE *f, const char *name)
{
	size_t room = strlen(name) * 4 + 8;
	char *safe = malloc(room), *p;

	for (p = safe ? qf_text_safe(name, safe, room) : NULL; p && *p; p++) {
		if (*p == '"' || *p == '\\')
			fputc('\\', f);
		fputc(*p, f);
	}
	free(safe);
}

static void begin(FILE *f, const char *name, const char *help)
{
	fprintf(f, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name);
}

static void print_figure(FILE *f, const struct figure *fig,
			 const struct qf_imagelist *l,
			 const struct qf_result *r)
{
	size_t i;

	begin(f, fig->name, fig->help);
	for (i = 0; i < l->n; i++) {
		if (!was_read(&r[i]))
			continue;
		fprintf(f, "%s{image=\"", fig->name);
		print_value(f, l->at[i].text);
		fprintf(f, "\"} %.17g\n", fig->of(&r[i]));
	}
}

/* The one verdict that each has. */
static void print_verdicts(FILE *f, const struct qf_imagelist *l,
			   const struct qf_result *r)
{
	size_t i;

	begin(f, "qfsck_image_verdict",
	      "1 for the verdict on the image (clean, leaks, corrupt, "
	      "unchecked, in-use, foreign, gone).");
	for (i = 0; i < l->n; i++) {
		fprintf(f, "qfsck_image_verdict{image=\"");
		print_value(f, l->at[i].text);
		fprintf(f, "\",verdict=\"%s\"} 1\n", qf_result_key(r[i].kind));
	}
}

static void print_run(FILE *f, const struct qf_imagelist *l,
		      const struct qf_result *r, double took, int64_t now)
{
	uint64_t n[QF_RESULT_KINDS] = { 0 };
	size_t i;
	int k;

	for (i = 0; i < l->n; i++)
		n[r[i].kind]++;
	begin(f, "qfsck_images", "Images of the last run, by verdict.");
	for (k = 0; k < QF_RESULT_KINDS; k++)
		fprintf(f, "qfsck_images{verdict=\"%s\"} %" PRIu64 "\n",
			qf_result_key((enum qf_result_kind)k), n[k]);
	begin(f, "qfsck_last_run_timestamp_seconds",
	      "When the last run ended.");
	fprintf(f, "qfsck_last_run_timestamp_seconds %" PRId64 "\n", now);
	begin(f, "qfsck_last_run_duration_seconds", "How long it took.");
	fprintf(f, "qfsck_last_run_duration_seconds %.6g\n", took);
}

enum qf_err qf_promfile_write(const char *name, const struct qf_imagelist *l,
			      const struct qf_result *r, double took,
			      int64_t now, struct qf_why *why)
{
	enum qf_err err = QF_ERR_NOMEM;
	char *text = NULL;
	size_t n, i;
	FILE *f = open_memstream(&text, &n);

	if (f) {
		print_verdicts(f, l, r);
		for (i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
			print_figure(f, &figures[i], l, r);
		print_run(f, l, r, took, now);
		if (!fclose(f))
			err = qf_keepfile_replace(name, MAGIC, text, n, why);
	}
	if (err == QF_ERR_NOMEM)
		qf_err_set(why, err, 0, QF_NOWHERE, "no memory");
	free(text);
	return err;
}
