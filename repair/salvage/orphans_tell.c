// SPDX-License-Identifier: GPL-2.0-or-later
/* Tells what extract --orphans has written. */
#include "check/check.h"
#include "lib/base/text.h"
#include "repair/salvage/orphans.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

struct told {
	const struct qf_image *img;
	const char *name, *dir;
	const struct qf_orphan_runs *l;
};

static void orphans_json(const struct told *t)
{
	json_t *o = json_object(), *list = json_array(), *r;
	size_t i;

	qf_json_text(o, "filename", t->name);
	qf_json_text(o, "folder", t->dir);
	for (i = 0; i < t->l->n; i++) {
		r = json_object();
		qf_json_text(r, "file", t->l->at[i].name);
		qf_json_int(r, "host-offset", t->l->at[i].host_off);
		qf_json_int(r, "length", t->l->at[i].bytes);
		qf_json_int(r, "unreadable", t->l->at[i].unread);
		qf_json_text(r, "kind", t->l->at[i].kind);
		json_array_append_new(list, r);
	}
	json_object_set_new(o, "orphans", list);
	json_dumpf(o, stdout, JSON_INDENT(4) | JSON_PRESERVE_ORDER);
	putchar('\n');
	json_decref(o);
}

static void orphans_human(const struct told *t)
{
	char size[32];
	size_t i;

	if (!t->l->n) {
		printf("%s: every allocated cluster has an owner; \"%s\" has "
		       "no files but the map\n",
		       t->name, t->dir);
		return;
	}
	printf("%s without an owner, %zu file%s in \"%s\":\n",
	       qf_text_bytes(t->l->bytes, size, sizeof(size)), t->l->n,
	       t->l->n == 1 ? "" : "s", t->dir);
	for (i = 0; i < t->l->n; i++)
		printf("  %s  %s, begins with: %s\n", t->l->at[i].name,
		       qf_text_bytes(t->l->at[i].bytes, size, sizeof(size)),
		       t->l->at[i].kind);
	if (t->img->hdr.crypt_method)
		printf("They are encrypted, as they stand in the image.\n");
	if (t->l->unread)
		fprintf(stderr,
			"qfsck: %s: %s could not be read and %s zeros; "
			"\"%s/orphans.map\" says where\n",
			t->name,
			qf_text_bytes(t->l->unread, size, sizeof(size)),
			t->l->unread == 1 ? "is" : "are", t->dir);
}

void qf_orphans_tell(const struct qf_image *img, const char *name,
		     const char *dir, const struct qf_orphan_runs *l, bool json)
{
	struct told t = { img, name, dir, l };

	if (json)
		orphans_json(&t);
	else
		orphans_human(&t);
}
