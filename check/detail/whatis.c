// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/detail/whatis.h"
#include "lib/format/entry.h"
#include "lib/base/identify.h"
#include "lib/base/mem.h"
#include "lib/format/refblock.h"
#include "lib/walk/walk_l2.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sample {
	const struct qf_image *img;
	const unsigned char *buf;
	uint64_t bytes, off;
	bool quick; /* without libmagic */
};

/* So many of the image's refcount blocks are compared. */
#define MAX_BLOCKS 64u

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

/* True if no word would do as an L2 entry. */
static bool has_no_entry(const struct sample *s)
{
	uint64_t sound, used, inside;

	count_entries(s, &sound, &used, &inside);
	return used && !sound;
}

/* Small counts nearly everywhere, and not all zero. */
static bool looks_like_refblock(const struct sample *s)
{
	uint32_t order = s->img->hdr.refcount_order;
	uint64_t n = s->bytes * 8 >> order, i, v, used = 0, small = 0;
	/* snapshots that the header has forgotten are counted as well */
	uint64_t most = order == 3 ? 15 : 255;

	if (order < 3)
		return false; /* any bytes would do */
	if (most < (uint64_t)s->img->snapshots.n + 2)
		most = (uint64_t)s->img->snapshots.n + 2;
	for (i = 0; i < n; i++) {
		v = qf_refblock_get(s->buf, order, i);
		used += v != 0;
		small += v && v <= most;
	}
	return used && small * 20 >= used * 19;
}

/* The image's refcount table again, as far as it is filled. */
static bool looks_like_reftable(const struct sample *s)
{
	uint64_t i, used = 0;
	struct qf_be64 w;

	for (i = 0; i < s->bytes / 8; i++) {
		memcpy(&w, s->buf + i * 8, sizeof(w));
		if (qf_be_get64(w) != qf_image_refblock(s->img, i))
			return false;
		used += qf_be_get64(w) != 0;
	}
	return used;
}

/* Begins with the same bytes as one of the image's refcount blocks. */
static bool is_refblock_copy(const struct sample *s)
{
	size_t n = s->bytes < 4096 ? (size_t)s->bytes : 4096;
	uint64_t i, off, asked = 0;
	unsigned char own[4096];

	if (qf_l2_is_zero(s->buf, n))
		return false;
	for (i = 0; i < s->img->reftable_entries && asked < MAX_BLOCKS; i++) {
		off = qf_image_refblock(s->img, i);
		if (!off || off & (s->bytes - 1) || off == s->off)
			continue;
		asked++;
		if (!qf_io_read_pad(s->img->io, own, n, off, NULL) &&
		    !memcmp(own, s->buf, n))
			return true;
	}
	return false;
}

/* Begins with all entries of HOLDER's L1 table, or the first cluster of them,
 * and has no others. */
static bool is_l1_of(const struct sample *s, uint32_t holder)
{
	unsigned char own[4096];
	uint64_t off, bytes;
	uint32_t entries;

	if (!qf_image_l1(s->img, holder, &off, &entries) || off == s->off)
		return false;
	bytes = entries * 8ull;
	if (bytes > s->bytes)
		bytes = s->bytes;
	if (!qf_l2_is_zero(s->buf + bytes, s->bytes - bytes))
		return false;
	if (bytes > sizeof(own))
		bytes = sizeof(own);
	return !qf_io_read_pad(s->img->io, own, bytes, off, NULL) &&
	       !memcmp(own, s->buf, bytes);
}

/* A copy of the active disk's L1 table, or of a snapshot's: its words lead to
 * L2 tables, which no data stand on. */
static bool is_l1_copy(const struct sample *s)
{
	uint32_t h, n = qf_image_holders(s->img);

	if (n > MAX_BLOCKS)
		n = MAX_BLOCKS;
	for (h = 0; h < n; h++)
		if (is_l1_of(s, h))
			return true;
	return false;
}

