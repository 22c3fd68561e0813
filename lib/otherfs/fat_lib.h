/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* FAT12, FAT16, FAT32: an open one. Internal to their reader. */
#ifndef QF_FAT_LIB_H
#define QF_FAT_LIB_H

#include "lib/otherfs/fatchain.h"

#define QF_FAT_ENTRY 32u /* bytes of an entry of a directory */

struct qf_fat {
	struct qf_fatchain chain;
	uint64_t root_at, root_bytes; /* FAT12 and FAT16 */
	uint64_t root_cluster;	      /* FAT32 */
	uint64_t reserved_bytes;
	uint64_t bytes;
	uint32_t sector; /* bytes */
	uint8_t media;	 /* the kind of disk: the first entry says it again */
	bool mirrored;	 /* all tables are kept alike */
};

/* fat_blocks.c: see struct qf_reader; R is that of FAT. */
void qf_fat_blocks(const struct qf_reader *r, void *fs, qf_reader_block *tell,
		   void *ctx);

#endif
