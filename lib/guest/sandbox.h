/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Work on hostile bytes, in a child that can do nothing but ask for pages of
 * the disk and tell what it found: no new privileges, no open file but the
 * socket to here, a filter of system calls (libseccomp), limits of memory
 * and processor time. What it asks for and tells is counted and bounded
 * here. Whatever becomes of the child, the parent goes on.
 *
 * The child is a copy of this process: WORK finds its arguments in memory.
 * It is called from one thread, and starts none.
 */
#ifndef QF_SANDBOX_H
#define QF_SANDBOX_H

#include "lib/guest/source.h"

/* The longest record. */
#define QF_SANDBOX_RECORD 8192u

/* The child's way to tell a record of N bytes; false: stop. */
struct qf_sandbox_teller {
	bool (*tell)(void *ctx, uint32_t type, const void *record, uint32_t n);
	void *ctx;
};

struct qf_sandbox {
	/* In the child. An error is told in words, and is no harm. */
	enum qf_err (*work)(void *ctx, struct qf_source *src,
			    const struct qf_sandbox_teller *t,
			    struct qf_why *why);
	void *work_ctx;

	/* In the parent: serves a page; takes a record, after looking at
	 * every byte of it, and returns false to end the child. */
	uint64_t disk_bytes;
	qf_source_fetch *fetch;
	void *fetch_ctx;
	bool (*take)(void *ctx, uint32_t type, const void *record, uint32_t n);
	void *take_ctx;

	uint64_t max_pages, max_records; /* 0: as is usual */
	bool uncaged;			 /* do it in this process */
};

/*
 * Runs the work to its end. Errors: what WORK returned; QF_ERR_UNSUPPORTED
 * with the reason if the child cannot be caged, died, or went beyond a
 * bound; QF_ERR_STOPPED if TAKE said so. Records told before are taken.
 */
enum qf_err qf_sandbox_run(const struct qf_sandbox *s, struct qf_why *why);

#endif
