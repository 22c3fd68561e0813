// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/show/info.h"
#include "check/check.h"
#include "lib/format/luks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of an unknown extension that are shown. */
#define SHOWN_BYTES 64u

const char *const qf_info_feature_type[3] = { "incompatible", "compatible",
					      "autoclear" };

enum qf_err qf_info_make(struct qf_image *img, struct qf_info *info,
			 struct qf_why *why)
{
	memset(info, 0, sizeof(*info));
	info->n_holders =
		qf_lock_holders(img->io->fd, info->holder, QF_INFO_HOLDERS);
	return qf_chain_open(img, true, &info->chain, why);
}

void qf_info_free(struct qf_info *info)
{
	qf_chain_close(&info->chain);
}

uint64_t qf_info_features(const struct qf_image *img, unsigned int type)
{
	const uint64_t words[3] = { img->hdr.incompatible, img->hdr.compatible,
				    img->hdr.autoclear };

	return words[type];
}

/* Section "Feature name table". */
static const struct qf_wire_feature_name *
own_name(const struct qf_image *img, unsigned int type, unsigned int bit)
{
	const struct qf_ext *e = qf_ext_find(&img->ext, QF_EXT_FEATURE_NAMES);
	const struct qf_wire_feature_name *f;
	uint32_t i;

	for (i = 0; e && i < e->bytes / sizeof(*f); i++) {
		f = (const void *)(e->data + i * sizeof(*f));
		if (f->type == type && f->bit == bit)
			return f;
	}
	return NULL;
}

const char *qf_info_feature(const struct qf_image *img, unsigned int type,
			    unsigned int bit, char *buf, size_t room)
{
	const char *known = qf_header_feature(type, bit);
	const struct qf_wire_feature_name *f = own_name(img, type, bit);

	if (known)
		return known;
	if (!f)
		return "unknown";
	snprintf(buf, room, "%.*s", (int)sizeof(f->name), f->name);
	return buf;
}

const char *qf_info_permission(unsigned int n)
{
	static const char *const names[QF_LOCK_PERMS] = {
		"consistent-read", "write", "write-unchanged", "resize"
	};

	return names[n];
}

static json_t *features(const struct qf_image *img)
{
	json_t *list = json_array(), *o;
	unsigned int type, bit;
	char name[64];

	for (type = 0; type < 3; type++)
		for (bit = 0; bit < 64; bit++) {
			if (!(qf_info_features(img, type) >> bit & 1))
				continue;
			o = json_object();
			qf_json_text(o, "type", qf_info_feature_type[type]);
			qf_json_int(o, "bit", bit);
			qf_json_text(o, "name",
				     qf_info_feature(img, type, bit, name,
						     sizeof(name)));
			json_array_append_new(list, o);
		}
	return list;
}

static void set_hex(json_t *o, const struct qf_ext *e)
{
	char hex[2 * SHOWN_BYTES + 1] = "";
	uint32_t i;

	for (i = 0; i < e->bytes && i < SHOWN_BYTES; i++)
		snprintf(hex + 2 * i, 3, "%02x", e->data[i]);
	qf_json_text(o, "data", hex);
}

