/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Findings: what is wrong with this image, each with its place and owner.
 * Passes add them; floods are collated here and nowhere else.
 */
#ifndef QF_FINDING_H
#define QF_FINDING_H

#include "check/catalogue/problem.h"
#include "lib/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct qf_finding {
	enum qf_problem problem;
	uint64_t count;	      /* entries, clusters, ...: what TEXT counts */
	uint64_t corruptions; /* as qemu-img check counts them */
	uint64_t extra;	      /* those that it does not see */
	uint64_t leaks;
	uint64_t errors;	   /* places that could not be checked */
	uint64_t host_off, length; /* QF_NOWHERE, 0: none */
	uint64_t guest_off;	   /* QF_NOWHERE: none */
	char *text;		   /* what is wrong here; owned */
	char *owner;		   /* who is hit; owned, may be NULL */
	char *other;		   /* the other owner; owned, may be NULL */
	uint64_t collated;	   /* findings put together into this one */
	bool rest;		   /* the sum of those behind the kept ones */
};

/* Findings of one problem that are kept; what comes behind is summed up. */
#define QF_FINDING_MAX 4096u

struct qf_findings {
	struct qf_finding *at;
	size_t n, room;
	bool all;    /* keep every one */
	bool failed; /* memory ran out: the list is not whole */
	uint32_t kept[QF_PROBLEMS];
	/* what came behind the kept ones, put together; count 0: nothing */
	struct qf_finding rest[QF_PROBLEMS];
	struct qf_finding spare; /* handed out then, and summed up later */
	bool spare_used;
};

/* True if there are so many findings of P that more are only summed up: the
 * caller can spare itself to look for owners. */
bool qf_finding_flood(const struct qf_findings *l, enum qf_problem p);

/*
 * Adds a finding, with count 1 and one corruption, leak or error as its
 * severity says, and returns it for more to be filled in. Never NULL; the
 * pointer holds until the next addition.
 */
struct qf_finding *qf_finding_add(struct qf_findings *l, enum qf_problem p);

/* Sets the text, the owner and the other owner. */
void qf_finding_say(struct qf_finding *f, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void qf_finding_owner(struct qf_finding *f, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void qf_finding_other(struct qf_finding *f, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * Says that qemu-img check does not count this: so that the number of
 * corruptions stays the same as its, where it has one.
 */
void qf_finding_unseen(struct qf_finding *f);

/*
 * Sorts by severity, id and place, and puts what is over LIMIT findings of
 * one problem together into one (LIMIT 0: nothing is put together).
 */
void qf_finding_collate(struct qf_findings *l, size_t limit);

void qf_finding_free(struct qf_findings *l);

#endif
