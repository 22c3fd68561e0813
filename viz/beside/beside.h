/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Work beside the browser: one thing at a time, in a thread of its own, so
 * that stopping its loops stops nothing else.
 */
#ifndef QF_BESIDE_H
#define QF_BESIDE_H

#include "viz/draw/guestmap.h"
#include "viz/draw/model.h"

enum qf_beside_kind {
	QF_BESIDE_SCENE,  /* a model whose scene is whole */
	QF_BESIDE_CHECK,  /* the report */
	QF_BESIDE_OWNERS, /* who owns one cluster */
	QF_BESIDE_GUEST,  /* the disk of one state */
	/* what follows is asked while anyone may write */
	QF_BESIDE_FILES, /* which files have bytes in a stretch of it */
	QF_BESIDE_PATH,	 /* where a file of it is */
	QF_BESIDE_WHOSE, /* as _FILES, for the hex view */
};

/* What is to be done. All that is named must outlive the job. */
struct qf_beside_order {
	enum qf_beside_kind kind;
	struct qf_image *img;
	bool shared;
	struct qf_model *model;	 /* _OWNERS, _GUEST */
	uint64_t cluster;	 /* _OWNERS */
	uint32_t holder;	 /* _GUEST */
	struct qf_guestmap *map; /* _FILES, _PATH: nobody else asks its guest */
	uint64_t at, from, to;	 /* _FILES: bytes of the disk */
	char path[128];		 /* _PATH */
};

/* What a job has found; owned by who takes it. */
struct qf_beside_result {
	struct qf_beside_order order;
	enum qf_err err;
	struct qf_why why;
	struct qf_model *model;
	struct qf_report report;
	struct qf_model_owner *owner;
	size_t n_owners;
	uint64_t total_owners;
	struct qf_guestmap *guest;
	uint64_t at; /* _PATH: on the disk, or QF_NOWHERE: TEXT says why */
	char text[300];
};

struct qf_beside;

/* NULL without memory or threads. */
struct qf_beside *qf_beside_start(const struct qf_beside_order *order);
enum qf_beside_kind qf_beside_kind(const struct qf_beside *j);
bool qf_beside_done(const struct qf_beside *j);
/* How far the running job is, 0 to 1. */
double qf_beside_part(void);
/* Waits for the end, and ends the job. */
void qf_beside_take(struct qf_beside *j, struct qf_beside_result *res);
/* Stops it and throws away what it has. */
void qf_beside_drop(struct qf_beside *j);

#endif
