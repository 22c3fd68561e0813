/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The next place in the file that something is wrong with. */
#ifndef QF_DAMAGE_H
#define QF_DAMAGE_H

#include "viz/browse/app.h"

/* From a->at to the next finding's place, or the one BACK, round the end, to
 * the entry or field itself; says what is wrong there. False: there is none. */
bool qf_damage_next_file(struct qf_app *a, bool back);

#endif
