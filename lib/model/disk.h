/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The disk as a guest sees it, in any of its states: the active one or a
 * snapshot, through the backing files. Which bytes lie where, and the bytes
 * themselves. What is damaged is a stretch of kind QF_DISK_BAD, and the
 * rest is there all the same.
 *
 * Sections "Cluster mapping" and "Extended L2 Entries". Where the format
 * leaves a choice, this reads as QEMU does: past the end of a shorter
 * backing file there are zeros, and a cluster's missing end in a file that
 * ends within it is zeros too.
 */
#ifndef QF_DISK_H
#define QF_DISK_H

#include "lib/base/ranges.h"
#include "lib/model/chain.h"

enum qf_disk_kind {
	QF_DISK_NONE,	    /* no mapping here: what lies behind shows */
	QF_DISK_NONE_ALLOC, /* the same, though it has a place in the file */
	QF_DISK_ZERO,
	QF_DISK_ZERO_ALLOC, /* zeros that have a place in the file */
	QF_DISK_DATA,
	QF_DISK_COMPRESSED,
	QF_DISK_BAD, /* nobody knows: see bad */
};

struct qf_disk_extent {
	uint64_t start, bytes; /* guest range */
	uint32_t depth;	       /* the node of the chain that answers */
	enum qf_disk_kind kind;
	/* as `qemu-img map` tells: */
	bool present; /* mapped at that depth, if only to zeros */
	bool zero;    /* reads as zeros */
	bool data;
	uint64_t host_off;    /* of the first byte, or QF_NOWHERE */
	uint64_t pointer_off; /* of the L2 entry of the first cluster, in the
				 file at depth; QF_NOWHERE if it has none */
	uint64_t entry;	      /* that entry; 0 if it has none */
	/* qf_disk_lose() named it. Where there is something to be read all the
	 * same, the kind says what, and it is in doubt. */
	bool lost;
	const char *bad; /* why, if lost or QF_DISK_BAD; a fixed text */
};

struct qf_disk;

/*
 * The state that HOLDER of the chain's first image has; the chain stays the
 * caller's and must live as long. With a chain of one node, what the image
 * does not map reads as zeros, if it names no backing file, and is bad if it
 * does. For one thread at a time. Errors: QF_ERR_NOMEM; QF_ERR_FORMAT if the
 * holder has no L1 table that can be followed. Free with qf_disk_close
 * (NULL-safe).
 */
enum qf_err qf_disk_open(const struct qf_chain *chain, uint32_t holder,
			 struct qf_disk **out, struct qf_why *why);
void qf_disk_close(struct qf_disk *g);

/*
 * The same state once more, for another thread, with what FROM has lost, its
 * keys, and without who is told of doubts. FROM must live longer, and lose nothing more.
 * Errors: QF_ERR_NOMEM. Free with qf_disk_close.
 */
enum qf_err qf_disk_beside(const struct qf_disk *from, struct qf_disk **out,
			   struct qf_why *why);

/* The disk's size in this state. */
uint64_t qf_disk_bytes(const struct qf_disk *g);

/* How many files of the chain it is read from: one without a mapping, and what
 * is behind it, is as good as missing. */
uint32_t qf_disk_layers(const struct qf_disk *g);

/*
 * Gives the key to the files of the chain that are encrypted: the N bytes at
 * PASS are the passphrase of each. Errors: as qf_diskkey_open, with the file's
 * name if it is not the first one; QF_ERR_USAGE if none is encrypted.
 */
enum qf_err qf_disk_unlock(struct qf_disk *g, const void *pass, size_t n,
			   struct qf_why *why);

/* The same with the key file NAME ("-": standard input); NULL: none is given.
 * Errors: as qf_disk_unlock and qf_diskkey_read_file. */
enum qf_err qf_disk_unlock_by(struct qf_disk *g, const char *name,
			      struct qf_why *why);

/* Gives G the keys that FROM, a disk of the same chain, has. Errors:
 * QF_ERR_NOMEM. */
enum qf_err qf_disk_unlock_as(struct qf_disk *g, const struct qf_disk *from,
			      struct qf_why *why);

/* True if a file of the chain is encrypted, and there is no key for it. */
bool qf_disk_locked(const struct qf_disk *g);

/* The largest cluster of the chain's images; 0 if none has clusters. */
uint64_t qf_disk_cluster_bytes(const struct qf_disk *g);

/*
 * What the image at DEPTH has lost, as a judge says who looks at the whole
 * file: the reader alone takes an erased table for an empty one. From now on
 * these ranges of that image are lost. Takes R over, and leaves it empty.
 */
void qf_disk_lose(struct qf_disk *g, uint32_t depth, struct qf_ranges *r);

/* The first range that the image itself has lost and that ends behind OFF, or
 * NULL. It may lie behind the end of the disk. */
const struct qf_range *qf_disk_lost_from(const struct qf_disk *g, uint64_t off);

/*
 * Also look into the file's holes where it seems to have been preallocated,
 * as `qemu-img map` does: such data are said to be zero.
 */
void qf_disk_look_into_holes(struct qf_disk *g);

/*
 * The stretch that begins at OFF (below qf_disk_bytes()), at most LIMIT
 * bytes of it. Neighbours can be alike: see qf_disk_extends. Errors: _NOMEM.
 */
enum qf_err qf_disk_at(struct qf_disk *g, uint64_t off, uint64_t limit,
		       struct qf_disk_extent *e, struct qf_why *why);

/* The same, but only what the image at DEPTH itself says, with what it has
 * lost left aside. */
enum qf_err qf_disk_layer_at(struct qf_disk *g, uint32_t depth, uint64_t off,
			     uint64_t limit, struct qf_disk_extent *e,
			     struct qf_why *why);

/* True if NEXT goes on where E ends in every respect that map shows. */
bool qf_disk_extends(const struct qf_disk_extent *e,
		     const struct qf_disk_extent *next);

/*
 * What could not be read, in stretches of whole sectors: the guest range and
 * the reason. False stops the reading.
 */
typedef bool qf_disk_lost(void *ctx, uint64_t start, uint64_t bytes,
			  const char *reason);

/*
 * Tells FN of what can be read but may be wrong, stretch by stretch: what is
 * lost and has bytes all the same, and what came out of compressed data that
 * do not end with their cluster, which QEMU reads. NULL: nobody is told.
 */
void qf_disk_tell_doubts(struct qf_disk *g, qf_disk_lost *fn, void *ctx);

/*
 * Reads LEN bytes at OFF, which must lie within the disk. What cannot be
 * read is zeros and goes to LOST (may be NULL). Errors: QF_ERR_NOMEM,
 * QF_ERR_STOPPED if LOST, or who is told of doubts, said so,
 * QF_ERR_UNSUPPORTED for encrypted data.
 */
enum qf_err qf_disk_read(struct qf_disk *g, void *buf, uint64_t len,
			 uint64_t off, qf_disk_lost *lost, void *ctx,
			 struct qf_why *why);

/* Says that LEN bytes at OFF, within the disk, will be read soon. */
void qf_disk_hint(struct qf_disk *g, uint64_t off, uint64_t len);

#endif
