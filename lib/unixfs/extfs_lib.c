// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/unixfs/extfs_lib.h"
#include "lib/guest/crc.h"
#include "lib/guest/le.h"
#include "lib/base/dynload.h"
#include "lib/base/mem.h"

#include <stdlib.h>
#include <string.h>

#define SUPER_AT 1024u

struct qf_extfs_functions qf_extfs_fn;

static const char *const names[] = {
#define X(f) "ext2fs_" #f,
	QF_EXTFS_FUNCTIONS
#undef X
};

enum qf_err qf_extfs_prepare(struct qf_why *why)
{
	return qf_dynload_load("libext2fs.so.2", names,
			       sizeof(names) / sizeof(names[0]), &qf_extfs_fn,
			       why);
}

/* --- the superblock --- */

static bool has_checksum(const unsigned char *s)
{
	return qf_le_get32(s, 0x64) & EXT4_FEATURE_RO_COMPAT_METADATA_CSUM;
}

bool qf_extfs_super_sound(const unsigned char *s)
{
	return qf_le_get16(s, 0x38) == EXT2_SUPER_MAGIC &&
	       qf_le_get32(s, 0x18) <= 6 && qf_le_get32(s, 0x20) &&
	       qf_le_get32(s, 0x28) && qf_le_get32(s, 4) &&
	       (!has_checksum(s) ||
		qf_crc_32c(~0u, s, 0x3fc) == qf_le_get32(s, 0x3fc));
}

/* The copy in group 1, which is there in every file system of two groups. */
static bool find_copy(struct qf_volume *v, unsigned char *s)
{
	uint32_t order, block;
	uint64_t at;

	for (order = 0; order <= 2; order++) {
		block = 1024u << order;
		at = (8ull * block + (order == 0)) * block;
		if (qf_volume_read(v, s, QF_EXTFS_SUPER_BYTES, at) &&
		    qf_extfs_super_sound(s) && qf_le_get32(s, 0x18) == order &&
		    qf_le_get16(s, 0x5a) == 1)
			return true;
	}
	return false;
}

enum qf_extfs_super qf_extfs_find_super(struct qf_volume *v, unsigned char *s)
{
	bool magic;

	if (qf_volume_read(v, s, QF_EXTFS_SUPER_BYTES, SUPER_AT) &&
	    qf_extfs_super_sound(s))
		return QF_EXTFS_PRIMARY;
	magic = qf_le_get16(s, 0x38) == EXT2_SUPER_MAGIC;
	if (find_copy(v, s)) {
		memset(s + 0x5a, 0, 2); /* to be served as the primary one */
		return QF_EXTFS_COPY;
	}
	return magic ? QF_EXTFS_DAMAGED : QF_EXTFS_NONE;
}

/* --- the library's way to the bytes --- */

/* libext2fs opens by name: this one, for the time of a call. */
static struct qf_extfs *opening;
static struct struct_io_manager manager;

static errcode_t io_open(const char *name, int flags, io_channel *out)
{
	io_channel c = calloc(1, sizeof(*c));

	(void)name;
	(void)flags;
	if (!c)
		return EXT2_ET_NO_MEMORY;
	c->magic = EXT2_ET_MAGIC_IO_CHANNEL;
	c->manager = &manager;
	c->block_size = SUPER_AT;
	c->refcount = 1;
	c->private_data = opening;
	*out = c;
	return 0;
}

static errcode_t io_close(io_channel c)
{
	if (--c->refcount <= 0)
		free(c);
	return 0;
}

static errcode_t io_set_block(io_channel c, int bytes)
{
	c->block_size = bytes;
	return 0;
}

/* A negative COUNT is bytes. What is lost is zeros. */
static errcode_t io_read64(io_channel c, unsigned long long block, int count,
			   void *data)
{
	struct qf_extfs *x = c->private_data;
	uint64_t off, n = count < 0 ? (uint64_t) - (int64_t)count
				    : (uint64_t)count * (uint64_t)c->block_size;

	if (!qf_mem_mul(block, (uint64_t)c->block_size, &off)) {
		memset(data, 0, n);
		return 0;
	}
	qf_volume_read(x->v, data, n, off);
	if (off == SUPER_AT && n >= QF_EXTFS_SUPER_BYTES)
		memcpy(data, x->super, QF_EXTFS_SUPER_BYTES);
	return 0;
}

static errcode_t io_read(io_channel c, unsigned long block, int count,
			 void *data)
{
	return io_read64(c, block, count, data);
}

static struct struct_io_manager manager = {
	.magic = EXT2_ET_MAGIC_IO_MANAGER,
	.name = "volume",
	.open = io_open,
	.close = io_close,
	.set_blksize = io_set_block,
	.read_blk = io_read,
	.read_blk64 = io_read64,
};

/* --- open and close --- */

enum qf_err qf_extfs_open(struct qf_volume *v, void **fs, struct qf_why *why)
{
	struct qf_extfs *x = qf_mem_zalloc(1, sizeof(*x));
	errcode_t failed = EXT2_ET_NO_MEMORY;

	if (x) {
		x->v = v;
		x->clean = qf_extfs_find_super(v, x->super) ==
				   QF_EXTFS_PRIMARY &&
			   (qf_le_get16(x->super, 0x3a) & 3) == 1 &&
			   !(qf_le_get32(x->super, 0x60) &
			     EXT3_FEATURE_INCOMPAT_RECOVER);
		opening = x;
		failed = qf_extfs_fn.open2(
			"volume", NULL,
			EXT2_FLAG_64BITS | EXT2_FLAG_SOFTSUPP_FEATURES |
				EXT2_FLAG_IGNORE_CSUM_ERRORS |
				EXT2_FLAG_SKIP_MMP,
			0, 0, &manager, &x->fs);
	}
	if (!failed) {
		x->block = x->fs->blocksize;
		x->blocks = (uint64_t)x->fs->super->s_blocks_count_hi << 32 |
			    x->fs->super->s_blocks_count;
		x->csum = ext2fs_has_feature_metadata_csum(x->fs->super);
		x->group_csum = x->csum ||
				ext2fs_has_feature_gdt_csum(x->fs->super);
		x->buf = malloc(x->block);
		if (!x->buf)
			failed = EXT2_ET_NO_MEMORY;
	}
	if (!failed) {
		*fs = x;
		return QF_OK;
	}
	qf_extfs_close(x);
	return failed == EXT2_ET_NO_MEMORY
		       ? qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				    "no memory for its tables")
		       : qf_err_set(why, QF_ERR_FORMAT, 0, QF_NOWHERE,
				    "its superblock cannot be followed");
}

void qf_extfs_close(void *fs)
{
	struct qf_extfs *x = fs;

	if (!x)
		return;
	if (x->fs)
		qf_extfs_fn.free(x->fs);
	free(x->buf);
	free(x);
}

bool qf_extfs_group_sound(const struct qf_extfs *x, dgrp_t g)
{
	return !x->group_csum || qf_extfs_fn.group_desc_csum_verify(x->fs, g);
}
