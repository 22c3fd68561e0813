// SPDX-License-Identifier: GPL-2.0-or-later
/* The header, its extensions, and the tables that it points to. */
#include "check/passes/pass.h"
#include "lib/walk/describe.h"

#include <inttypes.h>

/* What was put right when it was read, by the user's word. */
static void check_start(struct qf_pass_ctx *c)
{
	const struct qf_header *h = &c->img->hdr;

	if (h->magic_wrong)
		qf_finding_say(qf_pass_at(c, QF_P_HEADER_MAGIC, 0, 4),
			       "it begins with 0x%08" PRIx32
			       ", and should with 0x%08x",
			       h->stated_magic, QF_MAGIC);
	if (h->version_open)
		qf_finding_say(qf_pass_at(c, QF_P_HEADER_VERSION, 4, 4),
			       "it is %" PRIu32
			       "; the header may be of version "
			       "2 or of version 3, and is read as version 3",
			       h->stated_version);
	else if (h->version_wrong)
		qf_finding_say(qf_pass_at(c, QF_P_HEADER_VERSION, 4, 4),
			       "it is %" PRIu32
			       ", and the header is of version %" PRIu32,
			       h->stated_version, h->version);
}

static void check_bits(struct qf_pass_ctx *c)
{
	const struct qf_header *h = &c->img->hdr;
	uint64_t odd;

	if (h->incompatible & QF_INCOMPAT_DIRTY)
		qf_finding_say(qf_pass_at(c, QF_P_HEADER_DIRTY, 72, 8),
			       "incompatible features: bit 0 is set");
	if (h->incompatible & QF_INCOMPAT_CORRUPT)
		qf_finding_say(qf_pass_at(c, QF_P_HEADER_CORRUPT, 72, 8),
			       "incompatible features: bit 1 is set");
	if (h->autoclear & QF_AUTOCLEAR_RAW_DATA &&
	    !(h->incompatible & QF_INCOMPAT_DATA_FILE))
		qf_finding_say(qf_pass_at(c, QF_P_RAW_WITHOUT_DATA_FILE, 88, 8),
			       "autoclear features: bit 1 is set");
	if (h->autoclear & QF_AUTOCLEAR_BITMAPS && !c->img->ext.has_bitmaps)
		qf_finding_say(qf_pass_at(c, QF_P_BITMAPS_BIT_ALONE, 88, 8),
			       "autoclear features: bit 0 is set");
	odd = h->compatible & ~QF_COMPAT_KNOWN;
	if (odd)
		qf_finding_say(qf_pass_at(c, QF_P_UNKNOWN_FEATURE, 80, 8),
			       "compatible features 0x%" PRIx64, odd);
	odd = h->autoclear & ~QF_AUTOCLEAR_KNOWN;
	if (odd)
		qf_finding_say(qf_pass_at(c, QF_P_UNKNOWN_FEATURE, 88, 8),
			       "autoclear features 0x%" PRIx64, odd);
	if (!(h->incompatible & QF_INCOMPAT_COMPRESSION) !=
	    (h->compression == QF_COMPRESSION_ZLIB))
		qf_finding_say(qf_pass_at(c, QF_P_COMPRESSION_TYPE, 104, 1),
			       "the type is %u, the feature bit is %s",
			       h->compression,
			       h->compression ? "not set" : "set");
	if (h->header_bytes % 8)
		qf_finding_say(qf_pass_at(c, QF_P_HEADER_LENGTH, 100, 4),
			       "it is %" PRIu32, h->header_bytes);
}

