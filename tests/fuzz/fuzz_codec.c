// SPDX-License-Identifier: GPL-2.0-or-later
/* Any bytes as a compressed cluster, of either kind and any cluster size. */
#include "lib/format/codec.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#define MAX_OUT (1u << 21)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct qf_codec *codec[2];
	static unsigned char *out;
	struct qf_codec_result r;
	size_t room, i;

	if (!out) {
		out = malloc(MAX_OUT);
		if (!out ||
		    qf_codec_new(QF_COMPRESSION_ZLIB, &codec[0], NULL) ||
		    qf_codec_new(QF_COMPRESSION_ZSTD, &codec[1], NULL))
			abort();
	}
	if (!n)
		return 0;
	room = (size_t)512 << ((data[0] >> 1) % 13);
	qf_codec_inflate(codec[data[0] & 1], data + 1, n - 1, out, room, &r);
	assert(r.state < QF_CODEC_STATES && r.bytes <= room);
	assert(r.state != QF_CODEC_WHOLE || r.bytes == room);
	for (i = r.bytes; i < room; i++)
		assert(!out[i]);
	return 0;
}
