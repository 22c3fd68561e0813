// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Checking an image that is alive. A writer changes tables and refcounts one
 * after another, and keeps some of them in its caches: one look at the file
 * sees a state that never was. So what is wrong must be wrong at every look.
 */
#include "check/check.h"
#include "lib/model/open.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define ROUNDS 6
#define PAUSE_MS 60
/* The ids of what is wrong with L2 entries. */
#define FIRST_L2_PROBLEM 1204
#define LAST_L2_PROBLEM 1216

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
	case QF_P_L2_ERASED_PART:
	case QF_P_L2_ORPHAN:
	case QF_P_SNAP_ORPHANS:
	case QF_P_HEADER_DIRTY:
	/* a snapshot that is taken or deleted changes the refcounts of all
	 * tables first, and the flags at its end: that can take seconds */
	case QF_P_COPIED_L1:
	case QF_P_COPIED_L2:
		return true;
	case QF_P_REFCOUNT_ZERO:
	case QF_P_REFCOUNT_LOW:
	case QF_P_REFBLOCK_WRONG:
		return lazy;
	default:
		return false;
	}
}

/* Of these, what a quiet writer hardly brings about. */
static uint64_t count_doubtful(const struct qf_findings *l)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < l->n; i++)
		n += l->at[i].problem == QF_P_L2_ERASED ||
		     l->at[i].problem == QF_P_L2_ERASED_PART ||
		     l->at[i].problem == QF_P_L2_ORPHAN ||
		     l->at[i].problem == QF_P_SNAP_ORPHANS;
	return n;
}

/* True if A and B are the same: a damaged L2 entry goes along when a writer
 * copies its table to another place, but still maps the same. */
static bool is_same(const struct qf_finding *a, const struct qf_finding *b)
{
	if (a->problem != b->problem || a->guest_off != b->guest_off)
		return false;
	if (a->host_off == b->host_off)
		return true;
	return a->guest_off != QF_NOWHERE &&
	       qf_problem_get(a->problem)->id >= FIRST_L2_PROBLEM &&
	       qf_problem_get(a->problem)->id <= LAST_L2_PROBLEM;
}

static bool is_in(const struct qf_findings *l, const struct qf_finding *f)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (is_same(&l->at[i], f))
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

static int by_place(const struct qf_lost_range *a,
		    const struct qf_lost_range *b)
{
	if (a->holder != b->holder)
		return a->holder < b->holder ? -1 : 1;
	if (strcmp(a->id, b->id))
		return strcmp(a->id, b->id);
	if (a->guest_off != b->guest_off)
		return a->guest_off < b->guest_off ? -1 : 1;
	return a->bytes < b->bytes ? -1 : a->bytes > b->bytes;
}

/* Keeps the ranges of L that BEFORE has too; both are in order. */
static void keep_lost(struct qf_lost_list *l, const struct qf_lost_list *before)
{
	size_t i, k = 0, n = 0;

	for (i = 0; i < l->n; i++) {
		while (k < before->n && by_place(&before->at[k], &l->at[i]) < 0)
			k++;
		if (k < before->n && !by_place(&before->at[k], &l->at[i]))
			l->at[n++] = l->at[i];
	}
	l->n = n;
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
	if (before)
		keep_lost(&rep->lost, &before->lost);
	if (rep->tables == QF_VERDICT_CLEAN) {
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
	enum qf_err err = qf_open_image(name, opts->format, QF_LOCK_READ, share,
					img, why);

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

static void say_in_doubt(struct qf_report *rep, uint64_t tables)
{
	struct qf_finding *f;

	if (!tables)
		return;
	f = qf_finding_add(&rep->findings, QF_P_IN_USE_DOUBT);
	f->count = tables;
	qf_finding_say(f,
		       "%" PRIu64 " table%s; check again when nothing has the "
		       "image open",
		       tables, tables == 1 ? "" : "s");
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

/* A state of the image, and what is known to be wrong with it. */
struct state {
	struct qf_image *img;
	struct qf_report rep;
};

static void drop_state(struct state *s)
{
	qf_check_free(&s->rep);
	qf_image_close(s->img);
}

/* One more look, of which that is kept what was wrong before too. */
static enum qf_err one_look(const char *name, const struct qf_check_opts *opts,
			    const struct state *before, struct state *now,
			    bool *lazy, uint64_t *dropped, uint64_t *doubtful,
			    struct qf_why *why)
{
	const struct timespec pause = { 0, PAUSE_MS * 1000000L };
	enum qf_err err;

	nanosleep(&pause, NULL);
	err = look_once(name, true, opts, &now->img, &now->rep, why);
	if (err)
		return err;
	*lazy |= (now->img->hdr.incompatible & QF_INCOMPAT_DIRTY) != 0;
	*doubtful = count_doubtful(&now->rep.findings);
	*dropped += keep_persistent(&now->rep, &before->rep, *lazy);
	return QF_OK;
}

/*
 * Looks again until nothing is wrong, or it stays wrong to the end. A look
 * may fall into the moment when a table is replaced, and not see what is
 * wrong with it: where something is missing, a second look has to agree.
 */
static enum qf_err look_again(const char *name,
			      const struct qf_check_opts *opts, struct state *s,
			      struct qf_why *why)
{
	bool lazy = s->img->hdr.incompatible & QF_INCOMPAT_DIRTY;
	uint64_t doubtful = count_doubtful(&s->rep.findings), ignored = 0, now;
	uint64_t dropped = keep_persistent(&s->rep, NULL, lazy);
	struct state next, other;
	enum qf_err err;
	int round;

	for (round = 0;
	     (s->rep.tables != QF_VERDICT_CLEAN || doubtful) && round < ROUNDS;
	     round++) {
		err = one_look(name, opts, s, &next, &lazy, &dropped, &now,
			       why);
		if (err) {
			/* the header itself may have been half written */
			if (round + 1 < ROUNDS)
				continue;
			return err;
		}
		doubtful = now < doubtful ? now : doubtful;
		if (next.rep.findings.n < s->rep.findings.n &&
		    !one_look(name, opts, s, &other, &lazy, &ignored, &now,
			      why)) {
			if (other.rep.findings.n > next.rep.findings.n) {
				drop_state(&next);
				next = other;
			} else {
				drop_state(&other);
			}
		}
		drop_state(s);
		*s = next;
	}
	say_in_use(&s->rep, dropped);
	say_in_doubt(&s->rep, doubtful);
	qf_check_sum(&s->rep);
	return QF_OK;
}

enum qf_err qf_check_shared(const char *name, const struct qf_check_opts *opts,
			    struct qf_image **img, struct qf_report *rep,
			    struct qf_why *why)
{
	struct look before = { 0 }, after = { 0 };
	struct state s;
	enum qf_err err;
	bool alive;

	err = qf_open_image(name, opts->format, QF_LOCK_READ, true, img, why);
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
	s.img = *img;
	s.rep = *rep;
	err = look_again(name, opts, &s, why);
	*img = s.img;
	*rep = s.rep;
	if (err) {
		qf_check_free(rep);
		qf_image_close(*img);
	}
	return err;
}

enum qf_err qf_check_image(const char *name, const struct qf_check_opts *opts,
			   struct qf_image **img, struct qf_report *rep,
			   struct qf_why *why)
{
	enum qf_err err;

	if (opts->shared)
		return qf_check_shared(name, opts, img, rep, why);
	err = qf_check_alone(name, opts, img, rep, why);
	if (err == QF_ERR_BUSY && opts->share_in_use)
		err = qf_check_shared(name, opts, img, rep, why);
	return err;
}
