// SPDX-License-Identifier: GPL-2.0-or-later
#include "repair/salvage/extract.h"
#include "check/check.h"
#include "lib/base/evp.h"
#include "lib/base/mem.h"
#include "repair/write/sink.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_BYTES QF_EXTRACT_PIECE
#define DIGEST_BYTES 32u

static const unsigned char zeros[PIECE_BYTES];

static enum qf_err no_memory(struct qf_why *why)
{
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
			  "no memory to read the disk");
}

bool qf_extract_note(struct qf_extract *x, const struct qf_extract_lost *more)
{
	struct qf_extract_lost *last = NULL;

	if (more->doubtful)
		x->doubtful_bytes += more->bytes;
	else
		x->lost_bytes += more->bytes;
	if (x->n_lost)
		last = &x->lost[x->n_lost - 1];
	if (last && last->start + last->bytes == more->start &&
	    last->reason == more->reason && last->doubtful == more->doubtful) {
		last->bytes += more->bytes;
		return true;
	}
	if (!qf_mem_grow((void **)&x->lost, x->n_lost, &x->room,
			 sizeof(*x->lost)))
		return false;
	x->lost[x->n_lost++] = *more;
	return true;
}

uint64_t qf_extract_bytes(const struct qf_extract *x)
{
	return x->file ? x->file->file.bytes : qf_disk_bytes(x->guest);
}

void qf_extract_step(const struct qf_extract *x)
{
	qf_progress_step(x->at / PIECE_BYTES,
			 qf_mem_div_up(qf_extract_bytes(x), PIECE_BYTES),
			 "MiB");
}

/* BUF: NULL for zeros. */
static enum qf_err hash(struct qf_extract *x, const void *buf, uint64_t len)
{
	if (x->digest &&
	    x->evp->DigestUpdate(x->digest, buf ? buf : zeros, len) != 1)
		return qf_err_set(&x->why, QF_ERR_UNSUPPORTED, 0, QF_NOWHERE,
				  "SHA-256 failed");
	x->at += len;
	return QF_OK;
}

static enum qf_err put(struct qf_extract *x, const void *buf, uint64_t len)
{
	enum qf_err err = hash(x, buf, len);

	if (err)
		return err;
	return buf ? qf_sink_write(x->sink, buf, len, &x->why)
		   : qf_sink_skip(x->sink, len, &x->why);
}

enum qf_err qf_extract_pass(struct qf_extract *x, const void *buf, uint64_t len)
{
	enum qf_err err = hash(x, buf, len);

	return err || !x->sink->stream
		       ? err
		       : qf_sink_write(x->sink, buf, len, &x->why);
}

/* Puts zeros out, in pieces only where each byte of them takes its time. */
enum qf_err qf_extract_zeros(struct qf_extract *x, uint64_t len)
{
	enum qf_err err = QF_OK;
	uint64_t n;

	for (; !err && len; len -= n) {
		n = len < PIECE_BYTES || !(x->hash || x->sink->stream)
			    ? len
			    : PIECE_BYTES;
		err = put(x, NULL, n);
		qf_extract_step(x);
	}
	return err;
}

/* How much of LEFT bytes is in the disk's block at OFF. */
static uint64_t block(uint64_t off, uint64_t left)
{
	uint64_t n = QF_EXTRACT_BLOCK - off % QF_EXTRACT_BLOCK;

	return n < left ? n : left;
}

/* Puts a buffer out, its blocks of zeros as zeros. */
enum qf_err qf_extract_put(struct qf_extract *x, uint64_t len)
{
	uint64_t at, end, n;
	enum qf_err err = QF_OK;
	bool zero;

	for (at = 0; !err && at < len; at = end) {
		n = block(x->at, len - at);
		zero = !memcmp(x->buf + at, zeros, n);
		/* as long as the blocks are of the same kind */
		for (end = at + n; end < len; end += n) {
			n = block(x->at + end - at, len - end);
			if (!memcmp(x->buf + end, zeros, n) != zero)
				break;
		}
		err = put(x, zero ? NULL : x->buf + at, end - at);
	}
	return err;
}

