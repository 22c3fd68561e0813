/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The face of check/: judges an image, and says what is wrong with it. */
#ifndef QF_CHECK_H
#define QF_CHECK_H

#include "check/lost/cut_off.h"
#include "check/judge/diagnose.h"
#include "check/catalogue/finding.h"
#include "check/judge/question.h"
#include "lib/model/image.h"

struct qf_check_opts {
	unsigned int jobs;   /* 0: one a processor */
	uint64_t max_memory; /* bytes for the counting; 0: no bound */
	bool all;	     /* every entry a finding of its own */
	bool data;	     /* look into compressed clusters as well */
	bool shared;	     /* the image may be written meanwhile (-U) */
	bool no_guest;	     /* do not look into the guest's disk */
	bool no_mixup;	     /* nor ask whether tables have changed places */
	bool whole_mixups;   /* tell of it only if then nothing is wrong */
	bool share_in_use;   /* the same where another program has it */
	bool guest; /* hold the guest's file systems against their places */
	const char *guest_state; /* of this state alone: an id, a name or
				    "active"; NULL: of all */
	/* hold them against those of the base: was the image made on it? */
	bool against_base;
	const char *format; /* the user's word on it (-f); or NULL */
	const char *below;  /* --backing-chain: what is wrong there; or NULL */
	/* clusters that a plan has let go of: nobody lost them; or NULL */
	const struct qf_ranges *released;
	/* what was cut off, as it was known before a plan changed the
	 * refcounts; NULL: as the image has it */
	const struct qf_cut *cut;
	/* a plan lets go of snapshots that were cut off: what has no owner was
	 * theirs, and is no sign of anything else */
	bool cut_told;
};

enum qf_verdict {
	QF_VERDICT_CLEAN,
	QF_VERDICT_LEAKS,
	QF_VERDICT_CORRUPT,
	/* a part could not be read, or no program can open the disk */
	QF_VERDICT_UNCHECKED,
};

/* The figures of qemu-img check, in clusters unless named otherwise. */
struct qf_report_figures {
	uint64_t image_end_bytes;
	uint64_t total; /* guest clusters of the disk */
	uint64_t allocated;
	uint64_t fragmented;
	uint64_t compressed;
	uint64_t file_clusters;
	uint64_t used; /* host clusters with an owner */
	uint64_t free; /* host clusters inside the file without one */
};

/* A part of a disk that its holder has lost. */
struct qf_lost_range {
	uint32_t holder; /* QF_HOLDER_...; _IMAGE: see id */
	uint64_t guest_off, bytes;
	char id[40]; /* of a snapshot that the header does not name */
	/* free room, as the guest's file system has it, which was left in
	 * order: it may read otherwise, and nobody has lost anything */
	bool free;
};

struct qf_lost_list {
	struct qf_lost_range *at; /* by holder and offset, not overlapping */
	size_t n, room;
	bool failed;
	bool coarse; /* so many that they cover what lies between, too */
	bool cut;    /* so many that not every holder is named */
	/* while it is made: each holder's last range, and additions so far */
	uint32_t *last, n_last;
	uint64_t added;
};

/* How many bytes of what is listed were free room. */
static inline uint64_t qf_lost_free_bytes(const struct qf_lost_list *l)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < l->n; i++)
		sum += l->at[i].free ? l->at[i].bytes : 0;
	return sum;
}

struct qf_report {
	struct qf_findings findings;
	struct qf_lost_list lost;
	struct qf_questions questions;
	struct qf_cut cut;  /* unless it was known before */
	bool cut_explains;  /* all that is wrong comes from a cut */
	bool cut_snapshots; /* it took snapshots' tables */
	struct qf_diagnosis diagnosis[QF_CAUSES];
	unsigned int n_diagnoses;
	bool withhold; /* leaked clusters may be lost data: never free them */
	struct qf_report_figures fig;
	enum qf_verdict verdict;
	/*
	 * The same without what is absent beside the image, and without what
	 * is wrong on the guest's disk: of its own tables alone, which is all
	 * that a repair can put right.
	 */
	enum qf_verdict tables;
	uint64_t corruptions, leaks, errors, warnings;
	uint64_t absent; /* files beside the image that are not there */
};

