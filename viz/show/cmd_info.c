// SPDX-License-Identifier: GPL-2.0-or-later
/* qfsck info. */
#include "cmd.h"
#include "lib/model/open.h"
#include "lib/base/text.h"
#include "viz/show/cmd_args.h"
#include "viz/show/info.h"
#include "viz/viz.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char help[] =
	"Usage: qfsck info [OPTION]... IMAGE\n"
	"Tells what an image says of itself: header, features, extensions,\n"
	"snapshots, bitmaps, backing files, and who has it open. Only reads,\n"
	"and also reads an image that is in use.\n\n"
	"      --backing-chain    the backing files too, down to the last\n"
	"      --output=FORMAT    human (the default) or json\n"
	"  -U, --force-share      accepted for compatibility, without effect\n"
	"  -f, --format=FMT       the image's format; with qcow2 it is read also where\n"
	"                         its magic or its version is damaged\n"
	"      --help             this text\n\n"
	"Exit codes: 0 shown, 1 not readable (or, with --backing-chain, the\n"
	"chain is broken), 63 not a qcow2 image.\n";

#define LABEL "%-16s "

static const char *safe(const char *s)
{
	static char buf[4200];

	return qf_text_safe(s, buf, sizeof(buf));
}

static void line_bytes(const char *label, uint64_t bytes)
{
	char text[32];

	printf(LABEL "%s (%" PRIu64 " bytes)\n", label,
	       qf_text_bytes(bytes, text, sizeof(text)), bytes);
}

static void print_state(const struct qf_image *img)
{
	if (img->hdr.incompatible & QF_INCOMPAT_DIRTY)
		printf(LABEL "dirty: not closed, or in use; the refcounts may "
			     "be stale\n",
		       "state");
	if (img->hdr.incompatible & QF_INCOMPAT_CORRUPT)
		printf(LABEL "marked as corrupt: QEMU opens it for reading "
			     "only\n",
		       "state");
}

static void print_header(const struct qf_image *img)
{
	const struct qf_header *h = &img->hdr;

	printf(LABEL "%" PRIu32 " (compat %s), header of %" PRIu32 " bytes\n",
	       "version", h->version, h->version < 3 ? "0.10" : "1.1",
	       h->header_bytes);
	line_bytes("cluster size", img->geo.cluster_bytes);
	printf(LABEL "%u bits, table of %" PRIu32 " clusters at 0x%" PRIx64
		     "\n",
	       "refcounts", img->geo.refcount_bits, h->reftable_clusters,
	       h->reftable_off);
	printf(LABEL "%" PRIu32 " entries at 0x%" PRIx64 "\n", "L1 table",
	       h->l1_entries, h->l1_off);
	printf(LABEL "%s\n", "compression",
	       h->compression == QF_COMPRESSION_ZSTD ? "zstd" : "zlib");
	if (img->geo.extl2)
		printf(LABEL "yes, subclusters of %" PRIu64 " bytes\n",
		       "extended L2", img->geo.subcluster_bytes);
	if (h->crypt_method)
		printf(LABEL "%s\n", "encryption",
		       h->crypt_method == QF_CRYPT_LUKS	 ? "LUKS"
		       : h->crypt_method == QF_CRYPT_AES ? "AES (the old kind)"
							 : "unknown");
	print_state(img);
}

static void print_files(const struct qf_info *info,
			const struct qf_chain_node *node)
{
	const struct qf_image *img = node->img;
	const char *fmt = qf_ext_string(&img->ext, QF_EXT_BACKING_FORMAT);
	bool last = node == &info->chain.node[info->chain.n - 1];
	char *path;

	if (img->geo.data_file) {
		printf(LABEL "%s\n", "data file",
		       img->data_file_name ? safe(img->data_file_name)
					   : "not named");
		if (!node->data)
			printf(LABEL "  NOT THERE: %s\n", "",
			       node->data_why.text);
		else
			line_bytes("  on disk", node->data->disk_bytes);
	}
	if (img->backing_name_bad)
		printf(LABEL "its name lies outside the header cluster\n",
		       "backing file");
	if (!img->backing_name)
		return;
	printf(LABEL "%s", "backing file", safe(img->backing_name));
	printf(" (%s)\n", fmt ? safe(fmt) : "no format stated");
	path = qf_chain_path(node->path, img->backing_name);
	if (path && strcmp(path, img->backing_name))
		printf(LABEL "  that is %s\n", "", safe(path));
	if (last && info->chain.broken.err)
		printf(LABEL "  NOT THERE: %s\n", "", info->chain.broken.text);
	free(path);
}

static void print_features(const struct qf_image *img)
{
	unsigned int type, bit;
	char name[64];

	for (type = 0; type < 3; type++)
		for (bit = 0; bit < 64; bit++)
			if (qf_info_features(img, type) >> bit & 1)
				printf(LABEL "%s bit %u: %s\n", "feature",
				       qf_info_feature_type[type], bit,
				       safe(qf_info_feature(img, type, bit,
							    name,
							    sizeof(name))));
}

