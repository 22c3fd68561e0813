// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/diskkey.h"
#include "lib/base/be.h"
#include "lib/base/evp.h"
#include "lib/base/mem.h"
#include "lib/format/format.h"
#include "lib/format/luks.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECTOR 512u
#define MAX_KEY 128u
#define MAX_PASS (1u << 20)
#define AES_BYTES 16u
#define DIGEST_BYTES 20u
/* Some minutes; more is no one's patience, but a hostile file's trick. */
#define MAX_ITERATIONS (1u << 29)

/* How the vector of a sector comes about. */
enum iv { IV_PLAIN, IV_PLAIN64, IV_ESSIV };

/* A cipher with a key in it. */
struct engine {
	EVP_CIPHER_CTX *ctx;   /* owned */
	EVP_CIPHER_CTX *essiv; /* owned; for IV_ESSIV */
	enum iv iv;
};

struct qf_diskkey {
	const struct qf_evp *evp;
	struct engine e;
	bool by_guest; /* sectors are numbered as the guest does it */
};

/* What all steps of opening need. */
struct opening {
	const struct qf_evp *evp;
	struct qf_luks luks;
	const EVP_MD *hash, *iv_hash;
	char cipher[24]; /* OpenSSL's name */
	enum iv iv;
	struct qf_why *why;
};

static enum qf_err no_memory(struct qf_why *why)
{
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
			  "no memory for the key");
}

static enum qf_err unknown(struct opening *o, const char *what,
			   const char *name)
{
	qf_err_set(o->why, QF_ERR_UNSUPPORTED, 0, QF_NOWHERE,
		   "the image is encrypted with the %s \"%.32s\", which is "
		   "not known here",
		   what, name);
	qf_err_next(o->why, "qemu-img convert may know it");
	return QF_ERR_UNSUPPORTED;
}

static void engine_free(const struct qf_evp *evp, struct engine *e)
{
	if (e->ctx)
		evp->CIPHER_CTX_free(e->ctx);
	if (e->essiv)
		evp->CIPHER_CTX_free(e->essiv);
	memset(e, 0, sizeof(*e));
}

static bool start_cipher(const struct qf_evp *evp, const char *name,
			 const unsigned char *key, bool encrypt,
			 EVP_CIPHER_CTX **out)
{
	const EVP_CIPHER *cipher = evp->get_cipherbyname(name);

	*out = cipher ? evp->CIPHER_CTX_new() : NULL;
	return *out &&
	       evp->CipherInit_ex(*out, cipher, NULL, key, NULL, encrypt) ==
		       1 &&
	       evp->CIPHER_CTX_set_padding(*out, 0) == 1;
}

/* ESSIV: the sector's number, encrypted by the hash of the key. */
static bool start_essiv(const struct opening *o, const unsigned char *key,
			unsigned int key_bytes, struct engine *e)
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	char name[24];
	unsigned int n;
	bool ok;

	if (o->evp->Digest(key, key_bytes, hash, &n, o->iv_hash, NULL) != 1)
		return false;
	snprintf(name, sizeof(name), "aes-%u-ecb", n * 8);
	ok = start_cipher(o->evp, name, hash, true, &e->essiv);
	explicit_bzero(hash, sizeof(hash));
	return ok;
}

static enum qf_err engine_start(const struct opening *o,
				const unsigned char *key,
				unsigned int key_bytes, struct engine *e)
{
	e->iv = o->iv;
	if (start_cipher(o->evp, o->cipher, key, false, &e->ctx) &&
	    (o->iv != IV_ESSIV || start_essiv(o, key, key_bytes, e)))
		return QF_OK;
	engine_free(o->evp, e);
	return qf_err_set(o->why, QF_ERR_UNSUPPORTED, 0, QF_NOWHERE,
			  "libcrypto does not take the key or the cipher %s",
			  o->cipher);
}

static bool make_iv(const struct qf_evp *evp, const struct engine *e,
		    uint64_t sector, unsigned char iv[AES_BYTES])
{
	unsigned int i, bytes = e->iv == IV_PLAIN ? 4 : 8;
	int n = 0;

	memset(iv, 0, AES_BYTES);
	for (i = 0; i < bytes; i++)
		iv[i] = (unsigned char)(sector >> (8 * i));
	return e->iv != IV_ESSIV ||
	       (evp->CipherUpdate(e->essiv, iv, &n, iv, AES_BYTES) == 1 &&
		n == AES_BYTES);
}

