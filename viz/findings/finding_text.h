/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All that is known about a row of the findings, in words. */
#ifndef QF_FINDING_TEXT_H
#define QF_FINDING_TEXT_H

#include "viz/browse/app.h"
#include "viz/show/outbuf.h"

/* "snapshot 2 ("x"): guest offset 0x0, 2 MiB": loss I of the report. */
void qf_finding_lost_text(const struct qf_app *a, size_t i, char *buf,
			  size_t room);

/*
 * What is wrong, what it means, the evidence for and against each answer, and
 * what a repair does. For qf_widget_page.
 */
void qf_finding_all_text(const struct qf_app *a, const struct qf_finding_row *r,
			 struct qf_outbuf *out);

#endif
