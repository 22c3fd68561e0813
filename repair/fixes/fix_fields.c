// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fields of the header for which other parts of the image speak: the kind of
 * compression is told by the compressed clusters, the place of the backing
 * file's name by the name, that of the LUKS header by its magic.
 */
#include "lib/format/codec.h"
#include "lib/format/luks.h"
#include "lib/base/mem.h"
#include "repair/fixes/fix.h"
#include "repair/search/orphan.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define AT(FIELD) offsetof(struct qf_wire_header, FIELD)
#define EXT_HEAD sizeof(struct qf_wire_ext)
/* Compressed clusters that are tried, and orphans that are looked at. */
#define SAMPLE 64u
#define MAX_ORPHANS 65536u

/* --- the kind of compression --- */

struct sample {
	const struct qf_image *img;
	struct qf_codec *codec[2]; /* by enum qf_compression */
	unsigned char *in, *out;
	unsigned int n, whole[2];
};

static void try_one(struct sample *s, uint64_t off, uint64_t bytes)
{
	size_t size = (size_t)s->img->geo.cluster_bytes;
	struct qf_codec_result res;
	unsigned int i;

	if (bytes > 2 * size ||
	    qf_io_read_pad(s->img->io, s->in, bytes, off, NULL))
		return;
	s->n++;
	for (i = 0; i < 2; i++) {
		qf_codec_inflate(s->codec[i], s->in, (size_t)bytes, s->out,
				 size, &res);
		s->whole[i] += res.state == QF_CODEC_WHOLE;
	}
}

static bool see_runs(void *ctx, unsigned int worker, const struct qf_group *grp,
		     const struct qf_run *run, size_t n)
{
	struct sample *s = ctx;
	uint64_t off, bytes;
	size_t i;

	(void)worker;
	(void)grp;
	for (i = 0; i < n && s->n < SAMPLE; i++) {
		if (run[i].kind != QF_ENTRY_KIND_COMPRESSED)
			continue;
		bytes = qf_recount_run_bytes(s->img, &run[i], &off);
		if (bytes)
			try_one(s, off, bytes);
	}
	return s->n < SAMPLE;
}

static enum qf_err take_sample(struct qf_fix_ctx *c, struct sample *s,
			       struct qf_why *why)
{
	struct qf_visitor v = { .ctx = s, .runs = see_runs };
	size_t size = (size_t)c->img->geo.cluster_bytes;
	enum qf_err err;

	err = qf_codec_new(QF_COMPRESSION_ZLIB, &s->codec[0], why);
	if (!err)
		err = qf_codec_new(QF_COMPRESSION_ZSTD, &s->codec[1], why);
	if (err)
		return err;
	s->in = qf_mem_zalloc(2, size);
	s->out = qf_mem_zalloc(1, size);
	if (!s->in || !s->out)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory to try compressed clusters");
	err = qf_walk_run(&c->walk, 1, &v, why);
	return err == QF_ERR_STOPPED ? QF_OK : err;
}

/* The kind that the sample speaks for, or -1. Without compressed clusters it
 * does not matter: then it is the one that needs no feature bit. */
static int kind_of(const struct sample *s)
{
	if (!s->whole[QF_COMPRESSION_ZSTD] &&
	    (!s->n || s->whole[QF_COMPRESSION_ZLIB]))
		return QF_COMPRESSION_ZLIB;
	if (!s->whole[QF_COMPRESSION_ZLIB] && s->whole[QF_COMPRESSION_ZSTD])
		return QF_COMPRESSION_ZSTD;
	return -1;
}

