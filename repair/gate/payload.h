/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What stands in a cluster, where that tells what a damaged pointer meant. */
#ifndef QF_PAYLOAD_H
#define QF_PAYLOAD_H

#include "lib/model/image.h"

/* True if the compressed cluster that ENTRY names is read from the file and
 * inflates to exactly one cluster. */
bool qf_payload_inflates(const struct qf_image *img, uint64_t entry);

/* True if the guest reads zeros from the data cluster at OFF as well. */
bool qf_payload_is_blank(const struct qf_image *img, uint64_t off);

#endif
