// SPDX-License-Identifier: LGPL-2.1-or-later
/* What can be named and no more: by a magic at a known place. */
#include "lib/guest/ident.h"
#include "lib/guest/le.h"
#include "lib/guest/reader.h"

#include <string.h>

struct sign {
	const char *kind;
	uint64_t at;
	const char *magic;
	uint32_t bytes;
	const char *note;
	uint32_t uuid; /* 16 bytes from AT on, 0: none */
};

static const char locked[] = "encrypted: what is in it cannot be known";
static const char foreign[] = "this file system is not read here";
static const char part[] = "a part of something larger";

#define SIGN(kind, at, magic, note, uuid)                      \
	{                                                      \
		kind, at, magic, sizeof(magic) - 1, note, uuid \
	}

static const struct sign signs[] = {
	SIGN("LUKS", 0, "LUKS\xba\xbe", locked, 0),
	SIGN("BitLocker", 3, "-FVE-FS-", locked, 0),
	SIGN("LVM2", 512, "LABELONE", part, 0),
	SIGN("LVM2", 0, "LABELONE", part, 0),
	SIGN("LVM2", 1024, "LABELONE", part, 0),
	SIGN("LVM2", 1536, "LABELONE", part, 0),
	SIGN("Linux RAID", 4096, "\xfc\x4e\x2b\xa9", part, 16),
	SIGN("Linux RAID", 0, "\xfc\x4e\x2b\xa9", part, 16),
	SIGN("APFS", 32, "NXSB", foreign, 40),
	SIGN("HFS+", 1024, "H+\0\4", foreign, 0),
	SIGN("HFSX", 1024, "HX\0\5", foreign, 0),
	SIGN("bcachefs", 4096 + 24,
	     "\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef",
	     foreign, 32),
	SIGN("ReFS", 3, "ReFS\0\0\0\0", foreign, 0),
	SIGN("F2FS", 1024, "\x10\x20\xf5\xf2", foreign, 0x6c),
	SIGN("SquashFS", 0, "hsqs", foreign, 0),
	SIGN("EROFS", 1024, "\xe2\xe1\xf5\xe0", foreign, 48),
	SIGN("UFS2", 65536 + 1372, "\x19\x01\x54\x19", foreign, 0),
};

/* The labels of a ZFS pool hold uberblocks from 128 KiB on, 1 KiB or more
 * each, in the byte order of who wrote them. */
static bool is_zfs(struct qf_volume *v)
{
	unsigned char b[8];
	uint64_t at;

	for (at = 128 << 10; at < 256 << 10; at += 1024)
		if (qf_volume_read(v, b, sizeof(b), at) &&
		    (qf_le_get64(b, 0) == 0x00bab10c ||
		     !memcmp(b, "\0\0\0\0\0\xba\xb1\x0c", 8)))
			return true;
	return false;
}

static bool holds(struct qf_volume *v, const struct sign *s)
{
	unsigned char b[16];

	return qf_volume_read(v, b, s->bytes, s->at) &&
	       !memcmp(b, s->magic, s->bytes);
}

static bool probe(struct qf_volume *v, struct qf_guest_fs *fs)
{
	unsigned char id[16];
	size_t i;

	fs->opaque = true;
	for (i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
		if (!holds(v, &signs[i]))
			continue;
		strcpy(fs->kind, signs[i].kind);
		strcpy(fs->note, signs[i].note);
		if (signs[i].uuid &&
		    qf_volume_read(v, id, 16, signs[i].at + signs[i].uuid))
			qf_ident_uuid(id, fs->uuid, sizeof(fs->uuid));
		return true;
	}
	if (!is_zfs(v))
		return false;
	strcpy(fs->kind, "ZFS");
	strcpy(fs->note, foreign);
	return true;
}

const struct qf_reader qf_fs_opaque_reader = { .probe = probe };
