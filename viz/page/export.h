/* SPDX-License-Identifier: GPL-2.0-or-later */
/* viz --export: an image as a picture or a page, in a new file. */
#ifndef QF_EXPORT_H
#define QF_EXPORT_H

#include "lib/model/image.h"

struct qf_export {
	const char *to;	     /* FILE.svg, .png, .html */
	const char *name;    /* of the image, as it was given */
	const char *command; /* the whole command, for the page */
	bool hilbert, share, hash;
};

/* True if a file with the name TO can be made. */
bool qf_export_known(const char *to);

/*
 * Checks and draws IMG, which it closes. Errors: QF_ERR_USAGE if TO is there
 * already or cannot be made, else as the check and the drawing have.
 */
enum qf_err qf_export_run(const struct qf_export *x, struct qf_image *img,
			  struct qf_why *why);

/* ARGV as one line that a shell takes. Returns BUF. */
char *qf_export_command(int argc, char **argv, char *buf, size_t room);

#endif
