/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The key of an encrypted image's data, out of a passphrase: LUKS version 1
 * (its On-Disk Format Specification, and the section "Data encryption") and
 * the older AES.
 */
#ifndef QF_DISKKEY_H
#define QF_DISKKEY_H

#include "lib/format/ext.h"
#include "lib/io/io.h"

struct qf_diskkey;

/*
 * Finds the key of the image behind IO with the crypt_method METHOD by the
 * PASS_BYTES bytes at PASS. With LUKS a wrong passphrase is found out, the
 * older AES has no means for that. Errors: QF_ERR_USAGE (it opens no key
 * slot), QF_ERR_FORMAT (no LUKS header that can be used), QF_ERR_UNSUPPORTED
 * (a cipher or hash that is not known here, or no libcrypto), QF_ERR_IO,
 * QF_ERR_NOMEM. Free with qf_diskkey_free (NULL-safe).
 */
enum qf_err qf_diskkey_open(struct qf_io *io, uint32_t method,
			    const struct qf_ext_list *ext, const void *pass,
			    size_t pass_bytes, struct qf_diskkey **out,
			    struct qf_why *why);
void qf_diskkey_free(struct qf_diskkey *key);

/* One more of the same, for another thread; NULL: no memory. */
struct qf_diskkey *qf_diskkey_copy(const struct qf_diskkey *key);

/*
 * Decrypts in place the LEN bytes at BUF, whole sectors, which the image has
 * at the host offset HOST_OFF for the guest offset GUEST_OFF. False: libcrypto
 * failed. For one thread at a time.
 */
bool qf_diskkey_decrypt(struct qf_diskkey *key, void *buf, uint64_t len,
			uint64_t host_off, uint64_t guest_off);

/*
 * Reads a passphrase, all bytes of the file NAME ("-": standard input).
 * Errors: QF_ERR_IO, QF_ERR_USAGE (empty, or too long), QF_ERR_NOMEM. Free
 * with qf_diskkey_forget.
 */
enum qf_err qf_diskkey_read_file(const char *name, char **pass, size_t *n,
				 struct qf_why *why);
void qf_diskkey_forget(char *pass, size_t n);

#endif
