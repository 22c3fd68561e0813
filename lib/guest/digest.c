// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/guest/digest.h"
#include "lib/guest/le.h"

#include <string.h>

/* --- XXH64: the xxHash specification --- */

#define P1 0x9e3779b185ebca87ull
#define P2 0xc2b2ae3d27d4eb4full
#define P3 0x165667b19e3779f9ull
#define P4 0x85ebca77c2b2ae63ull
#define P5 0x27d4eb2f165667c5ull

static uint64_t left64(uint64_t v, unsigned int by)
{
	return v << by | v >> (64 - by);
}

static uint64_t xxh_round(uint64_t acc, uint64_t lane)
{
	return left64(acc + lane * P2, 31) * P1;
}

static uint64_t xxh_tail(uint64_t h, const unsigned char *p, size_t n)
{
	for (; n >= 8; n -= 8, p += 8)
		h = left64(h ^ xxh_round(0, qf_le_get64(p, 0)), 27) * P1 + P4;
	if (n >= 4) {
		h = left64(h ^ qf_le_get32(p, 0) * P1, 23) * P2 + P3;
		p += 4;
		n -= 4;
	}
	for (; n; n--, p++)
		h = left64(h ^ *p * P5, 11) * P1;
	h = (h ^ h >> 33) * P2;
	h = (h ^ h >> 29) * P3;
	return h ^ h >> 32;
}

uint64_t qf_digest_xxh64(const void *buf, size_t n)
{
	uint64_t acc[4] = { P1 + P2, P2, 0, 0 - P1 }, h = P5;
	const unsigned char *p = buf;
	size_t left = n;
	int i;

	if (n >= 32) {
		for (; left >= 32; left -= 32, p += 32)
			for (i = 0; i < 4; i++)
				acc[i] = xxh_round(
					acc[i], qf_le_get64(p, 8 * (size_t)i));
		h = left64(acc[0], 1) + left64(acc[1], 7) + left64(acc[2], 12) +
		    left64(acc[3], 18);
		for (i = 0; i < 4; i++)
			h = (h ^ xxh_round(0, acc[i])) * P1 + P4;
	}
	return xxh_tail(h + n, p, left);
}

/* --- SHA-256 --- */

static const uint32_t sha_k[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1,
	0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
	0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
	0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
	0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
	0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
	0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
	0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
	0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t right32(uint32_t v, unsigned int by)
{
	return v >> by | v << (32 - by);
}

static uint32_t be32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	       (uint32_t)p[2] << 8 | p[3];
}

static void sha_words(const unsigned char *p, uint32_t *w)
{
	uint32_t a, b;
	int i;

	for (i = 0; i < 16; i++)
		w[i] = be32(p + 4 * i);
	for (; i < 64; i++) {
		a = right32(w[i - 15], 7) ^ right32(w[i - 15], 18) ^
		    w[i - 15] >> 3;
		b = right32(w[i - 2], 17) ^ right32(w[i - 2], 19) ^
		    w[i - 2] >> 10;
		w[i] = w[i - 16] + a + w[i - 7] + b;
	}
}

static void sha_block(uint32_t *h, const unsigned char *p)
{
	uint32_t w[64], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4],
			f = h[5], g = h[6], k = h[7], one, two;
	int i;

	sha_words(p, w);
	for (i = 0; i < 64; i++) {
		one = k + sha_k[i] + w[i] + ((e & f) ^ (~e & g)) +
		      (right32(e, 6) ^ right32(e, 11) ^ right32(e, 25));
		two = (right32(a, 2) ^ right32(a, 13) ^ right32(a, 22)) +
		      ((a & b) ^ (a & c) ^ (b & c));
		k = g;
		g = f;
		f = e;
		e = d + one;
		d = c;
		c = b;
		b = a;
		a = one + two;
	}
	h[0] += a;
	h[1] += b;
	h[2] += c;
	h[3] += d;
	h[4] += e;
	h[5] += f;
	h[6] += g;
	h[7] += k;
}

