// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The one writer of images that exist. What it holds to, always:
 *
 *  1. No byte of the image is written before the undo file, with its before-
 *     and its after-image, is whole and durable.
 *  2. While a repair or an undo is under way, an image of version 3 has its
 *     corrupt bit set: set first and durable before anything else, and
 *     decided by the very last write.
 *  3. Nothing is written if the image does not hold what the undo file
 *     expects to find: every sector as before or, after an interruption, as
 *     before or as after.
 *  4. Places that nobody had are written first and durable before tables
 *     that point to them; tables before the header.
 *  5. What is written is what the undo file records, and nothing else, so
 *     that carrying it out twice is carrying it out once.
 *  6. An undo writes the before-images in the opposite order, and gives the
 *     file its old size.
 *  7. Only when the image is durable does the undo file say that it is done.
 *  8. A place is punched out or cut off last but the header's final sector,
 *     when the refcounts that call it free are durable; what it held is in
 *     the undo file (1). After an interruption only if the image was marked
 *     all the time (2): else a guest may have taken the place since.
 */
#include "repair/write/journal.h"
#include "lib/base/be.h"
#include "lib/undofile/undomatch.h"
#include "lib/base/mem.h"
#include "lib/base/text.h"
#include "lib/undofile/undofind.h"
#include "repair/write/undo_order.h"
#include "repair/write/pointer.h"
#include "repair/write/sink.h"
#include "repair/write/verify.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* An image that is written to, and its undo file. */
struct journal {
	int fd, undo_fd;
	struct qf_io *io; /* the locked image */
	struct qf_undofile *u;
	bool keep_free; /* nothing is punched out or cut off */
};

static enum qf_err failed(struct qf_why *why, int sys, uint64_t off,
			  const char *what)
{
	return qf_err_set(why, QF_ERR_IO, sys, off, "cannot %s", what);
}

