/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Libraries that few commands need, loaded when one does. A check of an
 * image then starts several times faster (cairo alone brings twenty other
 * libraries along), and runs where they are not installed.
 *
 * A user lists the functions once, X(name) for each, and makes of the list a
 * struct of pointers that have the types of the library's own header, and an
 * array of the names in the same order.
 */
#ifndef QF_DYNLOAD_H
#define QF_DYNLOAD_H

#include "lib/base/err.h"

#include <stddef.h>

/*
 * Loads the library SONAME and puts the addresses of the N functions NAME
 * into the array of function pointers at OUT. The library stays loaded; a
 * call for OUT that is filled does nothing. Not for several threads at once.
 * Errors: QF_ERR_UNSUPPORTED, and then OUT is as it was.
 */
enum qf_err qf_dynload_load(const char *soname, const char *const *name,
			    size_t n, void *out, struct qf_why *why);

#endif
