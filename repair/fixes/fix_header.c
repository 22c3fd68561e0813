// SPDX-License-Identifier: GPL-2.0-or-later
/* The header's feature bits and its list of extensions. */
#include "lib/base/mem.h"
#include "repair/salvage/extlist.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_LENGTH_OFF offsetof(struct qf_wire_header, header_length)
#define AUTOCLEAR_OFF offsetof(struct qf_wire_header, autoclear_features)

enum qf_err qf_extlist_drop(struct qf_fix_ctx *c, enum qf_problem p,
			    const struct qf_ext *e, struct qf_why *why)
{
	uint64_t start = e->off - 8, end = c->img->ext_area_end, gone, len;
	unsigned char *buf;
	enum qf_err err;

	if (end < start || end - start > c->img->geo.cluster_bytes)
		return QF_OK;
	len = end - start;
	gone = 8 + qf_mem_round_up(e->bytes, 8);
	if (gone > len)
		gone = len;
	buf = qf_mem_zalloc(1, len + 8);
	if (!buf)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory for the header");
	err = qf_io_read_pad(c->img->io, buf, len, start, why);
	if (!err) {
		memmove(buf, buf + gone, len - gone);
		memset(buf + len - gone, 0, gone);
		err = qf_plan_put(c->plan, p, start, buf, len, why,
				  "take the %s extension out of the header",
				  qf_ext_name(e->type));
	}
	free(buf);
	return err;
}

enum qf_err qf_extlist_clear_bit(struct qf_fix_ctx *c, enum qf_problem p,
				 uint64_t bit, const char *what,
				 struct qf_why *why)
{
	if (!(c->img->hdr.autoclear & bit))
		return QF_OK;
	return qf_plan_put64(c->plan, p, AUTOCLEAR_OFF,
			     c->img->hdr.autoclear & ~bit, why, what);
}

/* The bytes of text at BUF, a NUL ends it; 0: that is no text. */
static uint32_t text_bytes(const unsigned char *buf, uint64_t room)
{
	uint32_t n = 0;

	while (n < room && buf[n] >= 0x20 && buf[n] < 0x7f)
		n++;
	return n < room && !buf[n] ? n : 0;
}

/* The bytes of feature names at BUF. */
static uint32_t names_bytes(const unsigned char *buf, uint64_t room)
{
	uint32_t n = 0;

	while (n + 48 <= room && buf[n] <= 2 && buf[n + 1] < 64 &&
	       buf[n + 2] >= 0x20 && buf[n + 2] < 0x7f)
		n += 48;
	return n;
}

/* The length that the extension's type and data give; 0: cannot be told. */
static uint32_t true_length(const struct qf_ext *e, const unsigned char *buf,
			    uint64_t room)
{
	uint32_t n;

	switch (e->type) {
	case QF_EXT_BITMAPS:
		return sizeof(struct qf_wire_bitmaps_ext);
	case QF_EXT_CRYPTO:
		return sizeof(struct qf_wire_crypto_ext);
	case QF_EXT_FEATURE_NAMES:
		return names_bytes(buf, room);
	case QF_EXT_BACKING_FORMAT:
	case QF_EXT_DATA_FILE:
		n = text_bytes(buf, room);
		return n < 1024 ? n : 0;
	default:
		return 0;
	}
}

/* A wrong length: the true one, or else the list ends before it. */
static enum qf_err fix_length(struct qf_fix_ctx *c, enum qf_problem p,
			      const struct qf_ext *e, struct qf_why *why)
{
	static const unsigned char end_mark[8];
	uint64_t room = c->img->ext_area_end - e->off;
	bool needed = e->type == QF_EXT_CRYPTO || e->type == QF_EXT_DATA_FILE;
	unsigned char *buf;
	enum qf_err err;
	uint32_t n;

	if (e->off >= c->img->ext_area_end)
		return QF_OK;
	buf = qf_mem_zalloc(1, room);
	if (!buf)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory for the header");
	err = qf_io_read_pad(c->img->io, buf, room, e->off, why);
	n = err ? 0 : true_length(e, buf, room);
	free(buf);
	if (err)
		return err;
	if (n && n <= room && n != e->bytes)
		return qf_plan_put32(c->plan, p, e->off - 4, n, why,
				     "give the extension the length that its "
				     "data have");
	if (needed)
		return QF_OK;
	if (e->odd & QF_EXT_ODD_OVERRUN)
		return qf_plan_put(c->plan, p, e->off - 8, end_mark, 8, why,
				   "end the list of extensions before the "
				   "damaged one");
	return qf_extlist_drop(c, p, e, why);
}

