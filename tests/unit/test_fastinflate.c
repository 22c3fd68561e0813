// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libdeflate beside zlib, which is the reference as QEMU reads with it: the
 * same bytes and the same verdict on whole streams, on damaged ones, and on
 * those that libdeflate takes and zlib does not.
 */
#include "lib/format/codec.h"
#include "lib/format/fastinflate.h"
#include "tests/unit/unit.h"

#include <zlib.h>

#define CLUSTER 65536u
#define ROOM (2 * CLUSTER)
#define SMALL 4096u

static struct dice dice;

/* --- what zlib says --- */

static enum qf_codec_state reference(const unsigned char *in, size_t n,
				     unsigned char *out, size_t room,
				     size_t *got)
{
	z_stream z = { .next_in = (z_const Bytef *)in, .avail_in = (uInt)n };
	int status;

	assert_int_equal(inflateInit2(&z, -12), Z_OK);
	z.next_out = out;
	z.avail_out = (uInt)room;
	status = inflate(&z, Z_FINISH);
	*got = room - z.avail_out;
	inflateEnd(&z);
	if (status == Z_STREAM_END)
		return *got < room ? QF_CODEC_SHORT : QF_CODEC_WHOLE;
	if (status != Z_BUF_ERROR && status != Z_OK)
		return QF_CODEC_BAD;
	return *got < room ? QF_CODEC_CUT : QF_CODEC_LONG;
}

struct bench {
	struct qf_codec *codec;
	struct qf_fastinflate *fast;
	unsigned char plain[CLUSTER], packed[ROOM], hurt[ROOM];
	unsigned char want[CLUSTER], out[CLUSTER];
	size_t packed_bytes;
	size_t states[QF_CODEC_STATES];
};

/* Both read the N bytes at IN as a cluster of ROOM bytes in the same way. */
static void compare(struct bench *b, const unsigned char *in, size_t n,
		    size_t room)
{
	struct qf_codec_result r;
	size_t got;
	enum qf_codec_state state;

	memset(b->want, 0, room);
	memset(b->out, 0xee, room);
	state = reference(in, n, b->want, room, &got);
	memset(b->want + got, 0, room - got);
	qf_codec_inflate(b->codec, in, n, b->out, room, &r);
	assert_int_equal(r.state, state);
	assert_int_equal(r.bytes, got);
	assert_memory_equal(b->out, b->want, room);
	b->states[state]++;
	if (qf_fastinflate_whole(b->fast, in, n, b->out, room)) {
		assert_int_equal(state, QF_CODEC_WHOLE);
		assert_memory_equal(b->out, b->want, room);
	}
}

/* --- streams as programs write them --- */

enum kind { MIXED, NOISY, ZEROS, RECORDS, DISTANT, KINDS };

static void fill(struct bench *b, enum kind kind, size_t n)
{
	static const unsigned char runs[] = "inode block extent leaf";
	size_t i;

	for (i = 0; i < n; i++) {
		unsigned char x = (unsigned char)dice_below(&dice, 256);

		if (kind == ZEROS)
			b->plain[i] = 0;
		else if (kind == NOISY) /* few matches: several blocks */
			b->plain[i] = (unsigned char)(x & 63);
		else if (kind == RECORDS)
			b->plain[i] = i % 32 < 24 ? runs[i % 23] : x;
		else if (kind == DISTANT) /* from further than the window */
			b->plain[i] = i < 9000 ? x : b->plain[i - 9000];
		else
			b->plain[i] = i & 4096 ? x
					       : runs[dice_below(&dice, 23)];
	}
}

static void pack(struct bench *b, size_t n, int level, int window, int how)
{
	z_stream z = { .next_in = b->plain, .avail_in = (uInt)n };

	assert_int_equal(deflateInit2(&z, level, Z_DEFLATED, window, 9, how),
			 Z_OK);
	z.next_out = b->packed;
	z.avail_out = ROOM - 512;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	b->packed_bytes = ROOM - 512 - z.avail_out;
	deflateEnd(&z);
	/* a neighbour's bytes behind it */
	memset(b->packed + b->packed_bytes, 0xa5, 512);
}

