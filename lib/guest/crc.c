// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/guest/crc.h"
#include "lib/guest/le.h"

#include <stdbool.h>

#define POLYNOMIAL 0x82f63b78u

/* [k][b]: byte b, followed by k bytes of zero. */
static uint32_t table[8][256];
/* [h]: the byte of table[0] whose high byte is h. */
static uint8_t back[256];
static bool ready;

static void make_tables(void)
{
	uint32_t b, c;
	int k;

	for (b = 0; b < 256; b++) {
		for (c = b, k = 0; k < 8; k++)
			c = c >> 1 ^ (c & 1 ? POLYNOMIAL : 0);
		table[0][b] = c;
		back[c >> 24] = (uint8_t)b;
	}
	for (k = 1; k < 8; k++)
		for (b = 0; b < 256; b++) {
			c = table[k - 1][b];
			table[k][b] = table[0][c & 0xff] ^ c >> 8;
		}
	ready = true;
}

uint32_t qf_crc_32c(uint32_t crc, const void *buf, size_t n)
{
	const unsigned char *p = buf;
	uint32_t high;

	if (!ready)
		make_tables();
	for (; n >= 8; n -= 8, p += 8) {
		crc ^= qf_le_get32(p, 0);
		high = qf_le_get32(p, 4);
		crc = table[7][crc & 0xff] ^ table[6][crc >> 8 & 0xff] ^
		      table[5][crc >> 16 & 0xff] ^ table[4][crc >> 24] ^
		      table[3][high & 0xff] ^ table[2][high >> 8 & 0xff] ^
		      table[1][high >> 16 & 0xff] ^ table[0][high >> 24];
	}
	while (n--)
		crc = table[0][(crc ^ *p++) & 0xff] ^ crc >> 8;
	return crc;
}

uint32_t qf_crc_32c_before(uint32_t end, const void *buf, size_t n)
{
	const unsigned char *p = (const unsigned char *)buf + n;
	uint8_t b;

	if (!ready)
		make_tables();
	while (n--) {
		b = back[end >> 24];
		end = (end ^ table[0][b]) << 8 | (uint32_t)(b ^ *--p);
	}
	return end;
}
