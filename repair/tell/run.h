/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One repair from the name of the image to the exit code. */
#ifndef QF_RUN_H
#define QF_RUN_H

#include "repair/tell/report_plan.h"

enum qf_run_mode {
	QF_RUN_ASK,   /* on a terminal; else as QF_RUN_SHOW */
	QF_RUN_SHOW,  /* the plan, no more */
	QF_RUN_ALL,   /* within the limit */
	QF_RUN_PREEN, /* what risks nothing */
};

/* What becomes of bitmaps that were left in use. */
enum qf_run_bitmaps {
	QF_RUN_BITMAPS_ASK, /* on a terminal; else they are kept */
	QF_RUN_BITMAPS_KEEP,
	QF_RUN_BITMAPS_REMOVE,
};

struct qf_run_opts {
	const char *name;
	enum qf_run_mode mode;
	enum qf_risk limit;
	enum qf_run_bitmaps bitmaps;
	const char *undo_file;	  /* NULL: beside the image */
	const char *undo_dir;	  /* the folder for it; or NULL */
	const char *output_image; /* NULL: repair in place */
	const char *format;	  /* the user's word on it (-f); NULL: none */
	bool json, terminal;
	bool all;     /* no edit of the plan is folded */
	bool many;    /* one of several: a line of JSON each */
	bool *in_use; /* set if another program has it; or NULL */
	bool leaks_only;
	bool guess;  /* restore what the evidence does not prove */
	bool guest;  /* what check --guest finds as well */
	bool forget; /* nothing is missed of what was given up before */
	bool trim;   /* punch out and cut off what is free */
	/* the user's answers to open questions; the caller's */
	const struct qf_choice *choice;
	size_t n_choices;
	const struct qf_choice *placed; /* see struct qf_plan */
	size_t n_places;
	unsigned int jobs;
	/*
	 * Takes over the talking at the end, for those who speak another
	 * command's words. M is the plan, O what came of it. May be NULL.
	 */
	void (*report)(const struct qf_run_opts *opts, struct qf_image *img,
		       const struct qf_planner *m, const struct qf_outcome *o);
};

/* Returns the exit code. */
int qf_run_repair(const struct qf_run_opts *o);

#endif
