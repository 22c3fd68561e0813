/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Header extensions: the list that stands behind the header. Pure. */
#ifndef QF_EXT_H
#define QF_EXT_H

#include "lib/base/err.h"
#include "lib/format/format.h"

#include <stddef.h>

/* What is unusual about an extension; facts, not judgements. */
enum qf_ext_odd {
	QF_EXT_ODD_LENGTH = 1u << 0,   /* not the length that its type has */
	QF_EXT_ODD_TWICE = 1u << 1,    /* the type stood here before */
	QF_EXT_ODD_OVERRUN = 1u << 2,  /* runs past the end of its area */
	QF_EXT_ODD_RESERVED = 1u << 3, /* a reserved field is not 0 */
};

struct qf_ext {
	uint32_t type;
	uint32_t bytes;	     /* of data, without the padding */
	uint64_t off;	     /* host offset of the data */
	unsigned int odd;    /* enum qf_ext_odd */
	unsigned char *data; /* BYTES bytes and a NUL; NULL if it overruns */
};

struct qf_ext_list {
	struct qf_ext *ext;
	size_t n, room;
	bool unterminated; /* the area ended without an end marker */
	/* decoded, valid where the extension is there and has its length */
	bool has_bitmaps;
	uint32_t bitmap_count;
	uint64_t bitmap_dir_bytes;
	uint64_t bitmap_dir_off;
	bool has_crypto;
	uint64_t crypto_off;
	uint64_t crypto_bytes;
};

/*
 * Decodes the extensions in BUF, which holds the file's first AREA bytes, of
 * which the extensions begin at START. An area may end without an end
 * marker if fewer than 8 bytes are left. Errors: QF_ERR_NOMEM.
 * Section "Header extensions".
 */
enum qf_err qf_ext_parse(const unsigned char *buf, uint64_t start,
			 uint64_t area, struct qf_ext_list *list,
			 struct qf_why *why);

void qf_ext_free(struct qf_ext_list *list);

/* The first extension of TYPE whose data are there, or NULL. */
const struct qf_ext *qf_ext_find(const struct qf_ext_list *list, uint32_t type);

/* The data of a string extension as a string, or NULL if it is not there. */
const char *qf_ext_string(const struct qf_ext_list *list, uint32_t type);

/* A name for the type, "unknown" if it is none of the format's or ours. */
const char *qf_ext_name(uint32_t type);

#endif