static enum qf_err put_kind(struct qf_fix_ctx *c, const struct sample *s,
			    int kind, struct qf_why *why)
{
	const struct qf_header *h = &c->img->hdr;
	uint64_t bits = h->incompatible & ~QF_INCOMPAT_COMPRESSION;
	unsigned char type = (unsigned char)kind;
	struct qf_be64 w;
	enum qf_err err;

	if (kind == QF_COMPRESSION_ZSTD) {
		if (h->header_bytes < sizeof(struct qf_wire_header))
			return QF_OK;
		bits |= QF_INCOMPAT_COMPRESSION;
	}
	w = qf_be_put64(bits);
	err = qf_plan_put(c->plan, QF_P_COMPRESSION_TYPE,
			  AT(incompatible_features), &w, sizeof(w), why,
			  "%s the compression bit: of %u compressed clusters "
			  "that were tried, %u are %s, and none is %s",
			  kind ? "set" : "clear", s->n, s->whole[kind],
			  kind ? "zstd" : "zlib", kind ? "zlib" : "zstd");
	if (err || h->header_bytes <= AT(compression_type))
		return err;
	return qf_plan_put(c->plan, QF_P_COMPRESSION_TYPE, AT(compression_type),
			   &type, 1, why, "set the compression type to %s",
			   kind ? "zstd" : "zlib");
}

static enum qf_err fix_compression(struct qf_fix_ctx *c, struct qf_why *why)
{
	struct sample s = { .img = c->img };
	enum qf_err err = take_sample(c, &s, why);
	int kind = kind_of(&s);

	if (!err && kind >= 0)
		err = put_kind(c, &s, kind, why);
	qf_codec_free(s.codec[0]);
	qf_codec_free(s.codec[1]);
	free(s.in);
	free(s.out);
	return err;
}

/* --- the header's cluster: the backing file's name --- */

/* Where the list of extensions ends: at its end mark. 0: it has none. */
static uint64_t list_end(const struct qf_image *img)
{
	const struct qf_ext *last;

	if (img->ext.unterminated)
		return 0;
	if (!img->ext.n)
		return img->hdr.header_bytes;
	last = &img->ext.ext[img->ext.n - 1];
	return last->off + qf_mem_round_up(last->bytes, 8);
}

/* The bytes of the name at OFF, which zeros end; 0: there is none. */
static uint64_t name_bytes(const unsigned char *area, uint64_t off,
			   uint64_t room)
{
	uint64_t n = 0;

	while (off + n < room && n <= QF_MAX_BACKING_NAME &&
	       area[off + n] >= 0x20 && area[off + n] != 0x7f)
		n++;
	return n <= QF_MAX_BACKING_NAME && off + n < room && !area[off + n] ? n
									    : 0;
}

static enum qf_err put_name(struct qf_fix_ctx *c, const unsigned char *area,
			    struct qf_why *why)
{
	const struct qf_header *h = &c->img->hdr;
	uint64_t room = c->img->geo.cluster_bytes, end = list_end(c->img);
	uint64_t off = h->backing_name_off, n;

	if (off >= h->header_bytes && off < room) {
		n = name_bytes(area, off, room);
		if (!n)
			return QF_OK;
		return qf_plan_put32(c->plan, QF_P_BACKING_NAME,
				     AT(backing_file_size), (uint32_t)n, why,
				     "give the backing file's name the length "
				     "that the text at its place has");
	}
	if (!h->backing_name_bytes)
		return qf_plan_put64(c->plan, QF_P_BACKING_NAME,
				     AT(backing_file_offset), 0, why,
				     "point to no backing file's name: it has "
				     "no length, and nothing is there");
	off = end + EXT_HEAD;
	n = end && off < room ? name_bytes(area, off, room) : 0;
	if (!n || n != h->backing_name_bytes)
		return QF_OK;
	return qf_plan_put64(c->plan, QF_P_BACKING_NAME,
			     AT(backing_file_offset), off, why,
			     "point to the backing file's name: a text of its "
			     "length stands behind the header extensions");
}

static enum qf_err fix_backing_name(struct qf_fix_ctx *c, struct qf_why *why)
{
	uint64_t bytes = c->img->geo.cluster_bytes;
	unsigned char *area = qf_mem_zalloc(1, bytes);
	enum qf_err err;

	if (!area)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory for the header");
	err = qf_io_read_pad(c->img->io, area, bytes, 0, why);
	if (!err)
		err = put_name(c, area, why);
	free(area);
	return err;
}

/* --- the LUKS header --- */

