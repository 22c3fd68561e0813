/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the library's interface share. */
#ifndef QF_API_H
#define QF_API_H

#include "check/check.h"
#include "lib/model/chain.h"
#include "lib/model/disk.h"
#include "lib/qfsck.h"

/* What the library shows; all else stays inside it. */
#define QF_PUBLIC __attribute__((visibility("default")))

struct qfsck_image {
	struct qf_image *img;
	struct qf_chain chain;
	struct qf_loss loss;	  /* of the files that were judged */
	struct qf_disk *unlocked; /* has the keys; NULL: none were given */
};

/* WHY in the library's words; returns the code. */
int qf_api_fail(const struct qf_why *why, enum qf_err err,
		struct qfsck_error *out);

/* Fills the caller's record of SIZE bytes from one of HAVE bytes. */
int qf_api_give(void *out, size_t size, const void *from, size_t have);

#endif