static json_t *extensions(const struct qf_image *img)
{
	json_t *list = json_array(), *o;
	const struct qf_ext *e;
	char type[16];
	size_t i;

	for (i = 0; i < img->ext.n; i++) {
		e = &img->ext.ext[i];
		o = json_object();
		snprintf(type, sizeof(type), "0x%08" PRIx32, e->type);
		qf_json_text(o, "type", type);
		qf_json_text(o, "name", qf_ext_name(e->type));
		qf_json_int(o, "host-offset", e->off);
		qf_json_int(o, "length", e->bytes);
		if (!e->data)
			qf_json_bool(o, "overrun", 1);
		else if (e->type == QF_EXT_BACKING_FORMAT ||
			 e->type == QF_EXT_DATA_FILE)
			qf_json_text(o, "text", (const char *)e->data);
		else if (!strcmp(qf_ext_name(e->type), "unknown"))
			set_hex(o, e);
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *snapshots(const struct qf_image *img)
{
	json_t *list = json_array(), *o;
	const struct qf_snapshot *s;
	uint32_t i;

	for (i = 0; i < img->snapshots.n; i++) {
		s = &img->snapshots.snap[i];
		o = json_object();
		qf_json_text(o, "id", s->id);
		qf_json_text(o, "name", s->name);
		qf_json_int(o, "vm-state-size", s->vm_state_bytes);
		qf_json_int(o, "date-sec", s->date_sec);
		qf_json_int(o, "date-nsec", s->date_nsec);
		qf_json_int(o, "vm-clock-sec", s->vm_clock_nsec / 1000000000);
		qf_json_int(o, "vm-clock-nsec", s->vm_clock_nsec % 1000000000);
		if (s->icount != UINT64_MAX)
			qf_json_int(o, "icount", s->icount);
		qf_json_int(o, "disk-size", s->disk_bytes);
		qf_json_int(o, "l1-offset", s->l1_off);
		qf_json_int(o, "l1-entries", s->l1_entries);
		qf_json_int(o, "extra-data-size", s->extra_bytes);
		qf_json_int(o, "host-offset", s->entry_off);
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *bitmap_flags(uint32_t flags)
{
	static const char *const names[] = { "in-use", "auto",
					     "extra-data-compatible" };
	json_t *list = json_array();
	char number[16];
	unsigned int bit;

	for (bit = 0; bit < 32; bit++) {
		if (!(flags >> bit & 1))
			continue;
		snprintf(number, sizeof(number), "bit-%u", bit);
		json_array_append_new(list, json_string(bit < 3 ? names[bit]
								: number));
	}
	return list;
}

/* OURS: with what qemu-img does not tell. */
static json_t *bitmaps(const struct qf_image *img, bool ours)
{
	json_t *list = json_array(), *o;
	const struct qf_bitmap *b;
	uint32_t i;

	for (i = 0; i < img->bitmaps.n; i++) {
		b = &img->bitmaps.bm[i];
		o = json_object();
		qf_json_text(o, "name", b->name);
		qf_json_int(o, "granularity",
			    b->granularity_bits < 63
				    ? 1ull << b->granularity_bits
				    : 0);
		json_object_set_new(o, "flags",
				    bitmap_flags(ours ? b->flags
						      : b->flags & 3));
		if (ours) {
			qf_json_int(o, "type", b->type);
			qf_json_int(o, "table-offset", b->table_off);
			qf_json_int(o, "table-entries", b->table_entries);
			qf_json_int(o, "extra-data-size", b->extra_bytes);
			qf_json_int(o, "host-offset", b->entry_off);
			qf_json_bool(o, "valid", img->bitmaps_valid);
		}
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *key_slots(const struct qf_luks *l)
{
	json_t *list = json_array(), *o;
	unsigned int i;

	for (i = 0; i < QF_LUKS_SLOTS; i++) {
		o = json_object();
		qf_json_bool(o, "active", l->slot[i].active);
		qf_json_int(o, "key-offset", l->slot[i].key_off);
		if (l->slot[i].active) {
			qf_json_int(o, "iters", l->slot[i].iterations);
			qf_json_int(o, "stripes", l->slot[i].stripes);
		}
		json_array_append_new(list, o);
	}
	return list;
}

static void set_luks(json_t *o, const struct qf_luks *l)
{
	char cipher[64];

	snprintf(cipher, sizeof(cipher), "%s-%" PRIu32, l->cipher, l->key_bits);
	qf_json_text(o, "cipher-alg", cipher);
	qf_json_text(o, "cipher-mode", l->mode);
	qf_json_text(o, "ivgen-alg", l->iv);
	if (l->iv_hash[0])
		qf_json_text(o, "ivgen-hash-alg", l->iv_hash);
	qf_json_text(o, "hash-alg", l->hash);
	qf_json_text(o, "uuid", l->uuid);
	qf_json_int(o, "payload-offset", l->payload_off);
	qf_json_int(o, "master-key-iters", l->iterations);
	json_object_set_new(o, "slots", key_slots(l));
}

static json_t *encryption(const struct qf_image *img)
{
	unsigned char buf[QF_LUKS_BYTES];
	json_t *o = json_object();
	struct qf_why why;
	struct qf_luks l;
	enum qf_err err;

	if (img->hdr.crypt_method != QF_CRYPT_LUKS) {
		qf_json_text(o, "format",
			     img->hdr.crypt_method == QF_CRYPT_AES ? "aes"
								   : "unknown");
		return o;
	}
	qf_json_text(o, "format", "luks");
	if (!img->ext.has_crypto)
		return o;
	err = qf_io_read(img->io, buf, sizeof(buf), img->ext.crypto_off, &why);
	if (!err)
		err = qf_luks_parse(buf, &l, &why);
	if (err)
		qf_json_text(o, "error", why.text);
	else
		set_luks(o, &l);
	return o;
}

static json_t *specific(const struct qf_image *img)
{
	const struct qf_header *h = &img->hdr;
	json_t *data = json_object(), *o = json_object();

	qf_json_text(o, "type", "qcow2");
	json_object_set_new(o, "data", data);
	qf_json_text(data, "compat", h->version < 3 ? "0.10" : "1.1");
	qf_json_text(data, "compression-type",
		     h->compression == QF_COMPRESSION_ZSTD ? "zstd" : "zlib");
	qf_json_int(data, "refcount-bits", img->geo.refcount_bits);
	if (h->version >= 3) {
		qf_json_bool(data, "lazy-refcounts",
			     (h->compatible & QF_COMPAT_LAZY_REFCOUNTS) != 0);
		qf_json_bool(data, "corrupt",
			     (h->incompatible & QF_INCOMPAT_CORRUPT) != 0);
		qf_json_bool(data, "extended-l2", img->geo.extl2);
	}
	if (img->geo.data_file) {
		qf_json_text(data, "data-file", img->data_file_name);
		qf_json_bool(data, "data-file-raw",
			     (h->autoclear & QF_AUTOCLEAR_RAW_DATA) != 0);
	}
	if (img->bitmaps_valid && img->bitmaps.n)
		json_object_set_new(data, "bitmaps", bitmaps(img, false));
	if (h->crypt_method)
		json_object_set_new(data, "encrypt", encryption(img));
	return o;
}

static json_t *header(const struct qf_image *img)
{
	const struct qf_header *h = &img->hdr;
	json_t *o = json_object();

	qf_json_int(o, "version", h->version);
	qf_json_int(o, "header-length", h->header_bytes);
	qf_json_int(o, "l1-offset", h->l1_off);
	qf_json_int(o, "l1-entries", h->l1_entries);
	qf_json_int(o, "refcount-table-offset", h->reftable_off);
	qf_json_int(o, "refcount-table-clusters", h->reftable_clusters);
	qf_json_int(o, "snapshot-table-offset", h->snapshots_off);
	qf_json_int(o, "snapshot-count", h->snapshot_count);
	return o;
}

static json_t *permissions(unsigned int bits)
{
	json_t *list = json_array();
	unsigned int n;

	for (n = 0; n < QF_LOCK_PERMS; n++)
		if (bits >> n & 1)
			json_array_append_new(
				list, json_string(qf_info_permission(n)));
	return list;
}

static json_t *holders(const struct qf_info *info)
{
	json_t *list = json_array(), *o;
	const struct qf_lock_holder *h;
	size_t i;

	for (i = 0; i < info->n_holders && i < QF_INFO_HOLDERS; i++) {
		h = &info->holder[i];
		o = json_object();
		qf_json_int(o, "pid", (uint64_t)h->pid);
		qf_json_text(o, "program", h->program);
		qf_json_text(o, "command", h->command);
		json_object_set_new(o, "uses", permissions(h->uses));
		json_object_set_new(o, "refuses", permissions(h->refuses));
		json_array_append_new(list, o);
	}
	return list;
}

static void set_backing(json_t *o, const struct qf_chain_node *node)
{
	char *path;

	if (!node->img->backing_name)
		return;
	path = qf_chain_path(node->path, node->img->backing_name);
	qf_json_text(o, "backing-filename", node->img->backing_name);
	qf_json_text(o, "full-backing-filename",
		     path ? path : node->img->backing_name);
	qf_json_text(o, "backing-filename-format",
		     qf_ext_string(&node->img->ext, QF_EXT_BACKING_FORMAT));
	free(path);
}

static void set_image(json_t *o, const struct qf_info *info,
		      const struct qf_chain_node *node)
{
	const struct qf_image *img = node->img;

	qf_json_int(o, "cluster-size", img->geo.cluster_bytes);
	if (img->hdr.crypt_method)
		qf_json_bool(o, "encrypted", 1);
	set_backing(o, node);
	json_object_set_new(o, "format-specific", specific(img));
	json_object_set_new(o, "header", header(img));
	json_object_set_new(o, "features", features(img));
	json_object_set_new(o, "extensions", extensions(img));
	json_object_set_new(o, "snapshots", snapshots(img));
	json_object_set_new(o, "bitmaps", bitmaps(img, true));
	if (node == info->chain.node)
		json_object_set_new(o, "holders-of-locks", holders(info));
	if (!node->data)
		qf_json_text(o, "data-file-error", node->data_why.text);
	else if (node->data != node->io)
		qf_json_int(o, "data-file-actual-size", node->data->disk_bytes);
}

json_t *qf_info_json(const struct qf_info *info, uint32_t i)
{
	const struct qf_chain_node *node = &info->chain.node[i];
	json_t *o = json_object();
	bool dirty = node->img &&
		     node->img->hdr.incompatible & QF_INCOMPAT_DIRTY;

	qf_json_text(o, "filename", node->path);
	qf_json_text(o, "format", qf_chain_format(node));
	qf_json_int(o, "virtual-size", node->disk_bytes);
	qf_json_int(o, "actual-size", node->io->disk_bytes);
	qf_json_int(o, "file-size", node->io->size);
	qf_json_bool(o, "dirty-flag", dirty);
	if (node->img)
		set_image(o, info, node);
	if (i + 1 == info->chain.n && info->chain.broken.err)
		qf_json_text(o, "backing-error", info->chain.broken.text);
	return o;
}
