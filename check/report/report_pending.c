// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/report/report_pending.h"
#include "check/report/json.h"
#include "lib/base/text.h"
#include "lib/undofile/undokept.h"
#include "lib/undofile/undomatch.h"

#include <stdlib.h>
#include <string.h>

void qf_report_pending(FILE *err, const char *name, struct qf_io *io,
		       struct qf_undofind *f)
{
	struct qf_why why = { 0 };

	if (qf_undofind_pending(name, NULL, io, f, &why)) {
		memset(f, 0, sizeof(*f));
		if (qf_undomatch_is_marked(io))
			fprintf(err,
				"qfsck: %s: whether a repair of this image was "
				"interrupted is not known: its undo file cannot "
				"be read (%s)\n",
				name, why.text);
		return;
	}
	/* one that was renamed: every folder is not to be read for every image */
	if (f->sight == QF_UNDO_NONE && qf_undomatch_is_marked(io) &&
	    qf_undofind_renamed(name, io, f, &why))
		f->sight = QF_UNDO_NONE;
	if (f->sight == QF_UNDO_AT_WORK)
		fprintf(err,
			"qfsck: %s: a repair of this image was interrupted "
			"(%s)\n  Next: \"qfsck repair %s\" finishes it\n",
			name, f->name, QF_TEXT_WORD(name));
	else if (f->sight != QF_UNDO_NONE)
		fprintf(err,
			"qfsck: %s: a repair of this image was interrupted, "
			"and its undo file cannot be %s (%s): %s\n"
			"  Next: \"qfsck repair -n %s\" says what can be done\n",
			name, f->sight == QF_UNDO_AWAY ? "had" : "used",
			f->name, f->why.text, QF_TEXT_WORD(name));
}

void qf_report_given_up(FILE *err, const char *name, struct qf_io *io)
{
	char *names;

	if (qf_undokept_find(name, NULL, io, &names, NULL) || !names)
		return;
	fprintf(err,
		"qfsck: %s: an earlier repair gave something up (%s): what is "
		"leaked may be it\n  Next: do not free it (\"qemu-img check -r "
		"leaks\" would) before the guest was looked at; if nothing is "
		"missed: qfsck repair --forget %s\n",
		name, names, QF_TEXT_WORD(name));
	free(names);
}

json_t *qf_report_pending_json(const struct qf_undofind *f)
{
	static const char *const words[] = { NULL, "whole", "damaged", "away" };
	json_t *o;

	if (f->sight == QF_UNDO_NONE)
		return NULL;
	o = json_object();
	json_object_set_new(o, "undo-file", qf_json_string(f->name));
	json_object_set_new(o, "state", json_string(words[f->sight]));
	return o;
}
