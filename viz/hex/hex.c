// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/hex/hex.h"
#include "lib/walk/describe.h"
#include "lib/format/entry.h"
#include "lib/base/mem.h"
#include "lib/format/refblock.h"
#include "lib/base/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

enum style {
	DECIMAL,
	HEX,
	POINTER, /* a host offset */
	SIZE,
};

struct field {
	const char *name;
	uint16_t off, bytes;
	enum style style;
};

#define FIELD(type, member, style)                                          \
	{                                                                   \
#member, (uint16_t)offsetof(struct type, member),           \
			(uint16_t)sizeof(((struct type *)0)->member), style \
	}
#define HEADER(member, style) FIELD(qf_wire_header, member, style)
#define SNAPSHOT(member, style) FIELD(qf_wire_snapshot, member, style)
#define BITMAP(member, style) FIELD(qf_wire_bitmap, member, style)

static const struct field header_fields[] = {
	HEADER(magic, HEX),
	HEADER(version, DECIMAL),
	HEADER(backing_file_offset, POINTER),
	HEADER(backing_file_size, DECIMAL),
	HEADER(cluster_bits, DECIMAL),
	HEADER(size, SIZE),
	HEADER(crypt_method, DECIMAL),
	HEADER(l1_size, DECIMAL),
	HEADER(l1_table_offset, POINTER),
	HEADER(refcount_table_offset, POINTER),
	HEADER(refcount_table_clusters, DECIMAL),
	HEADER(nb_snapshots, DECIMAL),
	HEADER(snapshots_offset, POINTER),
	HEADER(incompatible_features, HEX),
	HEADER(compatible_features, HEX),
	HEADER(autoclear_features, HEX),
	HEADER(refcount_order, DECIMAL),
	HEADER(header_length, DECIMAL),
	HEADER(compression_type, DECIMAL),
};

static const struct field snapshot_fields[] = {
	SNAPSHOT(l1_table_offset, POINTER), SNAPSHOT(l1_size, DECIMAL),
	SNAPSHOT(id_len, DECIMAL),	    SNAPSHOT(name_len, DECIMAL),
	SNAPSHOT(date_sec, DECIMAL),	    SNAPSHOT(date_nsec, DECIMAL),
	SNAPSHOT(vm_clock_nsec, DECIMAL),   SNAPSHOT(vm_state_size, SIZE),
	SNAPSHOT(extra_len, DECIMAL),
};

