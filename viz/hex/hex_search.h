/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The search for bytes in the file. */
#ifndef QF_HEX_SEARCH_H
#define QF_HEX_SEARCH_H

#include "viz/browse/app.h"

/* Begins to look for a->pattern in the bytes. */
bool qf_hex_search_begin(struct qf_app *a, bool back);
/* A slice of the search that a->hex describes. */
void qf_hex_search_step(struct qf_app *a);

#endif
