/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A bound on how fast the whole process reads images, so that a check leaves
 * the disk to others. */
#ifndef QF_RATE_H
#define QF_RATE_H

#include <stdint.h>

/* From now on at most so many bytes a second; 0: no bound. */
void qf_rate_limit(uint64_t bytes_a_second);

/* Tells that BYTES were read, and waits until more may be. */
void qf_rate_take(uint64_t bytes);

#endif
