/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The mark in the image that a repair gave something up: a header extension
 * (lib/undofile/undokept.h), which goes wherever the image goes.
 */
#ifndef QF_MARK_H
#define QF_MARK_H

#include "repair/plan/plan.h"

/*
 * Plans the mark, if the image as planned does not bear it. Where there is no
 * room for it, P's UNMARKED says why. Errors: QF_ERR_NOMEM, QF_ERR_IO, those
 * of qf_header_parse.
 */
enum qf_err qf_mark_plan(struct qf_plan *p, struct qf_why *why);

/* Plans to take it out; nothing, if it is not there. Errors as above. */
enum qf_err qf_mark_drop(struct qf_plan *p, struct qf_why *why);

#endif
