/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bytes of a disk for the readers, with a small memory of the last ones.
 * They come through a callback: from the parent by way of the sandbox, or,
 * in tests, from the disk itself. Not for several threads at once.
 */
#ifndef QF_SOURCE_H
#define QF_SOURCE_H

#include "lib/base/err.h"

#include <stddef.h>

#define QF_SOURCE_PAGE 65536u
#define QF_SOURCE_SECTORS (QF_SOURCE_PAGE / 512)

/* One page, and which of its sectors are lost (zeros here). */
struct qf_source_page {
	unsigned char bytes[QF_SOURCE_PAGE];
	uint64_t lost[QF_SOURCE_SECTORS / 64];
};

/* Fills P with the page at OFF; past the end of the disk there are zeros.
 * False: there are no more bytes to be had. */
typedef bool qf_source_fetch(void *ctx, uint64_t off, struct qf_source_page *p);

struct qf_source {
	qf_source_fetch *fetch;
	void *ctx;
	uint64_t disk_bytes;
	bool spent; /* FETCH gave up: from here on all is lost */
	/* private: */
	struct qf_source_slot *slot;
};

/* Errors: QF_ERR_NOMEM. Free with qf_source_close (NULL-safe). */
enum qf_err qf_source_open(uint64_t disk_bytes, qf_source_fetch *fetch,
			   void *ctx, struct qf_source **out,
			   struct qf_why *why);
void qf_source_close(struct qf_source *s);

/* Reads LEN bytes at OFF of the disk; as qf_volume_read. */
bool qf_source_read(struct qf_source *s, void *buf, uint64_t len, uint64_t off);

#endif
