// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/io/overlay_runs.h"
#include "lib/base/mem.h"

#include <stdlib.h>
#include <string.h>

static uint64_t end_of(const struct qf_overlay_run *r)
{
	return r->at + r->n;
}

struct qf_overlay_place qf_overlay_runs_find(const struct qf_overlay_runs *r,
					     uint64_t at)
{
	struct qf_overlay_place p = { 0, 0 };
	size_t lo = 0, hi = r->n, mid;
	const struct qf_overlay_page *page;
	uint32_t low, high, half;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		page = r->page[mid];
		if (end_of(&page->run[page->n - 1]) <= at)
			lo = mid + 1;
		else
			hi = mid;
	}
	p.page = lo;
	if (lo == r->n)
		return p;
	page = r->page[lo];
	for (low = 0, high = page->n; low < high;) {
		half = low + (high - low) / 2;
		if (end_of(&page->run[half]) <= at)
			low = half + 1;
		else
			high = half;
	}
	p.i = low;
	return p;
}

struct qf_overlay_run *qf_overlay_runs_at(const struct qf_overlay_runs *r,
					  struct qf_overlay_place p)
{
	return p.page < r->n ? &r->page[p.page]->run[p.i] : NULL;
}

struct qf_overlay_place qf_overlay_runs_next(const struct qf_overlay_runs *r,
					     struct qf_overlay_place p)
{
	if (++p.i == r->page[p.page]->n) {
		p.page++;
		p.i = 0;
	}
	return p;
}

/* An empty page before number AT. */
static struct qf_overlay_page *add_page(struct qf_overlay_runs *r, size_t at)
{
	struct qf_overlay_page *page;

	if (!qf_mem_grow((void **)&r->page, r->n, &r->room, sizeof(*r->page)))
		return NULL;
	page = qf_mem_zalloc(1, sizeof(*page));
	if (!page)
		return NULL;
	memmove(&r->page[at + 1], &r->page[at], (r->n - at) * sizeof(*r->page));
	r->page[at] = page;
	r->n++;
	return page;
}

/* Moves half of the full page P.page to a new one behind it. What goes to the
 * end of all does not leave half empty pages behind. */
static bool split(struct qf_overlay_runs *r, struct qf_overlay_place *p)
{
	struct qf_overlay_page *from = r->page[p->page], *to;
	uint32_t keep = p->page + 1 == r->n && p->i == from->n ? from->n
							       : from->n / 2;

	to = add_page(r, p->page + 1);
	if (!to)
		return false;
	to->n = from->n - keep;
	memcpy(to->run, &from->run[keep], to->n * sizeof(*to->run));
	from->n = keep;
	if (p->i >= keep) {
		p->page++;
		p->i -= keep;
	}
	return true;
}

bool qf_overlay_runs_insert(struct qf_overlay_runs *r,
			    struct qf_overlay_place p,
			    const struct qf_overlay_run *run)
{
	struct qf_overlay_page *page;

	if (p.page == r->n) { /* at the end of the last page, if there is one */
		if (!r->n && !add_page(r, 0))
			return false;
		p.page = r->n - 1;
		p.i = r->page[p.page]->n;
	}
	if (r->page[p.page]->n == QF_OVERLAY_PAGE && !split(r, &p))
		return false;
	page = r->page[p.page];
	memmove(&page->run[p.i + 1], &page->run[p.i],
		(page->n - p.i) * sizeof(*page->run));
	page->run[p.i] = *run;
	page->n++;
	return true;
}

void qf_overlay_runs_remove(struct qf_overlay_runs *r,
			    struct qf_overlay_place p)
{
	struct qf_overlay_page *page = r->page[p.page];

	page->n--;
	memmove(&page->run[p.i], &page->run[p.i + 1],
		(page->n - p.i) * sizeof(*page->run));
	if (page->n)
		return;
	free(page);
	r->n--;
	memmove(&r->page[p.page], &r->page[p.page + 1],
		(r->n - p.page) * sizeof(*r->page));
}

void qf_overlay_runs_free(struct qf_overlay_runs *r)
{
	size_t i;
	uint32_t k;

	for (i = 0; i < r->n; i++) {
		for (k = 0; k < r->page[i]->n; k++)
			free(r->page[i]->run[k].data);
		free(r->page[i]);
	}
	free(r->page);
	memset(r, 0, sizeof(*r));
}