static void print_extensions(const struct qf_image *img)
{
	const struct qf_ext *e;
	size_t i;

	for (i = 0; i < img->ext.n; i++) {
		e = &img->ext.ext[i];
		printf(LABEL "0x%08" PRIx32 " %s, %" PRIu32
			     " bytes at 0x%" PRIx64 "%s\n",
		       "extension", e->type, qf_ext_name(e->type), e->bytes,
		       e->off, e->data ? "" : ", which runs past its area");
	}
}

static void print_snapshots(const struct qf_image *img)
{
	const struct qf_snapshot_table *t = &img->snapshots;
	char when[32], state[32], disk[32];
	const struct qf_snapshot *s;
	struct tm tm;
	uint32_t i;
	time_t sec;

	if (t->stated != t->n)
		printf(LABEL "the header states %" PRIu32 ", and %" PRIu32
			     " could be read\n",
		       "snapshots", t->stated, t->n);
	for (i = 0; i < t->n; i++) {
		s = &t->snap[i];
		sec = (time_t)s->date_sec;
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S",
			 localtime_r(&sec, &tm));
		printf(LABEL "%s ", "snapshot", safe(s->id));
		printf("\"%s\", %s, disk %s, VM state %s\n", safe(s->name),
		       when, qf_text_bytes(s->disk_bytes, disk, sizeof(disk)),
		       qf_text_bytes(s->vm_state_bytes, state, sizeof(state)));
	}
}

static void print_bitmaps(const struct qf_image *img)
{
	const struct qf_bitmap *b;
	uint32_t i;

	for (i = 0; i < img->bitmaps.n; i++) {
		b = &img->bitmaps.bm[i];
		printf(LABEL "\"%s\", granularity 2^%u bytes%s%s%s\n", "bitmap",
		       safe(b->name), b->granularity_bits,
		       b->flags & QF_BITMAP_AUTO ? ", recording" : "",
		       b->flags & QF_BITMAP_IN_USE
			       ? ", in use or not closed: not to be trusted"
			       : "",
		       img->bitmaps_valid
			       ? ""
			       : ", stale: a writer that knows no bitmaps "
				 "changed the image");
	}
}

static void print_holders(const struct qf_info *info)
{
	const struct qf_lock_holder *h;
	size_t i;

	for (i = 0; i < info->n_holders && i < QF_INFO_HOLDERS; i++) {
		h = &info->holder[i];
		printf(LABEL "process %d (%s)%s: %s\n", "in use by",
		       (int)h->pid, h->program,
		       h->uses & QF_LOCK_WRITES ? ", writing" : "", h->command);
	}
}

static void print_node(const struct qf_info *info, uint32_t i)
{
	const struct qf_chain_node *node = &info->chain.node[i];

	printf("%s" LABEL "%s\n", i ? "\n" : "", "image", safe(node->path));
	printf(LABEL "%s\n", "format", qf_chain_format(node));
	line_bytes("virtual size", node->disk_bytes);
	line_bytes("file size", node->io->size);
	line_bytes("size on disk", node->io->disk_bytes);
	if (!node->img)
		return;
	print_header(node->img);
	print_files(info, node);
	print_features(node->img);
	print_extensions(node->img);
	print_snapshots(node->img);
	print_bitmaps(node->img);
	if (!i)
		print_holders(info);
}

static int print_json(const struct qf_info *info, bool chain)
{
	json_t *list;
	uint32_t i;

	if (!chain)
		return qf_args_print(qf_info_json(info, 0));
	list = json_array();
	for (i = 0; i < info->chain.n; i++)
		json_array_append_new(list, qf_info_json(info, i));
	return qf_args_print(list);
}

static int show(const struct qf_info *info, bool json, bool chain)
{
	uint32_t i, n = chain ? info->chain.n : 1;
	int code;

	if (json) {
		code = print_json(info, chain);
	} else {
		for (i = 0; i < n; i++)
			print_node(info, i);
		code = qf_args_flush();
	}
	if (code || !chain || !info->chain.broken.err)
		return code;
	fprintf(stderr, "qfsck: %s: the backing file \"%s\" %s\n",
		info->chain.node[info->chain.n - 1].path,
		safe(info->chain.broken_name), info->chain.broken.text);
	return QF_EXIT_FAILED;
}

int qf_cmd_info(int argc, char **argv)
{
	bool chain = false;
	const struct qf_args_option options[] = {
		{ "backing-chain", 0, QF_ARGS_FLAG, &chain }, { 0 }
	};
	struct qf_args a = { .command = "info",
			     .help = help,
			     .option = options };
	struct qf_info *info = NULL;
	struct qf_image *img = NULL;
	struct qf_why why = { 0 };
	int code = qf_args_parse(&a, argc, argv);

	if (code >= 0)
		return code;
	/* no lock: the header can be read while others write the disk */
	if (qf_open_image(a.arg[0], a.format, QF_LOCK_READ, true, &img, &why))
		return qf_args_failed(a.arg[0], &why);
	info = calloc(1, sizeof(*info));
	if (!info || qf_info_make(img, info, &why)) {
		qf_err_set(&why, QF_ERR_NOMEM, 0, QF_NOWHERE, "no memory");
		code = qf_args_failed(a.arg[0], &why);
	} else {
		code = show(info, a.json, chain);
	}
	if (info)
		qf_info_free(info);
	free(info);
	qf_image_close(img);
	return code;
}
