/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The disk as a guest sees it, in any of its states: the active one or a
 * snapshot, through the backing files. Which bytes lie where, and the bytes
 * themselves. What is damaged is a stretch of kind QF_GUEST_BAD, and the
 * rest is there all the same.
 *
 * Sections "Cluster mapping" and "Extended L2 Entries". Where the format
 * leaves a choice, this reads as QEMU does: past the end of a shorter
 * backing file there are zeros, and a cluster's missing end in a file that
 * ends within it is zeros too.
 */
#ifndef QF_GUEST_H
#define QF_GUEST_H

#include "lib/chain.h"

enum qf_guest_kind {
	QF_GUEST_NONE,	     /* no mapping here: what lies behind shows */
	QF_GUEST_NONE_ALLOC, /* the same, though it has a place in the file */
	QF_GUEST_ZERO,
	QF_GUEST_ZERO_ALLOC, /* zeros that have a place in the file */
	QF_GUEST_DATA,
	QF_GUEST_COMPRESSED,
	QF_GUEST_BAD, /* nobody knows: see bad */
};

struct qf_guest_extent {
	uint64_t start, bytes; /* guest range */
	uint32_t depth;	       /* the node of the chain that answers */
	enum qf_guest_kind kind;
	/* as `qemu-img map` tells: */
	bool present; /* mapped at that depth, if only to zeros */
	bool zero;    /* reads as zeros */
	bool data;
	uint64_t host_off;    /* of the first byte, or QF_NOWHERE */
	uint64_t pointer_off; /* of the L2 entry of the first cluster, in the
				 file at depth; QF_NOWHERE if it has none */
	uint64_t entry;	      /* that entry; 0 if it has none */
	const char *bad;      /* why, for QF_GUEST_BAD; a fixed text */
};

struct qf_guest;

/*
 * The state that HOLDER of the chain's first image has; the chain stays the
 * caller's and must live as long. With a chain of one node, what the image
 * does not map reads as zeros, if it names no backing file, and is bad if it
 * does. For one thread at a time. Errors: QF_ERR_NOMEM; QF_ERR_FORMAT if the
 * holder has no L1 table that can be followed. Free with qf_guest_close
 * (NULL-safe).
 */
enum qf_err qf_guest_open(const struct qf_chain *chain, uint32_t holder,
			  struct qf_guest **out, struct qf_why *why);
void qf_guest_close(struct qf_guest *g);

/* The disk's size in this state. */
uint64_t qf_guest_bytes(const struct qf_guest *g);

/*
 * Also look into the file's holes where it seems to have been preallocated,
 * as `qemu-img map` does: such data are said to be zero.
 */
void qf_guest_look_into_holes(struct qf_guest *g);

/*
 * The stretch that begins at OFF (below qf_guest_bytes()), at most LIMIT
 * bytes of it. Neighbours can be alike: see qf_guest_extends. Errors: _NOMEM.
 */
enum qf_err qf_guest_at(struct qf_guest *g, uint64_t off, uint64_t limit,
			struct qf_guest_extent *e, struct qf_why *why);

/* The same, but only what the image at DEPTH itself says. */
enum qf_err qf_guest_layer_at(struct qf_guest *g, uint32_t depth, uint64_t off,
			      uint64_t limit, struct qf_guest_extent *e,
			      struct qf_why *why);

/* True if NEXT goes on where E ends in every respect that map shows. */
bool qf_guest_extends(const struct qf_guest_extent *e,
		      const struct qf_guest_extent *next);

/*
 * What could not be read, in stretches of whole sectors: the guest range and
 * the reason. False stops the reading.
 */
typedef bool qf_guest_lost(void *ctx, uint64_t start, uint64_t bytes,
			   const char *reason);

/*
 * Reads LEN bytes at OFF, which must lie within the disk. What cannot be
 * read is zeros and goes to LOST (may be NULL). Errors: QF_ERR_NOMEM,
 * QF_ERR_STOPPED if LOST said so, QF_ERR_UNSUPPORTED for encrypted data.
 */
enum qf_err qf_guest_read(struct qf_guest *g, void *buf, uint64_t len,
			  uint64_t off, qf_guest_lost *lost, void *ctx,
			  struct qf_why *why);

#endif