static bool is_printable(const unsigned char *p, size_t n)
{
	while (n && *p >= 0x20 && *p != 0x7f) {
		p++;
		n--;
	}
	return !n;
}

static bool looks_like_snapshots(const struct sample *s)
{
	struct qf_wire_snapshot w;
	uint64_t off;
	size_t extra, id;

	memcpy(&w, s->buf, sizeof(w));
	off = qf_be_get64(w.l1_table_offset);
	extra = qf_be_get32(w.extra_len);
	id = qf_be_get16(w.id_len);
	return off && !(off & (s->img->geo.cluster_bytes - 1)) &&
	       off < s->img->io->size && qf_be_get32(w.l1_size) &&
	       qf_be_get32(w.l1_size) <= QF_MAX_L1_BYTES / 8 && extra <= 64 &&
	       id && id < 32 && is_printable(s->buf + sizeof(w) + extra, id);
}

static bool looks_like_header(const struct sample *s)
{
	return !memcmp(s->buf, "QFI\xfb", 4);
}

/*
 * A block of an ext2, ext3 or ext4 directory: entries that lead from one to
 * the next, and end where a block ends. (Kernel: fs/ext4/ext4.h, struct
 * ext4_dir_entry_2.)
 */
static bool looks_like_directory(const struct sample *s)
{
	uint64_t at = 0, len, named = 0;
	const unsigned char *p;

	while (at + 12 <= s->bytes && at < 4096) {
		p = s->buf + at;
		len = p[4] | (uint64_t)p[5] << 8;
		if (len < 12 || len % 4 || 8u + p[6] > len || p[7] > 14 ||
		    at + 8 + p[6] > s->bytes || !is_printable(p + 8, p[6]) ||
		    memchr(p + 8, '/', p[6]))
			return false;
		named += p[6] && (p[0] | p[1] | p[2] | p[3]);
		at += len;
		/* the blocks of a directory are of one of these sizes */
		if ((at == 1024 || at == 2048 || at == 4096) && named > 1)
			return true;
	}
	return named > 1 && at >= s->bytes;
}

/*
 * What libmagic is believed. It knows some hundred formats by two bytes, and
 * takes tables and random bytes for pictures and keys.
 */
static bool is_strong_magic(const char *text)
{
	static const char *const known[] = {
		"ELF ",		"PE32",		"Mach-O",	"gzip comp",
		"bzip2 comp",	"XZ comp",	"Zstandard",	"7-zip",
		"Zip archive",	"tar archive",	"cpio archive", "RPM v",
		"Debian bin",	"PDF document", "PNG image",	"JPEG image",
		"GIF image",	"RIFF",		"ISO Media",	"Matroska",
		"Ogg data",	"FLAC",		"SQLite",	"Berkeley DB",
		"Journal fil",	"PostgreSQL",	"Microsoft",	"OpenDocument",
		"Composite D",	"Squashfs",	"XFS",		"BTRFS",
		"NTFS",		"LUKS",		"LVM2",		"QEMU QCOW",
		"VMware",	"swap file",	"ext2 filesys", "ext3 filesys",
		"ext4 filesys",
	};
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strstr(text, known[i]))
			return true;
	return false;
}

/* Every value about equally often: compressed, encrypted, or noise. */
static bool looks_random(const struct sample *s)
{
	unsigned int seen[256] = { 0 }, distinct = 0, most = 0, i;

	if (s->bytes < 4096)
		return false;
	for (i = 0; i < 4096; i++)
		if (++seen[s->buf[i]] > most)
			most = seen[s->buf[i]];
	for (i = 0; i < 256; i++)
		distinct += seen[i] != 0;
	return distinct > 250 && most < 48;
}

