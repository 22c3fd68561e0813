/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is typed at the bottom: searches, and places to go to. */
#ifndef QF_PROMPT_H
#define QF_PROMPT_H

#include "viz/browse/app.h"

void qf_prompt_begin(struct qf_app *a, enum qf_ask what);

/* Keeps what was typed among the places that one went to. */
void qf_prompt_remember(struct qf_app *a);

/* A key while something is typed. */
void qf_prompt_key(struct qf_app *a, uint32_t key);

/* Looks for a->pattern again. */
void qf_prompt_search(struct qf_app *a, bool back);

#endif
