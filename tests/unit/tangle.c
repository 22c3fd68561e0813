// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/unit/tangle.h"
#include "tests/unit/unit.h"

/* One entry of any sort; PREV is the one before it. */
static uint64_t roll_entry(struct dice *d, const struct mini *m, uint64_t prev)
{
	uint64_t host = dice_below(d, m->bytes / m->cluster_bytes + 3) *
			m->cluster_bytes;
	uint64_t copied = dice_roll(d) & QF_ENTRY_COPIED;

	switch (dice_below(d, 40)) {
	case 0:
		return QF_ENTRY_COMPRESSED | (dice_roll(d) >> 2);
	case 1:
		return QF_ENTRY_COMPRESSED | host;
	case 2:
		return host | copied | 512;
	case 3:
		return host | copied | 2;
	case 4:
		return host | copied | 1ull << 57;
	case 5:
		return host | QF_ENTRY_ZERO;
	case 6:
		return QF_ENTRY_ZERO;
	case 7:
		return dice_roll(d);
	case 8:
		return copied;
	case 9:
		return prev ^ QF_ENTRY_COPIED;
	case 10:
	case 11:
	case 12:
		return 0;
	case 13:
	case 14:
		return host | copied;
	default:
		return prev ? prev + m->cluster_bytes : 0;
	}
}

static void fill_table(struct dice *d, struct mini *m, uint64_t off)
{
	uint64_t e = 0, at, words = m->l2_words * 8;
	uint32_t i;

	for (i = 0; i < 1u << m->l2_bits; i++) {
		at = off + i * words;
		e = roll_entry(d, m, e);
		mini_put64(m, at, e);
		if (m->l2_words == 2)
			mini_put64(m, at + 8,
				   dice_once_in(d, 10) ? dice_roll(d)
						       : UINT32_MAX);
		if (dice_once_in(d, 100)) /* a long hole now and then */
			i += (uint32_t)dice_below(d, 200);
	}
}

/* Another version of a table: mostly the same. */
static uint64_t vary(struct dice *d, struct mini *m, uint64_t from)
{
	uint64_t off = mini_alloc(m, 1), changes = dice_below(d, 6), at, e;

	memcpy(m->buf + off, m->buf + from, m->cluster_bytes);
	while (changes--) {
		at = off + dice_below(d, 1ull << m->l2_bits) * 8 * m->l2_words;
		e = mini_get64(m, at);
		if (dice_once_in(d, 2))
			mini_put64(m, at, e ^ QF_ENTRY_COPIED);
		else if (dice_once_in(d, 3))
			mini_put64(m, at, e ^ QF_ENTRY_ZERO);
		else if (dice_once_in(d, 3)) /* a reserved bit */
			mini_put64(m, at,
				   e ^ (dice_once_in(d, 2) ? 2 : 1ull << 57));
		else
			mini_put64(m, at, roll_entry(d, m, e));
		if (m->l2_words == 2 && dice_once_in(d, 3))
			mini_put64(m, at + 8, dice_roll(d));
	}
	return off;
}

void tangle_make(struct mini *m, uint64_t seed, uint32_t bits, bool ext,
		 uint32_t snaps)
{
	struct mini_opts o = { .version = 3,
			       .cluster_bits = bits,
			       .refcount_order = 4,
			       .disk_bytes = 3ull << (bits * 2 - 3 - ext),
			       .incompatible = ext ? QF_INCOMPAT_EXTL2 : 0 };
	struct dice d = { seed };
	uint64_t table[6], l1, at;
	struct qf_image *img;
	uint32_t h, i, k, n;
	char id[16];

	mini_make(m, &o);
	for (h = 0; h < snaps; h++) {
		snprintf(id, sizeof(id), "%u", h + 1);
		mini_snapshot(m, id, "x");
	}
	img = mini_open(m);
	for (i = 0; i < m->l1_entries; i++) {
		table[0] = mini_alloc(m, 1);
		fill_table(&d, m, table[0]);
		for (k = 1; k < 6; k++)
			table[k] = vary(&d, m, table[dice_below(&d, k)]);
		for (h = 0; h <= snaps; h++) {
			assert_true(qf_image_l1(img, h, &l1, &n));
			at = l1 + i * 8ull;
			if (dice_once_in(&d, 8))
				continue; /* a holder without this table */
			mini_put64(m, at,
				   table[dice_below(&d, 6)] |
					   (dice_roll(&d) & QF_ENTRY_COPIED));
			if (snaps > 20 && dice_once_in(&d, 2))
				mini_put64(m, at, vary(&d, m, table[0]));
		}
	}
	qf_image_close(img);
}
