// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/guest/source.h"
#include "lib/base/mem.h"

#include <stdlib.h>
#include <string.h>

/* Pages kept; page N has its place at N modulo this. */
#define SLOTS 256u

struct qf_source_slot {
	uint64_t off; /* QF_NOWHERE: none yet */
	struct qf_source_page *page;
};

enum qf_err qf_source_open(uint64_t disk_bytes, qf_source_fetch *fetch,
			   void *ctx, struct qf_source **out,
			   struct qf_why *why)
{
	struct qf_source *s = qf_mem_zalloc(1, sizeof(*s));
	unsigned int i;

	if (s)
		s->slot = qf_mem_zalloc(SLOTS, sizeof(*s->slot));
	if (!s || !s->slot) {
		qf_source_close(s);
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory for the guest's file systems");
	}
	for (i = 0; i < SLOTS; i++)
		s->slot[i].off = QF_NOWHERE;
	s->disk_bytes = disk_bytes;
	s->fetch = fetch;
	s->ctx = ctx;
	*out = s;
	return QF_OK;
}

void qf_source_close(struct qf_source *s)
{
	unsigned int i;

	if (!s)
		return;
	for (i = 0; s->slot && i < SLOTS; i++)
		free(s->slot[i].page);
	free(s->slot);
	free(s);
}

/* The page at OFF, a multiple of its size; NULL: it cannot be had. */
static const struct qf_source_page *page_at(struct qf_source *s, uint64_t off)
{
	struct qf_source_slot *slot = &s->slot[off / QF_SOURCE_PAGE % SLOTS];

	if (slot->off == off)
		return slot->page;
	if (s->spent)
		return NULL;
	if (!slot->page)
		slot->page = qf_mem_zalloc(1, sizeof(*slot->page));
	slot->off = QF_NOWHERE;
	if (!slot->page || !s->fetch(s->ctx, off, slot->page)) {
		s->spent = true;
		return NULL;
	}
	slot->off = off;
	return slot->page;
}

/* Whether any sector of the N bytes at AT in P is lost. */
static bool any_lost(const struct qf_source_page *p, uint64_t at, uint64_t n)
{
	uint64_t i;

	for (i = at / 512; i <= (at + n - 1) / 512; i++)
		if (p->lost[i / 64] >> (i % 64) & 1)
			return true;
	return false;
}

bool qf_source_read(struct qf_source *s, void *buf, uint64_t len, uint64_t off)
{
	const struct qf_source_page *p;
	unsigned char *to = buf;
	bool whole = true;
	uint64_t at, n, end;

	memset(buf, 0, len);
	if (!qf_mem_add(off, len, &end) || end > s->disk_bytes) {
		whole = false;
		len = off < s->disk_bytes ? s->disk_bytes - off : 0;
	}
	for (; len; len -= n, off += n, to += n) {
		at = off % QF_SOURCE_PAGE;
		n = QF_SOURCE_PAGE - at < len ? QF_SOURCE_PAGE - at : len;
		p = page_at(s, off - at);
		if (!p)
			return false;
		memcpy(to, p->bytes + at, n);
		if (any_lost(p, at, n))
			whole = false;
	}
	return whole;
}
