// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/blockhead.h"

#include <endian.h>
#include <string.h>

#define LENGTHS 286u  /* symbols of literals and lengths that have a use */
#define DISTANCES 30u /* the same of distances */
#define END_OF_BLOCK 256u
#define CODE_LENGTHS 19u
#define LENGTH_BITS 7u /* of a code for code lengths, at the most */
#define MAX_BITS 15u

enum type { STORED, FIXED, DYNAMIC };

struct bits {
	const unsigned char *p;
	size_t n;
	uint64_t at;
	bool bad; /* asked for more than there is */
};

/* The next bits, zeros behind the end: 32 of them at the least. */
static uint32_t peek(const struct bits *b)
{
	size_t byte = (size_t)(b->at >> 3);
	uint64_t v = 0;

	if (byte + sizeof(v) <= b->n)
		memcpy(&v, b->p + byte, sizeof(v));
	else if (byte < b->n)
		memcpy(&v, b->p + byte, b->n - byte);
	return (uint32_t)(le64toh(v) >> (b->at & 7));
}

static void skip(struct bits *b, unsigned int n)
{
	b->at += n;
	b->bad |= b->at > (uint64_t)b->n * 8;
}

static uint32_t get(struct bits *b, unsigned int n)
{
	uint32_t v = peek(b) & ((1u << n) - 1);

	skip(b, n);
	return v;
}

static uint32_t reversed(uint32_t code, unsigned int bits)
{
	uint32_t r = 0;

	for (; bits; bits--, code >>= 1)
		r = r << 1 | (code & 1);
	return r;
}

/* True if the code with these lengths leaves no word of MAX bits without a
 * symbol, and gives none to two. Section 3.2.2. */
static bool is_complete(const unsigned char *lens, unsigned int n,
			unsigned int max)
{
	uint32_t used = 0;
	unsigned int i;

	for (i = 0; i < n; i++)
		used += lens[i] ? 1u << (max - lens[i]) : 0;
	return used == 1u << max;
}

/* The word of the symbol SYM, which has one. Section 3.2.2. */
static uint32_t word_of(const unsigned char *lens, unsigned int n,
			unsigned int sym)
{
	uint32_t count[MAX_BITS + 1] = { 0 }, code = 0;
	unsigned int i;

	for (i = 0; i < n; i++)
		count[lens[i]]++;
	count[0] = 0;
	for (i = 1; i <= lens[sym]; i++)
		code = (code + count[i - 1]) << 1;
	for (i = 0; i < sym; i++)
		code += lens[i] == lens[sym];
	return reversed(code, lens[sym]);
}

/* What each word of LENGTH_BITS bits begins with. */
struct length_code {
	unsigned char sym[1 << LENGTH_BITS], bits[1 << LENGTH_BITS];
};

static bool read_length_code(struct bits *b, unsigned int n,
			     struct length_code *c)
{
	static const unsigned char order[CODE_LENGTHS] = {
		16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15
	};
	unsigned char lens[CODE_LENGTHS] = { 0 };
	uint32_t code;
	unsigned int i;

	for (i = 0; i < n; i++)
		lens[order[i]] = (unsigned char)get(b, 3);
	if (!is_complete(lens, CODE_LENGTHS, LENGTH_BITS))
		return false;
	for (i = 0; i < CODE_LENGTHS; i++) {
		if (!lens[i])
			continue;
		code = word_of(lens, CODE_LENGTHS, i);
		for (; code < 1u << LENGTH_BITS; code += 1u << lens[i]) {
			c->sym[code] = (unsigned char)i;
			c->bits[code] = lens[i];
		}
	}
	return true;
}

/* The lengths of both codes, one behind the other. Section 3.2.7. */
static bool read_lengths(struct bits *b, const struct length_code *c,
			 unsigned char *lens, unsigned int n)
{
	static const struct {
		unsigned int bits, base;
	} repeat[] = { { 2, 3 }, { 3, 3 }, { 7, 11 } };
	unsigned int i = 0, sym, times;
	uint32_t word;

	while (i < n && !b->bad) {
		word = peek(b) & ((1u << LENGTH_BITS) - 1);
		sym = c->sym[word];
		skip(b, c->bits[word]);
		if (sym < 16) {
			lens[i++] = (unsigned char)sym;
			continue;
		}
		if (sym == 16 && !i)
			return false;
		times = repeat[sym - 16].base + get(b, repeat[sym - 16].bits);
		if (times > n - i)
			return false;
		memset(lens + i, sym == 16 ? lens[i - 1] : 0, times);
		i += times;
	}
	return !b->bad;
}

static bool read_dynamic(struct bits *b, struct qf_blockhead *h)
{
	unsigned char lens[LENGTHS + DISTANCES];
	unsigned int n_lengths = get(b, 5) + 257, n_distances = get(b, 5) + 1;
	unsigned int n = get(b, 4) + 4;
	struct length_code c;

	if (b->bad || n_lengths > LENGTHS || n_distances > DISTANCES ||
	    !read_length_code(b, n, &c) ||
	    !read_lengths(b, &c, lens, n_lengths + n_distances) ||
	    !lens[END_OF_BLOCK] || !is_complete(lens, n_lengths, MAX_BITS) ||
	    !is_complete(lens + n_lengths, n_distances, MAX_BITS))
		return false;
	h->eob_bits = lens[END_OF_BLOCK];
	h->eob = word_of(lens, n_lengths, END_OF_BLOCK);
	return true;
}

static bool read_stored(struct bits *b, struct qf_blockhead *h)
{
	uint32_t len, inverse;

	b->at = (b->at + 7) & ~7ull;
	len = get(b, 16);
	inverse = get(b, 16);
	h->stored = true;
	h->stored_end = b->at + (uint64_t)len * 8;
	return !b->bad && len == (inverse ^ 0xffff) &&
	       h->stored_end <= (uint64_t)b->n * 8;
}

bool qf_blockhead_read(const unsigned char *p, size_t n, uint64_t at,
		       struct qf_blockhead *h)
{
	struct bits b = { .p = p, .n = n, .at = at };
	enum type type;
	bool good = false;

	memset(h, 0, sizeof(*h));
	h->final = get(&b, 1);
	type = (enum type)get(&b, 2);
	/* a fixed code has words that no one may use, as no one would see */
	if (type == STORED)
		good = read_stored(&b, h);
	else if (type == DYNAMIC)
		good = read_dynamic(&b, h);
	h->end = b.at;
	return good && !b.bad;
}
