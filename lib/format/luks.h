/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The encryption header of LUKS, version 1, as far as it can be read without
 * a key. Section "Full disk encryption header pointer" names its place; its
 * layout is the LUKS On-Disk Format Specification's. Pure.
 */
#ifndef QF_LUKS_H
#define QF_LUKS_H

#include "lib/base/err.h"

#define QF_LUKS_SLOTS 8u
#define QF_LUKS_BYTES 592u
#define QF_LUKS_SALT 32u

/* Facts about a key slot that QEMU does not accept. */
enum qf_luks_slot_odd {
	QF_LUKS_SLOT_STATE = 1u << 0,	   /* neither active nor free */
	QF_LUKS_SLOT_ITERATIONS = 1u << 1, /* active with none */
	QF_LUKS_SLOT_STRIPES = 1u << 2,	   /* not the 4000 of everyone */
	QF_LUKS_SLOT_ON_HEADER = 1u << 3,  /* key material on the header */
	QF_LUKS_SLOT_OUTSIDE = 1u << 4,	   /* and past what belongs to it */
	QF_LUKS_SLOT_OVERLAP = 1u << 5,	   /* and on another slot's */
	QF_LUKS_SLOT_ODDITIES = 6
};

struct qf_luks_slot {
	bool active;
	uint32_t state; /* as it is written */
	uint32_t iterations;
	uint8_t salt[QF_LUKS_SALT];
	uint64_t key_off; /* from the header's start */
	uint32_t stripes;
	uint64_t key_bytes; /* of key material at key_off */
	unsigned int odd;   /* enum qf_luks_slot_odd: see qf_luks_examine */
	unsigned int other; /* the first slot that it overlaps */
};

/* The same about the header. */
enum qf_luks_odd {
	QF_LUKS_NAMES = 1u << 0,      /* cipher, mode or hash are no names */
	QF_LUKS_KEY = 1u << 1,	      /* no cipher has a key so long */
	QF_LUKS_ITERATIONS = 1u << 2, /* none for the master key's digest */
	QF_LUKS_PAYLOAD = 1u << 3,    /* the payload lies on the header */
	QF_LUKS_ODDITIES = 4
};

struct qf_luks {
	char cipher[33];
	char mode[33];	  /* "xts" */
	char iv[33];	  /* "plain64" */
	char iv_hash[33]; /* "sha256" of "essiv:sha256"; else empty */
	char hash[33];
	char uuid[41];
	uint32_t key_bits;  /* of the cipher; XTS needs two such keys */
	uint32_t key_bytes; /* of all keys, as it is written */
	uint8_t digest[20]; /* of the master key */
	uint8_t salt[QF_LUKS_SALT];
	uint32_t iterations;
	uint64_t payload_off; /* from the header's start */
	unsigned int odd;     /* enum qf_luks_odd */
	struct qf_luks_slot slot[QF_LUKS_SLOTS];
};

/* Decodes QF_LUKS_BYTES at BUF. Errors: QF_ERR_FORMAT if they are no such
 * header. */
enum qf_err qf_luks_parse(const void *buf, struct qf_luks *l,
			  struct qf_why *why);

/*
 * Fills in what is odd about the slots of a header for which the image keeps
 * ROOM bytes: where their key material lies.
 */
void qf_luks_examine(struct qf_luks *l, uint64_t room);

#endif
