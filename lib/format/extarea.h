/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The first cluster of an image: header, list of extensions, and the name of
 * the backing file, as they stand in it. */
#ifndef QF_EXTAREA_H
#define QF_EXTAREA_H

#include "lib/format/ext.h"
#include "lib/format/header.h"
#include "lib/io/io.h"

struct qf_extarea {
	struct qf_header hdr;
	unsigned char *buf; /* owned: the first cluster */
	uint64_t bytes;	    /* its length */
	uint64_t end;	    /* where the extensions must end */
	struct qf_ext_list list;
	uint64_t list_end; /* behind the last extension: the end mark */
};

/*
 * Reads the first cluster of the image behind IO. Free *A with
 * qf_extarea_free, also after an error. Errors: those of qf_header_parse,
 * QF_ERR_IO, QF_ERR_NOMEM. Section "Header extensions".
 */
enum qf_err qf_extarea_read(struct qf_io *io, struct qf_extarea *a,
			    struct qf_why *why);
void qf_extarea_free(struct qf_extarea *a);

/* True if the list makes sense from its first to its last extension. */
bool qf_extarea_is_sound(const struct qf_extarea *a);

#endif
