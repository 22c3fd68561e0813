// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/host/cmd_domains.h"
#include "cmd.h"
#include "lib/base/text.h"

#include <stdio.h>
#include <string.h>

/* Several domains can have one image. */
static bool is_added(const struct qf_domains *d, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (d->disk[i].path &&
		    !strcmp(d->disk[i].path, d->disk[n].path))
			return true;
	return false;
}

static bool is_qcow2(const struct qf_domains_disk *k)
{
	/* without a word on it, the image itself tells */
	return k->path && (!k->format || !strcmp(k->format, "qcow2"));
}

static void tell_other(const struct qf_domains_disk *k)
{
	char domain[200], target[100], format[100];

	fprintf(stderr, "qfsck: %s: %s is not checked: %s\n",
		qf_text_safe(k->domain, domain, sizeof(domain)),
		qf_text_safe(k->target, target, sizeof(target)),
		k->path ? qf_text_safe(k->format, format, sizeof(format))
			: "it is no file or device of this host");
}

int qf_cmd_domains_add(struct qf_domains *d, enum qf_cmd_domains_by by,
		       const char *name, bool (*add)(void *ctx, char *path),
		       void *ctx)
{
	bool all = by == QF_CMD_DOMAINS_ALL;
	struct qf_why why = { 0 };
	size_t i = d->n, n = 0;
	char safe[200];
	enum qf_err err;

	qf_text_safe(all ? "all domains" : name, safe, sizeof(safe));
	err = by == QF_CMD_DOMAINS_XML
		      ? qf_domains_read(d, name, &why)
		      : qf_domains_find(d, all ? NULL : name, &why);
	if (err) {
		fprintf(stderr, "qfsck: %s: %s%s%s\n", safe, why.text,
			why.next[0] ? "\n  Next: " : "", why.next);
		return QF_EXIT_FAILED;
	}
	for (; i < d->n; i++) {
		if (!is_qcow2(&d->disk[i]))
			tell_other(&d->disk[i]);
		else if (n++, !is_added(d, i) && !add(ctx, d->disk[i].path))
			return QF_EXIT_FAILED;
	}
	if (!n)
		fprintf(stderr, "qfsck: %s: no qcow2 image on this host\n",
			safe);
	return -1;
}
