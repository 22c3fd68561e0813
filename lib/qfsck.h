/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libqfsck: what qfsck knows of a qcow2 image, as data. An image is opened
 * for reading alone, and nothing here can change it.
 *
 *	struct qfsck_error why;
 *	struct qfsck_image *img;
 *
 *	if (qfsck_open("disk.qcow2", 0, &img, &why))
 *		die(why.text);
 *
 * Functions return 0 or an enum qfsck_code, and then fill WHY, which may be
 * NULL. All types are opaque but the small records that the caller owns; each
 * function that fills a record takes its size, so that a program built
 * against an older header goes on working. Offsets and lengths are in bytes.
 * There are no globals; an image and what was opened from it belong to one
 * thread at a time. Link with `pkg-config --libs qfsck`.
 */
#ifndef QFSCK_H
#define QFSCK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QFSCK_ABI 0
#define QFSCK_NOWHERE UINT64_MAX /* of an offset: there is none */

/* "0.3.0", of the library that is running. */
const char *qfsck_version(void);

/* --- errors --- */

enum qfsck_code {
	QFSCK_OK = 0,
	QFSCK_IO,	   /* the system refused or failed */
	QFSCK_NOMEM,	   /* no memory */
	QFSCK_FOREIGN,	   /* not a qcow2 image */
	QFSCK_FORMAT,	   /* damaged so far that it has no reading */
	QFSCK_UNSUPPORTED, /* valid, but something that cannot be done */
	QFSCK_BUSY,	   /* held by another program */
	QFSCK_OUTSIDE,	   /* a place past the end */
	QFSCK_USAGE,	   /* a meaningless argument */
	QFSCK_STOPPED,	   /* a callback said so */
};

struct qfsck_error {
	int code;	 /* enum qfsck_code */
	int sys;	 /* errno, or 0 */
	uint64_t offset; /* in the file, or QFSCK_NOWHERE */
	char text[512];	 /* one sentence, without the file's name */
	char next[256];	 /* what to do about it; may be empty */
};

/* --- images --- */

struct qfsck_image;

#define QFSCK_SHARE 1u	 /* no lock: the image may be in use, and change */
#define QFSCK_BELIEVE 2u /* it is qcow2, even if magic or version are wrong */

/*
 * Opens the image NAME (a file, a device, or an nbd:// URI) under a reader's
 * lock, and what stands behind it: a part that is missing is no error. Close
 * it with qfsck_close, after all that was opened from it; NULL is allowed.
 */
int qfsck_open(const char *name, unsigned int flags, struct qfsck_image **img,
	       struct qfsck_error *why);
void qfsck_close(struct qfsck_image *img);

/*
 * Gives the passphrase of an encrypted image, the LEN bytes at KEY, for the
 * states that are opened from now on; without it, to read their data is
 * QFSCK_UNSUPPORTED. The passphrase is not kept. QFSCK_USAGE: it is wrong, or
 * nothing is encrypted.
 */
int qfsck_unlock(struct qfsck_image *img, const void *key, size_t len,
		 struct qfsck_error *why);

struct qfsck_info {
	uint32_t version; /* of the format: 2 or 3 */
	uint32_t snapshots;
	uint64_t file_bytes;
	uint64_t disk_bytes; /* of the active disk */
	uint64_t cluster_bytes;
	uint32_t files;	   /* in the chain that could be opened, from 1 on */
	uint32_t complete; /* 1: no file of the chain is missing */
};

int qfsck_info(const struct qfsck_image *img, struct qfsck_info *info,
	       size_t size);

struct qfsck_snapshot {
	const char *id, *name; /* the image's: until qfsck_close */
	uint64_t disk_bytes;
	uint64_t vm_state_bytes;
	uint64_t date_seconds; /* since the Epoch */
	uint32_t date_nanoseconds;
};

/* Snapshot number N, from 0 on. QFSCK_OUTSIDE: there are no more. */
int qfsck_snapshot(const struct qfsck_image *img, uint32_t n,
		   struct qfsck_snapshot *s, size_t size);

/* --- the disk in one of its states --- */

struct qfsck_state;

#define QFSCK_PLAIN 4u /* what tables say, without a check of the image */

/*
 * The state SNAPSHOT (its id or name; NULL: the active disk), through the
 * backing files. The image is checked first, as a reader alone takes a table
 * that was erased for an empty one; QFSCK_PLAIN leaves that out. Close with
 * qfsck_state_close; NULL is allowed.
 */
int qfsck_state_open(struct qfsck_image *img, const char *snapshot,
		     unsigned int flags, struct qfsck_state **state,
		     struct qfsck_error *why);
void qfsck_state_close(struct qfsck_state *state);
uint64_t qfsck_state_bytes(const struct qfsck_state *state);

/*
 * Reads LEN bytes at OFF. *BAD (may be NULL) gets how many of them could not
 * be read, or are lost: they are zeros, or in doubt. QFSCK_OUTSIDE: a part of
 * the range lies past the end of the disk.
 */
int qfsck_state_read(struct qfsck_state *state, void *buf, size_t len,
		     uint64_t off, uint64_t *bad, struct qfsck_error *why);

enum qfsck_kind {
	QFSCK_UNMAPPED,	  /* no file of the chain has it: reads as zeros */
	QFSCK_ZERO,	  /* mapped to zeros */
	QFSCK_DATA,	  /* bytes at host_offset of file number `depth` */
	QFSCK_COMPRESSED, /* the same, compressed */
	QFSCK_BAD,	  /* cannot be read */
};

