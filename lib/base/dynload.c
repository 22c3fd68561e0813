// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/base/dynload.h"
#include "lib/base/mem.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

static enum qf_err missing(const char *soname, struct qf_why *why)
{
	const char *text = dlerror();

	qf_err_set(why, QF_ERR_UNSUPPORTED, 0, QF_NOWHERE,
		   "the library %s cannot be used (%s)", soname,
		   text ? text : "not known why");
	qf_err_next(why, "install it; everything else works without");
	return QF_ERR_UNSUPPORTED;
}

enum qf_err qf_dynload_load(const char *soname, const char *const *name,
			    size_t n, void *out, struct qf_why *why)
{
	enum qf_err err = QF_OK;
	void *lib, **at, *first;
	size_t i;

	memcpy(&first, out, sizeof(first));
	if (first)
		return QF_OK;
	lib = dlopen(soname, RTLD_LAZY | RTLD_LOCAL);
	if (!lib)
		return missing(soname, why);
	at = qf_mem_zalloc(n, sizeof(*at));
	if (!at)
		err = qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE, "no memory");
	for (i = 0; !err && i < n; i++) {
		at[i] = dlsym(lib, name[i]);
		if (!at[i])
			err = missing(soname, why);
	}
	/* POSIX: a function's address fits where an object's does */
	if (err)
		dlclose(lib);
	else
		memcpy(out, at, n * sizeof(*at));
	free(at);
	return err;
}