static void hurt(struct bench *b, size_t room)
{
	/* of which each bit is turned over, and wounds elsewhere */
	const size_t head_bits = room == SMALL ? 900 : 250;
	const size_t wounds = room == SMALL ? 250 : 25;
	size_t n = b->packed_bytes, i, k, at, len;

	for (i = 0; i < head_bits && i < n * 8; i++) {
		memcpy(b->hurt, b->packed, n);
		b->hurt[i / 8] ^= (unsigned char)(1u << (i & 7));
		compare(b, b->hurt, n, room);
	}
	for (i = 0; i < wounds; i++) {
		memcpy(b->hurt, b->packed, n + 512);
		at = dice_below(&dice, n);
		len = 1 + dice_below(&dice, 4);
		for (k = at; k < n && k < at + len; k++)
			b->hurt[k] = (unsigned char)dice_below(&dice, 256);
		compare(b, b->hurt, n + dice_below(&dice, 512), room);
		compare(b, b->packed, dice_below(&dice, n), room);
	}
	/* the end lies within the last bytes */
	for (i = 1; i < 12 && i < n; i++)
		compare(b, b->packed, n - i, room);
}

static const struct {
	int level, window, how;
	bool is_fast; /* libdeflate does it, unless fixed codes come in */
} ways[] = {
	{ 6, -12, Z_DEFAULT_STRATEGY, true }, /* QEMU's */
	{ 1, -12, Z_DEFAULT_STRATEGY, true },
	{ 9, -15, Z_DEFAULT_STRATEGY, true },
	{ 6, -12, Z_HUFFMAN_ONLY, false },
	{ 6, -12, Z_FIXED, false },
	{ 0, -12, Z_DEFAULT_STRATEGY, false },
};

static void written(struct bench *b, enum kind kind, size_t way, size_t room)
{
	fill(b, kind, room);
	pack(b, room, ways[way].level, ways[way].window, ways[way].how);
	compare(b, b->packed, b->packed_bytes, room);
	compare(b, b->packed, b->packed_bytes + 511, room);
	assert_memory_equal(b->want, b->plain, room);
	if (ways[way].is_fast && room == CLUSTER && kind != DISTANT)
		assert_true(qf_fastinflate_whole(b->fast, b->packed,
						 b->packed_bytes + 511, b->out,
						 room));
	compare(b, b->packed, b->packed_bytes, room - 1);
	hurt(b, room);
}

static void as_programs_write(void **state)
{
	struct bench *b = *state;
	size_t way, kind, i;

	for (way = 0; way < sizeof(ways) / sizeof(ways[0]); way++)
		for (kind = 0; kind < KINDS; kind++) {
			dice.state = way * KINDS + kind;
			written(b, (enum kind)kind, way, SMALL);
			written(b, (enum kind)kind, way, CLUSTER);
		}
	for (i = 0; i < QF_CODEC_STATES; i++)
		assert_true(b->states[i] > 100);
}

/* A stream of as many blocks as are read one by one, and of more. */
static void in_blocks(struct bench *b, unsigned int n, bool fast)
{
	z_stream z = { 0 };
	size_t i;

	dice.state = 7;
	fill(b, MIXED, CLUSTER);
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, -12, 9, 0), Z_OK);
	z.next_in = b->plain;
	z.next_out = b->packed;
	z.avail_out = ROOM - 512;
	for (i = 0; i < n; i++) {
		z.avail_in = CLUSTER / n;
		assert_int_equal(deflate(&z, i + 1 < n ? Z_BLOCK : Z_FINISH),
				 i + 1 < n ? Z_OK : Z_STREAM_END);
	}
	b->packed_bytes = ROOM - 512 - z.avail_out;
	deflateEnd(&z);
	compare(b, b->packed, b->packed_bytes, CLUSTER);
	assert_memory_equal(b->want, b->plain, CLUSTER);
	assert_int_equal(qf_fastinflate_whole(b->fast, b->packed,
					      b->packed_bytes + 100, b->out,
					      CLUSTER),
			 fast);
	hurt(b, CLUSTER);
}

