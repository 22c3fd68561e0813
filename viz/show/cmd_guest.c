// SPDX-License-Identifier: GPL-2.0-or-later
/* qfsck guest. */
#include "cmd.h"
#include "check/check.h"
#include "lib/base/mem.h"
#include "lib/base/text.h"
#include "lib/guest/guest.h"
#include "viz/show/cmd_args.h"
#include "viz/files/guestfiles.h"
#include "viz/files/guestuse.h"
#include "viz/files/guesttext.h"
#include "viz/show/map.h"
#include "viz/viz.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char help[] =
	"Usage: qfsck guest [OPTION]... IMAGE\n"
	"Tells what lies on the guest's disk: its partitions and volumes, the\n"
	"file system of each, what of it is in use, and what of that is in the\n"
	"image. Nothing is mounted, and nothing is written.\n\n"
	"      --files=RANGE,...  the files and the metadata that have bytes in\n"
	"                         these ranges of the disk: OFF, OFF+LENGTH or\n"
	"                         OFF-END\n"
	"      --path=P           where the file P of a file system lies, on the\n"
	"                         disk and in the image\n"
	"      --ranges           also which ranges of the disk are in use, free\n"
	"                         or not known\n"
	"  -s, --snapshot=S       the disk as snapshot S (id or name) has it\n"
	"      --key-file=FILE    the passphrase of an encrypted image, all bytes of\n"
	"                         FILE (-: standard input)\n"
	"      --output=FORMAT    human (the default) or json\n"
	"  -U, --force-share      read an image that another program writes\n"
	"  -f, --format=FMT       the image's format; with qcow2 it is read also where\n"
	"                         its magic or its version is damaged\n"
	"      --help             this text\n\n"
	"In the bar, # is in use, . is free, ? is not known, ! is damaged.\n"
	"Exit codes: 0 all is told, 1 not readable or no such file, 63 not a\n"
	"qcow2 image.\n";

struct options {
	const char *snapshot, *files, *path, *key_file;
	bool ranges;
};

static const char *const uses[] = { "unknown", "free", "used" };

static const char *state_key(enum qf_guest_clean c)
{
	return c == QF_GUEST_CLEAN     ? "clean"
	       : c == QF_GUEST_UNCLEAN ? "unclean"
				       : "unknown";
}

/* --- JSON --- */

static json_t *json_fs(const struct qf_guest_fs *fs)
{
	json_t *o = json_object();

	qf_json_text(o, "kind", fs->kind);
	qf_guesttext_json(o, "label", fs->label);
	qf_guesttext_json(o, "uuid", fs->uuid);
	qf_json_bool(o, "opaque", fs->opaque);
	if (fs->bytes)
		qf_json_int(o, "size", fs->bytes);
	if (fs->block_bytes)
		qf_json_int(o, "block-size", fs->block_bytes);
	if (fs->free_bytes != QF_GUEST_UNKNOWN_BYTES)
		qf_json_int(o, "free-bytes", fs->free_bytes);
	qf_guesttext_json_time(o, "created", fs->made);
	qf_guesttext_json_time(o, "mounted", fs->mounted);
	qf_guesttext_json_time(o, "written", fs->written);
	qf_json_text(o, "state", state_key(fs->clean));
	qf_guesttext_json(o, "note", fs->note);
	return o;
}

static json_t *json_sums(const uint64_t *sum)
{
	json_t *o = json_object();

	qf_json_int(o, "used", sum[QF_GUEST_USED]);
	qf_json_int(o, "free", sum[QF_GUEST_FREE]);
	qf_json_int(o, "unknown", sum[QF_GUEST_UNKNOWN]);
	return o;
}