/* True if a LUKS header begins at OFF; *BYTES is how much belongs to it. */
static bool is_luks(const struct qf_fix_ctx *c, uint64_t off, uint64_t *bytes)
{
	unsigned char buf[QF_LUKS_BYTES];
	struct qf_luks l;

	if (qf_io_read_pad(c->img->io, buf, sizeof(buf), off, NULL) ||
	    qf_luks_parse(buf, &l, NULL) || l.odd)
		return false;
	*bytes = l.payload_off;
	return true;
}

/* True if nobody owns the cluster at OFF, or only the damaged pointer. */
static bool is_open(const struct qf_fix_ctx *c, uint64_t off)
{
	const struct qf_ext_list *e = &c->img->ext;
	uint32_t bits = c->img->geo.cluster_bits;
	unsigned int flags = 0;

	if (qf_orphan_is(c, off))
		return true;
	return e->has_crypto && off >> bits >= e->crypto_off >> bits &&
	       off < c->img->io->size &&
	       off - e->crypto_off < e->crypto_bytes &&
	       qf_ledger_count(c->recount.ledger, off >> bits, &flags) == 1 &&
	       !(flags & QF_LEDGER_DOUBLE);
}

/* The search for the only LUKS header that is open. */
struct luks_search {
	const struct qf_fix_ctx *c;
	struct qf_wire_crypto_ext x;
	unsigned int found, seen;
};

/* Looks at the clusters from FIRST on. */
static void look_for_luks(struct luks_search *s, uint64_t first, uint64_t n)
{
	uint64_t size = s->c->img->geo.cluster_bytes, bytes, at;
	uint64_t off = first << s->c->img->geo.cluster_bits;

	uint64_t end = s->c->img->io->size;

	for (; n && off < end && s->seen <= MAX_ORPHANS; n--, off += size) {
		s->seen++;
		if (!is_open(s->c, off) || !is_luks(s->c, off, &bytes))
			continue;
		for (at = 0; at < bytes && is_open(s->c, off + at); at += size)
			;
		if (at < bytes || (s->found && qf_be_get64(s->x.offset) == off))
			continue;
		s->found++;
		s->x.offset = qf_be_put64(off);
		s->x.length = qf_be_put64(bytes);
	}
}

static bool find_luks(const struct qf_fix_ctx *c, struct qf_wire_crypto_ext *x)
{
	const struct qf_trouble *tr = c->recount.trouble;
	struct luks_search s = { .c = c };
	uint32_t bits = c->img->geo.cluster_bits;
	size_t i;

	if (c->img->ext.has_crypto)
		look_for_luks(&s, c->img->ext.crypto_off >> bits,
			      (c->img->ext.crypto_bytes >> bits) + 1);
	for (i = 0; i < c->recount.n_troubles; i++, tr++)
		if (tr->stated && !tr->counted)
			look_for_luks(&s, tr->first, tr->n);
	*x = s.x;
	return s.found == 1 && s.seen <= MAX_ORPHANS;
}

/* An extension of another type that says just this: its type is damaged. */
static const struct qf_ext *find_mistyped(const struct qf_image *img,
					  const struct qf_wire_crypto_ext *x)
{
	const struct qf_ext *e = img->ext.ext;
	size_t i;

	for (i = 0; i < img->ext.n; i++, e++)
		if (e->data && e->bytes == sizeof(*x) &&
		    !memcmp(e->data, x, sizeof(*x)))
			return e;
	return NULL;
}

/* Says in the header where the LUKS header is. */
static enum qf_err put_pointer(struct qf_fix_ctx *c, enum qf_problem p,
			       const struct qf_wire_crypto_ext *x,
			       struct qf_why *why)
{
	const struct qf_ext *e = qf_ext_find(&c->img->ext, QF_EXT_CRYPTO);
	struct {
		struct qf_wire_ext head;
		struct qf_wire_crypto_ext x;
		struct qf_wire_ext end;
	} whole = { { qf_be_put32(QF_EXT_CRYPTO), qf_be_put32(sizeof(*x)) },
		    *x,
		    { { { 0 } }, { { 0 } } } };
	uint64_t end = list_end(c->img);

