// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/page/filehash.h"
#include "check/check.h"
#include "lib/base/evp.h"
#include "lib/base/mem.h"

#include <stdio.h>
#include <stdlib.h>

#define PIECE (1u << 20)

static enum qf_err feed(struct qf_io *io, const struct qf_evp *evp,
			EVP_MD_CTX *sum, unsigned char *buf, struct qf_why *why)
{
	uint64_t off, n;
	enum qf_err err;

	for (off = 0; off < io->size; off += n) {
		n = io->size - off < PIECE ? io->size - off : PIECE;
		err = qf_io_read(io, buf, n, off, why);
		if (err)
			return err;
		if (evp->DigestUpdate(sum, buf, n) != 1)
			return qf_err_set(why, QF_ERR_UNSUPPORTED, 0, off,
					  "SHA-256 failed");
		qf_progress_step(off + n, io->size, "bytes");
	}
	return QF_OK;
}

enum qf_err qf_filehash_sha256(struct qf_io *io, char text[QF_FILEHASH_TEXT],
			       struct qf_why *why)
{
	const struct qf_evp *evp = qf_evp_load(why);
	unsigned char *buf = qf_mem_zalloc(1, PIECE);
	unsigned char sum[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *ctx = evp ? evp->MD_CTX_new() : NULL;
	unsigned int n = 0, i;
	enum qf_err err = QF_OK;

	if (!evp)
		err = why->err;
	else if (!ctx || !buf)
		err = qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				 "no memory for the hash");
	else if (evp->DigestInit_ex(ctx, evp->sha256(), NULL) != 1)
		err = qf_err_set(why, QF_ERR_UNSUPPORTED, 0, QF_NOWHERE,
				 "there is no SHA-256 here");
	qf_progress_start(io->name, false);
	if (!err)
		err = feed(io, evp, ctx, buf, why);
	qf_progress_stop();
	if (!err && evp->DigestFinal_ex(ctx, sum, &n) != 1)
		err = qf_err_set(why, QF_ERR_UNSUPPORTED, 0, QF_NOWHERE,
				 "SHA-256 failed");
	for (i = 0; !err && i < n && i < 32; i++)
		snprintf(text + 2 * i, 3, "%02x", sum[i]);
	if (ctx)
		evp->MD_CTX_free(ctx);
	free(buf);
	return err;
}
