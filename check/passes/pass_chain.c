// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What stands behind the image: its backing files and its external data
 * file. Here only the files' heads are looked at; --backing-chain checks
 * every file by itself (see chain_tree.h) and leaves word in the options.
 */
#include "check/passes/pass.h"
#include "lib/model/chain.h"
#include "lib/base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_ROOM 1200

/* Adds a finding about the backing file's name in the header. */
static struct qf_finding *add(struct qf_pass_ctx *c, enum qf_problem p)
{
	return qf_pass_at(c, p, c->img->hdr.backing_name_off,
			  c->img->hdr.backing_name_bytes);
}

/* Why the chain ends where it should go on. */
static void broken_chain(struct qf_pass_ctx *c, const struct qf_chain *chain)
{
	static const enum qf_problem problems[] = {
		[QF_CHAIN_WHOLE] = QF_PROBLEMS,
		[QF_CHAIN_MISSING] = QF_P_CHAIN_MISSING,
		[QF_CHAIN_LOOP] = QF_P_CHAIN_LOOP,
		[QF_CHAIN_DAMAGED] = QF_P_CHAIN_FORMAT,
		[QF_CHAIN_FOREIGN] = QF_PROBLEMS,
		[QF_CHAIN_REMOTE] = QF_PROBLEMS,
		[QF_CHAIN_LONG] = QF_PROBLEMS,
	};
	const char *path = chain->broken_path ? chain->broken_path : "";
	char name[NAME_ROOM], where[NAME_ROOM], from[NAME_ROOM];
	struct qf_finding *f;

	if (problems[chain->end] == QF_PROBLEMS)
		return;
	f = add(c, problems[chain->end]);
	qf_text_safe(chain->broken_name, name, sizeof(name));
	qf_text_safe(path, where, sizeof(where));
	if (chain->n == 1)
		qf_finding_say(f, "\"%s\" (%s): %s", name, where,
			       chain->broken.text);
	else
		qf_finding_say(f, "\"%s\" (%s), which %s names: %s", name,
			       where,
			       qf_text_safe(chain->node[chain->n - 1].path,
					    from, sizeof(from)),
			       chain->broken.text);
}

static void check_format(struct qf_pass_ctx *c,
			 const struct qf_chain_node *base, const char *name)
{
	const char *fmt = qf_ext_string(&c->img->ext, QF_EXT_BACKING_FORMAT);
	char magic[4];

	if (!fmt) {
		qf_finding_say(add(c, QF_P_CHAIN_NO_FORMAT), "\"%s\"", name);
		return;
	}
	/* a raw disk may hold a qcow2 file at its start: QEMU opens it */
	if (base && !base->img && !strcmp(fmt, "raw") &&
	    !qf_io_read(base->io, magic, sizeof(magic), 0, NULL) &&
	    !memcmp(magic, "QFI\xfb", sizeof(magic)))
		qf_finding_say(add(c, QF_P_CHAIN_RAW),
			       "\"%s\" is recorded as raw, and begins as a "
			       "qcow2 image does",
			       name);
}

static void check_times(struct qf_pass_ctx *c, const struct qf_chain_node *base,
			const char *name)
{
	int64_t mine = c->img->io->mtime_ns, its = base->io->mtime_ns;

	/* by how much is not told: copying the files changes it */
	if (mine && its > mine)
		qf_finding_say(add(c, QF_P_CHAIN_NEWER),
			       "\"%s\" was written to later than this image%s",
			       name,
			       c->recount.fig.allocated
				       ? ""
				       : ", which has no data of its own so "
					 "far");
}

/* The data files of the files behind the image: QEMU opens them, too. */
static void check_data_files(struct qf_pass_ctx *c,
			     const struct qf_chain *chain)
{
	const struct qf_chain_node *node;
	char name[NAME_ROOM];
	uint32_t i;

	for (i = 1; i < chain->n; i++) {
		node = &chain->node[i];
		if (!node->data)
			qf_finding_say(add(c, QF_P_DATA_FILE),
				       "that of the backing file %s: %s",
				       qf_text_safe(node->path, name,
						    sizeof(name)),
				       node->data_why.text);
	}
}

static void check_backing(struct qf_pass_ctx *c, const struct qf_chain *chain)
{
	const struct qf_chain_node *base = chain->n > 1 ? &chain->node[1]
							: NULL;
	uint64_t disk = c->img->hdr.disk_bytes & ~511ull;
	char name[NAME_ROOM];

	qf_text_safe(c->img->backing_name, name, sizeof(name));
	check_format(c, base, name);
	if (base && base->disk_bytes < disk)
		qf_finding_say(add(c, QF_P_CHAIN_SHORTER),
			       "\"%s\" has %" PRIu64
			       " bytes of the disk's %" PRIu64,
			       name, base->disk_bytes, disk);
	if (base)
		check_times(c, base, name);
	if (chain->end != QF_CHAIN_WHOLE)
		broken_chain(c, chain);
	check_data_files(c, chain);
}

static void check_data_file(struct qf_pass_ctx *c)
{
	char name[NAME_ROOM], *path;
	struct qf_finding *f;
	struct qf_why why;

	if (!c->img->data_file_name) {
		qf_finding_say(qf_finding_add(c->out, QF_P_DATA_FILE),
			       "the image does not say which file it is");
		return;
	}
	path = qf_chain_data_path(c->img->io->name, c->img->data_file_name);
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
	struct qf_chain chain;
	enum qf_err err = QF_OK;

	if (c->img->geo.data_file)
		check_data_file(c);
	if (!c->img->backing_name)
		return QF_OK;
	err = qf_chain_open(c->img, true, &chain, why);
	if (!err)
		check_backing(c, &chain);
	qf_chain_close(&chain);
	if (!err && c->opts->below)
		qf_finding_say(add(c, QF_P_CHAIN_DAMAGED), "%s",
			       c->opts->below);
	return err;
}
