/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The witness "stream": the bytes of a cluster are those of a compressed one,
 * which an entry without the compressed flag cannot have named.
 */
#ifndef QF_STREAM_H
#define QF_STREAM_H

#include "lib/model/image.h"

/* True if what begins at the host offset OFF inflates to a whole cluster. */
bool qf_stream_stands_at(const struct qf_image *img, uint64_t off);

#endif
