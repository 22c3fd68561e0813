/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is known of an image for the pictures and the browser: the scene, the
 * report of the check, and who owns a cluster. At first what the header and
 * its tables tell at once; the rest is worked out beside the browser.
 */
#ifndef QF_MODEL_H
#define QF_MODEL_H

#include "check/check.h"
#include "lib/walk/walk.h"
#include "viz/show/du.h"
#include "viz/draw/scene.h"

struct qf_model {
	struct qf_image *img; /* the caller's */
	struct qf_scene scene;
	struct qf_walk walk;	  /* gathered, once the scene is whole */
	struct qf_owners *owners; /* the same */
	struct qf_du du;
	struct qf_report report;
	bool checked; /* the report is there */
};

/* One owner of a cluster. */
struct qf_model_owner {
	char text[240];	 /* "active disk: guest data, guest offset ..." */
	uint32_t holder; /* QF_HOLDER_IMAGE: no state of the disk */
	uint64_t host_off, bytes; /* what it owns there */
	uint64_t pointer_off;	  /* QF_NOWHERE: none */
	uint64_t guest_off;	  /* QF_NOWHERE: none */
};

/* What is known without walking the tables. NULL without memory. */
struct qf_model *qf_model_first(struct qf_image *img);

/* All of it, at once: for pictures. Errors: QF_ERR_NOMEM, QF_ERR_STOPPED. */
enum qf_err qf_model_whole(struct qf_image *img, bool shared,
			   struct qf_model **out, struct qf_why *why);
void qf_model_free(struct qf_model *m);

/* The guest offset that the first entry of the L2 table at OFF maps, or
 * QF_NOWHERE. */
uint64_t qf_model_l2_guest(const struct qf_model *m, uint64_t off);

/*
 * The marked holders' clusters that nobody else has; where they are all
 * snapshots, what their deletion would free. Marks the scene's sets, too.
 */
uint64_t qf_model_mark(struct qf_model *m);

/* Puts a report into the model, which owns it then: what is wrong shows.
 * False without memory: then some of it does not. */
bool qf_model_take_report(struct qf_model *m, struct qf_report *rep);

#endif
