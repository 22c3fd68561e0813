/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a pass may say of the progress that check.h starts and stops. */
#ifndef QF_PROGRESS_H
#define QF_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/* What is counted from now on: "tables" until it is said otherwise. */
void qf_progress_unit(const char *unit);

/*
 * Work on N images, which take WEIGHT together: how far it is with all of
 * them, until qf_progress_stop. _image: NAME is at work (NULL: several are),
 * by the thread that began; _done: one of WEIGHT has ended, by any thread.
 */
void qf_progress_pool(uint64_t n, uint64_t weight, bool wanted);
void qf_progress_image(const char *name);
void qf_progress_done(uint64_t weight);

/* Takes the bar off the terminal, for what is printed next. */
void qf_progress_clear(void);

#endif
