// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Checking an image that is alive. A writer changes tables and refcounts one
 * after another, and keeps some of them in its caches: one look at the file
 * sees a state that never was. So what is wrong must be wrong at every look.
 */
#include "check/check.h"
#include "lib/open.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define ROUNDS 6
#define PAUSE_MS 60

/* What tells whether the file has changed. */
struct look {
	uint64_t size;
	struct timespec mtime;
};

static bool look_at(const struct qf_image *img, struct look *l)
{
	struct stat st;

	if (img->io->fd < 0 || fstat(img->io->fd, &st) < 0)
		return false;
	l->size = (uint64_t)st.st_size;
	l->mtime = st.st_mtim;
	return true;
}

static bool has_writer(const struct qf_image *img)
{
	struct qf_lock_holder h[32];
	size_t n = qf_lock_holders(img->io->fd, h, 32), i;

	for (i = 0; i < n && i < 32; i++)
		if (h[i].uses & QF_LOCK_WRITES)
			return true;
	return false;
}

static bool differ(const struct look *a, const struct look *b)
{
	return a->size != b->size || a->mtime.tv_sec != b->mtime.tv_sec ||
	       a->mtime.tv_nsec != b->mtime.tv_nsec;
}

/* What a writer's caches alone can bring about. */
static bool is_of_caches(enum qf_problem p, bool lazy)
{
	switch (p) {
	case QF_P_REFCOUNT_LEAK:
	case QF_P_REFCOUNT_HIGH:
	case QF_P_REFCOUNT_WITHHELD:
	case QF_P_L2_ERASED:
	case QF_P_L2_ORPHAN:
	case QF_P_SNAP_ORPHANS:
	case QF_P_HEADER_DIRTY:
		return true;
	case QF_P_REFCOUNT_ZERO:
	case QF_P_REFCOUNT_LOW:
	case QF_P_REFBLOCK_WRONG:
	case QF_P_COPIED_L1:
	case QF_P_COPIED_L2:
		return lazy;
	default:
		return false;
	}
}

static bool is_in(const struct qf_findings *l, const struct qf_finding *f)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (l->at[i].problem == f->problem &&
		    l->at[i].host_off == f->host_off &&
		    l->at[i].guest_off == f->guest_off)
			return true;
	return false;
}

static void drop(struct qf_findings *l, size_t i)
{
	free(l->at[i].text);
	free(l->at[i].owner);
	free(l->at[i].other);
	memmove(&l->at[i], &l->at[i + 1], (l->n - i - 1) * sizeof(*l->at));
	l->n--;
}

/* Keeps of REP what BEFORE has too; returns how many were dropped. */
static uint64_t keep_persistent(struct qf_report *rep,
				const struct qf_report *before, bool lazy)
{
	uint64_t dropped = 0;
	size_t i = 0;

	while (i < rep->findings.n) {
		if (!is_of_caches(rep->findings.at[i].problem, lazy) &&
		    (!before ||
		     is_in(&before->findings, &rep->findings.at[i]))) {
			i++;
			continue;
		}
		drop(&rep->findings, i);
		dropped++;
	}
	qf_check_sum(rep);
	if (rep->verdict == QF_VERDICT_CLEAN) {
		rep->lost.n = 0;
		rep->n_diagnoses = 0;
		rep->withhold = false;
	}
	return dropped;
}

/* Opens and checks; on failure nothing is left open. */
static enum qf_err look_once(const char *name, bool share,
			     const struct qf_check_opts *opts,
			     struct qf_image **img, struct qf_report *rep,
			     struct qf_why *why)
{
	enum qf_err err = qf_open_image(name, QF_LOCK_READ, share, img, why);

	if (err)
		return err;
	err = qf_check_run(*img, opts, rep, why);
	if (err) {
		qf_check_free(rep);
		qf_image_close(*img);
	}
	return err;
}

enum qf_err qf_check_alone(const char *name, const struct qf_check_opts *opts,
			   struct qf_image **img, struct qf_report *rep,
			   struct qf_why *why)
{
	return look_once(name, false, opts, img, rep, why);
}

static void say_in_use(struct qf_report *rep, uint64_t dropped)
{
	struct qf_finding *f = qf_finding_add(&rep->findings, QF_P_IN_USE);

	f->count = dropped;
	if (!dropped) {
		qf_finding_say(f, "nothing had to be left out");
		return;
	}
	qf_finding_say(f,
		       "%" PRIu64 " places did not stay as they were first "
		       "seen, or cannot be judged while it is in use",
		       dropped);
}

/* Looks again until nothing is wrong, or it stays wrong to the end. */
static enum qf_err look_again(const char *name,
			      const struct qf_check_opts *opts,
			      struct qf_image **img, struct qf_report *rep,
			      struct qf_why *why)
{
	const struct timespec pause = { 0, PAUSE_MS * 1000000L };
	bool lazy = (*img)->hdr.incompatible & QF_INCOMPAT_DIRTY;
	struct qf_report next;
	struct qf_image *again;
	uint64_t dropped;
	enum qf_err err;
	int round;

	dropped = keep_persistent(rep, NULL, lazy);
	for (round = 0; rep->verdict != QF_VERDICT_CLEAN && round < ROUNDS;
	     round++) {
		nanosleep(&pause, NULL);
		err = look_once(name, true, opts, &again, &next, why);
		if (err) {
			/* the header itself may have been half written */
			if (round + 1 < ROUNDS)
				continue;
			qf_check_free(rep);
			qf_image_close(*img);
			return err;
		}
		lazy |= (again->hdr.incompatible & QF_INCOMPAT_DIRTY) != 0;
		dropped += keep_persistent(&next, rep, lazy);
		qf_check_free(rep);
		qf_image_close(*img);
		*rep = next;
		*img = again;
	}
	say_in_use(rep, dropped);
	return QF_OK;
}

enum qf_err qf_check_shared(const char *name, const struct qf_check_opts *opts,
			    struct qf_image **img, struct qf_report *rep,
			    struct qf_why *why)
{
	struct look before = { 0 }, after = { 0 };
	enum qf_err err;
	bool alive;

	err = qf_open_image(name, QF_LOCK_READ, true, img, why);
	if (err)
		return err;
	alive = !look_at(*img, &before) || has_writer(*img);
	err = qf_check_run(*img, opts, rep, why);
	if (err) {
		qf_check_free(rep);
		qf_image_close(*img);
		return err;
	}
	alive |= !look_at(*img, &after) || differ(&before, &after) ||
		 has_writer(*img);
	if (!alive)
		return QF_OK;
	return look_again(name, opts, img, rep, why);
}
