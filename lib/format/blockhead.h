/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The head of a block of deflate: RFC 1951, section 3.2. */
#ifndef QF_BLOCKHEAD_H
#define QF_BLOCKHEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct qf_blockhead {
	bool final;	       /* the last block of the stream */
	uint64_t end;	       /* the bit behind the head */
	bool stored;	       /* bytes as they are: */
	uint64_t stored_end;   /* the bit behind them */
	uint32_t eob;	       /* else the code that ends the block, */
	unsigned int eob_bits; /* its first bit the lowest */
};

/*
 * Reads the head at bit AT of the N bytes at P. True only if every decoder must
 * take it, and what follows, in the same way: stored bytes, or two complete
 * codes without a symbol that none may use.
 */
bool qf_blockhead_read(const unsigned char *p, size_t n, uint64_t at,
		       struct qf_blockhead *h);

#endif
