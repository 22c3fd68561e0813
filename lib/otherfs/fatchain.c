// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/otherfs/fatchain.h"
#include "lib/guest/le.h"
#include "lib/base/mem.h"

bool qf_fatchain_entry(const struct qf_fatchain *c, uint64_t n, uint32_t *entry)
{
	const uint32_t bytes = c->bits == 32 ? 4 : 2;
	uint64_t at = n * c->bits / 8;
	unsigned char b[4] = { 0 };
	uint32_t i;

	if (at + bytes > c->table_bytes)
		return false;
	for (i = 0; i < c->tables; i++)
		if (qf_volume_read(c->v, b, bytes,
				   c->table_at + i * c->table_bytes + at))
			break;
	*entry = qf_le_get32(b, 0);
	if (c->bits == 12 && n % 2)
		*entry >>= 4;
	*entry &= c->mask;
	return i < c->tables;
}

bool qf_fatchain_has(const struct qf_fatchain *c, uint64_t n)
{
	return n >= 2 && n - 2 < c->clusters;
}

uint64_t qf_fatchain_place(const struct qf_fatchain *c, uint64_t n)
{
	return c->data_at + (n - 2) * c->cluster_bytes;
}

/* A chain that is followed, and one of its clusters to notice a circle by:
 * it moves on at every power of two (Brent). */
struct following {
	uint32_t mark;
	uint64_t steps, next_mark;
};

/* The cluster behind N; 0 at the end, or where the chain bites its tail. */
static uint32_t follow(const struct qf_fatchain *c, struct following *f,
		       uint64_t n)
{
	uint32_t next;

	if (!qf_fatchain_entry(c, n, &next) || next == f->mark)
		return 0;
	if (++f->steps == f->next_mark) {
		f->mark = next;
		f->next_mark *= 2;
	}
	return next;
}

void qf_fatchain_extents(const struct qf_fatchain *c, uint64_t first,
			 bool contiguous, uint64_t bytes,
			 qf_reader_extent *tell, void *ctx)
{
	struct following f = { .mark = (uint32_t)first, .next_mark = 1 };
	uint64_t left = qf_mem_div_up(bytes, c->cluster_bytes);
	uint64_t at = 0, n, len;
	uint32_t next;

	for (n = first; left && qf_fatchain_has(c, n); n = next, at += len) {
		len = 0;
		do {
			len++;
			left--;
			next = contiguous ? (uint32_t)(n + len)
					  : follow(c, &f, n + len - 1);
		} while (left && next == n + len && qf_fatchain_has(c, next));
		if (!tell(ctx, at * c->cluster_bytes, qf_fatchain_place(c, n),
			  len * c->cluster_bytes))
			return;
	}
}
