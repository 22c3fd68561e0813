// SPDX-License-Identifier: GPL-2.0-or-later
#include "repair/gate/payload.h"
#include "lib/base/mem.h"
#include "lib/format/codec.h"
#include "lib/format/entry.h"

#include <stdlib.h>
#include <string.h>

bool qf_payload_inflates(const struct qf_image *img, uint64_t entry)
{
	size_t size = (size_t)img->geo.cluster_bytes;
	struct qf_codec_result res = { .state = QF_CODEC_BAD };
	unsigned char *in = NULL, *out = NULL;
	struct qf_codec *codec = NULL;
	uint64_t off, bytes;

	if (img->geo.data_file || img->hdr.crypt_method != QF_CRYPT_NONE)
		return false; /* they have none */
	qf_entry_compressed(&img->geo, entry, &off, &bytes);
	if (bytes > 2 * size || off >= img->io->size ||
	    qf_codec_new(img->hdr.compression, &codec, NULL))
		return false;
	in = qf_mem_zalloc(2, size);
	out = qf_mem_zalloc(1, size);
	if (in && out && !qf_io_read_pad(img->io, in, bytes, off, NULL))
		qf_codec_inflate(codec, in, (size_t)bytes, out, size, &res);
	qf_codec_free(codec);
	free(in);
	free(out);
	return res.state == QF_CODEC_WHOLE;
}

bool qf_payload_is_blank(const struct qf_image *img, uint64_t off)
{
	uint64_t size = img->geo.cluster_bytes;
	unsigned char *buf;
	bool blank;

	/* what is encrypted is no zeros, whatever stands there */
	if (img->hdr.crypt_method != QF_CRYPT_NONE)
		return false;
	buf = qf_mem_zalloc(1, size);
	blank = buf && !qf_io_read_pad(img->io, buf, size, off, NULL) &&
		!buf[0] && !memcmp(buf, buf + 1, (size_t)size - 1);
	free(buf);
	return blank;
}
