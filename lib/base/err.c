// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum qf_err qf_err_set(struct qf_why *why, enum qf_err err, int sys,
		       uint64_t off, const char *fmt, ...)
{
	char sysbuf[128];
	va_list ap;
	size_t n;

	if (!why)
		return err;
	why->err = err;
	why->sys = sys;
	why->off = off;
	why->next[0] = '\0';
	va_start(ap, fmt);
	vsnprintf(why->text, sizeof(why->text), fmt, ap);
	va_end(ap);
	if (sys) {
		n = strlen(why->text);
		snprintf(why->text + n, sizeof(why->text) - n, ": %s",
			 strerror_r(sys, sysbuf, sizeof(sysbuf)));
	}
	return err;
}

void qf_err_next(struct qf_why *why, const char *fmt, ...)
{
	va_list ap;

	if (!why)
		return;
	va_start(ap, fmt);
	vsnprintf(why->next, sizeof(why->next), fmt, ap);
	va_end(ap);
}