/* Mostly letters, as far as there is something but zeros. */
static bool looks_like_text(const struct sample *s)
{
	uint64_t i, n = s->bytes, printable = 0;

	while (n && !s->buf[n - 1])
		n--;
	for (i = 0; i < n; i++)
		printable += (s->buf[i] >= 0x20 && s->buf[i] < 0x7f) ||
			     (s->buf[i] >= '\t' && s->buf[i] <= '\r');
	return n >= 16 && printable * 20 >= n * 19;
}

static void as_guest_data(const struct sample *s, char *out, size_t room)
{
	bool is_text = looks_like_text(s);
	char text[200] = "text";

	if (looks_like_directory(s)) {
		snprintf(out, room, "guest data (an ext2/ext3/ext4 directory)");
		return;
	}
	/* libmagic takes long over much, and knows most by the first page */
	if (!s->quick)
		qf_identify_bytes(s->buf,
				  s->bytes < 4096 ? (size_t)s->bytes : 4096,
				  text, sizeof(text));
	if (is_strong_magic(text) || (is_text && strstr(text, "text")))
		snprintf(out, room, "guest data (%s)", text);
	else if (is_text)
		snprintf(out, room, "guest data (text)");
	else if (looks_random(s))
		snprintf(out, room,
			 "random bytes (compressed or encrypted data)");
	else
		snprintf(out, room, "binary data of no known kind");
}

/* The image's own structures, the surest first; NULL: none of them. */
static const char *own_structure(const struct sample *s)
{
	if (looks_like_reftable(s))
		return "a refcount table";
	if (looks_like_header(s))
		return "the image's header";
	if (looks_like_snapshots(s))
		return "a snapshot table";
	if (is_refblock_copy(s))
		return "a refcount block";
	if (is_l1_copy(s))
		return "an L1 table";
	return NULL;
}

static bool read_sample(struct sample *s, unsigned char **buf)
{
	*buf = s->off < s->img->io->size ? qf_mem_zalloc(1, (size_t)s->bytes)
					 : NULL;
	s->buf = *buf;
	return *buf &&
	       !qf_io_read_pad(s->img->io, *buf, s->bytes, s->off, NULL);
}

bool qf_whatis_foreign(const struct qf_image *img, uint64_t off)
{
	struct sample s = { img, NULL, img->geo.cluster_bytes, off, true };
	unsigned char *buf;
	bool foreign;

	foreign = read_sample(&s, &buf) && !qf_l2_is_zero(buf, s.bytes) &&
		  (own_structure(&s) || looks_like_directory(&s) ||
		   (looks_like_refblock(&s) && has_no_entry(&s)));
	free(buf);
	return foreign;
}

static char *look(const struct qf_image *img, uint64_t off, bool quick,
		  char *out, size_t room)
{
	struct sample s = { img, NULL, img->geo.cluster_bytes, off, quick };
	unsigned char *buf;
	const char *own;

	if (off >= img->io->size) {
		snprintf(out, room, "nothing: it lies past the end");
		return out;
	}
	if (!read_sample(&s, &buf))
		snprintf(out, room, "not known: it cannot be read");
	else if (qf_l2_is_zero(buf, s.bytes))
		snprintf(out, room, "nothing but zeros");
	else if (!memcmp(buf, buf + 1, s.bytes - 1))
		snprintf(out, room, "one byte over and over (0x%02x)", buf[0]);
	else if ((own = own_structure(&s)))
		snprintf(out, room, "%s", own);
	else if (looks_like_l2(&s))
		snprintf(out, room, "an L1 or L2 table of this image");
	else if (looks_like_refblock(&s))
		snprintf(out, room, "a refcount block");
	else
		as_guest_data(&s, out, room);
	free(buf);
	return out;
}

char *qf_whatis(const struct qf_image *img, uint64_t off, char *out,
		size_t room)
{
	return look(img, off, false, out, room);
}

char *qf_whatis_quick(const struct qf_image *img, uint64_t off, char *out,
		      size_t room)
{
	return look(img, off, true, out, room);
}
