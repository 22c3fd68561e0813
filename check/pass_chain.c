// SPDX-License-Identifier: GPL-2.0-or-later
/* What the image itself says of its backing file and data file. */
#include "check/pass.h"
#include "lib/chain.h"
#include "lib/text.h"

#include <stdlib.h>

static void check_backing(struct qf_pass_ctx *c)
{
	const char *fmt = qf_ext_string(&c->img->ext, QF_EXT_BACKING_FORMAT);
	char name[1100], *path;
	struct qf_finding *f;
	struct qf_why why;

	qf_text_safe(c->img->backing_name, name, sizeof(name));
	if (!fmt) {
		f = qf_pass_at(c, QF_P_CHAIN_NO_FORMAT,
			       c->img->hdr.backing_name_off,
			       c->img->hdr.backing_name_bytes);
		qf_finding_say(f, "\"%s\"", name);
	}
	path = qf_chain_path(c->img->io->name, c->img->backing_name);
	if (path && qf_chain_readable(path, &why)) {
		f = qf_pass_at(c, QF_P_CHAIN_MISSING,
			       c->img->hdr.backing_name_off,
			       c->img->hdr.backing_name_bytes);
		qf_finding_say(f, "\"%s\" (%s): %s", name,
			       qf_text_safe(path, name, sizeof(name)),
			       why.text);
	}
	free(path);
}

static void check_data_file(struct qf_pass_ctx *c)
{
	char name[1100], *path;
	struct qf_finding *f;
	struct qf_why why;

	if (!c->img->data_file_name) {
		qf_finding_say(qf_finding_add(c->out, QF_P_DATA_FILE),
			       "the image does not say which file it is");
		return;
	}
	path = qf_chain_path(c->img->io->name, c->img->data_file_name);
	if (path && qf_chain_readable(path, &why)) {
		f = qf_finding_add(c->out, QF_P_DATA_FILE);
		qf_finding_say(f, "\"%s\": %s",
			       qf_text_safe(path, name, sizeof(name)),
			       why.text);
	}
	free(path);
}

enum qf_err qf_pass_chain(struct qf_pass_ctx *c, struct qf_why *why)
{
	(void)why;
	if (c->img->backing_name)
		check_backing(c);
	if (c->img->geo.data_file)
		check_data_file(c);
	return QF_OK;
}
