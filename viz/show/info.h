/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an image says of itself, and who has it open. */
#ifndef QF_INFO_H
#define QF_INFO_H

#include "lib/model/chain.h"
#include "lib/io/lock.h"

#include <jansson.h>

#define QF_INFO_HOLDERS 64u

struct qf_info {
	struct qf_chain chain; /* all of it: [0] is the image */
	struct qf_lock_holder holder[QF_INFO_HOLDERS];
	size_t n_holders; /* may be more than fit */
};

/* Errors: QF_ERR_NOMEM. Free with qf_info_free. IMG stays the caller's. */
enum qf_err qf_info_make(struct qf_image *img, struct qf_info *info,
			 struct qf_why *why);
void qf_info_free(struct qf_info *info);

/*
 * Node I of the chain: the keys of `qemu-img info --output=json`, and our
 * own. For the last node of a broken chain also "backing-error".
 */
json_t *qf_info_json(const struct qf_info *info, uint32_t i);

/*
 * The name of bit BIT of feature word TYPE (0 incompatible, 1 compatible, 2
 * autoclear): the format's, else that of the image's own table of names, in
 * BUF; "unknown" without one.
 */
const char *qf_info_feature(const struct qf_image *img, unsigned int type,
			    unsigned int bit, char *buf, size_t room);
uint64_t qf_info_features(const struct qf_image *img, unsigned int type);
extern const char *const qf_info_feature_type[3];

/* A permission's name in QEMU's words: n of the lock bytes. */
const char *qf_info_permission(unsigned int n);

#endif
