/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What `qfsck check --output=json` said of many images, from its own lines;
 * and the pages on single images, by the image that each is about.
 */
#ifndef QF_POOLLIST_H
#define QF_POOLLIST_H

#include "lib/base/err.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct qf_poollist_image {
	json_t *report;		    /* owned */
	const char *name, *verdict; /* of the report */
	unsigned int rank;	    /* 0: the worst verdict */
	uint64_t lost_bytes, corruptions, leaks, errors;
	size_t order; /* in which it was read */
};

struct qf_poollist_page {
	char *path;  /* owned */
	char *image; /* owned; that it is about */
};

struct qf_poollist {
	struct qf_poollist_image *at;
	size_t n, room;
	struct qf_poollist_page *page;
	size_t n_pages, pages_room;
};

/*
 * Reads the file NAME ("-": standard input): lines of JSON, or a page that viz
 * --export made. Errors: QF_ERR_IO, QF_ERR_USAGE (it is neither), QF_ERR_NOMEM.
 */
enum qf_err qf_poollist_read(struct qf_poollist *l, const char *name,
			     struct qf_why *why);

/* Sorts the worst first; of an image that was told of twice, the last word
 * counts. */
void qf_poollist_sort(struct qf_poollist *l);

/* The page on that image, or NULL. */
const char *qf_poollist_page(const struct qf_poollist *l,
			     const struct qf_poollist_image *i);

void qf_poollist_free(struct qf_poollist *l);

#endif