static enum qf_err fix_extension(struct qf_fix_ctx *c, const struct qf_ext *e,
				 struct qf_why *why)
{
	if (e->odd & QF_EXT_ODD_OVERRUN)
		return qf_plan_allows(c->plan, QF_P_EXT_OVERRUN)
			       ? fix_length(c, QF_P_EXT_OVERRUN, e, why)
			       : QF_OK;
	if (e->odd & QF_EXT_ODD_LENGTH)
		return qf_plan_allows(c->plan, QF_P_EXT_LENGTH)
			       ? fix_length(c, QF_P_EXT_LENGTH, e, why)
			       : QF_OK;
	if (e->odd & QF_EXT_ODD_TWICE)
		return qf_plan_allows(c->plan, QF_P_EXT_TWICE)
			       ? qf_extlist_drop(c, QF_P_EXT_TWICE, e, why)
			       : QF_OK;
	if (e->odd & QF_EXT_ODD_RESERVED && e->type == QF_EXT_BITMAPS &&
	    qf_plan_allows(c->plan, QF_P_EXT_RESERVED))
		return qf_plan_put32(c->plan, QF_P_EXT_RESERVED, e->off + 4, 0,
				     why, "set the reserved field to zero");
	return QF_OK;
}

/* True if a sound list of extensions, not empty, stands at START. */
static bool is_list(const struct qf_image *img, const unsigned char *area,
		    uint64_t start)
{
	struct qf_ext_list l;
	bool sound;
	size_t i;

	if (qf_ext_parse(area, start, img->ext_area_end, &l, NULL))
		return false;
	sound = l.n && !l.unterminated;
	for (i = 0; i < l.n; i++)
		sound = sound && !l.ext[i].odd && l.ext[i].type != QF_EXT_END;
	qf_ext_free(&l);
	return sound;
}

/* The header's length, which says where the extensions begin: one of the two
 * that QEMU has ever written. */
static enum qf_err fix_own_length(struct qf_fix_ctx *c, struct qf_why *why)
{
	static const uint32_t lengths[] = { 104, 112 };
	uint64_t bytes = c->img->geo.cluster_bytes;
	unsigned char *area = qf_mem_zalloc(1, bytes);
	uint32_t found = 0, i, n = 0;
	enum qf_err err;

	if (!area)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory for the header");
	err = qf_io_read_pad(c->img->io, area, bytes, 0, why);
	for (i = 0; !err && i < sizeof(lengths) / sizeof(lengths[0]); i++)
		if (is_list(c->img, area, lengths[i])) {
			found = lengths[i];
			n++;
		}
	free(area);
	if (err || n != 1)
		return err;
	return qf_plan_put32(c->plan, QF_P_HEADER_LENGTH, HEADER_LENGTH_OFF,
			     found, why,
			     "give the header the length behind which its "
			     "extensions stand");
}

/*
 * Magic and version, which the rest of the header and the user's word tell.
 * Of two versions that both fit none is written: both are right so far.
 */
enum qf_err qf_fix_start(struct qf_fix_ctx *c, struct qf_why *why)
{
	const struct qf_header *h = &c->img->hdr;
	enum qf_err err = QF_OK;

	if (h->magic_wrong && qf_plan_allows(c->plan, QF_P_HEADER_MAGIC))
		err = qf_plan_put32(c->plan, QF_P_HEADER_MAGIC,
				    offsetof(struct qf_wire_header, magic),
				    QF_MAGIC, why,
				    "write the magic number of a qcow2 image");
	if (!err && h->version_wrong && !h->version_open &&
	    qf_plan_allows(c->plan, QF_P_HEADER_VERSION))
		err = qf_plan_put32(c->plan, QF_P_HEADER_VERSION,
				    offsetof(struct qf_wire_header, version),
				    h->version, why,
				    "write the version that the rest of the "
				    "header is of");
	return err;
}

enum qf_err qf_fix_header(struct qf_fix_ctx *c, struct qf_why *why)
{
	const struct qf_ext_list *l = &c->img->ext;
	size_t had = c->plan->n, i;
	enum qf_err err = QF_OK;

	if (qf_fix_found(c, QF_P_HEADER_LENGTH) &&
	    qf_plan_allows(c->plan, QF_P_HEADER_LENGTH))
		err = fix_own_length(c, why);
	if (err || c->plan->n != had)
		return err;
	/* one at a time: what is behind it may move */
	for (i = 0; !err && i < l->n && c->plan->n == had; i++)
		if (l->ext[i].odd)
			err = fix_extension(c, &l->ext[i], why);
	if (err || c->plan->n != had)
		return err;
	if (qf_fix_found(c, QF_P_RAW_WITHOUT_DATA_FILE) &&
	    qf_plan_allows(c->plan, QF_P_RAW_WITHOUT_DATA_FILE))
		err = qf_extlist_clear_bit(c, QF_P_RAW_WITHOUT_DATA_FILE,
					   QF_AUTOCLEAR_RAW_DATA,
					   "clear the raw external data bit",
					   why);
	if (!err && c->plan->n == had &&
	    qf_fix_found(c, QF_P_BITMAPS_BIT_ALONE) &&
	    qf_plan_allows(c->plan, QF_P_BITMAPS_BIT_ALONE))
		err = qf_extlist_clear_bit(c, QF_P_BITMAPS_BIT_ALONE,
					   QF_AUTOCLEAR_BITMAPS,
					   "clear the bitmaps bit", why);
	return err;
}
