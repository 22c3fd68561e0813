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
 */
#include "repair/journal.h"
#include "lib/be.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR 512u

/* An image that is written to, and its undo file. */
struct journal {
	int fd, undo_fd;
	struct qf_io *io; /* the locked image */
	struct qf_undofile *u;
	bool strict; /* not interrupted before: all must be as before */
	/* the states that sector 0 goes through */
	unsigned char first[2 * QF_UNDO_PHASES][SECTOR];
	unsigned int n_first;
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
	m.mtime = qf_be_put64((uint64_t)st.st_mtim.tv_sec * 1000000000u +
			      (uint64_t)st.st_mtim.tv_nsec);
	m.size = qf_be_put64((uint64_t)st.st_size);
	m.crc = qf_be_put32(qf_undofile_crc(0, &m, 24));
	err = write_all(j->undo_fd, &m, sizeof(m), j->u->mark_off);
	if (!err && fsync(j->undo_fd) < 0)
		err = errno;
	if (err)
		return failed(why, err, QF_NOWHERE, "write to the undo file");
	j->u->mark_off += sizeof(m);
	j->u->state = state;
	return QF_OK;
}

/* Sector SECTORS of a before- or after-image of LEN bytes, padded. */
static void sector_of(const unsigned char *image, uint32_t len, uint32_t at,
		      unsigned char *out)
{
	uint32_t n = at < len ? len - at : 0;

	memset(out, 0, SECTOR);
	memcpy(out, image + at, n < SECTOR ? n : SECTOR);
}

static bool known_first(const struct journal *j, const unsigned char *now)
{
	unsigned int i;

	if (j->strict)
		return !memcmp(now, j->first[0], SECTOR);
	for (i = 0; i < j->n_first; i++)
		if (!memcmp(now, j->first[i], SECTOR))
			return true;
	return false;
}

/* True if the sector NOW may stand where record R has AT. (3) */
static bool is_known(const struct journal *j, const struct qf_undo_record *r,
		     uint32_t at, const unsigned char *now)
{
	unsigned char want[SECTOR];

	if (r->off + at == 0)
		return known_first(j, now);
	sector_of(r->before, r->before_len, at, want);
	if (!memcmp(now, want, SECTOR))
		return true;
	if (j->strict)
		return false;
	sector_of(r->after, r->len, at, want);
	return !memcmp(now, want, SECTOR);
}

static enum qf_err not_as_recorded(const struct qf_undo_record *r, uint32_t at,
				   struct qf_why *why)
{
	return qf_err_set(why, QF_ERR_USAGE, 0, r->off + at,
			  "does not hold what the undo file expects at host "
			  "offset 0x%" PRIx64
			  ": it has been written to since, or is another image",
			  r->off + at);
}

static enum qf_err verify_record(struct journal *j,
				 const struct qf_undo_record *r,
				 struct qf_why *why)
{
	unsigned char now[SECTOR];
	enum qf_err err;
	uint32_t at, n;

	for (at = 0; at < r->len; at += SECTOR) {
		n = r->len - at < SECTOR ? r->len - at : SECTOR;
		memset(now, 0, sizeof(now));
		err = qf_io_read_pad(j->io, now, n, r->off + at, why);
		if (err)
			return err;
		if (!is_known(j, r, at, now))
			return not_as_recorded(r, at, why);
	}
	return QF_OK;
}

/* Collects the states of sector 0, first to last. */
static enum qf_err collect_first(struct journal *j, struct qf_why *why)
{
	struct qf_undo_record r;
	enum qf_err err;
	uint64_t i;

	for (i = 0; i < j->u->n; i++) {
		if (j->u->off[i] || j->n_first + 2 > sizeof(j->first) / SECTOR)
			continue;
		err = qf_undofile_read(j->u, i, &r, why);
		if (err)
			return err;
		sector_of(r.before, r.before_len, 0, j->first[j->n_first++]);
		sector_of(r.after, r.len, 0, j->first[j->n_first++]);
	}
	return QF_OK;
}

/* Nothing is written unless the whole image is as expected. (3) */
static enum qf_err verify(struct journal *j, struct qf_why *why)
{
	struct qf_undo_record r;
	struct stat st;
	enum qf_err err;
	uint64_t i, size;

	if (fstat(j->fd, &st) < 0)
		return failed(why, errno, QF_NOWHERE, "look at the image");
	size = (uint64_t)st.st_size;
	if (!j->io->block_dev &&
	    ((j->strict && size != j->u->size_before) ||
	     size < j->u->size_before || size > j->u->size_after))
		return qf_err_set(why, QF_ERR_USAGE, 0, QF_NOWHERE,
				  "has another size than recorded: it has been "
				  "written to since, or is another image");
	/* what is read must be what is there now */
	j->io->size = j->io->block_dev ? j->io->size : size;
	err = collect_first(j, why);
	for (i = 0; !err && i < j->u->n; i++) {
		err = qf_undofile_read(j->u, i, &r, why);
		if (!err)
			err = verify_record(j, &r, why);
	}
	return err;
}

static enum qf_err write_phase(struct journal *j, enum qf_undo_phase phase,
			       struct qf_why *why)
{
	struct qf_undo_record r;
	enum qf_err err;
	bool any = false;
	uint64_t i;
	int sys;

