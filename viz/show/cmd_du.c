// SPDX-License-Identifier: GPL-2.0-or-later
/* qfsck du. */
#include "check/check.h"
#include "cmd.h"
#include "lib/walk/describe.h"
#include "lib/model/open.h"
#include "lib/base/text.h"
#include "viz/show/cmd_args.h"
#include "viz/show/cmd_duchain.h"
#include "viz/show/du.h"
#include "viz/show/unowned.h"
#include "viz/viz.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char help[] =
	"Usage: qfsck du [OPTION]... IMAGE\n"
	"Shows how the space in the image file is used: by each snapshot, by the\n"
	"active disk, by the tables; and what deleting snapshots would free.\n\n"
	"      --if-deleted=S,... what deleting these snapshots (ids or names)\n"
	"                         would free, together; nothing is deleted\n"
	"      --ranges           with --if-deleted: also where in the file\n"
	"      --backing-chain    also the files behind the image: what each holds,\n"
	"                         what of it is hidden by newer ones, and what a\n"
	"                         commit or a pull would move\n"
	"      --output=FORMAT    human (the default) or json\n"
	"  -U, --force-share      read an image that another program writes\n"
	"  -f, --format=FMT       the image's format; with qcow2 it is read also where\n"
	"                         its magic or its version is damaged\n"
	"      --help             this text\n\n"
	"Sizes count whole clusters of the file. \"Exclusive\" is what only this\n"
	"one needs, its own tables included.\n";

struct options {
	bool ranges, chain;
	const char *if_deleted;
};

struct showing {
	const struct qf_du *du;
	struct qf_image *img;
	const char *name;
	const struct options *o;
	uint64_t cluster_bytes;
	uint32_t deleted; /* a set, if --if-deleted was given */
	struct qf_du_freed freed;
	bool may_be_lost; /* what nobody owns: see unowned.h */
};

/* The metadata kinds, as the JSON and the table name them. */
static const struct {
	const char *key, *words;
	unsigned int kinds;
} metadata[] = {
	{ "header", "header", 1u << QF_REF_HEADER },
	{ "l1", "L1 tables", 1u << QF_REF_L1 },
	{ "l2", "L2 tables", 1u << QF_REF_L2 },
	{ "refcount-table", "refcount table", 1u << QF_REF_REFTABLE },
	{ "refcount-blocks", "refcount blocks", 1u << QF_REF_REFBLOCK },
	{ "snapshot-table", "snapshot table", 1u << QF_REF_SNAPSHOT_TABLE },
	{ "bitmaps", "bitmaps",
	  1u << QF_REF_BITMAP_DIR | 1u << QF_REF_BITMAP_TABLE |
		  1u << QF_REF_BITMAP_DATA },
	{ "crypto", "encryption header", 1u << QF_REF_CRYPTO },
};

#define N_METADATA (sizeof(metadata) / sizeof(metadata[0]))

static uint64_t sum_of(const struct qf_du *du, unsigned int kinds)
{
	uint64_t sum = 0;
	unsigned int k;

	for (k = 0; k < QF_REF_KINDS; k++)
		if (kinds >> k & 1)
			sum += du->kind[k];
	return sum;
}

static void set_bytes(const struct showing *s, json_t *o, const char *key,
		      uint64_t clusters)
{
	qf_json_int(o, key, clusters * s->cluster_bytes);
}

static const char *holder_id(const struct qf_image *img, uint32_t h)
{
	return h ? img->snapshots.snap[h - 1].id : "active";
}

static json_t *json_holders(const struct showing *s)
{
	const struct qf_du_holder *h = s->du->holder;
	json_t *list = json_array(), *o;
	uint32_t i;

	for (i = 0; i < qf_image_holders(s->img); i++, h++) {
		o = json_object();
		qf_json_text(o, "id", holder_id(s->img, i));
		qf_json_text(o, "name",
			     i ? s->img->snapshots.snap[i - 1].name : "");
		set_bytes(s, o, "referenced", h->referenced);
		set_bytes(s, o, "exclusive", h->exclusive);
		set_bytes(s, o, "shared", h->referenced - h->exclusive);
		json_array_append_new(list, o);
	}
	return list;
}