static void check_extensions(struct qf_pass_ctx *c)
{
	const struct qf_ext_list *l = &c->img->ext;
	/* no length means no data to understand */
	static const struct {
		unsigned int odd;
		enum qf_problem problem;
	} kinds[] = { { QF_EXT_ODD_OVERRUN, QF_P_EXT_OVERRUN },
		      { QF_EXT_ODD_LENGTH, QF_P_EXT_LENGTH },
		      { QF_EXT_ODD_TWICE, QF_P_EXT_TWICE },
		      { QF_EXT_ODD_RESERVED, QF_P_EXT_RESERVED } };
	const struct qf_ext *e;
	size_t i, k;

	for (i = 0; i < l->n; i++) {
		e = &l->ext[i];
		for (k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
			if (e->odd & kinds[k].odd)
				qf_finding_say(qf_pass_at(c, kinds[k].problem,
							  e->off - 8,
							  e->bytes + 8ull),
					       "%s extension (type 0x%08" PRIx32
					       ") of %" PRIu32 " bytes",
					       qf_ext_name(e->type), e->type,
					       e->bytes);
		if (!e->odd && e->type == QF_EXT_GAVE_UP)
			qf_finding_say(qf_pass_at(c, QF_P_GAVE_UP, e->off - 8,
						  e->bytes + 8ull),
				       "a header extension of %" PRIu32
				       " bytes",
				       e->bytes);
		if (!e->odd && !strcmp(qf_ext_name(e->type), "unknown"))
			qf_finding_say(qf_pass_at(c, QF_P_EXT_UNKNOWN,
						  e->off - 8, e->bytes + 8ull),
				       "type 0x%08" PRIx32 ", %" PRIu32
				       " bytes",
				       e->type, e->bytes);
	}
}

static void l1_outside(struct qf_pass_ctx *c)
{
	const struct qf_header *h = &c->img->hdr;
	uint64_t bytes = h->l1_entries * 8ull;
	struct qf_finding *f =
		qf_pass_at(c, QF_P_HEADER_L1_OUTSIDE, h->l1_off, bytes);

	/* of a table whose last cluster is partial, QEMU takes the rest for
	 * zeros */
	if (c->img->l1_state == QF_PART_OK)
		qf_finding_unseen(f);
	qf_finding_say(f,
		       "it needs the file's bytes up to 0x%" PRIx64
		       ", and the file ends at 0x%" PRIx64,
		       h->l1_off + bytes, c->img->io->size);
}

/* The active L1 table: place, length, and whether it covers the disk. */
static void check_l1(struct qf_pass_ctx *c)
{
	const struct qf_image *img = c->img;
	const struct qf_header *h = &img->hdr;
	uint64_t bytes = h->l1_entries * 8ull, needed;

	switch (img->l1_state) {
	case QF_PART_UNALIGNED:
	case QF_PART_TOO_LARGE:
		qf_finding_say(qf_pass_at(c, QF_P_HEADER_L1_OFFSET, h->l1_off,
					  bytes),
			       "offset 0x%" PRIx64 ", %" PRIu32 " entries",
			       h->l1_off, h->l1_entries);
		return;
	case QF_PART_OUTSIDE:
		l1_outside(c);
		break;
	default:
		needed = h->l1_entries < img->geo.l1_needed
				 ? h->l1_entries
				 : img->geo.l1_needed;
		if (needed && h->l1_off + needed * 8 > img->io->size)
			l1_outside(c);
		break;
	}
	if (h->l1_entries < img->geo.l1_needed)
		qf_finding_say(qf_pass_at(c, QF_P_HEADER_L1_SMALL, 36, 4),
			       "it has %" PRIu32
			       " entries, and a disk of %" PRIu64
			       " bytes needs %" PRIu64,
			       h->l1_entries, h->disk_bytes,
			       img->geo.l1_needed);
}

static void check_reftable(struct qf_pass_ctx *c)
{
	const struct qf_image *img = c->img;
	const struct qf_header *h = &img->hdr;
	uint64_t bytes = (uint64_t)h->reftable_clusters
			 << img->geo.cluster_bits;
	struct qf_finding *f;

	switch (img->reftable_state) {
	case QF_PART_OK:
		return;
	case QF_PART_OUTSIDE:
		qf_finding_say(qf_pass_at(c, QF_P_HEADER_REFTABLE_OUTSIDE,
					  h->reftable_off, bytes),
			       "it needs the file's bytes up to 0x%" PRIx64
			       ", and the file ends at 0x%" PRIx64,
			       h->reftable_off + bytes, img->io->size);
		return;
	case QF_PART_UNREADABLE:
		qf_finding_say(qf_pass_at(c, QF_P_HEADER_UNREADABLE,
					  h->reftable_off, bytes),
			       "the refcount table");
		return;
	default:
		f = qf_pass_at(c, QF_P_HEADER_REFTABLE_OFFSET, h->reftable_off,
			       bytes);
		qf_finding_say(f, "offset 0x%" PRIx64 ", %" PRIu32 " clusters",
			       h->reftable_off, h->reftable_clusters);
		qf_finding_unseen(f); /* with "no clusters" it goes on */
	}
}

/* The LUKS header pointer: there exactly with LUKS, aligned, in the file. */
static void check_crypto(struct qf_pass_ctx *c)
{
	const struct qf_image *img = c->img;
	const struct qf_ext_list *e = &img->ext;
	uint64_t off = e->crypto_off, bytes = e->crypto_bytes;
	bool luks = img->hdr.crypt_method == QF_CRYPT_LUKS;

	if (img->hdr.crypt_method == QF_CRYPT_AES)
		qf_finding_say(qf_pass_at(c, QF_P_OLD_AES, 32, 4),
			       "encryption method 1; no byte of the disk was "
			       "looked at");
	if (luks && !e->has_crypto)
		qf_finding_say(
			qf_pass_at(c, QF_P_CRYPTO_HEADER, 32, 4),
			"the image is encrypted with LUKS, but no header "
			"extension says where the LUKS header is");
	if (!luks && e->has_crypto)
		qf_finding_say(qf_pass_at(c, QF_P_CRYPTO_HEADER, 32, 4),
			       "there is a LUKS header, but the image is not "
			       "marked as encrypted with LUKS");
	if (!e->has_crypto)
		return;
	if (off & (img->geo.cluster_bytes - 1) || off >= img->io->size ||
	    bytes > img->io->size - off || bytes < 592)
		qf_finding_say(qf_pass_at(c, QF_P_CRYPTO_HEADER, off, bytes),
			       "the LUKS header is said to be %" PRIu64
			       " bytes at 0x%" PRIx64,
			       bytes, off);
}

enum qf_err qf_pass_header(struct qf_pass_ctx *c, struct qf_why *why)
{
	(void)why;
	check_start(c);
	check_bits(c);
	check_extensions(c);
	check_l1(c);
	check_reftable(c);
	check_crypto(c);
	if (c->img->backing_name_bad)
		qf_finding_say(qf_pass_at(c, QF_P_BACKING_NAME, 8, 12),
			       "offset 0x%" PRIx64 ", %" PRIu32 " bytes",
			       c->img->hdr.backing_name_off,
			       c->img->hdr.backing_name_bytes);
	return QF_OK;
}
