/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The plan of a repair: ordered edits, each with its place, what was there,
 * what comes there, why and at what risk. Nothing is written; the plan is
 * tried on an overlay, and what the overlay then differs in is what the
 * journal writes.
 */
#ifndef QF_PLAN_H
#define QF_PLAN_H

#include "check/check.h"
#include "lib/io/io_overlay.h"
#include "lib/base/ranges.h"

/* Edits up to this long are shown with their bytes. */
#define QF_EDIT_SHOWN 16
/* So many edits of one kind are told one by one, and the rest together. */
#define QF_EDIT_LISTED 64u

/* Edits that say the same of different places. */
struct qf_edit_kind {
	enum qf_problem problem;
	char *text; /* owned: what tells them apart from other kinds */
	size_t n;
	/* of those that are not listed: how many, of how many bytes, and
	 * between which places of the file */
	size_t more, first; /* first: the number of the first edit of all */
	uint64_t bytes, from, to;
};

struct qf_edit {
	uint64_t host_off, length;
	enum qf_problem problem;
	enum qf_risk risk;
	bool shown; /* before and after hold LENGTH bytes */
	unsigned char before[QF_EDIT_SHOWN], after[QF_EDIT_SHOWN];
	char *what; /* owned; NULL: not listed */
};

/* A part of a disk that is gone, or given up. */
struct qf_lost {
	uint32_t holder;
	uint64_t guest_off, length;
};

/* The user's answer to a question: the pointer at the host offset PLACE led
 * to VALUE; 0: to nothing that is in the file. */
struct qf_choice {
	uint64_t place, value;
};

/* An edit that the user does not want. */
struct qf_spared {
	uint64_t host_off;
	enum qf_problem problem;
};

struct qf_plan {
	struct qf_io *base; /* the caller's */
	struct qf_overlay *over;
	struct qf_edit *edit;
	size_t n, room;
	struct qf_edit_kind *kind;
	size_t n_kinds, kind_room;
	struct qf_lost *lost;
	size_t n_lost, lost_room;
	/* ranges that the check calls lost on the image as it is, or as it is
	 * planned so far while no edit can change what the guest reads: there
	 * it may read otherwise afterwards */
	struct qf_lost *licence;
	size_t n_licences, licence_room;
	/* what may be planned */
	enum qf_risk limit;
	bool refused[QF_PROBLEMS];
	const struct qf_spared *spared; /* the caller's */
	size_t n_spared;
	bool leaks_only;
	bool lazy; /* refcounts that are too low are behind, and nothing else
		    * is wrong: QEMU makes up for them without asking */
	bool drop_in_use; /* bitmaps that may have missed writes go */
	bool guess;	  /* restore what the evidence does not prove */
	const struct qf_choice *choice; /* the caller's */
	size_t n_choices;
	/* tables at PLACE for the active disk's L1 entries number VALUE, by the
	 * user's word; the caller's */
	const struct qf_choice *placed;
	size_t n_places;
	/* what was not planned without it; owned, or NULL */
	char *offer;
	struct qf_cut cut; /* what went with the end of the file, as the
			    * refcounts had it before they were changed */
	bool cut_done;	   /* some of it was given up */
	bool cut_told;	   /* all that is wrong came from that: what counts
			    * too often had another owner there */
	bool cut_frees;	   /* and it took snapshots: what only they had goes
			    * with them */
	/* places */
	struct qf_ranges fresh;	   /* taken by the plan: nobody had them */
	struct qf_ranges released; /* given up by the plan: may be freed */
	struct qf_ranges withheld; /* leaks that must not be freed */
	bool withhold_all;
	bool snapshots_cut;	  /* some are no longer counted */
	bool snapshots_relisted;  /* the header led to no table of them: what
				   * was read there were no snapshots */
	bool cloned_beside_leaks; /* a leak may be what an owner had */
	bool kept_unowned;	  /* what has no owner may be somebody's: the
				   * counts were made without knowing whose */
	uint64_t copied_bytes;	  /* of tables, for their second owners */
	uint64_t grown_bytes;	  /* of data, for theirs */
	uint64_t promised_bytes;  /* of data, for the owners of those tables */
	bool table_copied;	  /* one stood in another's place: most of what
				   * the other had has no owner */
	bool copies_cut;	  /* there would have been too many */
	bool withhold_leaks;	  /* an earlier repair gave up pointers */
	bool forgets;		  /* the mark of it goes, by the user's word */
	const char *unmarked;	  /* why the image cannot bear the mark that
				   * something was given up; or NULL */
	uint64_t next_free;	  /* cluster behind all that is taken */
	/* the refcounts were wrong in both directions, or two owners are
	 * parted, or an earlier repair gave something up: what counts too
	 * often proves nothing of parts of tables */
	bool no_parts;
	/* so many clusters were leaked when a search was in vain; the next
	 * round need not begin it again */
	uint64_t vain_stale, vain_place;
};

