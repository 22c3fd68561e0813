/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* OpenSSL's hashes and ciphers, loaded when they are needed (dynload.h). */
#ifndef QF_EVP_H
#define QF_EVP_H

#include "lib/base/err.h"

#include <openssl/evp.h>

#define QF_EVP_FUNCTIONS          \
	X(MD_CTX_new)             \
	X(MD_CTX_free)            \
	X(DigestInit_ex)          \
	X(DigestUpdate)           \
	X(DigestFinal_ex)         \
	X(Digest)                 \
	X(sha256)                 \
	X(get_digestbyname)       \
	X(get_cipherbyname)       \
	X(CIPHER_CTX_new)         \
	X(CIPHER_CTX_free)        \
	X(CIPHER_CTX_copy)        \
	X(CIPHER_CTX_set_padding) \
	X(CipherInit_ex)          \
	X(CipherUpdate)

struct qf_evp {
#define X(f) __typeof__(EVP_##f) *f;
	QF_EVP_FUNCTIONS
#undef X
	__typeof__(PKCS5_PBKDF2_HMAC) *PBKDF2_HMAC;
};

/* The functions; NULL, and WHY says so, if the library is not there. Not for
 * several threads at once. */
const struct qf_evp *qf_evp_load(struct qf_why *why);

#endif