struct qfsck_extent {
	uint64_t start, length; /* of the disk */
	uint64_t host_offset;	/* or QFSCK_NOWHERE */
	const char *reason;	/* of QFSCK_BAD, or if lost; else NULL */
	int kind;		/* enum qfsck_kind */
	uint32_t depth;		/* the file of the chain: 0 the image itself */
	uint32_t lost;		/* 1: its mapping is lost */
};

/* Calls FN for the stretches of [START, START + LENGTH), in order and without
 * gaps; what FN returns other than 0 ends it with QFSCK_STOPPED. */
typedef int qfsck_extent_fn(void *ctx, const struct qfsck_extent *e);

int qfsck_state_map(struct qfsck_state *state, uint64_t start, uint64_t length,
		    qfsck_extent_fn *fn, void *ctx, struct qfsck_error *why);

/* --- who has what --- */

enum qfsck_use {
	QFSCK_USE_HEADER,
	QFSCK_USE_L1,
	QFSCK_USE_L2,
	QFSCK_USE_DATA,
	QFSCK_USE_COMPRESSED,
	QFSCK_USE_REFCOUNT_TABLE,
	QFSCK_USE_REFCOUNT_BLOCK,
	QFSCK_USE_SNAPSHOT_TABLE,
	QFSCK_USE_BITMAP_DIRECTORY,
	QFSCK_USE_BITMAP_TABLE,
	QFSCK_USE_BITMAP_DATA,
	QFSCK_USE_CRYPTO_HEADER,
};

#define QFSCK_ACTIVE 0u	       /* of a holder: the active disk; 1: snapshot 0 */
#define QFSCK_IMAGE UINT32_MAX /* the image as a whole */

/* A range of the file, and who has it. */
struct qfsck_reference {
	uint64_t host_offset, length;
	uint64_t guest_offset;	 /* or QFSCK_NOWHERE */
	uint64_t pointer_offset; /* where the pointer stands, or QFSCK_NOWHERE */
	int use;		 /* enum qfsck_use */
	uint32_t holder;  /* the first that has it; of a bitmap: its number */
	uint32_t holders; /* so many states of the disk have it */
	uint32_t active;  /* 1: the active disk is one of them */
};

typedef int qfsck_reference_fn(void *ctx, const struct qfsck_reference *r);

/*
 * Every reference of the file, once each, however many snapshots share it;
 * clusters that run on are one. Tables that cannot be read are left out, and
 * *UNREAD (may be NULL) counts them.
 */
int qfsck_walk(struct qfsck_image *img, qfsck_reference_fn *fn, void *ctx,
	       uint64_t *unread, struct qfsck_error *why);

/* The references to the cluster at HOST_OFFSET, one a holder; and in *STATED
 * (may be NULL) the refcount that the file states for it. */
int qfsck_owners(struct qfsck_image *img, uint64_t host_offset,
		 qfsck_reference_fn *fn, void *ctx, uint64_t *stated,
		 struct qfsck_error *why);

/* --- check --- */

struct qfsck_report;

enum qfsck_verdict {
	QFSCK_CLEAN,
	QFSCK_LEAKS,
	QFSCK_CORRUPT,
	QFSCK_UNCHECKED,
};

#define QFSCK_CHECK_DATA 8u /* inflate compressed clusters as well */

/* Checks the image. JOBS 0: a thread a processor. Free with
 * qfsck_report_free; NULL is allowed. */
int qfsck_check(struct qfsck_image *img, unsigned int flags, unsigned int jobs,
		struct qfsck_report **report, struct qfsck_error *why);
void qfsck_report_free(struct qfsck_report *report);

struct qfsck_result {
	int verdict; /* enum qfsck_verdict */
	uint64_t corruptions, leaks, unread;
	size_t findings, lost; /* how many there are */
};

int qfsck_report_result(const struct qfsck_report *report,
			struct qfsck_result *result, size_t size);

/* What is wrong. The texts are the report's: until qfsck_report_free. */
struct qfsck_finding {
	uint32_t id;	      /* 1204: permanent; see qfsck explain */
	const char *name;     /* "l2-entry-unaligned" */
	const char *severity; /* note, warning, leak, error, fatal, ... */
	const char *what;     /* the problem: "an L2 table was erased: ..." */
	const char *message;  /* here: "the table at 0x50000 holds ..." */
	const char *meaning;  /* for the user */
	const char *owner;    /* who is hit, or NULL */
	const char *other_owner; /* or NULL */
	uint64_t count;
	uint64_t host_offset, length; /* QFSCK_NOWHERE, 0: none */
	uint64_t guest_offset;	      /* QFSCK_NOWHERE: none */
};

int qfsck_report_finding(const struct qfsck_report *report, size_t n,
			 struct qfsck_finding *f, size_t size);

/* A range of a state of the disk that is lost. */
struct qfsck_lost {
	uint32_t holder; /* QFSCK_ACTIVE, a snapshot's number + 1, or QFSCK_IMAGE:
			  * one that the header does not name, see id */
	const char *id; /* "active", or the snapshot's */
	uint64_t guest_offset, length;
};

int qfsck_report_lost(const struct qfsck_report *report, size_t n,
		      struct qfsck_lost *l, size_t size);

#ifdef __cplusplus
}
#endif

#endif
