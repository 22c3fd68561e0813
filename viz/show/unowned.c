// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/show/unowned.h"
#include "lib/model/open.h"
#include "lib/undofile/undokept.h"

#include <stdlib.h>

bool qf_unowned_by_report(struct qf_image *img, const struct qf_report *rep)
{
	char *names = NULL;
	bool kept = false;

	if (img->io->fd >= 0)
		kept = qf_undokept_find(img->io->name, NULL, img->io, &names,
					NULL) ||
		       names;
	free(names);
	return kept || rep->withhold;
}

enum qf_err qf_unowned_by_check(struct qf_image *img, bool shared,
				unsigned int jobs, bool *may_be_lost,
				struct qf_why *why)
{
	const struct qf_check_opts opts = { .jobs = jobs,
					    .shared = shared,
					    .format = qf_open_format(img) };
	struct qf_report rep = { 0 };
	struct qf_image *own = NULL;
	enum qf_err err;

	if (shared)
		err = qf_check_shared(img->io->name, &opts, &own, &rep, why);
	else
		err = qf_check_run(img, &opts, &rep, why);
	if (!err)
		*may_be_lost = qf_unowned_by_report(img, &rep);
	if (!err || !shared)
		qf_check_free(&rep);
	if (!err)
		qf_image_close(own);
	return err;
}