	if (e && e->bytes == sizeof(*x))
		return qf_plan_put(c->plan, p, e->off, x, sizeof(*x), why,
				   "point to the only LUKS header among the "
				   "clusters without an owner");
	e = find_mistyped(c->img, x);
	if (e)
		return qf_plan_put32(c->plan, p, e->off - EXT_HEAD,
				     QF_EXT_CRYPTO, why,
				     "give the header extension that points to "
				     "the LUKS header its type");
	if (!end || c->img->ext_area_end < end + sizeof(whole))
		return QF_OK;
	return qf_plan_put(c->plan, p, end, &whole, sizeof(whole), why,
			   "add the header extension that points to the only "
			   "LUKS header among the clusters without an owner");
}

static enum qf_err fix_luks_pointer(struct qf_fix_ctx *c, enum qf_problem p,
				    struct qf_why *why)
{
	struct qf_wire_crypto_ext x;

	return find_luks(c, &x) ? put_pointer(c, p, &x, why) : QF_OK;
}

static bool is_all_else_sound(const struct qf_fix_ctx *c)
{
	const struct qf_finding *f = c->rep->findings.at;
	size_t i;

	for (i = 0; i < c->rep->findings.n; i++, f++)
		if (f->problem != QF_P_CRYPTO_HEADER &&
		    qf_problem_get(f->problem)->severity >= QF_SEV_LEAK)
			return false;
	return true;
}

/* How the disk is encrypted; all of it was read otherwise before. */
static enum qf_err put_method(struct qf_fix_ctx *c, uint32_t method,
			      struct qf_why *why, const char *what)
{
	if (!qf_plan_licence_all(c->plan, c->img, 0))
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory for the plan");
	return qf_plan_put32(c->plan, QF_P_CRYPTO_HEADER, AT(crypt_method),
			     method, why, what);
}

static enum qf_err fix_crypto(struct qf_fix_ctx *c, struct qf_why *why)
{
	const struct qf_image *img = c->img;
	uint64_t bytes;

	if (img->hdr.crypt_method == QF_CRYPT_LUKS && !img->ext.has_crypto &&
	    !c->recount.leaked && is_all_else_sound(c))
		return put_method(c, QF_CRYPT_NONE, why,
				  "mark the disk as not encrypted: no "
				  "cluster is left that a LUKS header could "
				  "be in");
	if (img->hdr.crypt_method == QF_CRYPT_LUKS)
		return fix_luks_pointer(c, QF_P_CRYPTO_HEADER, why);
	if (!img->ext.has_crypto || !is_luks(c, img->ext.crypto_off, &bytes))
		return QF_OK;
	return put_method(c, QF_CRYPT_LUKS, why,
			  "mark the disk as encrypted with LUKS: its header "
			  "is where the extension says");
}

/* What the pointer leads to is no header: another one may be. */
static enum qf_err fix_luks(struct qf_fix_ctx *c, struct qf_why *why)
{
	uint64_t bytes;

	return is_luks(c, c->img->ext.crypto_off, &bytes)
		       ? QF_OK
		       : fix_luks_pointer(c, QF_P_LUKS_HEADER, why);
}

enum qf_err qf_fix_fields(struct qf_fix_ctx *c, struct qf_why *why)
{
	static const struct {
		enum qf_problem problem;
		qf_fix_fn *fix;
	} fields[] = {
		{ QF_P_COMPRESSION_TYPE, fix_compression },
		{ QF_P_BACKING_NAME, fix_backing_name },
		{ QF_P_CRYPTO_HEADER, fix_crypto },
		{ QF_P_LUKS_HEADER, fix_luks },
	};
	size_t had = c->plan->n, i;
	enum qf_err err = QF_OK;

	for (i = 0; !err && i < sizeof(fields) / sizeof(fields[0]); i++)
		if (c->plan->n == had && qf_fix_found(c, fields[i].problem) &&
		    qf_plan_allows(c->plan, fields[i].problem))
			err = fields[i].fix(c, why);
	return err;
}