/* A plan for the image behind BASE. Free with qf_plan_free. */
enum qf_err qf_plan_new(struct qf_io *base, struct qf_plan **out,
			struct qf_why *why);
void qf_plan_free(struct qf_plan *p);

/* What is at stake when PROBLEM is repaired in this image. */
enum qf_risk qf_plan_risk(const struct qf_plan *p, enum qf_problem problem);

/* True if an edit for PROBLEM is within the risk and not refused. */
bool qf_plan_allows(const struct qf_plan *p, enum qf_problem problem);

/*
 * Plans LEN bytes at OFF; WHAT as printf. An edit that changes nothing is
 * left out. Errors: QF_ERR_NOMEM, QF_ERR_IO.
 */
enum qf_err qf_plan_put(struct qf_plan *p, enum qf_problem problem,
			uint64_t off, const void *bytes, uint64_t len,
			struct qf_why *why, const char *what, ...)
	__attribute__((format(printf, 7, 8)));

/* The same for a copy of LEN bytes that the image has at SRC. */
enum qf_err qf_plan_copy(struct qf_plan *p, enum qf_problem problem,
			 uint64_t off, uint64_t src, uint64_t len,
			 struct qf_why *why, const char *what, ...)
	__attribute__((format(printf, 7, 8)));

/* Plans a big-endian number of 4 or 8 bytes. */
enum qf_err qf_plan_put32(struct qf_plan *p, enum qf_problem problem,
			  uint64_t off, uint32_t value, struct qf_why *why,
			  const char *what);
enum qf_err qf_plan_put64(struct qf_plan *p, enum qf_problem problem,
			  uint64_t off, uint64_t value, struct qf_why *why,
			  const char *what);

/* True if all that is planned so far lies before the host offset END. */
bool qf_plan_is_within(const struct qf_plan *p, uint64_t end);

/* True if pointers are given up whose clusters may be among the leaks. */
bool qf_plan_gives_up(const struct qf_plan *p);

/* Allows that a guest range reads otherwise; false without memory. */
bool qf_plan_licence(struct qf_plan *p, uint32_t holder, uint64_t guest_off,
		     uint64_t length);

/*
 * The same for every state of IMG, from FROM on: the header says wrongly how
 * the disk is to be read, as the rest of the image proves. False without
 * memory.
 */
bool qf_plan_licence_all(struct qf_plan *p, const struct qf_image *img,
			 uint64_t from);

/* True if an edit is planned that is about the guest's data. */
bool qf_plan_touches_data(const struct qf_plan *p);

/* Records what is lost to the guest; false without memory. */
bool qf_plan_lose(struct qf_plan *p, uint32_t holder, uint64_t guest_off,
		  uint64_t length);

/*
 * When an edited place is to be written: places that nobody had first, then
 * tables, then the header's cluster of CLUSTER_BYTES.
 */
enum qf_phase { QF_PHASE_FRESH, QF_PHASE_TABLES, QF_PHASE_HEADER, QF_PHASES };

enum qf_phase qf_plan_phase(const struct qf_plan *p, uint64_t off,
			    uint64_t cluster_bytes);

#endif
