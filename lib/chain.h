/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Backing files: names to paths, and what stands behind an image. */
#ifndef QF_CHAIN_H
#define QF_CHAIN_H

#include "lib/image.h"

/*
 * The path that NAME, written in the image at IMAGE_PATH, means, as QEMU
 * resolves it: relative to the image's folder, "file:" taken off, and the
 * file name out of a "json:" pseudo protocol. Owned by the caller; NULL
 * without memory or if NAME is no local file (nbd://...).
 */
char *qf_chain_path(const char *image_path, const char *name);

/* QF_OK if PATH can be opened for reading; else the reason in WHY. */
enum qf_err qf_chain_readable(const char *path, struct qf_why *why);

/* More links than anyone has; a longer chain is cut there. */
#define QF_CHAIN_MAX 1024u

/* One file of a chain, and the external data file beside it. */
struct qf_chain_node {
	char *path;		/* as it was opened; owned */
	struct qf_image *img;	/* NULL: raw */
	struct qf_io *io;	/* the file's bytes; of img if there is one */
	struct qf_io *data;	/* where guest data lie: io, or the data file */
	struct qf_why data_why; /* why data is NULL, if it is */
	uint64_t disk_bytes;	/* guest bytes that it can show */
};

struct qf_chain {
	struct qf_chain_node *node; /* [0]: the image itself */
	uint32_t n;
	size_t room;
	/*
	 * QF_OK: complete. Else the reason why the backing file of the last
	 * node is not there: missing, unreadable, a loop, another format.
	 */
	struct qf_why broken;
	char *broken_name; /* as the last node names it; owned */
};

/*
 * Opens what stands behind IMG, without locks, and with WITH_BACKING the
 * files behind that. IMG stays the caller's and must live as long. A part
 * that is missing stands in the chain and is no error. Errors: QF_ERR_NOMEM.
 * Free with qf_chain_close, also after an error.
 */
enum qf_err qf_chain_open(struct qf_image *img, bool with_backing,
			  struct qf_chain *c, struct qf_why *why);
void qf_chain_close(struct qf_chain *c);

/* "qcow2" or "raw". */
const char *qf_chain_format(const struct qf_chain_node *node);

#endif
