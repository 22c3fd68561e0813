// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/fastinflate.h"
#include "lib/format/blockhead.h"
#include "lib/base/dynload.h"
#include "lib/base/mem.h"

#include <endian.h>
#include <libdeflate.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SONAME "libdeflate.so.0"
/* What a block can refer to, and what it may take itself: more is for zlib. */
#define HISTORY 32768u
#define BLOCK_BYTES (96u << 10)
#define STORED_HEAD 5u /* of a block of stored bytes */
/* A stream of very small blocks is for zlib, too. */
#define BLOCKS(bytes) (4u + (bytes) / 16384u)

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
	unsigned char *alone; /* a block as a stream of its own */
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
	free(f->alone);
	free(f);
}

/* Where reading is. */
struct place {
	const unsigned char *in;
	size_t in_bytes;
	uint64_t at; /* bit */
	unsigned char *out;
	size_t out_bytes, done;
};

/*
 * Where a block may end that ends within byte LAST, and whose words begin at
 * bit FROM: behind the word that ends it. Bit I: behind bit I of the byte.
 */
static unsigned int find_ends(const unsigned char *p,
			      const struct qf_blockhead *h, uint64_t from,
			      size_t last)
{
	unsigned int i, k, found = 0;
	uint64_t end, at;

	for (i = 0; i < 8; i++) {
		end = (uint64_t)last * 8 + i + 1;
		if (end < from + h->eob_bits)
			continue;
		at = end - h->eob_bits;
		for (k = 0; k < h->eob_bits; k++, at++)
			if ((p[at / 8] >> (at & 7) & 1) != (h->eob >> k & 1))
				break;
		if (k == h->eob_bits)
			found |= 1u << i;
	}
	return found;
}

/* Copies N bytes from bit AT on. */
static void copy_bits(unsigned char *to, const struct place *p, size_t n)
{
	const unsigned char *from = p->in + p->at / 8;
	size_t left = p->in_bytes - (size_t)(p->at / 8), i = 0;
	unsigned int shift = p->at & 7, next;
	uint64_t v;

	for (; i + 8 <= n && i + 9 <= left; i += 8) {
		memcpy(&v, from + i, 8);
		v = le64toh(v) >> shift | (uint64_t)from[i + 8] << 1
								<< (63 - shift);
		v = htole64(v);
		memcpy(to + i, &v, 8);
	}
	for (; i < n; i++) {
		next = i + 1 < left ? from[i + 1] : 0;
		to[i] = (unsigned char)((from[i] | next << 8) >> shift);
	}
}

/* A block as a stream of its own: in it the bytes that it may refer to stand
 * before it, as a stored block. */
struct alone {
	size_t past, bytes; /* of the history, of the stream */
	unsigned char *block;
	size_t used, got;
};

static bool inflate_alone(const struct qf_fastinflate *f, const struct place *p,
			  struct alone *a)
{
	return lib.deflate_decompress_ex(f->d, f->alone, a->bytes,
					 p->out + p->done - a->past,
					 p->out_bytes - p->done + a->past,
					 &a->used,
					 &a->got) == LIBDEFLATE_SUCCESS &&
	       a->used > STORED_HEAD + a->past;
}

static void set_alone(struct qf_fastinflate *f, const struct place *p,
		      struct alone *a)
{
	size_t left = p->in_bytes - (size_t)(p->at / 8);
	unsigned char *to = f->alone;

	/* no bit that the stream does not have: its last byte may be a part */
	if (left && p->at & 7)
		left--;
	if (left > BLOCK_BYTES)
		left = BLOCK_BYTES;
	a->past = p->done < HISTORY ? p->done : HISTORY;
	a->bytes = STORED_HEAD + a->past + left;
	a->block = to + STORED_HEAD + a->past;
	to[0] = 0;
	to[1] = (unsigned char)a->past;
	to[2] = (unsigned char)(a->past >> 8);
	to[3] = (unsigned char)~to[1];
	to[4] = (unsigned char)~to[2];
	memcpy(to + STORED_HEAD, p->out + p->done - a->past, a->past);
	copy_bits(a->block, p, left);
	a->block[0] |= 1; /* the last one */
}

/*
 * The bit behind the block, which was inflated. Of several places it is the
 * last one if all is another when the bit before that one is: else that bit
 * is not of the block.
 */
static uint64_t find_end(const struct qf_fastinflate *f, const struct place *p,
			 const struct qf_blockhead *h, const struct alone *a)
{
	size_t last = a->used - STORED_HEAD - a->past - 1;
	unsigned int ends = find_ends(a->block, h, h->end - p->at, last), top;
	unsigned char bit;
	struct alone other;
	bool same;

	for (; ends; ends ^= 1u << top) {
		top = 31u - (unsigned int)__builtin_clz(ends);
		if (ends == 1u << top)
			return (uint64_t)last * 8 + top + 1;
		other = *a;
		bit = (unsigned char)(1u << top);
		a->block[last] ^= bit;
		same = inflate_alone(f, p, &other) && other.got == a->got;
		a->block[last] ^= bit;
		if (!same)
			return (uint64_t)last * 8 + top + 1;
	}
	return 0;
}

static bool one_block(struct qf_fastinflate *f, struct place *p,
		      const struct qf_blockhead *h)
{
	struct alone a;
	uint64_t end = 1;

	set_alone(f, p, &a);
	if (!inflate_alone(f, p, &a))
		return false;
	if (!h->final)
		end = find_end(f, p, h, &a);
	p->done += a.got - a.past;
	p->at += end;
	return end;
}

static bool stored_block(struct place *p, const struct qf_blockhead *h)
{
	size_t bytes = (size_t)((h->stored_end - h->end) / 8);

	if (bytes > p->out_bytes - p->done)
		return false;
	memcpy(p->out + p->done, p->in + h->end / 8, bytes);
	p->done += bytes;
	p->at = h->stored_end;
	return true;
}

/* A stream of several blocks, one after the other. */
static bool by_blocks(struct qf_fastinflate *f, struct place *p)
{
	size_t blocks = BLOCKS(p->out_bytes);
	struct qf_blockhead h;

	if (!f->alone)
		f->alone =
			qf_mem_zalloc(1, STORED_HEAD + HISTORY + BLOCK_BYTES);
	if (!f->alone)
		return false;
	do {
		if (!blocks-- ||
		    !qf_blockhead_read(p->in, p->in_bytes, p->at, &h) ||
		    !(h.stored ? stored_block(p, &h) : one_block(f, p, &h)))
			return false;
	} while (!h.final);
	return p->done == p->out_bytes;
}

bool qf_fastinflate_whole(struct qf_fastinflate *f, const void *in,
			  size_t in_bytes, void *out, size_t out_bytes)
{
	struct place p = { in, in_bytes, 0, out, out_bytes, 0 };
	struct qf_blockhead h;
	size_t used, got;

	if (!qf_blockhead_read(in, in_bytes, 0, &h))
		return false;
	if (!h.final)
		return by_blocks(f, &p);
	return lib.deflate_decompress_ex(f->d, in, in_bytes, out, out_bytes,
					 &used, &got) == LIBDEFLATE_SUCCESS &&
	       got == out_bytes;
}
