/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a pass may say of the progress that check.h starts and stops. */
#ifndef QF_PROGRESS_H
#define QF_PROGRESS_H

/* What is counted from now on: "tables" until it is said otherwise. */
void qf_progress_unit(const char *unit);

#endif