static enum qf_err start_hash(struct qf_extract *x)
{
	if (!x->hash)
		return QF_OK;
	x->evp = qf_evp_load(&x->why);
	if (!x->evp)
		return x->why.err;
	x->digest = x->evp->MD_CTX_new();
	if (!x->digest)
		return no_memory(&x->why);
	if (x->evp->DigestInit_ex(x->digest, x->evp->sha256(), NULL) != 1)
		return qf_err_set(&x->why, QF_ERR_UNSUPPORTED, 0, QF_NOWHERE,
				  "there is no SHA-256 here");
	return QF_OK;
}

static enum qf_err end_hash(struct qf_extract *x)
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned int i, n = 0;

	if (!x->hash)
		return QF_OK;
	if (x->evp->DigestFinal_ex(x->digest, sum, &n) != 1 ||
	    n != DIGEST_BYTES)
		return qf_err_set(&x->why, QF_ERR_UNSUPPORTED, 0, QF_NOWHERE,
				  "SHA-256 failed");
	for (i = 0; i < n; i++)
		snprintf(x->sha256 + i * 2, 3, "%02x", sum[i]);
	return QF_OK;
}

enum qf_err qf_extract_run(struct qf_extract *x, struct qf_why *why)
{
	enum qf_err err;

	x->buf = qf_mem_zalloc(1, PIECE_BYTES);
	err = x->buf ? start_hash(x) : no_memory(&x->why);
	if (!err)
		err = x->run(x);
	if (err == QF_ERR_STOPPED)
		err = no_memory(&x->why);
	if (!err)
		err = end_hash(x);
	if (err && why)
		*why = x->why;
	return err;
}

void qf_extract_free(struct qf_extract *x)
{
	if (x->digest)
		x->evp->MD_CTX_free(x->digest);
	free(x->buf);
	free(x->lost);
	x->digest = NULL;
	x->buf = NULL;
	x->lost = NULL;
	x->n_lost = x->room = 0;
}

static enum qf_err map_line(struct qf_sink *s, uint64_t start, uint64_t bytes,
			    char status, struct qf_why *why)
{
	char line[80];
	int n = snprintf(line, sizeof(line),
			 "0x%08" PRIX64 "  0x%08" PRIX64 "  %c\n", start, bytes,
			 status);

	return bytes ? qf_sink_write(s, line, (uint64_t)n, why) : QF_OK;
}

/* From AT to END all was read, as far as the disk of SIZE bytes goes. */
static enum qf_err map_read(struct qf_sink *s, uint64_t at, uint64_t end,
			    uint64_t size, struct qf_why *why)
{
	uint64_t has = at > size ? at : end < size ? end : size;
	enum qf_err err = map_line(s, at, has - at, '+', why);

	return err ? err : map_line(s, has, end - has, '?', why);
}

/* GNU ddrescue, "Mapfile structure": + is read, - is not, or is in doubt. */
static enum qf_err map_lines(const struct qf_extract *x, struct qf_sink *s,
			     struct qf_why *why)
{
	static const char head[] =
		"# Mapfile. Created by qfsck extract\n"
		"# current_pos  current_status  current_pass\n"
		"0x00000000     +               1\n"
		"#      pos        size  status\n";
	uint64_t at = 0, size = qf_extract_bytes(x), end;
	enum qf_err err = qf_sink_write(s, head, sizeof(head) - 1, why);
	size_t i, k;

	for (i = 0; !err && i < x->n_lost; i = k) {
		/* the reasons do not count here */
		end = x->lost[i].start + x->lost[i].bytes;
		for (k = i + 1; k < x->n_lost && x->lost[k].start == end; k++)
			end += x->lost[k].bytes;
		err = map_read(s, at, x->lost[i].start, size, why);
		if (!err)
			err = map_line(s, x->lost[i].start,
				       end - x->lost[i].start, '-', why);
		at = end;
	}
	return err || at >= size ? err : map_read(s, at, size, size, why);
}

enum qf_err qf_extract_map(const struct qf_extract *x, const char *name,
			   struct qf_why *why)
{
	struct qf_sink s;
	enum qf_err err = qf_sink_create(&s, name, 0666, why);

	if (!err)
		err = map_lines(x, &s, why);
	if (!err)
		err = qf_sink_sync(&s, why);
	qf_sink_close(&s, err != QF_OK);
	return err;
}
