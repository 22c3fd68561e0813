// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/show/cmd_duchain.h"
#include "check/check.h"
#include "cmd.h"
#include "lib/base/text.h"
#include "viz/show/cmd_args.h"
#include "viz/show/duchain.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static json_t *json_pair(uint64_t data, uint64_t zeros)
{
	json_t *o = json_object();

	qf_json_int(o, "data", data);
	qf_json_int(o, "zeros", zeros);
	return o;
}

static json_t *json_layer(const struct qf_chain *chain, uint32_t i,
			  const struct qf_duchain_layer *l)
{
	const struct qf_chain_node *node = &chain->node[i];
	json_t *o = json_object(), *commit;

	qf_json_text(o, "filename", node->path);
	qf_json_text(o, "format", qf_chain_format(node));
	qf_json_int(o, "virtual-size", node->disk_bytes);
	qf_json_int(o, "actual-size", node->io->disk_bytes);
	qf_json_int(o, "data", l->data);
	qf_json_int(o, "zeros", l->zeros);
	json_object_set_new(o, "shown",
			    json_pair(l->shown_data, l->shown_zeros));
	qf_json_int(o, "hidden",
		    l->data + l->zeros - l->shown_data - l->shown_zeros);
	qf_json_int(o, "unknown", l->unknown);
	commit = i + 1 < chain->n ? json_pair(l->data, l->zeros) : NULL;
	if (commit)
		qf_json_int(commit, "grows", l->grows);
	json_object_set_new(o, "commit", commit ? commit : json_null());
	json_object_set_new(o, "pull",
			    i ? json_pair(l->shown_data,
					  l->shown_zeros + l->past_end)
			      : json_null());
	return o;
}

static const char *size(uint64_t bytes)
{
	static char text[8][32];
	static unsigned int i;

	i = (i + 1) % 8;
	return qf_text_bytes(bytes, text[i], sizeof(text[i]));
}

static const char *name_of(const struct qf_chain *chain, uint32_t i)
{
	static char text[2][300];
	char *buf = text[i % 2];

	return qf_text_safe(chain->node[i].path, buf, sizeof(text[0]));
}

static void print_table(const struct qf_chain *chain,
			const struct qf_duchain_layer *l)
{
	uint64_t all, shown;
	uint32_t i;

	printf("\n%12s%12s%12s%12s%12s  %s\n", "on its disk", "data", "zeros",
	       "shown", "hidden", "of the backing chain");
	for (i = 0; i < chain->n; i++, l++) {
		all = l->data + l->zeros;
		shown = l->shown_data + l->shown_zeros;
		printf("%12s%12s%12s%12s%12s  %s (%s)\n",
		       size(chain->node[i].io->disk_bytes), size(l->data),
		       size(l->zeros), size(shown), size(all - shown),
		       name_of(chain, i), qf_chain_format(&chain->node[i]));
		if (l->unknown)
			printf("%60s  of it %s are damaged\n", "",
			       size(l->unknown));
	}
}

static void print_moves(const struct qf_chain *chain,
			const struct qf_duchain_layer *l)
{
	uint64_t data = 0, zeros = 0;
	uint32_t i;

	if (chain->n == 1) {
		printf("Nothing is behind this image: there is nothing to "
		       "commit or to pull.\n");
		return;
	}
	putchar('\n');
	for (i = 0; i + 1 < chain->n; i++) {
		printf("Commit %s into the file below: writes %s of data and "
		       "%s of zeros",
		       name_of(chain, i), size(l[i].data), size(l[i].zeros));
		if (chain->node[i + 1].img)
			printf("; that file then maps %s more",
			       size(l[i].grows));
		puts(".");
	}
	for (i = 1; i < chain->n; i++) {
		data += l[i].shown_data;
		zeros += l[i].shown_zeros + l[i].past_end;
		printf("Pull up to %s: the image takes %s of data and %s of "
		       "zeros.\n",
		       name_of(chain, i), size(data), size(zeros));
	}
}

static void put(const struct qf_chain *chain, const struct qf_duchain_layer *l,
		json_t *o)
{
	json_t *list;
	uint32_t i;

	if (!o) {
		print_table(chain, l);
		print_moves(chain, l);
		return;
	}
	list = json_array();
	for (i = 0; i < chain->n; i++)
		json_array_append_new(list, json_layer(chain, i, &l[i]));
	json_object_set_new(o, "chain", list);
}

static int tell_broken(const struct qf_chain *chain)
{
	char safe[300];

	fprintf(stderr,
		"qfsck: %s: the backing file %s is missing from the chain: "
		"%s\n",
		name_of(chain, chain->n - 1),
		chain->broken_name
			? qf_text_safe(chain->broken_name, safe, sizeof(safe))
			: "",
		chain->broken.text);
	return QF_EXIT_FAILED;
}

int qf_cmd_duchain_tell(struct qf_image *img, json_t *o)
{
	struct qf_duchain_layer *layer = NULL;
	struct qf_disk *disk = NULL;
	struct qf_chain chain = { 0 };
	struct qf_why why = { 0 };
	enum qf_err err;
	int code = -1;

	err = qf_chain_open(img, true, &chain, &why);
	if (!err)
		err = qf_disk_open(&chain, QF_HOLDER_ACTIVE, &disk, &why);
	if (!err)
		err = qf_duchain_make(&chain, disk, &layer, &why);
	if (err) {
		code = qf_args_failed(img->io->name, &why);
	} else {
		put(&chain, layer, o);
		if (chain.broken.err)
			code = tell_broken(&chain);
	}
	free(layer);
	qf_disk_close(disk);
	qf_chain_close(&chain);
	return code;
}
