// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/io/readahead.h"

static void hint_ahead(struct qf_readahead *ra, uint64_t i)
{
	uint64_t end = ra->n - i > QF_READAHEAD ? i + QF_READAHEAD : ra->n;
	uint64_t from = atomic_load_explicit(&ra->hinted, memory_order_relaxed);

	while (from < end &&
	       !atomic_compare_exchange_weak(&ra->hinted, &from, end))
		;
	for (from = from < i ? i : from; from < end; from++)
		ra->hint(ra->ctx, from);
}

enum qf_err qf_readahead_read(struct qf_readahead *ra, uint64_t i, void *buf,
			      uint64_t len, uint64_t off, struct qf_why *why)
{
	if (!atomic_load_explicit(&ra->cold, memory_order_relaxed)) {
		if (!qf_io_read_cached(ra->io, buf, len, off))
			return QF_OK;
		atomic_store_explicit(&ra->cold, true, memory_order_relaxed);
	}
	hint_ahead(ra, i);
	return qf_io_read_pad(ra->io, buf, len, off, why);
}
