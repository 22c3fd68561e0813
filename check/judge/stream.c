// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/judge/stream.h"
#include "lib/base/mem.h"
#include "lib/format/codec.h"

#include <stdlib.h>

bool qf_stream_stands_at(const struct qf_image *img, uint64_t off)
{
	size_t size = (size_t)img->geo.cluster_bytes;
	struct qf_codec_result res = { .state = QF_CODEC_BAD };
	unsigned char *in, *out;
	struct qf_codec *codec = NULL;

	if (img->geo.data_file || img->hdr.crypt_method != QF_CRYPT_NONE ||
	    off >= img->io->size ||
	    qf_codec_new(img->hdr.compression, &codec, NULL))
		return false; /* there are no compressed clusters */
	in = qf_mem_zalloc(2, size);
	out = qf_mem_zalloc(1, size);
	if (in && out && !qf_io_read_pad(img->io, in, 2 * size, off, NULL))
		qf_codec_inflate(codec, in, 2 * size, out, size, &res);
	qf_codec_free(codec);
	free(in);
	free(out);
	return res.state == QF_CODEC_WHOLE;
}
