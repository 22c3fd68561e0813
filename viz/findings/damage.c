// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/findings/damage.h"

static bool is_damage(const struct qf_finding *f)
{
	return f->host_off != QF_NOWHERE &&
	       qf_problem_get(f->problem)->severity >= QF_SEV_LEAK;
}

/* Of the places behind AT the first, or of those before it the last; of what
 * is wrong at one place, the gravest. */
static const struct qf_finding *next_from(const struct qf_findings *l,
					  uint64_t at, bool any, bool back)
{
	const struct qf_finding *best = NULL, *f;
	size_t i;

	for (i = 0; i < l->n; i++) {
		f = &l->at[i];
		if (!is_damage(f) ||
		    (!any && (back ? f->host_off >= at : f->host_off <= at)))
			continue;
		if (!best || (back ? f->host_off > best->host_off
				   : f->host_off < best->host_off))
			best = f;
	}
	return best;
}

bool qf_damage_next_file(struct qf_app *a, bool back)
{
	const struct qf_findings *l = &a->model->report.findings;
	const struct qf_finding *f = next_from(l, a->at, false, back);

	if (!f) {
		f = next_from(l, 0, true, back);
		a->wrapped = true;
	}
	if (!f)
		return false;
	a->at = f->host_off < a->img->io->size ? f->host_off : a->at;
	a->hex.mark_guest = false;
	a->hex.mark_off = f->host_off;
	a->hex.mark_bytes = f->length;
	qf_app_say(a, QF_TINT_BAD, "%s%s: %s",
		   !a->wrapped ? ""
		   : back      ? "round the start: "
			       : "round the end: ",
		   qf_problem_get(f->problem)->name, f->text ? f->text : "");
	a->wrapped = false; /* it is said */
	return true;
}
