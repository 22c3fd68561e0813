// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/guest/job.h"
#include "lib/guest/agree.h"
#include "lib/guest/content.h"
#include "lib/guest/names.h"
#include "lib/guest/partitions.h"

#include <stdio.h>
#include <string.h>

bool qf_job_tell(struct qf_job *j, enum qf_record type, const void *record,
		 size_t n)
{
	return j->teller->tell(j->teller->ctx, type, record, (uint32_t)n);
}

static enum qf_err probe(struct qf_job *j, struct qf_why *why)
{
	struct qf_record_fs r = { 0 };
	uint32_t i;

	(void)why;
	for (i = 0; i < qf_reader_count; i++) {
		r.fs = (struct qf_guest_fs){
			.free_bytes = QF_GUEST_UNKNOWN_BYTES,
			.made = QF_GUEST_NO_TIME,
			.mounted = QF_GUEST_NO_TIME,
			.written = QF_GUEST_NO_TIME,
		};
		if (!qf_reader_table[i]->probe(&j->vol, &r.fs))
			continue;
		r.reader = i;
		qf_job_tell(j, QF_RECORD_FS, &r, sizeof(r));
		break;
	}
	return QF_OK;
}

static bool tell_use(void *ctx, enum qf_guest_use use, uint64_t start,
		     uint64_t bytes)
{
	const struct qf_guest_run r = { start, bytes, use };
	struct qf_job *j = ctx;

	return !qf_volume_asked(&j->vol, start, bytes) ||
	       qf_job_tell(j, QF_RECORD_RUN, &r, sizeof(r));
}

static void use(struct qf_job *j, const struct qf_reader *r, void *fs)
{
	if (r->use)
		r->use(fs, tell_use, j);
}

static bool tell_block(void *ctx, const struct qf_guest_block *b)
{
	struct qf_job *j = ctx;

	return (j->vol.faults_only && b->state != QF_GUEST_FAILS) ||
	       !qf_volume_asked(&j->vol, b->start, b->bytes) ||
	       qf_job_tell(j, QF_RECORD_BLOCK, b, sizeof(*b));
}

static void blocks(struct qf_job *j, const struct qf_reader *r, void *fs)
{
	if (r->blocks)
		r->blocks(fs, tell_block, j);
}

struct telling_places {
	struct qf_job *j;
	uint64_t piece;
	bool stopped;
};

static bool tell_place(void *ctx, const struct qf_guest_block *b)
{
	struct telling_places *t = ctx;
	struct qf_guest_block at = *b;

	if (b->state != QF_GUEST_HOLDS || b->says >= t->j->vol.bytes)
		return true;
	at.start |= t->piece << 32;
	t->stopped = !qf_job_tell(t->j, QF_RECORD_BLOCK, &at, sizeof(at));
	return !t->stopped;
}

static void places(struct qf_job *j, const struct qf_reader *r, void *fs)
{
	struct telling_places t = { .j = j };

	for (; r->loose && !t.stopped && t.piece < j->n_loose; t.piece++)
		r->loose(fs, j->loose[t.piece].bytes, j->loose[t.piece].n,
			 tell_place, &t);
}

static enum qf_err ask_reader(struct qf_job *j, struct qf_why *why)
{
	const struct qf_reader *r = qf_reader_table[j->reader];
	enum qf_err err;
	void *fs = NULL;

	err = r->open(&j->vol, &fs, why);
	if (err)
		return err;
	switch (j->op) {
	case QF_JOB_USE:
		use(j, r, fs);
		break;
	case QF_JOB_NAMES:
	case QF_JOB_LIST:
		err = qf_names_of_ranges(j, r, fs, why);
		break;
	case QF_JOB_PATH:
		err = qf_names_of_path(j, r, fs, why);
		break;
	case QF_JOB_CONTENT:
		err = qf_content_of_path(j, r, fs, why);
		break;
	case QF_JOB_BLOCKS:
		blocks(j, r, fs);
		break;
	case QF_JOB_AGREE:
		err = qf_agree_look(j, r, fs, why);
		break;
	default:
		places(j, r, fs);
		break;
	}
	r->close(fs);
	return err;
}

enum qf_err qf_job_work(void *ctx, struct qf_source *src,
			const struct qf_sandbox_teller *t, struct qf_why *why)
{
	struct qf_job *j = ctx;
	enum qf_err err;

	j->vol.src = src;
	j->teller = t;
	switch (j->op) {
	case QF_JOB_VOLUMES:
		err = qf_partitions_find(j, why);
		break;
	case QF_JOB_PROBE:
		err = probe(j, why);
		break;
	default:
		err = ask_reader(j, why);
		break;
	}
	if (!err && src->spent)
		err = qf_err_set(why, QF_ERR_UNSUPPORTED, 0, QF_NOWHERE,
				 "it would take too much reading");
	return err;
}
