/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The encryption header of LUKS, version 1, as far as it can be read without
 * a key. Section "Full disk encryption header pointer" names its place; its
 * layout is the LUKS On-Disk Format Specification's. Pure.
 */
#ifndef QF_LUKS_H
#define QF_LUKS_H

#include "lib/err.h"

#define QF_LUKS_SLOTS 8u
#define QF_LUKS_BYTES 592u

struct qf_luks_slot {
	bool active;
	uint32_t iterations;
	uint64_t key_off; /* from the header's start */
	uint32_t stripes;
};

struct qf_luks {
	char cipher[33];
	char mode[33];	  /* "xts" */
	char iv[33];	  /* "plain64" */
	char iv_hash[33]; /* "sha256" of "essiv:sha256"; else empty */
	char hash[33];
	char uuid[41];
	uint32_t key_bits; /* of the cipher; XTS needs two such keys */
	uint32_t iterations;
	uint64_t payload_off; /* from the header's start */
	struct qf_luks_slot slot[QF_LUKS_SLOTS];
};

/* Decodes QF_LUKS_BYTES at BUF. Errors: QF_ERR_FORMAT if they are no such
 * header. */
enum qf_err qf_luks_parse(const void *buf, struct qf_luks *l,
			  struct qf_why *why);

#endif
