/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qfsck check --backing-chain: an image with all that stands behind it. */
#ifndef QF_CMD_LAYERS_H
#define QF_CMD_LAYERS_H

#include "check/report/chain_tree.h"
#include "check/report/report.h"

struct qf_layers {
	const struct qf_check_opts *check;
	const struct qf_report_style *style;
	bool json, progress;
	bool many; /* images on the command line: JSON in one line each */
	struct qf_tree tree;
};

/*
 * Checks the image NAME and every file behind it that was not checked yet,
 * the lowest first, and prints the reports. Returns the exit code; -1 if
 * NAME cannot be looked at, with WHY, and then nothing was printed.
 */
int qf_layers_image(struct qf_layers *l, const char *name, struct qf_why *why);

/* Prints who stands on whom, and frees the tree. */
void qf_layers_end(struct qf_layers *l);

#endif
