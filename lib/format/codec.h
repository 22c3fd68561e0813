/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Compressed clusters: raw deflate with a window of 4 KiB, or zstd. Bytes
 * to bytes; nothing is read from the image here.
 */
#ifndef QF_CODEC_H
#define QF_CODEC_H

#include "lib/base/err.h"
#include "lib/format/format.h"

#include <stddef.h>

/* What becomes of the bytes of a compressed cluster. */
enum qf_codec_state {
	QF_CODEC_WHOLE, /* exactly one cluster */
	QF_CODEC_BAD,	/* no such stream, or damaged within */
	QF_CODEC_CUT,	/* the bytes end before the cluster is full */
	QF_CODEC_SHORT, /* the stream ends before the cluster is full */
	QF_CODEC_LONG,	/* a full cluster, and the stream has no end there */
	QF_CODEC_STATES
};

struct qf_codec_result {
	enum qf_codec_state state;
	size_t bytes; /* of OUT that were filled; the rest is zeros */
};

/*
 * A decoder, for one thread at a time. Errors: QF_ERR_NOMEM,
 * QF_ERR_UNSUPPORTED for a TYPE that is neither of enum qf_compression. Free
 * with qf_codec_free; NULL is allowed.
 */
struct qf_codec;
enum qf_err qf_codec_new(unsigned int type, struct qf_codec **out,
			 struct qf_why *why);
void qf_codec_free(struct qf_codec *c);

/*
 * Inflates the IN_BYTES at IN, whose end is only known to a sector: what
 * stands behind the stream is ignored, as QEMU does. OUT gets OUT_BYTES (a
 * cluster), also from a damaged stream: what came out of it before the
 * damage, and zeros. Takes no memory that the stream asks for. A zlib
 * stream that goes on behind a full cluster is read by QEMU all the same; a
 * zstd frame is not. Section "Compressed Clusters Descriptor".
 */
void qf_codec_inflate(struct qf_codec *c, const void *in, size_t in_bytes,
		      void *out, size_t out_bytes, struct qf_codec_result *res);

/* "damaged", "cut off", ... */
const char *qf_codec_state(enum qf_codec_state s);

#endif