static bool engine_decrypt(const struct qf_evp *evp, const struct engine *e,
			   unsigned char *buf, uint64_t len, uint64_t sector)
{
	unsigned char iv[AES_BYTES];
	int n;

	for (; len; len -= SECTOR, buf += SECTOR, sector++)
		if (!make_iv(evp, e, sector, iv) ||
		    evp->CipherInit_ex(e->ctx, NULL, NULL, NULL, iv, 0) != 1 ||
		    evp->CipherUpdate(e->ctx, buf, &n, buf, SECTOR) != 1 ||
		    n != (int)SECTOR)
			return false;
	return true;
}

/* --- LUKS --- */

static enum qf_err find_names(struct opening *o)
{
	const struct qf_luks *l = &o->luks;

	o->hash = o->evp->get_digestbyname(l->hash);
	if (!o->hash)
		return unknown(o, "hash", l->hash);
	if (strcmp(l->cipher, "aes"))
		return unknown(o, "cipher", l->cipher);
	if (strcmp(l->mode, "xts") && strcmp(l->mode, "cbc"))
		return unknown(o, "mode", l->mode);
	snprintf(o->cipher, sizeof(o->cipher), "aes-%" PRIu32 "-%.3s",
		 l->key_bits, l->mode);
	if (!o->evp->get_cipherbyname(o->cipher))
		return unknown(o, "cipher", o->cipher);
	if (!strcmp(l->iv, "plain64"))
		o->iv = IV_PLAIN64;
	else if (!strcmp(l->iv, "plain"))
		o->iv = IV_PLAIN;
	else if (!strcmp(l->iv, "essiv"))
		o->iv = IV_ESSIV;
	else
		return unknown(o, "vector", l->iv);
	o->iv_hash = o->evp->get_digestbyname(l->iv_hash);
	if (o->iv == IV_ESSIV && !o->iv_hash)
		return unknown(o, "vector's hash", l->iv_hash);
	return QF_OK;
}

static bool stretch(const struct opening *o, const void *pass, size_t n,
		    const unsigned char *salt, uint32_t iterations,
		    unsigned char *out, unsigned int out_bytes)
{
	return o->evp->PBKDF2_HMAC(pass, (int)n, salt, QF_LUKS_SALT,
				   (int)iterations, o->hash, (int)out_bytes,
				   out) == 1;
}

/* The diffuser of the anti-forensic splitter: blocks of the hash's length,
 * each hashed with its number. */
static bool diffuse(const struct opening *o, unsigned char *d, uint32_t bytes)
{
	unsigned char in[4 + EVP_MAX_MD_SIZE], out[EVP_MAX_MD_SIZE];
	struct qf_be32 number;
	uint32_t at, k;
	unsigned int n;

	if (o->evp->Digest("", 0, out, &n, o->hash, NULL) != 1 || !n)
		return false;
	for (at = 0; at < bytes; at += n) {
		k = bytes - at < n ? bytes - at : n;
		number = qf_be_put32(at / n);
		memcpy(in, &number, sizeof(number));
		memcpy(in + 4, d + at, k);
		if (o->evp->Digest(in, 4 + k, out, NULL, o->hash, NULL) != 1)
			return false;
		memcpy(d + at, out, k);
	}
	return true;
}

/* Puts the key in KEY together out of its STRIPES pieces. */
static bool merge(const struct opening *o, const unsigned char *piece,
		  uint32_t stripes, unsigned char *key)
{
	uint32_t n = o->luks.key_bytes, i, k;

	memset(key, 0, n);
	for (i = 0; i < stripes; i++, piece += n) {
		for (k = 0; k < n; k++)
			key[k] ^= piece[k];
		if (i + 1 < stripes && !diffuse(o, key, n))
			return false;
	}
	return true;
}

static bool is_master(const struct opening *o, const unsigned char *key)
{
	unsigned char sum[DIGEST_BYTES];

	return stretch(o, key, o->luks.key_bytes, o->luks.salt,
		       o->luks.iterations, sum, DIGEST_BYTES) &&
	       !memcmp(sum, o->luks.digest, DIGEST_BYTES);
}