static json_t *json_ranges(const struct qf_guest_runs *runs)
{
	json_t *list = json_array(), *o;
	size_t i;

	for (i = 0; i < runs->n; i++) {
		o = json_object();
		qf_json_int(o, "start", runs->at[i].start);
		qf_json_int(o, "length", runs->at[i].bytes);
		qf_json_text(o, "use", uses[runs->at[i].use]);
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *json_volume(const struct qf_guest_volume *v,
			   const struct qf_guestuse *u, bool ranges)
{
	static const char *const levels[] = { "disk", "partition", "logical" };
	json_t *o = json_object();

	qf_json_text(o, "volume", levels[v->level]);
	if (v->level == QF_GUEST_PARTITION)
		qf_json_int(o, "number", v->number);
	qf_guesttext_json(o, "name", v->name);
	qf_guesttext_json(o, "type", v->type);
	qf_json_int(o, "start", v->start);
	qf_json_int(o, "length", v->bytes);
	qf_guesttext_json(o, "note", v->note);
	qf_guesttext_json(o, "trouble", v->trouble);
	if (*v->fs.kind)
		json_object_set_new(o, "file-system", json_fs(&v->fs));
	json_object_set_new(o, "use", json_sums(u->bytes));
	json_object_set_new(o, "mapped", json_sums(u->mapped));
	json_object_set_new(o, "damaged", json_sums(u->damaged));
	if (ranges)
		json_object_set_new(o, "ranges", json_ranges(&u->runs));
	return o;
}

static int show_json(const struct qf_guest *g, const struct qf_guestuse *use,
		     const struct qf_args *a, bool ranges, uint64_t disk)
{
	json_t *o = json_object(), *list = json_array();
	uint32_t i;

	for (i = 0; i < g->n; i++)
		json_array_append_new(list, json_volume(&g->volume[i], &use[i],
							ranges));
	qf_json_text(o, "filename", a->arg[0]);
	qf_json_int(o, "disk-size", disk);
	qf_guesttext_json(o, "table", g->table);
	qf_guesttext_json(o, "note", g->note);
	json_object_set_new(o, "volumes", list);
	qf_json_bool(o, "cut", g->cut);
	return qf_args_print(o);
}

/* --- for people --- */

static void print_fs(const struct qf_guest_fs *fs)
{
	char size[32], when[32];

	if (*fs->uuid)
		printf("  UUID %s\n", fs->uuid);
	if (fs->bytes)
		printf("  %s in blocks of %" PRIu32 " bytes",
		       qf_text_bytes(fs->bytes, size, sizeof(size)),
		       fs->block_bytes);
	if (fs->bytes && fs->clean != QF_GUEST_CLEAN_UNKNOWN)
		printf(", %s",
		       fs->clean == QF_GUEST_CLEAN ? "clean" : "not clean");
	if (fs->bytes && fs->written != QF_GUEST_NO_TIME)
		printf(", last written %s",
		       qf_guesttext_time(fs->written, when, sizeof(when)));
	if (fs->bytes)
		putchar('\n');
	if (*fs->note)
		printf("  %s\n", fs->note);
}

static void print_use(const struct qf_guestuse *u)
{
	static const struct {
		enum qf_guest_use use;
		const char *word;
	} rows[] = { { QF_GUEST_USED, "in use" },
		     { QF_GUEST_FREE, "free" },
		     { QF_GUEST_UNKNOWN, "not known" } };
	char all[32], mapped[32], damaged[32];
	size_t i;

	printf("  [%s]\n", u->bar);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!u->bytes[rows[i].use])
			continue;
		printf("  %-10s%10s, %s of it in the image", rows[i].word,
		       qf_text_bytes(u->bytes[rows[i].use], all, sizeof(all)),
		       qf_text_bytes(u->mapped[rows[i].use], mapped,
				     sizeof(mapped)));
		if (u->damaged[rows[i].use])
			printf(", %s damaged",
			       qf_text_bytes(u->damaged[rows[i].use], damaged,
					     sizeof(damaged)));
		putchar('\n');
	}
}

static void print_ranges(const struct qf_guest_runs *runs)
{
	size_t i;

	printf("  %-16s%-16s%s\n", "On the disk", "Length", "Use");
	for (i = 0; i < runs->n; i++)
		printf("  0x%-14" PRIx64 "0x%-14" PRIx64 "%s\n",
		       runs->at[i].start, runs->at[i].bytes,
		       uses[runs->at[i].use]);
}

