// SPDX-License-Identifier: GPL-2.0-or-later
/* Compressed clusters: whole, and damaged in every way that has a name. */
#include "lib/format/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>
#include <zstd.h>

#define CLUSTER 65536u
#define ROOM (2 * CLUSTER)

struct fixture {
	struct qf_codec *codec;
	unsigned char plain[ROOM], packed[ROOM], out[CLUSTER];
	size_t packed_bytes;
	bool zstd;
};

/* Half text that packs well, half noise that does not. */
static void fill(unsigned char *p, size_t n)
{
	uint32_t x = 12345;
	size_t i;

	for (i = 0; i < n; i++) {
		x = x * 1664525u + 1013904223u;
		p[i] = i & 4096 ? (unsigned char)(x >> 24)
				: (unsigned char)("qfsck "[i % 6]);
	}
}

static size_t pack_zlib(const unsigned char *in, size_t n, unsigned char *out,
			int flush)
{
	z_stream z = { 0 };
	size_t bytes;

	assert_int_equal(deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED,
				      -12, 9, Z_DEFAULT_STRATEGY),
			 Z_OK);
	z.next_in = (z_const Bytef *)in;
	z.avail_in = (uInt)n;
	z.next_out = out;
	z.avail_out = ROOM;
	assert_int_equal(deflate(&z, flush),
			 flush == Z_FINISH ? Z_STREAM_END : Z_OK);
	bytes = ROOM - z.avail_out;
	deflateEnd(&z);
	return bytes;
}

static void pack(struct fixture *f, size_t n)
{
	memset(f->packed, 0, ROOM);
	if (f->zstd)
		f->packed_bytes =
			ZSTD_compress(f->packed, ROOM, f->plain, n, 3);
	else
		f->packed_bytes = pack_zlib(f->plain, n, f->packed, Z_FINISH);
	assert_true(f->packed_bytes < ROOM);
}

static struct qf_codec_result inflate_it(struct fixture *f, size_t in_bytes)
{
	struct qf_codec_result r;

	memset(f->out, 0xee, CLUSTER);
	qf_codec_inflate(f->codec, f->packed, in_bytes, f->out, CLUSTER, &r);
	return r;
}

static size_t to_sector(size_t n)
{
	return (n + 511) & ~(size_t)511;
}

static int start(void **state, bool zstd)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->zstd = zstd;
	fill(f->plain, ROOM);
	*state = f;
	return (int)qf_codec_new(zstd ? QF_COMPRESSION_ZSTD
				      : QF_COMPRESSION_ZLIB,
				 &f->codec, NULL);
}

static int start_zlib(void **state)
{
	return start(state, false);
}

static int start_zstd(void **state)
{
	return start(state, true);
}

static int stop(void **state)
{
	struct fixture *f = *state;

	qf_codec_free(f->codec);
	free(f);
	return 0;
}

/* What follows to the sector's end, zeros or another cluster, is ignored. */
static void whole(void **state)
{
	struct fixture *f = *state;
	struct qf_codec_result r;
	int i;

	pack(f, CLUSTER);
	for (i = 0; i < 3; i++) {
		r = inflate_it(f, i ? to_sector(f->packed_bytes)
				    : f->packed_bytes);
		assert_int_equal(r.state, QF_CODEC_WHOLE);
		assert_int_equal(r.bytes, CLUSTER);
		assert_memory_equal(f->out, f->plain, CLUSTER);
		memset(f->packed + f->packed_bytes, 0xa5, 512);
	}
}

/* A stream cut off at any place is never whole, and what came out is true. */
static void cut(void **state)
{
	struct fixture *f = *state;
	struct qf_codec_result r;
	size_t n;

	pack(f, CLUSTER);
	for (n = 0; n < f->packed_bytes; n += 1 + f->packed_bytes / 97) {
		r = inflate_it(f, n);
		assert_int_not_equal(r.state, QF_CODEC_WHOLE);
		assert_memory_equal(f->out, f->plain, r.bytes);
	}
	r = inflate_it(f, f->packed_bytes / 2);
	assert_int_equal(r.state, QF_CODEC_CUT);
	for (n = r.bytes; n < CLUSTER; n++)
		assert_int_equal(f->out[n], 0);
}

/* All of the cluster is there, and only the stream's end is not: as QEMU reads
 * it, no byte is missing. */
