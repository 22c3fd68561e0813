/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The disk as a guest sees it, in any of its states, as a stream of bytes:
 * past damage, with a list of what is not known and therefore zero.
 */
#ifndef QF_EXTRACT_H
#define QF_EXTRACT_H

#include "lib/guest/guest.h"

#include <stddef.h>

struct qf_evp;
struct qf_sink;

/* A stretch of the disk that is lost, or could not be read. */
struct qf_extract_lost {
	uint64_t start, bytes;
	const char *reason; /* a fixed text */
	bool doubtful;	    /* there are bytes, but they may be wrong */
};

struct qf_extract {
	struct qf_disk *guest; /* the caller's */
	/* The caller's; NULL: the whole disk. Offsets are the file's, then. */
	const struct qf_guest_contents *file;
	enum qf_err (*run)(struct qf_extract *x); /* puts the bytes out */
	bool hash; /* SHA-256 of all bytes, zeros included */
	/* The caller's: a file, with as many bytes as there will be, or a
	 * stream. */
	struct qf_sink *sink;
	/* set: */
	char sha256[65];
	struct qf_extract_lost *lost; /* ascending, merged */
	size_t n_lost, room;
	uint64_t lost_bytes, doubtful_bytes;
	/* private */
	const struct qf_evp *evp;
	void *digest;
	unsigned char *buf; /* QF_EXTRACT_PIECE bytes, for RUN */
	uint64_t at;	    /* bytes put out */
	struct qf_why why;
};

/*
 * Reads the whole disk; what the tables do not map is passed over at once.
 * What the guest has lost behind the end of the disk is in LOST too. Progress
 * is counted in MiB. Errors: QF_ERR_IO, QF_ERR_NOMEM, QF_ERR_UNSUPPORTED for an
 * encrypted disk. Free with qf_extract_free.
 */
enum qf_err qf_extract_run(struct qf_extract *x, struct qf_why *why);
void qf_extract_free(struct qf_extract *x);

/* The bytes that are put out: the disk's, or the file's. */
uint64_t qf_extract_bytes(const struct qf_extract *x);

/* --- for those who put the bytes out: qf_extract.run --- */

#define QF_EXTRACT_PIECE (1u << 20)
/* Zeros of this many bytes, on a multiple of it, become a hole. */
#define QF_EXTRACT_BLOCK 4096u

/* Adds to what is lost or in doubt. False: no memory. */
bool qf_extract_note(struct qf_extract *x, const struct qf_extract_lost *more);
/* Puts out the first LEN bytes of x->buf, or zeros. */
enum qf_err qf_extract_put(struct qf_extract *x, uint64_t len);
enum qf_err qf_extract_zeros(struct qf_extract *x, uint64_t len);
/* The same for LEN bytes that a file has already, and a stream has not. */
enum qf_err qf_extract_pass(struct qf_extract *x, const void *buf,
			    uint64_t len);
/* Shows progress. */
void qf_extract_step(const struct qf_extract *x);

/*
 * Writes the new file NAME, with what was read and what was not, in the
 * format of GNU ddrescue's map files. Errors: QF_ERR_IO, QF_ERR_NOMEM.
 */
enum qf_err qf_extract_map(const struct qf_extract *x, const char *name,
			   struct qf_why *why);

#endif
