// SPDX-License-Identifier: GPL-2.0-or-later
/* qfsck map. */
#include "check/check.h"
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
	"in which file of the backing chain they lie, as qemu-img map does; and\n"
	"which are lost, as qfsck check has it.\n\n"
	"  -s, --snapshot=S       the disk as snapshot S (id or name) has it\n"
	"      --start-offset=N   begin there; k, M, G, T can follow a number\n"
	"      --max-length=N     and end after so many bytes\n"
	"      --data             inflate every compressed cluster: one that is\n"
	"                         damaged is lost\n"
	"      --output=FORMAT    human (the default: data, and what is lost or\n"
	"                         damaged) or json (all)\n"
	"  -U, --force-share      read an image that another program writes\n"
	"  -f, --format=FMT       the image's format; with qcow2 it is read also where\n"
	"                         its magic or its version is damaged\n"
	"      --help             this text\n\n"
	"Exit codes: 0 all is told, 1 not readable, or a part is lost or its\n"
	"mapping is damaged (it is told where), 63 not a qcow2 image.\n";

struct printing {
	const struct qf_chain *chain;
	const char *name;
	bool json;
	uint64_t n;    /* lines */
	uint64_t lost; /* bytes that the judge calls lost */
	uint64_t bad;  /* others whose mapping is damaged */
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
	if (e->lost)
		printf(", \"lost\": true");
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
		snprintf(place, sizeof(place), "%s",
			 e->lost ? "lost" : "damaged");
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

	if (e->lost)
		p->lost += e->bytes;
	else if (e->bad)
		p->bad += e->bytes;
	if (p->json)
		print_json(p, e);
	else
		print_human(p, e);
	return !ferror(stdout);
}

struct options {
	const char *snapshot;
	bool data;
	uint64_t start, bytes;
};

static void tell_damage(const struct printing *p, const struct options *o)
{
	char text[32];

	if (p->lost)
		fprintf(stderr, "qfsck: %s: %s of the disk is lost\n", p->name,
			qf_text_bytes(p->lost, text, sizeof(text)));
	if (p->bad)
		fprintf(stderr,
			"qfsck: %s: of %s of the disk, the mapping is "
			"damaged\n",
			p->name, qf_text_bytes(p->bad, text, sizeof(text)));
	fprintf(stderr,
		"  Next: qfsck check%s%s %s tells what is wrong, and qfsck "
		"repair -n %s what can be put right\n",
		o->data ? " --data" : "",
		p->chain->n > 1 ? " --backing-chain" : "",
		QF_TEXT_WORD(p->name), QF_TEXT_WORD(p->name));
}

static int finish(struct printing *p, const struct options *o)
{
	const struct qf_disk_extent nothing = { .start = o->start,
						.host_off = QF_NOWHERE };
	int code;

	/* an empty range is one empty stretch, as qemu-img has it */
	if (p->json && !p->n)
		print_json(p, &nothing);
	if (p->json)
		printf("]\n");
	code = qf_args_flush();
	if (!p->lost && !p->bad)
		return code;
	tell_damage(p, o);
	return QF_EXIT_FAILED;
}

/* The stretches, and behind the disk's end what the guest has lost there. */
static enum qf_err run(struct qf_disk *g, const struct options *o,
		       struct printing *p, struct qf_why *why)
{
	uint64_t end = o->bytes > UINT64_MAX - o->start ? UINT64_MAX
							: o->start + o->bytes;
	uint64_t at = qf_disk_bytes(g);
	struct qf_disk_extent e = { .kind = QF_DISK_BAD,
				    .host_off = QF_NOWHERE,
				    .lost = true,
				    .bad = "it lies behind the end that the "
					   "image states for the disk" };
	const struct qf_range *r;
	enum qf_err err = qf_map_run(g, o->start, o->bytes, print, p, why);

	at = at > o->start ? at : o->start;
	while (!err && (r = qf_disk_lost_from(g, at)) != NULL && r->off < end) {
		e.start = r->off > at ? r->off : at;
		at = r->off + r->len < end ? r->off + r->len : end;
		e.bytes = at - e.start;
		if (e.bytes && !print(p, &e))
			err = QF_ERR_STOPPED;
		if (at == end)
			break;
	}
	return err;
}

static int map(struct qf_image *img, const struct qf_args *a,
	       const struct options *o)
{
	struct printing p = { .name = a->arg[0], .json = a->json };
	struct qf_loss loss = { .shared = a->share, .data = o->data };
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
		qf_progress_start(p.name, false);
		err = qf_loss_tell(&loss, &chain, holder, g, &why);
		qf_progress_stop();
	}
	if (!err) {
		p.chain = &chain;
		qf_disk_look_into_holes(g);
		err = run(g, o, &p, &why);
	}
	if (err && err != QF_ERR_STOPPED)
		code = qf_args_failed(p.name, &why);
	else
		code = finish(&p, o);
	qf_loss_free(&loss);
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
		{ "data", 0, QF_ARGS_FLAG, &o.data },
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