void qf_digest_sha256(const void *buf, size_t n, unsigned char out[32])
{
	uint32_t h[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
			  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
	const unsigned char *p = buf;
	unsigned char last[128] = { 0 };
	size_t left = n, room;
	int i;

	for (; left >= 64; left -= 64, p += 64)
		sha_block(h, p);
	memcpy(last, p, left);
	last[left] = 0x80;
	room = left < 56 ? 64 : 128;
	for (i = 0; i < 8; i++)
		last[room - 1 - (size_t)i] =
			(unsigned char)((uint64_t)n * 8 >> 8 * i);
	sha_block(h, last);
	if (room == 128)
		sha_block(h, last + 64);
	for (i = 0; i < 32; i++)
		out[i] = (unsigned char)(h[i / 4] >> (24 - 8 * (i % 4)));
}

/* --- BLAKE2b --- */

static const uint64_t blake_iv[8] = {
	0x6a09e667f3bcc908ull, 0xbb67ae8584caa73bull, 0x3c6ef372fe94f82bull,
	0xa54ff53a5f1d36f1ull, 0x510e527fade682d1ull, 0x9b05688c2b3e6c1full,
	0x1f83d9abfb41bd6bull, 0x5be0cd19137e2179ull,
};

static const unsigned char blake_order[10][16] = {
	{ 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 },
	{ 14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3 },
	{ 11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4 },
	{ 7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8 },
	{ 9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13 },
	{ 2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9 },
	{ 12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11 },
	{ 13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10 },
	{ 6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5 },
	{ 10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0 },
};

static inline void blake_mix(uint64_t *a, uint64_t *b, uint64_t *c, uint64_t *d,
			     uint64_t x, uint64_t y)
{
	*a += *b + x;
	*d = left64(*d ^ *a, 32);
	*c += *d;
	*b = left64(*b ^ *c, 40);
	*a += *b + y;
	*d = left64(*d ^ *a, 48);
	*c += *d;
	*b = left64(*b ^ *c, 1);
}

/* DONE bytes up to the end of the 128 at P. */
static void blake_block(uint64_t *h, const unsigned char *p, uint64_t done,
			int is_last)
{
	const unsigned char *o;
	uint64_t v[16], m[16];
	unsigned int round, i;

	for (i = 0; i < 16; i++)
		m[i] = qf_le_get64(p, (size_t)i * 8);
	memcpy(v, h, 64);
	memcpy(v + 8, blake_iv, 64);
	v[12] ^= done;
	if (is_last)
		v[14] = ~v[14];
	for (round = 0; round < 12; round++) {
		o = blake_order[round % 10];
		for (i = 0; i < 4; i++)
			blake_mix(&v[i], &v[i + 4], &v[i + 8], &v[i + 12],
				  m[o[2 * i]], m[o[2 * i + 1]]);
		for (i = 0; i < 4; i++)
			blake_mix(&v[i], &v[(i + 1) % 4 + 4],
				  &v[(i + 2) % 4 + 8], &v[(i + 3) % 4 + 12],
				  m[o[2 * i + 8]], m[o[2 * i + 9]]);
	}
	for (i = 0; i < 8; i++)
		h[i] ^= v[i] ^ v[i + 8];
}

void qf_digest_blake2b(const void *buf, size_t n, unsigned char out[32])
{
	unsigned char last[128] = { 0 };
	const unsigned char *p = buf;
	size_t left = n;
	uint64_t h[8];
	int i;

	memcpy(h, blake_iv, sizeof(h));
	h[0] ^= 0x01010000 ^ 32;
	for (; left > 128; left -= 128, p += 128)
		blake_block(h, p, n - left + 128, 0);
	memcpy(last, p, left);
	blake_block(h, last, n, 1);
	for (i = 0; i < 32; i++)
		out[i] = (unsigned char)(h[i / 8] >> 8 * (i % 8));
}