/* Calls FN for the host ranges that the deletion frees, merged. */
static void each_range(const struct showing *s,
		       void (*fn)(void *ctx, uint64_t start, uint64_t bytes),
		       void *ctx)
{
	uint64_t at, end, from = 0, n = 0;
	uint32_t cls;

	for (at = 0; at < s->du->clusters; at = end) {
		cls = qf_owners_at(s->du->owners, at, UINT64_MAX, &end);
		if (qf_du_is_freed(s->du, s->deleted, cls)) {
			from = n ? from : at;
			n += end - at;
		} else if (n) {
			fn(ctx, from * s->cluster_bytes, n * s->cluster_bytes);
			n = 0;
		}
	}
	if (n)
		fn(ctx, from * s->cluster_bytes, n * s->cluster_bytes);
}

static void json_range(void *ctx, uint64_t start, uint64_t bytes)
{
	json_t *o = json_object();

	qf_json_int(o, "start", start);
	qf_json_int(o, "length", bytes);
	json_array_append_new(ctx, o);
}

static json_t *json_deleted(const struct showing *s)
{
	int64_t size = (int64_t)s->cluster_bytes;
	json_t *o = json_object(), *list = json_array();
	uint32_t i;

	for (i = 1; i < qf_image_holders(s->img); i++)
		if (qf_spanset_has(qf_owners_sets(s->du->owners), s->deleted,
				   i))
			json_array_append_new(
				list, qf_json_string(holder_id(s->img, i)));
	json_object_set_new(o, "snapshots", list);
	json_object_set_new(o, "freed", json_integer(s->freed.total * size));
	set_bytes(s, o, "data", s->freed.data);
	set_bytes(s, o, "l2", s->freed.l2);
	set_bytes(s, o, "l1", s->freed.l1);
	json_object_set_new(o, "snapshot-table",
			    json_integer(s->freed.snapshot_table * size));
	if (s->o->ranges) {
		list = json_array();
		each_range(s, json_range, list);
		json_object_set_new(o, "ranges", list);
	}
	return o;
}

static int show_json(const struct showing *s)
{
	json_t *o = json_object(), *meta = json_object();
	int code = -1, printed;
	size_t i;

	qf_json_text(o, "filename", s->name);
	qf_json_int(o, "file-size", s->img->io->size);
	qf_json_int(o, "cluster-size", s->cluster_bytes);
	qf_json_int(o, "clusters", s->du->clusters);
	json_object_set_new(o, "holders", json_holders(s));
	for (i = 0; i < N_METADATA; i++)
		set_bytes(s, meta, metadata[i].key,
			  sum_of(s->du, metadata[i].kinds));
	json_object_set_new(o, "metadata", meta);
	set_bytes(s, o, "data", qf_du_data(s->du));
	set_bytes(s, o, "leaked", s->may_be_lost ? 0 : s->du->unowned);
	set_bytes(s, o, "may-be-lost", s->may_be_lost ? s->du->unowned : 0);
	set_bytes(s, o, "free", s->du->free);
	set_bytes(s, o, "owned-twice", s->du->twice);
	if (s->o->if_deleted)
		json_object_set_new(o, "if-deleted", json_deleted(s));
	if (s->o->chain && o)
		code = qf_cmd_duchain_tell(s->img, o);
	printed = qf_args_print(o);
	return code >= 0 ? code : printed;
}

static const char *size(const struct showing *s, uint64_t clusters)
{
	static char text[4][32];
	static unsigned int i;

	i = (i + 1) % 4;
	return qf_text_bytes(clusters * s->cluster_bytes, text[i],
			     sizeof(text[i]));
}

static void print_holders(const struct showing *s)
{
	const struct qf_du_holder *h = s->du->holder;
	char name[300];
	uint32_t i;

	printf("%12s%12s%12s  %s\n", "referenced", "exclusive", "shared", "by");
	for (i = 0; i < qf_image_holders(s->img); i++, h++)
		printf("%12s%12s%12s  %s\n", size(s, h->referenced),
		       size(s, h->exclusive),
		       size(s, h->referenced - h->exclusive),
		       qf_describe_holder(s->img, i, name, sizeof(name)));
}

static void print_row(const struct showing *s, uint64_t clusters,
		      const char *words)
{
	if (clusters)
		printf("%12s%12" PRIu64 "  %s\n", size(s, clusters), clusters,
		       words);
}