static void end_missing(void **state)
{
	struct fixture *f = *state;
	struct qf_codec_result r;

	memset(f->packed, 0, ROOM);
	f->packed_bytes = pack_zlib(f->plain, CLUSTER, f->packed, Z_SYNC_FLUSH);
	r = inflate_it(f, f->packed_bytes);
	assert_int_equal(r.bytes, CLUSTER);
	assert_int_equal(r.state, QF_CODEC_LONG);
	assert_memory_equal(f->out, f->plain, CLUSTER);
}

static void too_short(void **state)
{
	struct fixture *f = *state;
	struct qf_codec_result r;

	pack(f, CLUSTER - 512);
	r = inflate_it(f, to_sector(f->packed_bytes));
	assert_int_equal(r.state, QF_CODEC_SHORT);
	assert_int_equal(r.bytes, CLUSTER - 512);
	assert_memory_equal(f->out, f->plain, CLUSTER - 512);
	assert_int_equal(f->out[CLUSTER - 1], 0);
}

static void too_long(void **state)
{
	struct fixture *f = *state;
	struct qf_codec_result r;

	pack(f, CLUSTER + 512);
	r = inflate_it(f, to_sector(f->packed_bytes));
	assert_int_equal(r.state, QF_CODEC_LONG);
}

static void garbage(void **state)
{
	struct fixture *f = *state;
	struct qf_codec_result r;

	memset(f->packed, 0xff, ROOM);
	r = inflate_it(f, CLUSTER);
	assert_int_equal(r.state, QF_CODEC_BAD);
	memcpy(f->packed, "-----BEGIN CERTIFICATE-----", 27);
	r = inflate_it(f, CLUSTER);
	assert_int_equal(r.state, QF_CODEC_BAD);
	/* a decoder that met garbage still reads the next cluster */
	whole(state);
}

/* A frame's header may ask for a window of 2 GiB: nothing is taken. */
static void huge_window(void **state)
{
	static const unsigned char frame[] = { 0x28, 0xb5, 0x2f, 0xfd, 0x00,
					       0xa8, 0x01, 0x00, 0x00 };
	struct fixture *f = *state;
	struct qf_codec_result r;

	memset(f->packed, 0, ROOM);
	memcpy(f->packed, frame, sizeof(frame));
	r = inflate_it(f, 512);
	assert_int_not_equal(r.state, QF_CODEC_WHOLE);
	assert_int_equal(r.bytes, 0);
}

/* Frames without content, one behind another, come to an end. */
static void empty_frames(void **state)
{
	struct fixture *f = *state;
	struct qf_codec_result r;
	size_t n, at = 0;

	n = ZSTD_compress(f->packed, ROOM, "", 0, 3);
	for (at = n; at + n <= CLUSTER; at += n)
		memcpy(f->packed + at, f->packed, n);
	r = inflate_it(f, at);
	assert_int_equal(r.state, QF_CODEC_SHORT);
	assert_int_equal(r.bytes, 0);
}

static void two_frames(void **state)
{
	struct fixture *f = *state;
	struct qf_codec_result r;
	size_t n;

	n = ZSTD_compress(f->packed, ROOM, f->plain, 4096, 3);
	n += ZSTD_compress(f->packed + n, ROOM - n, f->plain + 4096,
			   CLUSTER - 4096, 3);
	r = inflate_it(f, n);
	assert_int_equal(r.state, QF_CODEC_WHOLE);
	assert_memory_equal(f->out, f->plain, CLUSTER);
}

static void unknown_type(void **state)
{
	struct qf_codec *c = NULL;
	struct qf_why why;

	(void)state;
	assert_int_equal(qf_codec_new(7, &c, &why), QF_ERR_UNSUPPORTED);
	assert_null(c);
	qf_codec_free(NULL);
}

static void words(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < QF_CODEC_STATES; i++)
		assert_non_null(qf_codec_state((enum qf_codec_state)i));
}

#define ZLIB(fn)                                         \
	{                                                \
		"zlib: " #fn, fn, start_zlib, stop, NULL \
	}
#define ZSTD(fn)                                         \
	{                                                \
		"zstd: " #fn, fn, start_zstd, stop, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ZLIB(whole),
		ZSTD(whole),
		ZLIB(cut),
		ZLIB(end_missing),
		ZSTD(cut),
		ZLIB(too_short),
		ZSTD(too_short),
		ZLIB(too_long),
		ZSTD(too_long),
		ZLIB(garbage),
		ZSTD(garbage),
		ZSTD(huge_window),
		ZSTD(empty_frames),
		ZSTD(two_frames),
		cmocka_unit_test(unknown_type),
		cmocka_unit_test(words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