	assert(j->u->committed && "invariant 1");
	for (i = 0; i < j->u->n; i++) {
		if (j->u->phase[i] != phase)
			continue;
		err = qf_undofile_read(j->u, i, &r, why);
		if (err)
			return err;
		sys = write_all(j->fd, r.after, r.len, r.off); /* 5 */
		if (sys)
			return failed(why, sys, r.off, "write to the image");
		any = true;
	}
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

static enum qf_err not_this_image(struct qf_why *why)
{
	return qf_err_set(why, QF_ERR_USAGE, 0, QF_NOWHERE,
			  "the undo file does not belong to this image");
}

static enum qf_err start(struct journal *j, struct qf_io *io,
			 struct qf_undofile *u, struct qf_why *why)
{
	memset(j, 0, sizeof(*j));
	j->fd = j->undo_fd = -1;
	j->io = io;
	j->u = u;
	if (!u->committed)
		return qf_err_set(why, QF_ERR_USAGE, 0, QF_NOWHERE,
				  "the undo file is not whole: the repair was "
				  "stopped before it wrote anything");
	return open_both(j, why);
}

/* Phase by phase, each durable before the next. (2, 4, 7) */
static enum qf_err write_all_phases(struct journal *j, struct qf_why *why)
{
	enum qf_err err = QF_OK;
	unsigned int phase;

	for (phase = 0; !err && phase < QF_UNDO_PHASES; phase++)
		err = write_phase(j, (enum qf_undo_phase)phase, why);
	return err;
}

enum qf_err qf_journal_apply(struct qf_io *io, struct qf_undofile *u,
			     bool interrupted, struct qf_why *why)
{
	struct journal j;
	enum qf_err err = start(&j, io, u, why);

	j.strict = !interrupted;

	if (!err && u->state != QF_UNDO_PENDING)
		err = qf_err_set(why, QF_ERR_USAGE, 0, QF_NOWHERE,
				 "this repair has ended already");
	if (!err)
		err = verify(&j, why);
	if (err)
		goto out;
	err = write_all_phases(&j, why);
	if (err)
		give_up(&j, why);
	else
		err = set_state(&j, QF_UNDO_APPLIED, why);
out:
	close_both(&j);
	return err;
}

/* After a repair, the image must not have changed by another hand. */
static enum qf_err unchanged_since(struct journal *j, struct qf_why *why)
{
	struct stat st;

	if (j->io->block_dev)
		return QF_OK;
	if (fstat(j->fd, &st) < 0)
		return failed(why, errno, QF_NOWHERE, "look at the image");
	if ((uint64_t)st.st_size == j->u->state_size &&
	    (uint64_t)st.st_mtim.tv_sec * 1000000000u +
			    (uint64_t)st.st_mtim.tv_nsec ==
		    j->u->state_mtime)
		return QF_OK;
	qf_err_set(why, QF_ERR_USAGE, 0, QF_NOWHERE,
		   "has been written to since the repair, or is a copy: to "
		   "undo now would destroy what was written");
	qf_err_next(why, "a copy made with \"cp -p\" keeps the time that is "
			 "compared");
	return QF_ERR_USAGE;
}

/* All must be as the repair left it. */
static enum qf_err verify_after(struct journal *j, struct qf_why *why)
{
	unsigned char *now = malloc(QF_UNDO_MAX_RECORD);
	struct qf_undo_record r;
	enum qf_err err = QF_OK;
	uint64_t i;

	if (!now)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory");
	for (i = 0; !err && i < j->u->n; i++) {
		err = qf_undofile_read(j->u, i, &r, why);
		if (err || r.phase == QF_UNDO_PHASE_MARK)
			continue;
		err = qf_io_read_pad(j->io, now, r.len, r.off, why);
		if (!err && memcmp(now, r.after, r.len))
			err = not_as_recorded(&r, 0, why);
	}
	free(now);
	return err;
}

enum qf_err qf_journal_undo(struct qf_io *io, struct qf_undofile *u,
			    bool check_only, struct qf_why *why)
{
	struct journal j;
	enum qf_err err = start(&j, io, u, why);

	if (!err && !j.io->block_dev && u->inode != io->id[1] &&
	    u->state != QF_UNDO_APPLIED)
		err = not_this_image(why);
	if (!err &&
	    (u->state == QF_UNDO_ROLLED_BACK || u->state == QF_UNDO_UNDONE))
		err = qf_err_set(why, QF_ERR_USAGE, 0, QF_NOWHERE,
				 "this repair has been taken back already");
	if (!err && u->state == QF_UNDO_APPLIED) {
		err = unchanged_since(&j, why);
		if (!err)
			err = verify_after(&j, why);
	} else if (!err) {
		err = verify(&j, why);
	}
	if (err || check_only)
		goto out;
	/* set again what the repair may have taken off: 2 */
	err = set_state(&j, QF_UNDO_BEGUN, why);
	if (!err)
		err = roll_back(&j, why);
	if (!err)
		err = set_state(&j, QF_UNDO_UNDONE, why);
out:
	close_both(&j);
	return err;
}
