// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/api/api.h"
#include "lib/base/mem.h"
#include "lib/model/open.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int codes[] = {
	[QF_OK] = QFSCK_OK,
	[QF_ERR_IO] = QFSCK_IO,
	[QF_ERR_NOMEM] = QFSCK_NOMEM,
	[QF_ERR_FOREIGN] = QFSCK_FOREIGN,
	[QF_ERR_FORMAT] = QFSCK_FORMAT,
	[QF_ERR_UNSUPPORTED] = QFSCK_UNSUPPORTED,
	[QF_ERR_BUSY] = QFSCK_BUSY,
	[QF_ERR_OUTSIDE] = QFSCK_OUTSIDE,
	[QF_ERR_USAGE] = QFSCK_USAGE,
	[QF_ERR_STOPPED] = QFSCK_STOPPED,
};

int qf_api_fail(const struct qf_why *why, enum qf_err err,
		struct qfsck_error *out)
{
	if (!err || !out)
		return codes[err];
	memset(out, 0, sizeof(*out));
	out->code = codes[err];
	out->sys = why->sys;
	out->offset = why->err ? why->off : QFSCK_NOWHERE;
	snprintf(out->text, sizeof(out->text), "%s", why->text);
	snprintf(out->next, sizeof(out->next), "%s", why->next);
	return out->code;
}

int qf_api_give(void *out, size_t size, const void *from, size_t have)
{
	if (!out || !size)
		return QFSCK_USAGE;
	/* what the caller knows and this library does not is zero */
	memset(out, 0, size);
	memcpy(out, from, size < have ? size : have);
	return QFSCK_OK;
}

QF_PUBLIC const char *qfsck_version(void)
{
	return QFSCK_VERSION;
}

QF_PUBLIC int qfsck_open(const char *name, unsigned int flags,
			 struct qfsck_image **out, struct qfsck_error *error)
{
	struct qfsck_image *q = qf_mem_zalloc(1, sizeof(*q));
	struct qf_why why = { 0 };
	enum qf_err err;

	if (!q)
		err = qf_err_set(&why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				 "no memory");
	else
		err = qf_open_image(name,
				    flags & QFSCK_BELIEVE ? "qcow2" : NULL,
				    QF_LOCK_READ, flags & QFSCK_SHARE, &q->img,
				    &why);
	if (!err)
		err = qf_chain_open(q->img, true, &q->chain, &why);
	if (err) {
		qfsck_close(q);
		return qf_api_fail(&why, err, error);
	}
	q->loss.shared = flags & QFSCK_SHARE;
	*out = q;
	return QFSCK_OK;
}

QF_PUBLIC void qfsck_close(struct qfsck_image *q)
{
	if (!q)
		return;
	qf_loss_free(&q->loss);
	qf_disk_close(q->unlocked);
	qf_chain_close(&q->chain);
	if (q->img)
		qf_image_close(q->img);
	free(q);
}

QF_PUBLIC int qfsck_unlock(struct qfsck_image *q, const void *key, size_t len,
			   struct qfsck_error *error)
{
	struct qf_disk *disk = NULL;
	struct qf_why why = { 0 };
	enum qf_err err =
		qf_disk_open(&q->chain, QF_HOLDER_ACTIVE, &disk, &why);

	if (!err)
		err = qf_disk_unlock(disk, key, len, &why);
	if (err) {
		qf_disk_close(disk);
	} else {
		qf_disk_close(q->unlocked);
		q->unlocked = disk;
	}
	return qf_api_fail(&why, err, error);
}

QF_PUBLIC int qfsck_info(const struct qfsck_image *q, struct qfsck_info *info,
			 size_t size)
{
	struct qfsck_info i = {
		.version = q->img->hdr.version,
		.snapshots = q->img->snapshots.n,
		.file_bytes = q->img->io->size,
		.disk_bytes = q->img->hdr.disk_bytes,
		.cluster_bytes = q->img->geo.cluster_bytes,
		.files = q->chain.n,
		.complete = !q->chain.broken.err,
	};

	return qf_api_give(info, size, &i, sizeof(i));
}

QF_PUBLIC int qfsck_snapshot(const struct qfsck_image *q, uint32_t n,
			     struct qfsck_snapshot *out, size_t size)
{
	const struct qf_snapshot *from;
	struct qfsck_snapshot s = { 0 };

	if (n >= q->img->snapshots.n)
		return QFSCK_OUTSIDE;
	from = &q->img->snapshots.snap[n];
	s.id = from->id;
	s.name = from->name;
	s.disk_bytes = from->disk_bytes;
	s.vm_state_bytes = from->vm_state_bytes;
	s.date_seconds = from->date_sec;
	s.date_nanoseconds = from->date_nsec;
	return qf_api_give(out, size, &s, sizeof(s));
}
