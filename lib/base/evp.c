// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/base/evp.h"
#include "lib/base/dynload.h"

#include <openssl/opensslv.h>

#ifdef OPENSSL_SHLIB_VERSION
#define STRING(x) #x
#define NUMBER(x) STRING(x)
#define SONAME "libcrypto.so." NUMBER(OPENSSL_SHLIB_VERSION)
#else
#define SONAME "libcrypto.so." SHLIB_VERSION_NUMBER
#endif

static struct qf_evp evp;

static const char *const names[] = {
#define X(f) "EVP_" #f,
	QF_EVP_FUNCTIONS
#undef X
#define X(f) "PKCS5_" #f,
		X(PBKDF2_HMAC)
#undef X
};

const struct qf_evp *qf_evp_load(struct qf_why *why)
{
	return qf_dynload_load(SONAME, names, sizeof(names) / sizeof(names[0]),
			       &evp, why)
		       ? NULL
		       : &evp;
}
