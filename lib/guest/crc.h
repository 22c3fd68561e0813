/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CRC-32C (Castagnoli), which ext4, XFS and btrfs use. zlib has the other. */
#ifndef QF_CRC_H
#define QF_CRC_H

#include <stddef.h>
#include <stdint.h>

/* Goes on from CRC over N bytes, without inverting before or after. */
uint32_t qf_crc_32c(uint32_t crc, const void *buf, size_t n);

/* What CRC was before the N bytes at BUF made it END. */
uint32_t qf_crc_32c_before(uint32_t end, const void *buf, size_t n);

#endif
