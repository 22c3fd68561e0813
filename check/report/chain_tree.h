/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Images and their backing files as a tree: many overlays may share one base,
 * which is then checked once. Every file is one layer, known by device and
 * inode; what a backing file's name means and is not there is a layer too.
 */
#ifndef QF_CHAIN_TREE_H
#define QF_CHAIN_TREE_H

#include "check/check.h"
#include "lib/model/chain.h"

#include <jansson.h>

#define QF_LAYER_NONE UINT32_MAX

struct qf_layer {
	char *path;	/* as it was first opened; owned */
	uint64_t id[2]; /* 0, 0: not there */
	uint32_t base;	/* its backing file's layer, or _NONE */
	bool linked;	/* base is known to be, or not to be */
	bool raw;	/* nothing to check in it */
	bool absent;	/* cannot be opened: see state */
	bool in_use;	/* not checked, because a program writes to it */
	bool untold;	/* ... and no finding of the image above says so */
	bool stuck;	/* unchecked for what is absent beside it alone */
	bool checked;	/* code, state and report are there */
	bool shown;	/* the report has been printed */
	int code;	/* the exit code of a check of it alone */
	char *state;	/* its verdict in words; owned */
	char *text;	/* its report for a person; owned, may be NULL */
	json_t *json;	/* its report, owned; may be NULL */
};

struct qf_tree {
	struct qf_layer *at;
	uint32_t n;
	size_t room;
};

/*
 * Finds the layers of the image at PATH and of all behind it, reading their
 * headers only, without locks. FORMAT is the user's word on the image, or
 * NULL. *TOP is the image's. Errors: as qf_open_image
 * about the image itself.
 */
enum qf_err qf_tree_gather(struct qf_tree *t, const char *path,
			   const char *format, uint32_t *top,
			   struct qf_why *why);
void qf_tree_free(struct qf_tree *t);

/* The layer DEPTH files behind LAYER, or _NONE where the chain is shorter. */
uint32_t qf_tree_behind(const struct qf_tree *t, uint32_t layer,
			uint32_t depth);

/*
 * The first layer behind LAYER that a check of the whole chain must not pass
 * over: damaged, unreadable or absent. _NONE if there is none. One that is
 * only stuck is passed over: what it is stuck for stands behind it.
 */
uint32_t qf_tree_fault(const struct qf_tree *t, uint32_t layer);

/* The exit code of LAYER and all that stands behind it, as of several images. */
int qf_tree_code(const struct qf_tree *t, uint32_t layer);

#endif
