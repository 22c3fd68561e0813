/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qfsck du --backing-chain. */
#ifndef QF_CMD_DUCHAIN_H
#define QF_CMD_DUCHAIN_H

#include "lib/model/image.h"

#include <jansson.h>

/*
 * Tells of the chain behind IMG: into the object O, or on standard output if
 * that is NULL. Returns -1, or the exit code after saying why: a file is
 * missing (what there is has been told), or no memory.
 */
int qf_cmd_duchain_tell(struct qf_image *img, json_t *o);

#endif
