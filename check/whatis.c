// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/whatis.h"
#include "lib/entry.h"
#include "lib/identify.h"
#include "lib/mem.h"
#include "lib/refblock.h"
#include "lib/walk_l2.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sample {
	const struct qf_image *img;
	const unsigned char *buf;
	uint64_t bytes;
};

/* How many 8-byte words are sound entries, and how many are not zero. */
static void count_entries(const struct sample *s, uint64_t *sound,
			  uint64_t *used, uint64_t *inside)
{
	const struct qf_geometry *g = &s->img->geo;
	struct qf_be64 w;
	uint64_t i, e, off;

	*sound = *used = *inside = 0;
	for (i = 0; i < s->bytes; i += g->l2_entry_bytes) {
		memcpy(&w, s->buf + i, sizeof(w));
		e = qf_be_get64(w);
		if (!e)
			continue;
		++*used;
		if (qf_entry_l2_odd(g, s->img->hdr.version, s->img->io->size, e,
				    0))
			continue;
		++*sound;
		off = e & QF_ENTRY_OFFSET_MASK;
		*inside += off && off < s->img->io->size;
	}
}

static bool looks_like_l2(const struct sample *s)
{
	uint64_t sound, used, inside;

	count_entries(s, &sound, &used, &inside);
	return inside && sound * 20 >= used * 19;
}

/* Small counts nearly everywhere, and not all zero. */
static bool looks_like_refblock(const struct sample *s)
{
	uint32_t order = s->img->hdr.refcount_order;
	uint64_t n = s->bytes * 8 >> order, i, v, used = 0, small = 0;

	if (order < 3)
		return false; /* any bytes would do */
	for (i = 0; i < n; i++) {
		v = qf_refblock_get(s->buf, order, i);
		used += v != 0;
		small += v && v <= (uint64_t)s->img->snapshots.n + 2;
	}
	return used && small * 20 >= used * 19;
}

/* Pointers without flags, each to a refcount block that the image has. */
static bool looks_like_reftable(const struct sample *s)
{
	uint64_t i, k, e, used = 0;
	struct qf_be64 w;

	for (i = 0; i < s->bytes; i += 8) {
		memcpy(&w, s->buf + i, sizeof(w));
		e = qf_be_get64(w);
		if (!e)
			continue;
		for (k = 0; k < s->img->reftable_entries; k++)
			if (qf_image_refblock(s->img, k) == e)
				break;
		if (k == s->img->reftable_entries || ++used > 64)
			break;
	}
	return used && (i >= s->bytes || used > 64);
}

static bool looks_like_snapshots(const struct sample *s)
{
	struct qf_wire_snapshot w;
	uint64_t off;

	memcpy(&w, s->buf, sizeof(w));
	off = qf_be_get64(w.l1_table_offset);
	return off && !(off & (s->img->geo.cluster_bytes - 1)) &&
	       off < s->img->io->size && qf_be_get32(w.l1_size) &&
	       qf_be_get32(w.l1_size) <= QF_MAX_L1_BYTES / 8 &&
	       qf_be_get32(w.extra_len) <= 64 && qf_be_get16(w.id_len) &&
	       qf_be_get16(w.id_len) < 32;
}

static void by_magic(const struct sample *s, char *out, size_t room)
{
	char text[200];
	uint64_t i, printable = 0;

	/* libmagic takes long over much, and knows most by the first page */
	qf_identify_bytes(s->buf, s->bytes < 4096 ? (size_t)s->bytes : 4096,
			  text, sizeof(text));
	for (i = 0; i < s->bytes; i++)
		printable += (s->buf[i] >= 0x20 && s->buf[i] < 0x7f) ||
			     (s->buf[i] >= '\t' && s->buf[i] <= '\r');
	if (strcmp(text, "data") && strncmp(text, "OpenPGP", 7))
		snprintf(out, room, "guest data (%s)", text);
	else if (printable * 20 >= s->bytes * 19)
		snprintf(out, room, "guest data (text)");
	else
		snprintf(out, room, "binary data of no known kind");
}

char *qf_whatis(const struct qf_image *img, uint64_t off, char *out,
		size_t room)
{
	struct sample s = { .img = img, .bytes = img->geo.cluster_bytes };
	unsigned char *buf;
	struct qf_why why;

	if (off >= img->io->size) {
		snprintf(out, room, "nothing: it lies past the end");
		return out;
	}
	buf = qf_mem_zalloc(1, (size_t)s.bytes);
	if (!buf || qf_io_read_pad(img->io, buf, s.bytes, off, &why)) {
		free(buf);
		snprintf(out, room, "not known: it cannot be read");
		return out;
	}
	s.buf = buf;
	if (qf_l2_is_zero(buf, s.bytes))
		snprintf(out, room, "nothing but zeros");
	else if (!memcmp(buf, buf + 1, s.bytes - 1))
		snprintf(out, room, "one byte over and over (0x%02x)", buf[0]);
	else if (looks_like_reftable(&s))
		snprintf(out, room, "a refcount table");
	else if (!off)
		snprintf(out, room, "the image's header");
	else if (looks_like_snapshots(&s))
		snprintf(out, room, "a snapshot table");
	else if (looks_like_l2(&s))
		snprintf(out, room, "an L1 or L2 table of this image");
	else if (looks_like_refblock(&s))
		snprintf(out, room, "a refcount block");
	else
		by_magic(&s, out, room);
	free(buf);
	return out;
}
