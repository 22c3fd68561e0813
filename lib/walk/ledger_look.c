// SPDX-License-Identifier: LGPL-2.1-or-later
/* The ledger's other half: what has been counted. */
#include "lib/walk/ledger_page.h"
#include "lib/base/simd.h"

#include <string.h>

void qf_ledger_page(const struct qf_ledger *l, uint64_t cluster,
		    struct qf_page_view *v)
{
	uint64_t no;
	const struct qf_ledger_page *p;
	const struct qf_ledger_region *r;

	memset(v, 0, sizeof(*v));
	if (cluster < l->base ||
	    (no = (cluster - l->base) >> QF_PAGE_BITS) >= l->n_pages)
		return;
	p = &l->page[no];
	r = &l->region[(no << QF_PAGE_BITS) >> l->region_shift];
	v->kind = p->kind;
	v->cell = p->cell;
	v->bits = l->bits + no * QF_PAGE_WORDS;
	if (p->kind == QF_PAGE_ARRAY)
		v->cell16 = r->array[p->array];
	if (p->kind == QF_PAGE_WIDE)
		v->cell64 = r->array[p->array];
}

uint64_t qf_ledger_count(const struct qf_ledger *l, uint64_t cluster,
			 unsigned int *flags)
{
	uint32_t i = (uint32_t)((cluster - l->base) & (QF_PAGE - 1));
	struct qf_page_view v;
	uint64_t cell = 0;

	qf_ledger_page(l, cluster, &v);
	if (v.kind == QF_PAGE_FULL ||
	    (v.kind == QF_PAGE_BITS_SET && v.bits[i / 64] >> (i % 64) & 1))
		cell = v.cell;
	else if (v.kind == QF_PAGE_ARRAY)
		cell = v.cell16[i];
	if (v.kind == QF_PAGE_WIDE) {
		if (flags)
			*flags = (unsigned int)(v.cell64[i] >> QF_CELL64_FLAGS);
		return v.cell64[i] & QF_CELL64_MAX;
	}
	if (flags)
		*flags = (unsigned int)(cell >> QF_CELL16_FLAGS);
	return cell & QF_CELL16_MAX;
}

bool qf_ledger_any_double(const struct qf_ledger *l)
{
	uint32_t i;

	for (i = 0; i < l->n_regions; i++)
		if (l->region[i].any_double)
			return true;
	return false;
}

static uint32_t used_bits(const uint64_t *bits, uint32_t *last)
{
	uint32_t i, used = 0;

	for (i = 0; i < QF_PAGE_WORDS; i++) {
		if (!bits[i])
			continue;
		used += (uint32_t)__builtin_popcountll(bits[i]);
		*last = i * 64 + 64 - (uint32_t)__builtin_clzll(bits[i]);
	}
	return used;
}

QF_CLONES
static uint32_t used_cells(const uint16_t *cell, uint32_t *last)
{
	uint16_t i, used = 0;

	for (i = 0; i < QF_PAGE; i++)
		used = (uint16_t)(used + !!(cell[i] & QF_CELL16_MAX));
	for (i = QF_PAGE; i && !(cell[i - 1] & QF_CELL16_MAX); i--)
		;
	*last = i;
	return used;
}

static uint32_t used_wide(const uint64_t *cell, uint32_t *last)
{
	uint32_t i, used = 0;

	for (i = 0; i < QF_PAGE; i++) {
		if (!(cell[i] & QF_CELL64_MAX))
			continue;
		used++;
		*last = i + 1;
	}
	return used;
}

/* The clusters of a page that have references, and the last one + 1. */
static uint32_t page_used(const struct qf_page_view *v, uint32_t *last)
{
	*last = 0;
	switch (v->kind) {
	case QF_PAGE_EMPTY:
		return 0;
	case QF_PAGE_FULL:
		*last = QF_PAGE;
		return QF_PAGE;
	case QF_PAGE_BITS_SET:
		return used_bits(v->bits, last);
	case QF_PAGE_ARRAY:
		return used_cells(v->cell16, last);
	default:
		return used_wide(v->cell64, last);
	}
}

uint64_t qf_ledger_next(const struct qf_ledger *l, uint64_t cluster,
			uint64_t end)
{
	uint64_t no = cluster < l->base ? 0
					: (cluster - l->base) >> QF_PAGE_BITS;
	uint32_t shift = l->region_shift - QF_PAGE_BITS;
	uint64_t stop = l->n_pages;

	if (end <= l->base)
		return end;
	if ((end - l->base) >> QF_PAGE_BITS < stop)
		stop = ((end - l->base - 1) >> QF_PAGE_BITS) + 1;
	while (no < stop) {
		if (!l->region[no >> shift].touched)
			no = ((no >> shift) + 1) << shift;
		else if (l->page[no].kind == QF_PAGE_EMPTY)
			no++;
		else
			return l->base + (no << QF_PAGE_BITS);
	}
	return end;
}

uint64_t qf_ledger_used(const struct qf_ledger *l)
{
	struct qf_page_view v;
	uint64_t at, used = 0;
	uint32_t last;

	for (at = qf_ledger_next(l, 0, UINT64_MAX); at != UINT64_MAX;
	     at = qf_ledger_next(l, at + QF_PAGE, UINT64_MAX)) {
		qf_ledger_page(l, at, &v);
		used += page_used(&v, &last);
	}
	return used;
}

uint64_t qf_ledger_end(const struct qf_ledger *l)
{
	uint32_t shift = l->region_shift - QF_PAGE_BITS, last, r;
	struct qf_page_view v;
	uint64_t no, first;

	for (r = l->n_regions; r; r--) {
		if (!l->region[r - 1].touched)
			continue;
		first = (uint64_t)(r - 1) << shift;
		no = (uint64_t)r << shift;
		if (no > l->n_pages)
			no = l->n_pages;
		for (; no > first; no--) {
			qf_ledger_page(l, l->base + ((no - 1) << QF_PAGE_BITS),
				       &v);
			if (page_used(&v, &last))
				return l->base + ((no - 1) << QF_PAGE_BITS) +
				       last;
		}
	}
	return 0;
}