static void many_blocks(void **state)
{
	struct bench *b = *state;

	in_blocks(b, 4, true);
	in_blocks(b, 8, true);
	in_blocks(b, 16, false);
	assert_true(b->states[QF_CODEC_BAD] && b->states[QF_CODEC_CUT]);
}

/* The last word of the last of several blocks is cut off. */
static void cut_ends(void **state)
{
	struct bench *b = *state;
	size_t i, k;

	for (i = 0; i < 300; i++) {
		dice.state = 100 + i;
		fill(b, NOISY, 40000);
		pack(b, 40000, 6, -12, Z_DEFAULT_STRATEGY);
		for (k = 0; k < 3; k++)
			compare(b, b->packed, b->packed_bytes - k, 40000);
	}
	assert_int_equal(b->states[QF_CODEC_WHOLE], 300);
}

/* --- streams that no program writes --- */

struct writer {
	unsigned char *p;
	size_t at;
};

static void put(struct writer *w, uint32_t v, unsigned int bits)
{
	for (; bits; bits--, v >>= 1, w->at++)
		w->p[w->at / 8] |= (unsigned char)((v & 1) << (w->at & 7));
}

/* A word of a code: its first bit is the highest. */
static void put_word(struct writer *w, uint32_t v, unsigned int bits)
{
	while (bits--)
		put(w, v >> bits & 1, 1);
}

/*
 * A last block with the lengths that are given: each of them is told by a word
 * of four bits, which is itself.
 */
static void put_head(struct writer *w, const unsigned char *lens,
		     unsigned int n_lengths, unsigned int n_distances)
{
	unsigned int i;

	put(w, 1, 1);
	put(w, 2, 2);
	put(w, n_lengths - 257, 5);
	put(w, n_distances - 1, 5);
	put(w, 15, 4);
	for (i = 0; i < 19; i++)
		put(w, i < 3 ? 0 : 4, 3);
	for (i = 0; i < n_lengths + n_distances; i++)
		put_word(w, lens[i], 4);
}

/* What is odd about a stream. */
struct odd {
	unsigned int n_lengths, n_distances;
	unsigned int extra;	/* a symbol of length 2 beside the three */
	unsigned char distance; /* the length of the first distance */
	unsigned int second;	/* a second distance, of one bit; 0: none */
	unsigned int word;	/* which word of a distance is used at last */
};

/* Literal 0 (two bits), length 258 (symbol 285), the end, and one more. */
static void put_odd(struct bench *b, const struct odd *o, size_t room)
{
	unsigned char lens[320] = { 0 };
	struct writer w = { .p = b->hurt };
	unsigned int low = o->extra < 256, last;
	size_t i;

	memset(b->hurt, 0, ROOM);
	lens[0] = lens[256] = lens[285] = lens[o->extra] = 2;
	lens[o->n_lengths] = o->distance;
	if (o->second)
		lens[o->n_lengths + o->second] = 1;
	put_head(&w, lens, o->n_lengths, o->n_distances);
	put_word(&w, 0, 2);
	for (i = 1; i + 258 <= room; i += 258) {
		last = i + 2 * 258 > room;
		/* of the symbols 0, 256, 285, or 0, extra, 256, 285 */
		put_word(&w, last && !low && o->extra > 285 ? 3 : 2 + low, 2);
		put_word(&w, last && o->word, 1);
		/* libdeflate thinks that these have bits of their own */
		if (last && o->word && o->second > 29)
			put(&w, 0, 13);
	}
	for (; i < room; i++)
		put_word(&w, 0, 2);
	put_word(&w, 1 + low, 2);
	b->packed_bytes = (w.at + 7) / 8;
	compare(b, b->hurt, b->packed_bytes, room);
	compare(b, b->hurt, b->packed_bytes + 100, room);
}