static void print_volume(const struct qf_guest *g, uint32_t i,
			 const struct qf_guestuse *u, bool ranges)
{
	const struct qf_guest_volume *v = &g->volume[i];
	char title[600], size[32], name[300];

	printf("\n%s, %s from 0x%" PRIx64 " on",
	       qf_guest_title(g, i, title, sizeof(title)),
	       qf_text_bytes(v->bytes, size, sizeof(size)), v->start);
	if (*v->type)
		printf(", type %s", v->type);
	if (v->level == QF_GUEST_PARTITION && *v->name)
		printf(", named \"%s\"",
		       qf_text_safe(v->name, name, sizeof(name)));
	putchar('\n');
	if (*v->note)
		printf("  %s\n", v->note);
	if (*v->trouble)
		printf("  not all is known: %s\n", v->trouble);
	print_fs(&v->fs);
	print_use(u);
	if (ranges)
		print_ranges(&u->runs);
}

static int show_human(const struct qf_guest *g, const struct qf_guestuse *use,
		      bool ranges, uint64_t disk)
{
	char size[32];
	uint32_t i;

	printf("Disk of %s, %s%s\n", qf_text_bytes(disk, size, sizeof(size)),
	       *g->table ? "partition table: " : "no partition table",
	       g->table);
	if (*g->note)
		printf("  %s\n", g->note);
	for (i = 0; i < g->n; i++)
		print_volume(g, i, &use[i], ranges);
	if (g->cut)
		printf("\nThere are more volumes than are looked at.\n");
	return qf_args_flush();
}

/* --- the command --- */

static int show_volumes(struct qf_guest *g, struct qf_disk *disk,
			const struct qf_args *a, bool ranges)
{
	struct qf_guestuse *use = qf_mem_zalloc(g->n + 1, sizeof(*use));
	struct qf_why why = { .text = "no memory" };
	enum qf_err err = use ? QF_OK : QF_ERR_NOMEM;
	uint32_t i;
	int code;

	for (i = 0; !err && i < g->n; i++)
		err = qf_guestuse_of(g, disk, i, &use[i], &why);
	if (err)
		code = qf_args_failed(a->arg[0], &why);
	else if (a->json)
		code = show_json(g, use, a, ranges, qf_disk_bytes(disk));
	else
		code = show_human(g, use, ranges, qf_disk_bytes(disk));
	for (i = 0; use && i < g->n; i++)
		qf_guestuse_free(&use[i]);
	free(use);
	return code;
}

static int guest(struct qf_image *img, const struct qf_args *a,
		 const struct options *o)
{
	struct qf_disk *disk = NULL;
	struct qf_guest *g = NULL;
	struct qf_why why = { 0 };
	struct qf_chain chain;
	enum qf_err err;
	uint32_t holder;
	int code;

	err = qf_chain_open(img, true, &chain, &why);
	if (!err)
		err = qf_map_holder(img, o->snapshot, &holder, &why);
	if (!err)
		err = qf_disk_open(&chain, holder, &disk, &why);
	if (!err)
		err = qf_disk_unlock_by(disk, o->key_file, &why);
	if (!err)
		err = qf_guest_open(disk, false, &g, &why);
	if (err)
		code = qf_args_failed(a->arg[0], &why);
	else if (o->files)
		code = qf_guestfiles_of_ranges(g, disk, a, o->files);
	else if (o->path)
		code = qf_guestfiles_of_path(g, disk, a, o->path);
	else
		code = show_volumes(g, disk, a, o->ranges);
	qf_guest_close(g);
	qf_disk_close(disk);
	qf_chain_close(&chain);
	return code;
}

int qf_cmd_guest(int argc, char **argv)
{
	struct options o = { 0 };
	const struct qf_args_option options[] = {
		{ "snapshot", 's', QF_ARGS_TEXT, &o.snapshot },
		{ "ranges", 0, QF_ARGS_FLAG, &o.ranges },
		{ "files", 0, QF_ARGS_TEXT, &o.files },
		{ "path", 0, QF_ARGS_TEXT, &o.path },
		{ "key-file", 0, QF_ARGS_TEXT, &o.key_file },
		{ 0 }
	};
	struct qf_args a = { .command = "guest",
			     .help = help,
			     .option = options };
	struct qf_image *img;
	int code = qf_args_parse(&a, argc, argv);

	if (code >= 0)
		return code;
	if (o.files && o.path)
		return qf_args_wrong("guest", "--files or --path, not both",
				     NULL);
	code = qf_args_open(&a, &img);
	if (code >= 0)
		return code;
	code = guest(img, &a, &o);
	qf_image_close(img);
	return code;
}