/* Tries the passphrase on slot S, whose key material is at BUF. */
static enum qf_err try_slot(struct opening *o, const struct qf_luks_slot *s,
			    const void *pass, size_t pass_bytes,
			    unsigned char *buf, unsigned char *key, bool *found)
{
	unsigned char derived[MAX_KEY];
	struct engine e = { 0 };
	enum qf_err err;

	*found = false;
	if (!stretch(o, pass, pass_bytes, s->salt, s->iterations, derived,
		     o->luks.key_bytes))
		return no_memory(o->why);
	err = engine_start(o, derived, o->luks.key_bytes, &e);
	explicit_bzero(derived, sizeof(derived));
	if (err)
		return err;
	*found = engine_decrypt(o->evp, &e, buf, s->key_bytes, 0) &&
		 merge(o, buf, s->stripes, key) && is_master(o, key);
	engine_free(o->evp, &e);
	return QF_OK;
}

/* QF_ERR_USAGE: no slot takes it. Slots that are damaged are passed over. */
static enum qf_err try_slots(struct opening *o, struct qf_io *io, uint64_t off,
			     const void *pass, size_t pass_bytes,
			     unsigned char *key)
{
	const unsigned int bad = QF_LUKS_SLOT_ITERATIONS |
				 QF_LUKS_SLOT_STRIPES | QF_LUKS_SLOT_OUTSIDE;
	const struct qf_luks_slot *s;
	bool found = false;
	unsigned char *buf;
	enum qf_err err = QF_OK;
	unsigned int i;

	for (i = 0; !err && !found && i < QF_LUKS_SLOTS; i++) {
		s = &o->luks.slot[i];
		if (!s->active || s->odd & bad ||
		    s->iterations > MAX_ITERATIONS)
			continue;
		buf = qf_mem_zalloc(1, s->key_bytes);
		if (!buf)
			return no_memory(o->why);
		if (!qf_io_read(io, buf, s->key_bytes, off + s->key_off, NULL))
			err = try_slot(o, s, pass, pass_bytes, buf, key,
				       &found);
		explicit_bzero(buf, s->key_bytes);
		free(buf);
	}
	return err || found ? err : QF_ERR_USAGE;
}

static enum qf_err read_luks(struct opening *o, struct qf_io *io,
			     const struct qf_ext_list *ext)
{
	unsigned char buf[QF_LUKS_BYTES];
	enum qf_err err;

	if (!ext->has_crypto || ext->crypto_bytes < sizeof(buf))
		return qf_err_set(o->why, QF_ERR_FORMAT, 0, QF_NOWHERE,
				  "the image is encrypted, and names no LUKS "
				  "header");
	err = qf_io_read(io, buf, sizeof(buf), ext->crypto_off, o->why);
	if (!err)
		err = qf_luks_parse(buf, &o->luks, o->why);
	if (err)
		return err;
	qf_luks_examine(&o->luks, ext->crypto_bytes);
	if (o->luks.odd & (QF_LUKS_NAMES | QF_LUKS_KEY | QF_LUKS_ITERATIONS) ||
	    o->luks.iterations > MAX_ITERATIONS)
		return qf_err_set(o->why, QF_ERR_FORMAT, 0, ext->crypto_off,
				  "the LUKS header is damaged");
	return find_names(o);
}

static enum qf_err open_luks(struct opening *o, struct qf_io *io,
			     const struct qf_ext_list *ext, const char *pass,
			     size_t n, struct qf_diskkey *key)
{
	unsigned char master[MAX_KEY];
	enum qf_err err = read_luks(o, io, ext);

	if (err)
		return err;
	err = try_slots(o, io, ext->crypto_off, pass, n, master);
	/* an editor's line end is most often no part of it */
	if (err == QF_ERR_USAGE && n > 1 && pass[n - 1] == '\n')
		err = try_slots(o, io, ext->crypto_off, pass, n - 1, master);
	if (err == QF_ERR_USAGE)
		qf_err_set(o->why, err, 0, ext->crypto_off,
			   "the key opens no key slot of the LUKS header");
	if (!err)
		err = engine_start(o, master, o->luks.key_bytes, &key->e);
	explicit_bzero(master, sizeof(master));
	return err;
}

/* --- the older AES: the passphrase is the key --- */

static enum qf_err open_aes(struct opening *o, const void *pass, size_t n,
			    struct qf_diskkey *key)
{
	unsigned char k[AES_BYTES] = { 0 };
	enum qf_err err;

	memcpy(k, pass, n < sizeof(k) ? n : sizeof(k));
	snprintf(o->cipher, sizeof(o->cipher), "aes-128-cbc");
	o->iv = IV_PLAIN64;
	key->by_guest = true;
	err = engine_start(o, k, sizeof(k), &key->e);
	explicit_bzero(k, sizeof(k));
	return err;
}

