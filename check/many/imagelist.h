/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The images that a command is about, by the names that it was given. */
#ifndef QF_IMAGELIST_H
#define QF_IMAGELIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct qf_imagelist_name {
	char *text; /* owned */
	size_t key; /* from where on it is the same on every host */
	bool found; /* in a folder, and not named by the user */
};

struct qf_imagelist {
	struct qf_imagelist_name *at; /* owned, in the order of the reports */
	size_t n, room;
};

/* Adds NAME, which is copied. False: no memory. */
bool qf_imagelist_add(struct qf_imagelist *l, const char *name);

/* Adds the names in FILE ("-": standard input), each ended by NUL. False, and
 * said on stderr, if it cannot be read. */
bool qf_imagelist_read(struct qf_imagelist *l, const char *file);

/* Takes each name for image options ("driver=qcow2,file.filename=X"), and puts
 * the file's name in its place. NULL; or the first that names no file. */
const char *qf_imagelist_resolve(struct qf_imagelist *l);

/*
 * Keeps what falls to host PART (1 to PARTS) of PARTS hosts. By the names
 * alone, below the folder that was named: whatever comes or goes, every image
 * stays with its host.
 */
void qf_imagelist_shard(struct qf_imagelist *l, unsigned int part,
			unsigned int parts);

void qf_imagelist_free(struct qf_imagelist *l);

#endif
