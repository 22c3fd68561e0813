// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/fastinflate.h"
#include "lib/format/blockhead.h"
#include "lib/base/dynload.h"
#include "lib/base/mem.h"

#include <libdeflate.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SONAME "libdeflate.so.0"
/* A stream of more blocks is left to zlib: each one but the last is inflated
 * once more, to find the next. */
#define BLOCKS 3u
#define COPY_BYTES (256u << 10)

#define FUNCTIONS             \
	X(alloc_decompressor) \
	X(free_decompressor)  \
	X(deflate_decompress_ex)

static struct {
#define X(f) __typeof__(libdeflate_##f) *f;
	FUNCTIONS
#undef X
} lib;

static const char *const names[] = {
#define X(f) "libdeflate_" #f,
	FUNCTIONS
#undef X
};

struct qf_fastinflate {
	struct libdeflate_decompressor *d;
	unsigned char *copy; /* COPY_BYTES, of a stream with several blocks */
};

static void load(void)
{
	(void)qf_dynload_load(SONAME, names, sizeof(names) / sizeof(names[0]),
			      &lib, NULL);
}

struct qf_fastinflate *qf_fastinflate_new(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct qf_fastinflate *f;

	pthread_once(&once, load);
	if (!lib.deflate_decompress_ex)
		return NULL;
	f = qf_mem_zalloc(1, sizeof(*f));
	if (f)
		f->d = lib.alloc_decompressor();
	if (f && f->d)
		return f;
	free(f);
	return NULL;
}

void qf_fastinflate_free(struct qf_fastinflate *f)
{
	if (!f)
		return;
	lib.free_decompressor(f->d);
	free(f->copy);
	free(f);
}

static bool inflate_it(const struct qf_fastinflate *f, const void *in,
		       size_t in_bytes, void *out, size_t out_bytes,
		       size_t *used, size_t *got)
{
	return lib.deflate_decompress_ex(f->d, in, in_bytes, out, out_bytes,
					 used, got) == LIBDEFLATE_SUCCESS;
}

/*
 * The bit behind a block that ends within byte LAST: the word that ends it
 * stands before. 0 if that is true of two places.
 */
static uint64_t find_end(const unsigned char *p, const struct qf_blockhead *h,
			 size_t last)
{
	uint64_t end = (uint64_t)last * 8, found = 0;
	unsigned int i, k;
	bool same;

	for (i = 1; i <= 8; i++) {
		uint64_t at = end + i - h->eob_bits;

		if (end + i < h->end + h->eob_bits)
			continue;
		same = true;
		for (k = 0; same && k < h->eob_bits; k++)
			same = (p[(at + k) / 8] >> ((at + k) & 7) & 1) ==
			       (h->eob >> k & 1);
		if (same && found)
			return 0;
		if (same)
			found = end + i;
	}
	return found;
}

/* The bit behind the block whose head H stands at AT, or 0. */
static uint64_t next_block(struct qf_fastinflate *f, size_t in_bytes,
			   const struct qf_blockhead *h, uint64_t at, void *out,
			   size_t out_bytes)
{
	unsigned char *byte = f->copy + at / 8, bit;
	size_t used, got;
	bool good;

	if (h->stored)
		return h->stored_end;
	/* as if the stream ended with it */
	bit = (unsigned char)(1u << (at & 7));
	*byte |= bit;
	good = inflate_it(f, f->copy, in_bytes, out, out_bytes, &used, &got);
	*byte &= (unsigned char)~bit;
	return good && used ? find_end(f->copy, h, used - 1) : 0;
}

/* True if all blocks have heads that leave no choice. */
static bool is_plain(struct qf_fastinflate *f, const unsigned char *in,
		     size_t in_bytes, void *out, size_t out_bytes)
{
	struct qf_blockhead h;
	unsigned int n;
	uint64_t at = 0;

	for (n = 1; qf_blockhead_read(in, in_bytes, at, &h); n++) {
		if (h.final)
			return true;
		if (n == BLOCKS || in_bytes > COPY_BYTES)
			return false;
		if (!f->copy)
			f->copy = qf_mem_zalloc(1, COPY_BYTES);
		if (!f->copy)
			return false;
		if (n == 1)
			memcpy(f->copy, in, in_bytes);
		at = next_block(f, in_bytes, &h, at, out, out_bytes);
		if (!at)
			return false;
	}
	return false;
}

bool qf_fastinflate_whole(struct qf_fastinflate *f, const void *in,
			  size_t in_bytes, void *out, size_t out_bytes)
{
	size_t used, got = 0;

	return is_plain(f, in, in_bytes, out, out_bytes) &&
	       inflate_it(f, in, in_bytes, out, out_bytes, &used, &got) &&
	       got == out_bytes;
}