enum qf_err qf_diskkey_open(struct qf_io *io, uint32_t method,
			    const struct qf_ext_list *ext, const void *pass,
			    size_t pass_bytes, struct qf_diskkey **out,
			    struct qf_why *why)
{
	struct qf_diskkey *key = qf_mem_zalloc(1, sizeof(*key));
	struct opening o = { .why = why };
	enum qf_err err = QF_OK;
	struct qf_why own = { 0 };

	if (!key)
		return no_memory(why);
	if (!why)
		o.why = &own;
	key->evp = o.evp = qf_evp_load(o.why);
	if (!o.evp)
		err = o.why->err;
	else if (method == QF_CRYPT_LUKS)
		err = open_luks(&o, io, ext, pass, pass_bytes, key);
	else if (method == QF_CRYPT_AES)
		err = open_aes(&o, pass, pass_bytes, key);
	else
		err = qf_err_set(o.why, QF_ERR_UNSUPPORTED, 0, QF_NOWHERE,
				 "the image is encrypted by a method that is "
				 "not known here");
	if (err)
		qf_diskkey_free(key);
	else
		*out = key;
	return err;
}

void qf_diskkey_free(struct qf_diskkey *key)
{
	if (!key)
		return;
	if (key->evp)
		engine_free(key->evp, &key->e);
	free(key);
}

static bool copy_cipher(const struct qf_evp *evp, const EVP_CIPHER_CTX *from,
			EVP_CIPHER_CTX **to)
{
	if (!from)
		return true;
	*to = evp->CIPHER_CTX_new();
	return *to && evp->CIPHER_CTX_copy(*to, from) == 1;
}

struct qf_diskkey *qf_diskkey_copy(const struct qf_diskkey *key)
{
	struct qf_diskkey *copy = qf_mem_zalloc(1, sizeof(*copy));

	if (!copy)
		return NULL;
	copy->evp = key->evp;
	copy->by_guest = key->by_guest;
	copy->e.iv = key->e.iv;
	if (copy_cipher(key->evp, key->e.ctx, &copy->e.ctx) &&
	    copy_cipher(key->evp, key->e.essiv, &copy->e.essiv))
		return copy;
	qf_diskkey_free(copy);
	return NULL;
}

bool qf_diskkey_decrypt(struct qf_diskkey *key, void *buf, uint64_t len,
			uint64_t host_off, uint64_t guest_off)
{
	uint64_t off = key->by_guest ? guest_off : host_off;

	return engine_decrypt(key->evp, &key->e, buf, len, off / SECTOR);
}

/* --- the file with the passphrase --- */

static enum qf_err read_all(int fd, char *buf, size_t *n, struct qf_why *why)
{
	ssize_t got;

	for (*n = 0; *n <= MAX_PASS; *n += (size_t)got) {
		got = read(fd, buf + *n, MAX_PASS + 1 - *n);
		if (got < 0 && errno == EINTR)
			got = 0;
		else if (got < 0)
			return qf_err_set(why, QF_ERR_IO, errno, QF_NOWHERE,
					  "the key file cannot be read");
		else if (!got)
			break;
	}
	if (!*n || *n > MAX_PASS)
		return qf_err_set(why, QF_ERR_USAGE, 0, QF_NOWHERE,
				  "the key file is %s",
				  *n ? "longer than 1 MiB" : "empty");
	return QF_OK;
}

enum qf_err qf_diskkey_read_file(const char *name, char **pass, size_t *n,
				 struct qf_why *why)
{
	bool standard = !strcmp(name, "-");
	int fd = standard ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
	enum qf_err err;

	if (fd < 0)
		return qf_err_set(why, QF_ERR_IO, errno, QF_NOWHERE,
				  "the key file cannot be opened");
	*pass = qf_mem_zalloc(1, MAX_PASS + 1);
	err = *pass ? read_all(fd, *pass, n, why) : no_memory(why);
	if (!standard)
		close(fd);
	if (err) {
		qf_diskkey_forget(*pass, *pass ? MAX_PASS + 1 : 0);
		*pass = NULL;
	}
	return err;
}

void qf_diskkey_forget(char *pass, size_t n)
{
	if (pass)
		explicit_bzero(pass, n);
	free(pass);
}