static const struct field bitmap_fields[] = {
	BITMAP(table_offset, POINTER),
	BITMAP(table_size, DECIMAL),
	BITMAP(flags, HEX),
	BITMAP(type, DECIMAL),
	BITMAP(granularity_bits, DECIMAL),
	BITMAP(name_len, DECIMAL),
	BITMAP(extra_len, DECIMAL),
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* A text that grows to the end of its room and no further. */
struct out {
	char *text;
	size_t room, n;
};

__attribute__((format(printf, 2, 3))) static void say(struct out *o,
						      const char *fmt, ...)
{
	va_list ap;
	int n;

	if (o->n >= o->room)
		return;
	va_start(ap, fmt);
	n = vsnprintf(o->text + o->n, o->room - o->n, fmt, ap);
	va_end(ap);
	o->n += n > 0 ? (size_t)n : 0;
}

static uint64_t get_be(const unsigned char *p, unsigned int bytes)
{
	uint64_t v = 0;

	while (bytes--)
		v = v << 8 | *p++;
	return v;
}

/* The fields of a structure that begin in the 8 bytes that stand AT bytes
 * behind its beginning. */
static void say_fields(struct out *o, const struct field *f, size_t n,
		       uint64_t at, const unsigned char *bytes,
		       uint64_t *target)
{
	char size[32];
	uint64_t v;

	for (; n; n--, f++) {
		if (f->off < at || f->off >= at + 8)
			continue;
		if (f->off + f->bytes > at + 8)
			continue; /* it goes on behind an unaligned start */
		v = get_be(bytes + (f->off - at), f->bytes);
		say(o, "%s%s ", o->n ? ", " : "", f->name);
		switch (f->style) {
		case DECIMAL:
			say(o, "%" PRIu64, v);
			break;
		case SIZE:
			say(o, "%" PRIu64 " (%s)", v,
			    qf_text_bytes(v, size, sizeof(size)));
			break;
		case POINTER:
			if (v)
				*target = v;
			/* fallthrough */
		case HEX:
			say(o, "0x%" PRIx64, v);
			break;
		}
	}
}

/* Names the bits that are set in the header's feature words. */
static void say_features(struct out *o, uint64_t at, const unsigned char *bytes)
{
	static const size_t word[] = {
		offsetof(struct qf_wire_header, incompatible_features),
		offsetof(struct qf_wire_header, compatible_features),
		offsetof(struct qf_wire_header, autoclear_features)
	};
	uint64_t v = get_be(bytes, 8);
	unsigned int i, bit;

	for (i = 0; i < COUNT(word); i++)
		for (bit = 0; word[i] == at && bit < 64; bit++)
			if (v >> bit & 1)
				say(o, " [%s]",
				    qf_header_feature(i, bit)
					    ? qf_header_feature(i, bit)
					    : "unknown");
}

static void say_header(struct out *o, const struct qf_hex *h, uint64_t at,
		       const unsigned char *bytes, uint64_t *target)
{
	const struct qf_image *img = h->img;
	uint64_t off = h->off + at;
	size_t i;

	if (off < img->hdr.header_bytes &&
	    off < sizeof(struct qf_wire_header)) {
		say_fields(o, header_fields, COUNT(header_fields), off, bytes,
			   target);
		if (img->hdr.version >= 3)
			say_features(o, off, bytes);
		return;
	}
	for (i = 0; i < img->ext.n; i++) {
		const struct qf_ext *e = &img->ext.ext[i];

		if (off + 8 == e->off)
			say(o, "extension: %s (0x%08x), %u bytes",
			    qf_ext_name(e->type), e->type, e->bytes);
		else if (off >= e->off && off < e->off + e->bytes)
			say(o, "  %s", qf_ext_name(e->type));
		if (e->type == QF_EXT_BITMAPS && off == e->off + 16 &&
		    img->ext.has_bitmaps)
			*target = img->ext.bitmap_dir_off;
		if (e->type == QF_EXT_CRYPTO && off == e->off &&
		    img->ext.has_crypto)
			*target = img->ext.crypto_off;
	}
	if (!o->n && off >= img->hdr.backing_name_off &&
	    img->hdr.backing_name_bytes && img->backing_name &&
	    off < img->hdr.backing_name_off + img->hdr.backing_name_bytes)
		say(o, "backing file name");
}

static void say_odd(struct out *o, unsigned int odd)
{
	unsigned int bit;

	for (bit = 0; bit < QF_ODD_KINDS; bit++)
		if (odd >> bit & 1)
			say(o, " !! %s", qf_describe_odd(1u << bit));
}

static void say_number(struct out *o, const char *what, const struct qf_hex *h,
		       uint64_t index)
{
	if (h->first != QF_NOWHERE)
		say(o, "%s[%" PRIu64 "] ", what, h->first + index);
	else
		say(o, "%s[+%" PRIu64 "] ", what, index);
}

static void say_l1(struct out *o, const struct qf_hex *h, uint64_t at,
		   const unsigned char *bytes, uint64_t *target)
{
	const struct qf_geometry *g = &h->img->geo;
	uint64_t entry = get_be(bytes, 8), guest;
	uint64_t off = entry & QF_ENTRY_OFFSET_MASK;

	say_number(o, "L1", h, at / 8);
	if (!entry) {
		say(o, "no table");
		return;
	}
	if (off)
		*target = off;
	say(o, "L2 table at 0x%" PRIx64 "%s", off,
	    entry & QF_ENTRY_COPIED ? " COPIED" : "");
	if (h->first != QF_NOWHERE &&
	    qf_mem_mul(h->first + at / 8,
		       (uint64_t)g->l2_entries << g->cluster_bits, &guest))
		say(o, ", guest 0x%" PRIx64, guest);
	say_odd(o, qf_entry_l1_odd(g, h->img->io->size, entry));
}

static void say_subclusters(struct out *o, uint64_t bitmap)
{
	say(o, "   subclusters allocated 0x%08" PRIx64 ", zero 0x%08" PRIx64,
	    bitmap & 0xffffffffu, bitmap >> 32);
}

static void say_l2(struct out *o, const struct qf_hex *h, uint64_t at,
		   const unsigned char *bytes, uint64_t *target)
{
	const struct qf_geometry *g = &h->img->geo;
	uint64_t entry = get_be(bytes, 8), off, len, guest;
	uint64_t index = at / g->l2_entry_bytes;

	if (g->extl2 && at % 16) {
		say_subclusters(o, entry);
		return;
	}
	say(o, "L2[%" PRIu64 "] ", index);
	off = entry & QF_ENTRY_OFFSET_MASK;
	switch (qf_entry_kind(g, entry)) {
	case QF_ENTRY_KIND_NONE:
		say(o, "-");
		break;
	case QF_ENTRY_KIND_ZERO:
		say(o, "zeros");
		break;
	case QF_ENTRY_KIND_ZERO_ALLOC:
		say(o, "zeros, kept 0x%" PRIx64, off);
		break;
	case QF_ENTRY_KIND_DATA:
		say(o, "data 0x%" PRIx64, off);
		break;
	case QF_ENTRY_KIND_COMPRESSED:
		qf_entry_compressed(g, entry, &off, &len);
		say(o, "compressed 0x%" PRIx64 " +%" PRIu64, off, len);
		break;
	}
	if (off && !g->data_file)
		*target = off;
	if (entry & QF_ENTRY_COPIED)
		say(o, " COPIED");
	if (h->guest != QF_NOWHERE && entry &&
	    qf_mem_add(h->guest, index << g->cluster_bits, &guest))
		say(o, ", guest 0x%" PRIx64, guest);
	say_odd(o, qf_entry_l2_odd(g, h->img->hdr.version, h->img->io->size,
				   entry, g->extl2 ? get_be(bytes + 8, 8) : 0));
}

static void say_refcounts(struct out *o, const struct qf_hex *h, uint64_t at,
			  const unsigned char *bytes)
{
	uint32_t order = h->img->hdr.refcount_order;
	uint64_t n = 64u >> order, i, same, v;

	if (h->first != QF_NOWHERE)
		say(o, "cluster %" PRIu64 ": ",
		    h->first + at * 8 / (1u << order));
	for (i = 0; i < n; i += same) {
		v = qf_refblock_get(bytes, order, i);
		for (same = 1; n > 8 && i + same < n; same++)
			if (qf_refblock_get(bytes, order, i + same) != v)
				break;
		say(o, same > 1 ? "%s%" PRIu64 " (x%" PRIu64 ")" : "%s%" PRIu64,
		    i ? " " : "", v, same);
	}
}

static void say_reftable(struct out *o, const struct qf_hex *h, uint64_t at,
			 const unsigned char *bytes, uint64_t *target)
{
	uint64_t entry = get_be(bytes, 8);
	uint64_t off = entry & QF_REFT_OFFSET_MASK;

	say_number(o, "refcounts", h, at / 8);
	if (!off) {
		say(o, "no block");
	} else {
		say(o, "block at 0x%" PRIx64, off);
		*target = off;
	}
	if (entry & QF_REFT_RESERVED_MASK)
		say_odd(o, QF_ODD_RESERVED);
}

static void say_bitmap_table(struct out *o, const struct qf_hex *h, uint64_t at,
			     const unsigned char *bytes, uint64_t *target)
{
	uint64_t entry = get_be(bytes, 8);
	uint64_t off = entry & QF_BME_OFFSET_MASK;

	say_number(o, "bits", h, at / 8);
	if (off) {
		say(o, "at 0x%" PRIx64, off);
		*target = off;
	} else {
		say(o, entry & QF_BME_ALL_ONES ? "all ones" : "all zeros");
	}
	if (entry & QF_BME_RESERVED_MASK)
		say_odd(o, QF_ODD_RESERVED);
}

/* The row at host offset OFF of an entry that starts at ENTRY_OFF. */
static void say_entry(struct out *o, const char *what, const char *name,
		      uint64_t rel, uint64_t fixed, uint64_t extra, uint64_t id)
{
	char safe[96];

	qf_text_safe(name ? name : "", safe, sizeof(safe));
	if (!rel)
		say(o, " <- %s \"%s\"", what, safe);
	else if (rel >= fixed && rel < fixed + extra)
		say(o, "extra data");
	else if (rel + 8 > fixed + extra && rel < fixed + extra + id + 8)
		say(o, "%s\"%s\"", o->n ? ", " : "", safe);
}

static void say_snapshots(struct out *o, const struct qf_hex *h, uint64_t at,
			  const unsigned char *bytes, uint64_t *target)
{
	const struct qf_snapshot_table *t = &h->img->snapshots;
	uint64_t off = h->off + at, rel;
	const size_t fixed = sizeof(struct qf_wire_snapshot);
	uint32_t i;

	for (i = 0; i < t->n; i++) {
		const struct qf_snapshot *s = &t->snap[i];

		if (off < s->entry_off || off >= s->entry_off + s->entry_bytes)
			continue;
		rel = off - s->entry_off;
		say_fields(o, snapshot_fields, COUNT(snapshot_fields), rel,
			   bytes, target);
		if (rel == fixed && s->extra_bytes >= 8)
			say(o, "vm_state_size %" PRIu64 ", ", get_be(bytes, 8));
		if (rel == fixed + 8 && s->extra_bytes >= 16)
			say(o, "disk_size %" PRIu64 ", ", get_be(bytes, 8));
		if (rel == fixed + 16 && s->extra_bytes >= 24)
			say(o, "icount %" PRIu64 ", ", get_be(bytes, 8));
		say_entry(o, "snapshot", s->name, rel, fixed, s->extra_bytes,
			  (uint64_t)s->id_bytes + s->name_bytes);
		return;
	}
}

static void say_bitmaps(struct out *o, const struct qf_hex *h, uint64_t at,
			const unsigned char *bytes, uint64_t *target)
{
	const struct qf_bitmap_dir *d = &h->img->bitmaps;
	uint64_t off = h->off + at, rel;
	uint32_t i;

	for (i = 0; i < d->n; i++) {
		const struct qf_bitmap *b = &d->bm[i];

		if (off < b->entry_off || off >= b->entry_off + b->entry_bytes)
			continue;
		rel = off - b->entry_off;
		say_fields(o, bitmap_fields, COUNT(bitmap_fields), rel, bytes,
			   target);
		say_entry(o, "bitmap", b->name, rel,
			  sizeof(struct qf_wire_bitmap), b->extra_bytes,
			  b->name_bytes);
		return;
	}
}

void qf_hex_row(const struct qf_hex *h, uint64_t at, const unsigned char *bytes,
		char *text, size_t room, uint64_t *target)
{
	struct out o = { text, room, 0 };

	*target = QF_NOWHERE;
	text[0] = '\0';
	switch (h->as) {
	case QF_HEX_DATA:
		break;
	case QF_HEX_HEADER:
		say_header(&o, h, at, bytes, target);
		break;
	case QF_HEX_L1:
		say_l1(&o, h, at, bytes, target);
		break;
	case QF_HEX_L2:
		say_l2(&o, h, at, bytes, target);
		break;
	case QF_HEX_REFTABLE:
		say_reftable(&o, h, at, bytes, target);
		break;
	case QF_HEX_REFBLOCK:
		say_refcounts(&o, h, at, bytes);
		break;
	case QF_HEX_SNAPSHOTS:
		say_snapshots(&o, h, at, bytes, target);
		break;
	case QF_HEX_BITMAP_DIR:
		say_bitmaps(&o, h, at, bytes, target);
		break;
	case QF_HEX_BITMAP_TABLE:
		say_bitmap_table(&o, h, at, bytes, target);
		break;
	}
}
