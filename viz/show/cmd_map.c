// SPDX-License-Identifier: GPL-2.0-or-later
/* qfsck map. */
#include "cmd.h"
#include "lib/model/open.h"
#include "lib/base/text.h"
#include "viz/show/cmd_args.h"
#include "viz/show/map.h"
#include "viz/viz.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char help[] =
	"Usage: qfsck map [OPTION]... IMAGE\n"
	"Tells which stretches of the disk are data, zeros or not mapped, and\n"
	"in which file of the backing chain they lie, as qemu-img map does.\n\n"
	"  -s, --snapshot=S       the disk as snapshot S (id or name) has it\n"
	"      --start-offset=N   begin there; k, M, G, T can follow a number\n"
	"      --max-length=N     and end after so many bytes\n"
	"      --output=FORMAT    human (the default: data only) or json (all)\n"
	"  -U, --force-share      read an image that another program writes\n"
	"  -f, --format=FMT       the image's format; with qcow2 it is read also where\n"
	"                         its magic or its version is damaged\n"
	"      --help             this text\n\n"
	"Exit codes: 0 all is told, 1 not readable, or a part of the mapping is\n"
	"damaged (it is told where), 63 not a qcow2 image.\n";

struct printing {
	const struct qf_chain *chain;
	const char *name;
	bool json;
	uint64_t n;   /* lines */
	uint64_t bad; /* bytes whose mapping is damaged */
};

/* A place in an encrypted file tells nothing: its bytes are no data. */
static bool has_offset(const struct printing *p, const struct qf_disk_extent *e)
{
	const struct qf_image *img = p->chain->node[e->depth].img;

	return e->host_off != QF_NOWHERE && !(img && img->hdr.crypt_method);
}

static void print_json(struct printing *p, const struct qf_disk_extent *e)
{
	printf("%s{ \"start\": %" PRIu64 ", \"length\": %" PRIu64
	       ", \"depth\": %" PRIu32 ", \"present\": %s, \"zero\": %s, "
	       "\"data\": %s",
	       p->n ? ",\n" : "[", e->start, e->bytes, e->depth,
	       e->present ? "true" : "false", e->zero ? "true" : "false",
	       e->data ? "true" : "false");
	if (has_offset(p, e))
		printf(", \"offset\": %" PRIu64, e->host_off);
	if (e->bad)
		printf(", \"error\": \"%s\"", e->bad);
	printf("}");
	p->n++;
}

static void print_human(struct printing *p, const struct qf_disk_extent *e)
{
	const struct qf_chain_node *node = &p->chain->node[e->depth];
	const struct qf_io *io = node->data ? node->data : node->io;
	char place[32], name[1100];

	if (!e->bad && (!e->data || e->zero))
		return;
	if (!p->n++)
		printf("%-16s%-16s%-16s%s\n", "Offset", "Length", "Mapped to",
		       "File");
	if (e->bad)
		snprintf(place, sizeof(place), "damaged");
	else if (has_offset(p, e))
		snprintf(place, sizeof(place), "0x%" PRIx64, e->host_off);
	else
		snprintf(place, sizeof(place), "%s",
			 e->kind == QF_DISK_COMPRESSED ? "compressed"
						       : "encrypted");
	printf("%#-16" PRIx64 "%#-16" PRIx64 "%-16s%s%s%s\n", e->start,
	       e->bytes, place, qf_text_safe(io->name, name, sizeof(name)),
	       e->bad ? ": " : "", e->bad ? e->bad : "");
}

static bool print(void *ctx, const struct qf_disk_extent *e)
{
	struct printing *p = ctx;

	if (e->bad)
		p->bad += e->bytes;
	if (p->json)
		print_json(p, e);
	else
		print_human(p, e);
	return !ferror(stdout);
}

struct options {
	const char *snapshot;
	uint64_t start, bytes;
};

static int finish(struct printing *p, uint64_t start)
{
	const struct qf_disk_extent nothing = { .start = start,
						.host_off = QF_NOWHERE };
	char bad[32];
	int code;

	/* an empty range is one empty stretch, as qemu-img has it */
	if (p->json && !p->n)
		print_json(p, &nothing);
	if (p->json)
		printf("]\n");
	code = qf_args_flush();
	if (!p->bad)
		return code;
	fprintf(stderr,
		"qfsck: %s: of %s of the disk, the mapping is damaged\n"
		"  Next: qfsck check %s tells what is wrong\n",
		p->name, qf_text_bytes(p->bad, bad, sizeof(bad)), p->name);
	return QF_EXIT_FAILED;
}

static int map(struct qf_image *img, const struct qf_args *a,
	       const struct options *o)
{
	struct printing p = { .name = a->arg[0], .json = a->json };
	struct qf_disk *g = NULL;
	struct qf_why why = { 0 };
	struct qf_chain chain;
	enum qf_err err;
	uint32_t holder;
	int code;

	err = qf_chain_open(img, true, &chain, &why);
	if (!err)
		err = qf_map_holder(img, o->snapshot, &holder, &why);
	if (!err)
		err = qf_disk_open(&chain, holder, &g, &why);
	if (!err) {
		p.chain = &chain;
		qf_disk_look_into_holes(g);
		err = qf_map_run(g, o->start, o->bytes, print, &p, &why);
	}
	if (err && err != QF_ERR_STOPPED)
		code = qf_args_failed(p.name, &why);
	else
		code = finish(&p, o->start);
	qf_disk_close(g);
	qf_chain_close(&chain);
	return code;
}

int qf_cmd_map(int argc, char **argv)
{
	struct options o = { .bytes = UINT64_MAX };
	const struct qf_args_option options[] = {
		{ "snapshot", 's', QF_ARGS_TEXT, &o.snapshot },
		{ "start-offset", 0, QF_ARGS_NUMBER, &o.start },
		{ "max-length", 'l', QF_ARGS_NUMBER, &o.bytes },
		{ 0 }
	};
	struct qf_args a = { .command = "map",
			     .help = help,
			     .option = options };
	struct qf_image *img;
	int code = qf_args_parse(&a, argc, argv);

	if (code >= 0)
		return code;
	code = qf_args_open(&a, &img);
	if (code >= 0)
		return code;
	code = map(img, &a, &o);
	qf_image_close(img);
	return code;
}
