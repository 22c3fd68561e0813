// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/codec.h"
#include "lib/format/fastinflate.h"
#include "lib/base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

/* Raw deflate, and the window with which QEMU writes it. */
#define WINDOW_BITS (-12)

struct qf_codec {
	z_stream z;
	bool z_ready;
	struct qf_fastinflate *fast; /* or NULL */
	ZSTD_DCtx *zstd;	     /* NULL: zlib */
};

enum qf_err qf_codec_new(unsigned int type, struct qf_codec **out,
			 struct qf_why *why)
{
	struct qf_codec *c;

	if (type != QF_COMPRESSION_ZLIB && type != QF_COMPRESSION_ZSTD)
		return qf_err_set(why, QF_ERR_UNSUPPORTED, 0, 104,
				  "compression type %u is not known", type);
	c = qf_mem_zalloc(1, sizeof(*c));
	if (c && type == QF_COMPRESSION_ZSTD)
		c->zstd = ZSTD_createDCtx();
	else if (c)
		c->z_ready = inflateInit2(&c->z, WINDOW_BITS) == Z_OK;
	if (!c || (!c->zstd && !c->z_ready)) {
		qf_codec_free(c);
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory for a decoder");
	}
	if (c->z_ready)
		c->fast = qf_fastinflate_new();
	*out = c;
	return QF_OK;
}

void qf_codec_free(struct qf_codec *c)
{
	if (!c)
		return;
	if (c->z_ready)
		inflateEnd(&c->z);
	qf_fastinflate_free(c->fast);
	ZSTD_freeDCtx(c->zstd);
	free(c);
}

static enum qf_codec_state inflate_zlib(z_stream *z, const void *in,
					size_t in_bytes, void *out,
					size_t out_bytes, size_t *got)
{
	int status;

	inflateReset(z);
	z->next_in = (z_const Bytef *)in;
	z->avail_in = (uInt)in_bytes;
	z->next_out = out;
	z->avail_out = (uInt)out_bytes;
	status = inflate(z, Z_FINISH);
	*got = out_bytes - z->avail_out;
	if (status == Z_STREAM_END)
		return z->avail_out ? QF_CODEC_SHORT : QF_CODEC_WHOLE;
	if (status != Z_BUF_ERROR && status != Z_OK)
		return QF_CODEC_BAD;
	/* all of the cluster is there, only the end of the stream is not: be
	 * it that it goes on, or that its last bytes are missing */
	return z->avail_out ? QF_CODEC_CUT : QF_CODEC_LONG;
}

static enum qf_codec_state zstd_state(size_t error)
{
	switch (ZSTD_getErrorCode(error)) {
	case ZSTD_error_srcSize_wrong:
		return QF_CODEC_CUT;
	case ZSTD_error_dstSize_tooSmall:
		return QF_CODEC_LONG;
	default:
		return QF_CODEC_BAD;
	}
}

/*
 * Frame by frame and straight into OUT: a streaming decoder would take the
 * window that the frame's header asks for, up to 128 MiB.
 */
static enum qf_codec_state inflate_zstd(ZSTD_DCtx *d, const void *in,
					size_t in_bytes, void *out,
					size_t out_bytes, size_t *got)
{
	const char *from = in;
	size_t used = 0, frame, n;

	*got = 0;
	while (*got < out_bytes) {
		if (used == in_bytes)
			return QF_CODEC_SHORT;
		frame = ZSTD_findFrameCompressedSize(from + used,
						     in_bytes - used);
		if (ZSTD_isError(frame))
			/* zeros to the sector's end are no frame, but padding
			 * of one that ended too early */
			return *got ? QF_CODEC_SHORT : zstd_state(frame);
		n = ZSTD_decompressDCtx(d, (char *)out + *got, out_bytes - *got,
					from + used, frame);
		if (ZSTD_isError(n))
			return zstd_state(n);
		used += frame;
		*got += n;
	}
	return QF_CODEC_WHOLE;
}

void qf_codec_inflate(struct qf_codec *c, const void *in, size_t in_bytes,
		      void *out, size_t out_bytes, struct qf_codec_result *res)
{
	if (c->fast &&
	    qf_fastinflate_whole(c->fast, in, in_bytes, out, out_bytes)) {
		res->state = QF_CODEC_WHOLE;
		res->bytes = out_bytes;
		return;
	}
	if (c->zstd)
		res->state = inflate_zstd(c->zstd, in, in_bytes, out, out_bytes,
					  &res->bytes);
	else
		res->state = inflate_zlib(&c->z, in, in_bytes, out, out_bytes,
					  &res->bytes);
	memset((char *)out + res->bytes, 0, out_bytes - res->bytes);
}

const char *qf_codec_state(enum qf_codec_state s)
{
	static const char *const words[QF_CODEC_STATES] = {
		[QF_CODEC_WHOLE] = "whole",
		[QF_CODEC_BAD] = "damaged",
		[QF_CODEC_CUT] = "cut off",
		[QF_CODEC_SHORT] = "shorter than a cluster",
		[QF_CODEC_LONG] = "longer than a cluster",
	};

	return words[s];
}
