/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether a folder of many images holds any undo file at all. */
#ifndef QF_UNDOBESIDE_H
#define QF_UNDOBESIDE_H

#include <stdbool.h>

/*
 * False if the folder of IMAGE surely has no file with the name of an undo
 * file: then none need be looked for, name by name. It is read when it has been
 * asked about often, and read again when its time changes.
 */
bool qf_undobeside_any(const char *image);

#endif
