// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/ext.h"
#include "lib/base/mem.h"

#include <stdlib.h>

/* QEMU refuses longer names of formats. */
#define MAX_FORMAT 15u

/* The types of the format, and our own; which lengths they may have. */
static const struct {
	uint32_t type;
	uint32_t least, most;
	const char *name;
} known[] = {
	{ QF_EXT_BACKING_FORMAT, 0, MAX_FORMAT, "backing file format" },
	{ QF_EXT_FEATURE_NAMES, 0, UINT32_MAX, "feature name table" },
	{ QF_EXT_BITMAPS, sizeof(struct qf_wire_bitmaps_ext),
	  sizeof(struct qf_wire_bitmaps_ext), "bitmaps" },
	{ QF_EXT_CRYPTO, sizeof(struct qf_wire_crypto_ext),
	  sizeof(struct qf_wire_crypto_ext), "full disk encryption header" },
	{ QF_EXT_DATA_FILE, 0, UINT32_MAX, "external data file name" },
	{ QF_EXT_GAVE_UP, 0, UINT32_MAX,
	  "a repair by qfsck gave something up" },
};

#define N_KNOWN (sizeof(known) / sizeof(known[0]))

const char *qf_ext_name(uint32_t type)
{
	size_t i;

	for (i = 0; i < N_KNOWN; i++)
		if (known[i].type == type)
			return known[i].name;
	return "unknown";
}

static bool is_known(uint32_t type)
{
	size_t i;

	for (i = 0; i < N_KNOWN; i++)
		if (known[i].type == type)
			return true;
	return false;
}

static unsigned int odd_of(const struct qf_ext_list *list, uint32_t type,
			   uint32_t bytes)
{
	unsigned int odd = 0;
	size_t i;

	for (i = 0; i < N_KNOWN; i++)
		if (known[i].type == type &&
		    (bytes < known[i].least || bytes > known[i].most))
			odd |= QF_EXT_ODD_LENGTH;
	if (type == QF_EXT_FEATURE_NAMES &&
	    bytes % sizeof(struct qf_wire_feature_name))
		odd |= QF_EXT_ODD_LENGTH;
	for (i = 0; i < list->n; i++)
		if (list->ext[i].type == type && is_known(type))
			odd |= QF_EXT_ODD_TWICE;
	return odd;
}

/* Takes what the later readers need out of the fixed-size extensions. */
static void decode(struct qf_ext_list *list, struct qf_ext *e)
{
	struct qf_wire_bitmaps_ext b;
	struct qf_wire_crypto_ext c;

	if (e->odd & (QF_EXT_ODD_LENGTH | QF_EXT_ODD_TWICE))
		return;
	if (e->type == QF_EXT_BITMAPS) {
		memcpy(&b, e->data, sizeof(b));
		list->has_bitmaps = true;
		list->bitmap_count = qf_be_get32(b.nb_bitmaps);
		list->bitmap_dir_bytes = qf_be_get64(b.directory_size);
		list->bitmap_dir_off = qf_be_get64(b.directory_offset);
		if (qf_be_get32(b.reserved))
			e->odd |= QF_EXT_ODD_RESERVED;
	} else if (e->type == QF_EXT_CRYPTO) {
		memcpy(&c, e->data, sizeof(c));
		list->has_crypto = true;
		list->crypto_off = qf_be_get64(c.offset);
		list->crypto_bytes = qf_be_get64(c.length);
	}
}

static enum qf_err add(struct qf_ext_list *list, const unsigned char *data,
		       uint32_t type, uint32_t bytes, uint64_t off)
{
	struct qf_ext *e;

	if (!qf_mem_grow((void **)&list->ext, list->n, &list->room, sizeof(*e)))
		return QF_ERR_NOMEM;
	e = &list->ext[list->n];
	memset(e, 0, sizeof(*e));
	e->type = type;
	e->bytes = bytes;
	e->off = off;
	e->odd = odd_of(list, type, bytes);
	if (!data) {
		e->odd |= QF_EXT_ODD_OVERRUN;
		list->n++;
		return QF_OK;
	}
	e->data = qf_mem_zalloc(1, (size_t)bytes + 1);
	if (!e->data)
		return QF_ERR_NOMEM;
	memcpy(e->data, data, bytes);
	list->n++;
	decode(list, e);
	return QF_OK;
}

static bool is_odd(const struct qf_ext_list *list)
{
	size_t i;

	for (i = 0; i < list->n; i++)
		if (list->ext[i].odd)
			return true;
	return false;
}

enum qf_err qf_ext_parse(const unsigned char *buf, uint64_t start,
			 uint64_t area, struct qf_ext_list *list,
			 struct qf_why *why)
{
	struct qf_wire_ext w;
	uint64_t at = start;
	uint32_t type, bytes;
	enum qf_err err;
	bool fits;

	memset(list, 0, sizeof(*list));
	while (at + sizeof(w) <= area) {
		memcpy(&w, buf + at, sizeof(w));
		at += sizeof(w);
		type = qf_be_get32(w.type);
		bytes = qf_be_get32(w.len);
		fits = bytes <= area - at;
		/* QEMU asks of an end mark too that its length fits; behind a
		 * wrong length it need not be one */
		if (type == QF_EXT_END && (fits || is_odd(list)))
			return QF_OK;
		err = add(list, fits ? buf + at : NULL, type, bytes, at);
		if (err) {
			qf_ext_free(list);
			return qf_err_set(why, err, 0, at,
					  "no memory for header extensions");
		}
		if (!fits)
			break;
		at += ((uint64_t)bytes + 7) & ~7ull;
	}
	list->unterminated = true;
	return QF_OK;
}

void qf_ext_free(struct qf_ext_list *list)
{
	size_t i;

	for (i = 0; i < list->n; i++)
		free(list->ext[i].data);
	free(list->ext);
	memset(list, 0, sizeof(*list));
}

const struct qf_ext *qf_ext_find(const struct qf_ext_list *list, uint32_t type)
{
	size_t i;

	for (i = 0; i < list->n; i++)
		if (list->ext[i].type == type && list->ext[i].data)
			return &list->ext[i];
	return NULL;
}

const char *qf_ext_string(const struct qf_ext_list *list, uint32_t type)
{
	const struct qf_ext *e = qf_ext_find(list, type);

	return e ? (const char *)e->data : NULL;
}
