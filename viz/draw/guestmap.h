/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The disk of one state as its guest has it, for the browser: what each
 * stretch of it is, as `qfsck map` and the list of what is lost tell, and the
 * volumes on it.
 */
#ifndef QF_GUESTMAP_H
#define QF_GUESTMAP_H

#include "lib/guest/guest.h"
#include "viz/draw/model.h"

struct qf_guestmap {
	uint32_t holder;
	uint64_t disk_bytes;
	uint64_t cluster_bytes; /* of the image */
	/* the disk, in its own clusters; what is lost behind its end, too */
	struct qf_scene scene;
	struct qf_chain chain;
	struct qf_disk *disk;	/* to be looked at by who holds this; NULL: it
			       * cannot be read */
	struct qf_disk *read;	/* what GUEST reads: for one thread at a time */
	struct qf_guest *guest; /* NULL: not known */
	struct qf_why trouble;	/* why there is no disk, or no guest */
};

/*
 * Looks at HOLDER's disk; what M's report says is lost is. M's scene must be
 * whole; its image must live as long. Errors: QF_ERR_NOMEM, QF_ERR_STOPPED.
 * Free with qf_guestmap_free (NULL-safe).
 */
enum qf_err qf_guestmap_make(const struct qf_model *m, uint32_t holder,
			     bool shared, struct qf_guestmap **out,
			     struct qf_why *why);
void qf_guestmap_free(struct qf_guestmap *g);

/* What is at the guest offset OFF, as one line, and in *HOST where in the
 * image's file, or QF_NOWHERE; in *ENTRY where the entry stands that says so,
 * or QF_NOWHERE. Returns BUF. */
char *qf_guestmap_describe(const struct qf_guestmap *g, uint64_t off,
			   uint64_t *host, uint64_t *entry, char *buf,
			   size_t room);

/* The volume that holds the byte OFF, the innermost; QF_GUEST_NO_VOLUME. */
uint32_t qf_guestmap_volume(const struct qf_guestmap *g, uint64_t off);

/* Whose the bytes from FROM to TO are, in words: files, metadata, free room;
 * what has the byte AT comes first, if that is not FROM. Asks the guest's file
 * systems: it can take long. Returns BUF. */
char *qf_guestmap_files(struct qf_guestmap *g, uint64_t at, uint64_t from,
			uint64_t to, char *buf, size_t room);

/* Where the file PATH begins on the disk; QF_NOWHERE: BUF says why not. It
 * can take long. */
uint64_t qf_guestmap_path(struct qf_guestmap *g, const char *path, char *buf,
			  size_t room);

#endif