static void odd_codes(void **state)
{
	static const struct odd odd[] = {
		{ 286, 2, 1, 1, 1, 1 },	  /* nothing, for once */
		{ 286, 1, 1, 1, 0, 0 },	  /* one distance, of one bit: 0, */
		{ 286, 1, 1, 1, 0, 1 },	  /* or the other one */
		{ 286, 1, 1, 2, 0, 0 },	  /* of two */
		{ 286, 1, 1, 0, 0, 0 },	  /* none at all, and one is used */
		{ 287, 2, 286, 1, 1, 0 }, /* symbols that none may use */
		{ 288, 2, 287, 1, 1, 0 }, { 286, 31, 1, 1, 30, 1 },
		{ 286, 32, 1, 1, 31, 1 }, { 286, 31, 1, 1, 1, 0 },
		{ 287, 2, 1, 1, 1, 0 },	  { 286, 30, 1, 1, 29, 1 },
		{ 286, 2, 2, 1, 1, 0 },
	};
	struct bench *b = *state;
	size_t i;

	for (i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		put_odd(b, &odd[i], 4096);
		put_odd(b, &odd[i], CLUSTER);
	}
	assert_true(b->states[QF_CODEC_WHOLE]);
	assert_true(b->states[QF_CODEC_BAD]);
}

/* Repetitions that run over the end of the lengths, or repeat nothing; and a
 * code for the lengths that has one word. */
static void odd_lengths(void **state)
{
	struct bench *b = *state;
	unsigned int kind, i;

	for (kind = 0; kind < 4; kind++) {
		struct writer w = { .p = b->hurt };

		memset(b->hurt, 0, ROOM);
		put(&w, 1, 1);
		put(&w, 2, 2);
		put(&w, 0, 5); /* 257 lengths */
		put(&w, 1, 5); /* 2 distances */
		put(&w, 15, 4);
		/* 1 has one bit, 18 two, 16 two; or only 1 */
		for (i = 0; i < 19; i++)
			put(&w,
			    i == 17			      ? 1
			    : kind != 3 && (i == 0 || i == 2) ? 2
							      : 0,
			    3);
		if (kind == 1) /* the last length, before there is one */
			put_word(&w, 2, 2), put(&w, 0, 2);
		put_word(&w, 0, 1); /* symbol 0 */
		put_word(&w, 3, 2), put(&w, 127, 7);
		put_word(&w, 3, 2), put(&w, 106, 7); /* 255 zeros */
		put_word(&w, 0, 1);		     /* symbol 256 */
		put_word(&w, 0, 1);		     /* distance 0 */
		if (kind == 2) /* distance 1, and five more */
			put_word(&w, 2, 2), put(&w, 3, 2);
		else
			put_word(&w, 0, 1);
		for (i = 0; i < 4096; i++)
			put_word(&w, 0, 1);
		put_word(&w, 1, 1);
		compare(b, b->hurt, (w.at + 7) / 8, 4096);
		compare(b, b->hurt, (w.at + 7) / 8 + 3, 4096);
		if (!kind)
			assert_true(qf_fastinflate_whole(b->fast, b->hurt,
							 (w.at + 7) / 8, b->out,
							 4096));
	}
	assert_true(b->states[QF_CODEC_WHOLE]);
}

static int start(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	*state = b;
	b->fast = qf_fastinflate_new();
	assert_non_null(b->fast);
	return (int)qf_codec_new(QF_COMPRESSION_ZLIB, &b->codec, NULL);
}

static int stop(void **state)
{
	struct bench *b = *state;

	qf_fastinflate_free(b->fast);
	qf_codec_free(b->codec);
	free(b);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(as_programs_write, start, stop),
		cmocka_unit_test_setup_teardown(many_blocks, start, stop),
		cmocka_unit_test_setup_teardown(cut_ends, start, stop),
		cmocka_unit_test_setup_teardown(odd_codes, start, stop),
		cmocka_unit_test_setup_teardown(odd_lengths, start, stop),
	};

	qf_fastinflate_free(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
