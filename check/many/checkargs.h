/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What qfsck check is asked to do. */
#ifndef QF_CHECKARGS_H
#define QF_CHECKARGS_H

#include "check/host/domains.h"
#include "check/many/imagelist.h"
#include "check/report/report.h"

/* What becomes of an image that another program has open for writing. */
enum qf_in_use {
	QF_IN_USE_TELL,	 /* told; of several images no failure */
	QF_IN_USE_SKIP,	 /* passed over */
	QF_IN_USE_SHARE, /* read all the same, as with -U */
	QF_IN_USE_FAIL,	 /* a failure */
};

struct qf_checkargs {
	struct qf_check_opts check;
	struct qf_report_style style;
	bool json, journal, progress, image_opts, chain;
	bool summary; /* a line an image instead of its report */
	bool recursive;
	bool unread;	/* a folder could not be looked into */
	bool by_domain; /* they name the images, if only none */
	bool many;	/* it is about several images, or may be */
	enum qf_in_use in_use;
	const char *state;	  /* the file to go on by; or NULL */
	const char *prom;	  /* the file for a monitor; or NULL */
	unsigned int part, parts; /* of the images; 0: all */
	struct qf_imagelist list;
	struct qf_domains domains;
};

/* Takes the command line. Returns -1 to go on, else the exit code, with what
 * there was to say said. Free with qf_checkargs_free, also then. */
int qf_checkargs_parse(struct qf_checkargs *a, int argc, char **argv);
void qf_checkargs_free(struct qf_checkargs *a);

/* Says that the use is wrong, with ARG or NULL; returns the exit code. */
int qf_checkargs_wrong(const char *text, const char *arg);

#endif