/*
 * Checks IMG. *REP is freed with qf_check_free, also after an error.
 * Errors: QF_ERR_NOMEM, QF_ERR_STOPPED: no verdict. What cannot be read is
 * a finding.
 */
enum qf_err qf_check_run(struct qf_image *img, const struct qf_check_opts *opts,
			 struct qf_report *rep, struct qf_why *why);
void qf_check_free(struct qf_report *rep);

/* Numbers and verdict of REP from its findings. */
void qf_check_sum(struct qf_report *rep);

/*
 * Opens the image NAME under a reader's lock and checks it. *IMG is the
 * caller's to close. Errors: as qf_open_image and qf_check_run; then there
 * is no image and no report.
 */
enum qf_err qf_check_alone(const char *name, const struct qf_check_opts *opts,
			   struct qf_image **img, struct qf_report *rep,
			   struct qf_why *why);

/*
 * Opens and checks the image NAME while another program may be writing to it
 * (-U). What looks wrong is read again; what does not persist, and what a
 * writer's caches make look wrong, is dropped, and a note says that the
 * image was being written. Otherwise as qf_check_alone.
 */
enum qf_err qf_check_shared(const char *name, const struct qf_check_opts *opts,
			    struct qf_image **img, struct qf_report *rep,
			    struct qf_why *why);

/* One of these two, as OPTS has it. */
enum qf_err qf_check_image(const char *name, const struct qf_check_opts *opts,
			   struct qf_image **img, struct qf_report *rep,
			   struct qf_why *why);

const char *qf_check_verdict(enum qf_verdict v);

/* The commands, for the front door. */
int qf_cmd_check(int argc, char **argv);
int qf_cmd_explain(int argc, char **argv);

/* True if NAME is a file, a folder or a server's export: no command's name. */
bool qf_check_is_there(const char *name);

/*
 * For the shells' completion. A command that was asked by "--complete" prints
 * those of its options that HELP explains, OPTIONS and LETTERS as getopt_long
 * takes them, one a line: the name, the letter or nothing, what its argument
 * may be ("-": it has none), and what HELP says of it, with tabs between.
 * _images prints those of the N NAMES that may be images. Both return the exit
 * code.
 */
struct option;
bool qf_complete_asked(int argc, char **argv);
int qf_complete_options(const struct option *options, const char *letters,
			const char *help);
int qf_complete_images(int n, char **names);

/*
 * Progress of long work on stderr: a bar with rate and time left where
 * WANTED (or on a terminal, for work of over a second), and a line on
 * SIGUSR1. NAME is what is worked on.
 */
void qf_progress_start(const char *name, bool wanted);
void qf_progress_stop(void);

/* The same of work that is no loop of lib/pool: DONE of N UNITs. */
void qf_progress_step(uint64_t done, uint64_t n, const char *unit);

/* Who claims a cluster, for the folders that enter here. */
#include "check/judge/claimants.h"

/* Clusters tried at places of the guest's disk, for the folders that enter
 * here. */
#include "check/judge/guesttry.h"

/* What has changed places, for the folders that enter here. */
#include "check/judge/mixup.h"

/* What stands in a cluster, for the folders that enter here. */
#include "check/detail/whatis.h"

/* What a state of the disk has lost, for the folders that enter here. */
#include "check/loss.h"

/* How a report is told, for the folders that enter here. */
#include "check/report/report.h"
#include "check/report/report_hits.h"
#include "check/report/units.h"

/* Several images, for the folders that enter here. */
#include "check/many/folder.h"
#include "check/many/summary.h"

#endif