static void print_totals(const struct showing *s)
{
	size_t i;

	printf("\n%12s%12s  %s\n", "in the file", "clusters", "of");
	print_row(s, qf_du_data(s->du), "guest data");
	for (i = 0; i < N_METADATA; i++)
		print_row(s, sum_of(s->du, metadata[i].kinds),
			  metadata[i].words);
	print_row(s, s->du->unowned,
		  s->may_be_lost ? QF_UNOWNED_WORDS
				 : "leaked: no owner, but not free");
	print_row(s, s->du->free, "free, inside the file");
	print_row(s, s->du->clusters, "total");
	if (s->du->twice)
		printf("\n%" PRIu64 " of these cluster%s claimed by two, who "
		       "exclude each other.\n"
		       "  Next: qfsck check %s\n",
		       s->du->twice, s->du->twice == 1 ? " is" : "s are",
		       QF_TEXT_WORD(s->name));
}

static void print_range(void *ctx, uint64_t start, uint64_t bytes)
{
	(void)ctx;
	printf("  0x%" PRIx64 " to 0x%" PRIx64 "\n", start, start + bytes);
}

static void print_deleted(const struct showing *s)
{
	const struct qf_du_freed *f = &s->freed;
	uint64_t total = f->total > 0 ? (uint64_t)f->total : 0;
	char name[300];
	bool first = true;
	uint32_t i;

	printf("\nDeleting ");
	for (i = 1; i < qf_image_holders(s->img); i++) {
		if (!qf_spanset_has(qf_owners_sets(s->du->owners), s->deleted,
				    i))
			continue;
		printf("%s%s", first ? "" : ", ",
		       qf_describe_holder(s->img, i, name, sizeof(name)));
		first = false;
	}
	printf(" would free %s: %" PRIu64 " cluster%s\n"
	       "(data %" PRIu64 ", L2 tables %" PRIu64 ", L1 tables %" PRIu64
	       ", snapshot table %" PRId64 "). The image can use them again;\n"
	       "the file keeps its length.\n",
	       size(s, total), total, total == 1 ? "" : "s", f->data, f->l2,
	       f->l1, f->snapshot_table);
	if (!s->o->ranges)
		return;
	printf("Tables and data would be freed at:\n");
	each_range(s, print_range, NULL);
}

static int show_human(const struct showing *s)
{
	char bytes[32];
	int code = -1;

	printf("%s: %" PRIu64 " clusters of %s\n\n", s->name, s->du->clusters,
	       qf_text_bytes(s->cluster_bytes, bytes, sizeof(bytes)));
	print_holders(s);
	print_totals(s);
	if (s->o->if_deleted)
		print_deleted(s);
	if (s->o->chain)
		code = qf_cmd_duchain_tell(s->img, NULL);
	return code >= 0 ? code : qf_args_flush();
}

static int show(struct qf_image *img, const struct qf_args *a,
		const struct options *o)
{
	struct showing s = { .img = img, .name = a->arg[0], .o = o };
	struct qf_owners *owners = NULL;
	struct qf_why why = { 0 };
	struct qf_walk walk = { 0 };
	struct qf_du du = { 0 };
	enum qf_err err;
	int code;

	qf_progress_start(s.name, false);
	err = qf_walk_gather(img, &walk, &why);
	if (!err)
		err = qf_owners_make(&walk, &owners, &why);
	if (!err)
		err = qf_du_make(owners, img, &du, &why);
	if (!err && du.unowned)
		err = qf_unowned_by_check(img, a->share, 0, &s.may_be_lost,
					  &why);
	qf_progress_stop();
	if (!err && o->if_deleted)
		err = qf_du_parse(&du, o->if_deleted, &s.deleted, &why);
	if (err) {
		code = qf_args_failed(s.name, &why);
	} else {
		s.du = &du;
		s.cluster_bytes = img->geo.cluster_bytes;
		qf_du_if_deleted(&du, s.deleted, &s.freed);
		code = a->json ? show_json(&s) : show_human(&s);
	}
	qf_du_free(&du);
	qf_owners_free(owners);
	qf_walk_free(&walk);
	return code;
}

int qf_cmd_du(int argc, char **argv)
{
	struct options o = { 0 };
	const struct qf_args_option options[] = {
		{ "if-deleted", 0, QF_ARGS_TEXT, &o.if_deleted },
		{ "ranges", 0, QF_ARGS_FLAG, &o.ranges },
		{ "backing-chain", 0, QF_ARGS_FLAG, &o.chain },
		{ 0 }
	};
	struct qf_args a = { .command = "du", .help = help, .option = options };
	struct qf_image *img;
	int code = qf_args_parse(&a, argc, argv);

	if (code >= 0)
		return code;
	code = qf_args_open(&a, &img);
	if (code >= 0)
		return code;
	code = show(img, &a, &o);
	qf_image_close(img);
	return code;
}
