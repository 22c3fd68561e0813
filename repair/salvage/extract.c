// SPDX-License-Identifier: GPL-2.0-or-later
#include "repair/salvage/extract.h"
#include "lib/base/dynload.h"
#include "lib/base/mem.h"
#include "lib/base/pool.h"
#include "repair/write/sink.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/opensslv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_BYTES (1u << 20)
/* Zeros of this many bytes, on a multiple of it, become a hole. */
#define BLOCK_BYTES 4096u
#define DIGEST_BYTES 32u

#ifdef OPENSSL_SHLIB_VERSION
#define STRING(x) #x
#define NUMBER(x) STRING(x)
#define SONAME "libcrypto.so." NUMBER(OPENSSL_SHLIB_VERSION)
#else
#define SONAME "libcrypto.so." SHLIB_VERSION_NUMBER
#endif

#define FUNCTIONS         \
	X(MD_CTX_new)     \
	X(MD_CTX_free)    \
	X(DigestInit_ex)  \
	X(DigestUpdate)   \
	X(DigestFinal_ex) \
	X(sha256)

static struct {
#define X(f) __typeof__(EVP_##f) *f;
	FUNCTIONS
#undef X
} evp;

static const char *const names[] = {
#define X(f) "EVP_" #f,
	FUNCTIONS
#undef X
};

static const unsigned char zeros[PIECE_BYTES];

static enum qf_err no_memory(struct qf_why *why)
{
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
			  "no memory to read the disk");
}

static bool note_lost(void *ctx, uint64_t start, uint64_t bytes,
		      const char *reason)
{
	struct qf_extract *x = ctx;
	struct qf_extract_lost *last = NULL;

	if (x->n_lost)
		last = &x->lost[x->n_lost - 1];
	x->lost_bytes += bytes;
	if (last && last->start + last->bytes == start &&
	    last->reason == reason) {
		last->bytes += bytes;
		return true;
	}
	if (!qf_mem_grow((void **)&x->lost, x->n_lost, &x->room,
			 sizeof(*x->lost)))
		return false;
	x->lost[x->n_lost++] = (struct qf_extract_lost){ start, bytes, reason };
	return true;
}

static enum qf_err put(struct qf_extract *x, const void *buf, uint64_t len)
{
	if (x->digest &&
	    evp.DigestUpdate(x->digest, buf ? buf : zeros, len) != 1)
		return qf_err_set(&x->why, QF_ERR_UNSUPPORTED, 0, QF_NOWHERE,
				  "SHA-256 failed");
	return x->out(x->ctx, buf, len, &x->why);
}

/* Puts a buffer out, its blocks of zeros as zeros. */
static enum qf_err put_blocks(struct qf_extract *x, uint64_t len)
{
	uint64_t at, end, n;
	enum qf_err err = QF_OK;
	bool zero;

	for (at = 0; !err && at < len; at = end) {
		n = len - at < BLOCK_BYTES ? len - at : BLOCK_BYTES;
		zero = !memcmp(x->buf + at, zeros, n);
		/* as long as the blocks are of the same kind */
		for (end = at + n; end < len; end += n) {
			n = len - end < BLOCK_BYTES ? len - end : BLOCK_BYTES;
			if (!memcmp(x->buf + end, zeros, n) != zero)
				break;
		}
		err = put(x, zero ? NULL : x->buf + at, end - at);
	}
	return err;
}

/* Piece number I of the disk; see qf_pool_fn. */
static bool extract_piece(void *ctx, uint64_t i, unsigned int worker)
{
	uint64_t off = i * (uint64_t)PIECE_BYTES, len;
	struct qf_extract *x = ctx;
	struct qf_disk_extent e;

	(void)worker;
	len = qf_disk_bytes(x->guest) - off;
	if (len > PIECE_BYTES)
		len = PIECE_BYTES;
	x->err = qf_disk_at(x->guest, off, len, &e, &x->why);
	if (!x->err && e.zero && e.bytes == len) {
		x->err = put(x, NULL, len);
		return !x->err;
	}
	if (!x->err)
		x->err = qf_disk_read(x->guest, x->buf, len, off, note_lost, x,
				      &x->why);
	if (x->err == QF_ERR_STOPPED)
		x->err = no_memory(&x->why);
	if (!x->err)
		x->err = put_blocks(x, len);
	return !x->err;
}

static enum qf_err start_hash(struct qf_extract *x)
{
	enum qf_err err;

	if (!x->hash)
		return QF_OK;
	err = qf_dynload_load(SONAME, names, sizeof(names) / sizeof(names[0]),
			      &evp, &x->why);
	if (err)
		return err;
	x->digest = evp.MD_CTX_new();
	if (!x->digest)
		return no_memory(&x->why);
	if (evp.DigestInit_ex(x->digest, evp.sha256(), NULL) != 1)
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
	if (evp.DigestFinal_ex(x->digest, sum, &n) != 1 || n != DIGEST_BYTES)
		return qf_err_set(&x->why, QF_ERR_UNSUPPORTED, 0, QF_NOWHERE,
				  "SHA-256 failed");
	for (i = 0; i < n; i++)
		snprintf(x->sha256 + i * 2, 3, "%02x", sum[i]);
	return QF_OK;
}

enum qf_err qf_extract_run(struct qf_extract *x, struct qf_why *why)
{
	uint64_t n = qf_mem_div_up(qf_disk_bytes(x->guest), PIECE_BYTES);
	enum qf_err err;

	x->buf = qf_mem_zalloc(1, PIECE_BYTES);
	err = x->buf ? start_hash(x) : no_memory(&x->why);
	/* in order, so by one worker; the pool shows how far it is */
	if (!err && !qf_pool_for(1, n, 1, extract_piece, x))
		err = x->err;
	if (!err)
		err = end_hash(x);
	if (err && why)
		*why = x->why;
	return err;
}

void qf_extract_free(struct qf_extract *x)
{
	if (x->digest)
		evp.MD_CTX_free(x->digest);
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

/* GNU ddrescue, "Mapfile structure": + is read, - is not readable. */
static enum qf_err map_lines(const struct qf_extract *x, struct qf_sink *s,
			     struct qf_why *why)
{
	static const char head[] =
		"# Mapfile. Created by qfsck extract\n"
		"# current_pos  current_status  current_pass\n"
		"0x00000000     +               1\n"
		"#      pos        size  status\n";
	uint64_t at = 0, size = qf_disk_bytes(x->guest), end;
	enum qf_err err = qf_sink_write(s, head, sizeof(head) - 1, why);
	size_t i, k;

	for (i = 0; !err && i < x->n_lost; i = k) {
		/* the reasons do not count here */
		end = x->lost[i].start + x->lost[i].bytes;
		for (k = i + 1; k < x->n_lost && x->lost[k].start == end; k++)
			end += x->lost[k].bytes;
		err = map_line(s, at, x->lost[i].start - at, '+', why);
		if (!err)
			err = map_line(s, x->lost[i].start,
				       end - x->lost[i].start, '-', why);
		at = end;
	}
	return err ? err : map_line(s, at, size - at, '+', why);
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
