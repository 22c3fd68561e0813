/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Backing files: names to paths, and what stands behind an image. */
#ifndef QF_CHAIN_H
#define QF_CHAIN_H

#include "lib/model/image.h"

/*
 * The path that NAME, written in the image at IMAGE_PATH, means, as QEMU
 * resolves it: relative to the image's folder; but a "file:" name and the
 * file name in a "json:" one are relative to the working directory. Owned by
 * the caller; NULL without memory or if NAME is none that can be read here
 * (https://...); an nbd:// name is itself.
 */
char *qf_chain_path(const char *image_path, const char *name);

/*
 * The same for the name of an external data file. QEMU takes it from the
 * working directory; where it is not there, the one beside the image is
 * meant, which whoever opens the image by other means has to name.
 */
char *qf_chain_data_path(const char *image_path, const char *name);

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

/* How a chain ends. */
enum qf_chain_end {
	QF_CHAIN_WHOLE,	  /* with an image that has no backing file */
	QF_CHAIN_MISSING, /* the next file cannot be opened */
	QF_CHAIN_LOOP,	  /* the next file stands in the chain already */
	QF_CHAIN_DAMAGED, /* is not what it should be, or has no known format */
	QF_CHAIN_FOREIGN, /* has a format that is not read here */
	QF_CHAIN_REMOTE,  /* is no local file */
	QF_CHAIN_LONG,	  /* so many files are open that no more can be */
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
	enum qf_chain_end end;
	char *broken_name; /* as the last node names it; owned */
	char *broken_path; /* its path, if it is a local file; owned */
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

/*
 * The same for IO, a file that is a disk byte by byte; it stays the caller's.
 * Errors: QF_ERR_UNSUPPORTED if it begins as an image of another format does,
 * QF_ERR_IO, QF_ERR_NOMEM.
 */
enum qf_err qf_chain_open_raw(struct qf_io *io, struct qf_chain *c,
			      struct qf_why *why);

/* "qcow2" or "raw". */
const char *qf_chain_format(const struct qf_chain_node *node);

#endif