static int write_all(int fd, const void *buf, uint64_t len, uint64_t off)
{
	const char *p = buf;
	ssize_t n;

	while (len) {
		n = pwrite(fd, p, len, (off_t)off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? errno : EIO;
		p += n;
		off += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

/* Opens both files for writing; the image must be the one that is locked. */
static enum qf_err open_both(struct journal *j, struct qf_why *why)
{
	struct stat st;

	j->fd = open(j->io->name, O_RDWR | O_CLOEXEC);
	if (j->fd < 0 || fstat(j->fd, &st) < 0)
		return failed(why, errno, QF_NOWHERE,
			      "open the image for writing");
	if (st.st_dev != j->io->id[0] || st.st_ino != j->io->id[1])
		return qf_err_set(why, QF_ERR_USAGE, 0, QF_NOWHERE,
				  "was replaced by another file meanwhile");
	j->undo_fd = open(j->u->io->name, O_RDWR | O_CLOEXEC);
	if (j->undo_fd < 0)
		return failed(why, errno, QF_NOWHERE,
			      "open the undo file for writing");
	return QF_OK;
}

static void close_both(struct journal *j)
{
	if (j->fd >= 0)
		close(j->fd);
	if (j->undo_fd >= 0)
		close(j->undo_fd);
}

static enum qf_err sync_image(struct journal *j, struct qf_why *why)
{
	return fsync(j->fd) < 0 ? failed(why, errno, QF_NOWHERE,
					 "make the image durable")
				: QF_OK;
}

/* Says in the undo file how far it is. */
static enum qf_err set_state(struct journal *j, enum qf_undo_state state,
			     struct qf_why *why)
{
	struct qf_wire_undo_mark m;
	struct stat st;
	int err;

	if (fstat(j->fd, &st) < 0)
		return failed(why, errno, QF_NOWHERE, "look at the image");
	memset(&m, 0, sizeof(m));
	m.magic = qf_be_put32(QF_UNDO_STATE);
	m.state = qf_be_put32(state);
	m.mtime = qf_be_put64(qf_undo_order_mtime(&st));
	m.size = qf_be_put64((uint64_t)st.st_size);
	m.crc = qf_be_put32(qf_undofile_crc(0, &m, 24));
	err = write_all(j->undo_fd, &m, sizeof(m), j->u->mark_off);
	if (!err && fsync(j->undo_fd) < 0)
		err = errno;
	if (err)
		return failed(why, err, QF_NOWHERE, "write to the undo file");
	j->u->mark_off += sizeof(m);
	j->u->state = state;
	j->u->ended = state != QF_UNDO_BEGUN;
	return QF_OK;
}

/* Nothing is written unless the whole image is as expected. (3) */
static enum qf_err verify(struct journal *j, enum qf_want want,
			  struct qf_why *why)
{
	struct stat st;

	if (fstat(j->fd, &st) < 0)
		return failed(why, errno, QF_NOWHERE, "look at the image");
	/* what is read must be what is there now */
	if (!j->io->block_dev)
		j->io->size = (uint64_t)st.st_size;
	return qf_verify_image(j->io, j->u, want, why);
}

bool qf_journal_can_punch(const struct qf_io *io)
{
	uint64_t end = qf_mem_round_up(io->size, QF_TRIM_BLOCK);
	struct timespec t[2] = { { .tv_nsec = UTIME_OMIT } };
	int fd = open(io->name, O_RDWR | O_CLOEXEC);
	bool can;

	if (fd < 0)
		return false;
	/* behind the end, where nothing is */
	can = !fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			 (off_t)end, QF_TRIM_BLOCK) ||
	      (errno != EOPNOTSUPP && errno != ENOSYS);
	/* some file systems note it as a write */
	t[1].tv_sec = (time_t)(io->mtime_ns / 1000000000);
	t[1].tv_nsec = (long)(io->mtime_ns % 1000000000);
	if (io->mtime_ns > 0)
		(void)futimens(fd, t);
	close(fd);
	return can;
}

/* Makes LEN bytes at OFF zeros, and gives their room back where the file
 * system can. (8) */
static int punch(int fd, uint64_t off, uint64_t len)
{
	static const unsigned char zeros[64 << 10];
	uint64_t n;
	int err;

	while (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			 (off_t)off, (off_t)len) < 0) {
		if (errno == EINTR)
			continue;
		if (errno != EOPNOTSUPP && errno != ENOSYS)
			return errno;
		for (err = 0; !err && len; off += n, len -= n) {
			n = len < sizeof(zeros) ? len : sizeof(zeros);
			err = write_all(fd, zeros, n, off);
		}
		return err;
	}
	return 0;
}

/* Carries out record I. What a trimmed place held does not matter here. (5) */
static enum qf_err write_record(struct journal *j, uint64_t i,
				struct qf_why *why)
{
	const struct qf_undofile *u = j->u;
	struct qf_undo_record r;
	enum qf_err err;
	int sys = 0;

	if (u->phase[i] == QF_UNDO_PHASE_TRIM) {
		if (u->off[i] < u->size_after)
			sys = punch(j->fd, u->off[i], u->len[i]);
	} else {
		err = qf_undofile_read(j->u, i, &r, why);
		if (err)
			return err;
		sys = write_all(j->fd, r.after, r.len, r.off);
	}
	return sys ? failed(why, sys, u->off[i], "write to the image") : QF_OK;
}

/* The file ends where the repair has it. */
static enum qf_err cut(struct journal *j, struct qf_why *why)
{
	if (j->io->block_dev || j->u->size_after >= j->u->size_before)
		return QF_OK;
	return ftruncate(j->fd, (off_t)j->u->size_after) < 0
		       ? failed(why, errno, QF_NOWHERE,
				"cut off the image's free end")
		       : QF_OK;
}

static enum qf_err write_phase(struct journal *j, enum qf_undo_phase phase,
			       struct qf_why *why)
{
	enum qf_err err = QF_OK;
	bool any = false;
	uint64_t i;

	assert(j->u->committed && "invariant 1");
	if (phase == QF_UNDO_PHASE_TRIM && j->keep_free)
		return QF_OK;
	for (i = 0; !err && i < j->u->n; i++) {
		if (j->u->phase[i] != phase)
			continue;
		err = write_record(j, i, why);
		any = true;
	}
	if (!err && any && phase == QF_UNDO_PHASE_TRIM)
		err = cut(j, why);
	if (err)
		return err;
	return any ? sync_image(j, why) : QF_OK;
}

static enum qf_err old_size(struct journal *j, struct qf_why *why)
{
	struct stat st;

	if (j->io->block_dev)
		return QF_OK;
	if (fstat(j->fd, &st) < 0 ||
	    ((uint64_t)st.st_size != j->u->size_before &&
	     ftruncate(j->fd, (off_t)j->u->size_before) < 0))
		return failed(why, errno, QF_NOWHERE,
			      "give the image its old size");
	return QF_OK;
}

/*
 * An earlier repair of the same image knows by this time that nobody else has
 * written since, and can be undone in its turn. Without it nothing is lost.
 */
static void old_time(struct journal *j)
{
	struct timespec t[2];

	if (j->io->block_dev || !j->u->mtime_before)
		return;
	t[0].tv_sec = 0;
	t[0].tv_nsec = UTIME_OMIT;
	t[1].tv_sec = (time_t)(j->u->mtime_before / 1000000000u);
	t[1].tv_nsec = (long)(j->u->mtime_before % 1000000000u);
	(void)futimens(j->fd, t);
}

/* Writes the before-images, last first, and the old size. (6) */
static enum qf_err roll_back(struct journal *j, struct qf_why *why)
{
	enum qf_undo_phase phase = QF_UNDO_PHASES;
	struct qf_undo_record r;
	enum qf_err err = QF_OK;
	uint64_t i;
	int sys;

	assert(j->u->committed && "invariant 1");
	for (i = j->u->n; !err && i; i--) {
		err = qf_undofile_read(j->u, i - 1, &r, why);
		if (err)
			break;
		/* the mark comes off last, in a file of the old size (2) */
		if (r.phase == QF_UNDO_PHASE_MARK)
			err = old_size(j, why);
		if (!err && r.phase != phase)
			err = sync_image(j, why); /* 4, the other way */
		phase = r.phase;
		/* what is neither written nor kept was zeros, and is */
		sys = err ? 0 : write_all(j->fd, r.before, r.before_len, r.off);
		if (sys)
			err = failed(why, sys, r.off, "write to the image");
	}
	if (!err)
		err = old_size(j, why);
	if (!err)
		old_time(j);
	return err ? err : sync_image(j, why);
}

/* A write has failed: back to where it was. WHY keeps the first reason. */
static void give_up(struct journal *j, struct qf_why *why)
{
	struct qf_why second;

	if (!roll_back(j, &second) &&
	    !set_state(j, QF_UNDO_ROLLED_BACK, &second)) {
		qf_err_next(why, "the image has been put back as it was; free "
				 "what is in the way and try again");
		return;
	}
	qf_err_next(why,
		    "the image could not be put back (%s). Do not use it; "
		    "run \"qfsck undo\" or \"qfsck repair\" again when the "
		    "disk can be written to",
		    second.text);
}

static enum qf_err is_rotten(const struct qf_undofile *u,
			     const struct qf_why *seen, struct qf_why *why)
{
	if (u->health == QF_UNDO_DAMAGED)
		qf_err_set(why, QF_ERR_FORMAT, 0, u->bad_off,
			   "the undo file \"%s\" is damaged (a checksum is "
			   "wrong at byte %" PRIu64
			   " of it): the repair cannot be taken back with it, "
			   "and nothing was written",
			   u->io->name, u->bad_off);
	else
		qf_err_set(why, QF_ERR_FORMAT, 0, QF_NOWHERE,
			   "the undo file \"%s\": %s: the repair cannot be "
			   "taken back with it, and nothing was written",
			   u->io->name, seen->text);
	qf_err_next(why, "take another copy of the undo file, if there is "
			 "one; what the image is like now says \"qfsck "
			 "check\"");
	return QF_ERR_FORMAT;
}

static enum qf_err start(struct journal *j, struct qf_io *io,
			 struct qf_undofile *u, struct qf_why *why)
{
	struct qf_why seen = { 0 };

	memset(j, 0, sizeof(*j));
	j->fd = j->undo_fd = -1;
	j->io = io;
	j->u = u;
	if (u->health == QF_UNDO_WHOLE)
		return open_both(j, why);
	if (u->health == QF_UNDO_UNFINISHED &&
	    qf_undofind_see(u, io, &seen) != QF_UNDO_ROTTEN)
		return qf_err_set(why, QF_ERR_USAGE, 0, QF_NOWHERE,
				  "the undo file is not whole: the repair was "
				  "stopped before it wrote anything");
	return is_rotten(u, &seen, why);
}

/* Phase by phase, each durable before the next. (2, 4, 7) */
static enum qf_err write_all_phases(struct journal *j, struct qf_why *why)
{
	static const enum qf_undo_phase order[] = {
		QF_UNDO_PHASE_MARK,   QF_UNDO_PHASE_FRESH, QF_UNDO_PHASE_TABLES,
		QF_UNDO_PHASE_HEADER, QF_UNDO_PHASE_TRIM,  QF_UNDO_PHASE_END,
	};
	enum qf_err err = QF_OK;
	size_t i;

	for (i = 0; !err && i < sizeof(order) / sizeof(order[0]); i++)
		err = write_phase(j, order[i], why);
	return err;
}

enum qf_err qf_journal_apply(struct qf_io *io, struct qf_undofile *u,
			     bool interrupted, struct qf_why *why)
{
	struct journal j;
	enum qf_err err = start(&j, io, u, why);

	if (!err && u->state != QF_UNDO_PENDING)
		err = qf_err_set(why, QF_ERR_USAGE, 0, QF_NOWHERE,
				 "this repair has ended already");
	if (!err)
		err = verify(&j, interrupted ? QF_WANT_EITHER : QF_WANT_BEFORE,
			     why);
	if (err)
		goto out;
	j.keep_free = interrupted && !qf_undomatch_is_marked(io);
	err = write_all_phases(&j, why);
	if (err)
		give_up(&j, why);
	else
		err = set_state(&j, QF_UNDO_APPLIED, why);
out:
	close_both(&j);
	return err;
}

/* The file itself has another time than the repair left it with. */
static enum qf_err written_since(struct journal *j, uint64_t mtime,
				 struct qf_why *why)
{
	char *later = qf_undo_order_find(j->u, j->io->name, mtime);

	if (!later)
		return qf_err_set(why, QF_ERR_USAGE, 0, QF_NOWHERE,
				  "has been written to since the repair: to "
				  "undo now would destroy what was written");
	qf_err_set(why, QF_ERR_USAGE, 0, QF_NOWHERE,
		   "has been repaired again since this repair");
	qf_err_next(why, "take back the later one first: qfsck undo %s %s",
		    QF_TEXT_WORD(later), QF_TEXT_WORD(j->io->name));
	free(later);
	return QF_ERR_USAGE;
}

/*
 * After a repair, the image must not have changed by another hand. Of a copy
 * the time may say nothing: then what the recorded places hold decides.
 */
static enum qf_err unchanged_since(struct journal *j, struct qf_why *why)
{
	struct stat st;

	if (j->io->block_dev)
		return QF_OK;
	if (fstat(j->fd, &st) < 0)
		return failed(why, errno, QF_NOWHERE, "look at the image");
	if ((uint64_t)st.st_size == j->u->state_size &&
	    qf_undo_order_mtime(&st) == j->u->state_mtime)
		return QF_OK;
	if (!qf_undo_order_is_copy(j->u, j->io))
		return written_since(j, qf_undo_order_mtime(&st), why);
	if (!qf_undo_order_is_written(j->u, j->io))
		return QF_OK;
	qf_err_set(why, QF_ERR_USAGE, 0, QF_NOWHERE,
		   "is a copy that has been written to since it was made: to "
		   "undo now would destroy what was written");
	qf_err_next(why, "if nobody has written, copy the undo file anew, "
			 "after the image");
	return QF_ERR_USAGE;
}

/* What was trimmed needs its room again. */
static enum qf_err check_room(struct journal *j, struct qf_why *why)
{
	uint64_t room = qf_sink_room(j->io->name);

	if (j->io->block_dev || room >= j->u->trim_bytes)
		return QF_OK;
	return qf_err_set(why, QF_ERR_IO, 0, QF_NOWHERE,
			  "to put back what was trimmed needs %" PRIu64
			  " bytes, and the image's file system has %" PRIu64
			  " left",
			  j->u->trim_bytes, room);
}

/* Whether it can be taken back: nothing has been written yet. */
static enum qf_err verify_undo(struct journal *j, struct qf_why *why)
{
	struct qf_undofile *u = j->u;
	enum qf_err err;

	if (u->state == QF_UNDO_ROLLED_BACK || u->state == QF_UNDO_UNDONE)
		return qf_err_set(why, QF_ERR_USAGE, 0, QF_NOWHERE,
				  "this repair has been taken back already");
	if (u->state != QF_UNDO_APPLIED)
		return verify(j, QF_WANT_EITHER, why);
	err = unchanged_since(j, why);
	if (!err)
		err = check_room(j, why);
	return err ? err : verify(j, QF_WANT_AFTER, why);
}

enum qf_err qf_journal_undo(struct qf_io *io, struct qf_undofile *u,
			    bool check_only, struct qf_why *why)
{
	struct journal j;
	enum qf_err err = start(&j, io, u, why);

	if (!err)
		err = verify_undo(&j, why);
	if (err || check_only)
		goto out;
	/* an interruption is better noticed; if it cannot be, it is told when
	 * the image is opened: 2 */
	(void)qf_pointer_leave(io->name, io, u->io->name, NULL);
	err = set_state(&j, QF_UNDO_BEGUN, why);
	if (!err)
		err = roll_back(&j, why);
	if (!err)
		err = set_state(&j, QF_UNDO_UNDONE, why);
	if (!err) {
		qf_pointer_remove(io->name);
		qf_pointer_forget(io->name, io, u);
	}
out:
	close_both(&j);
	return err;
}
