// SPDX-License-Identifier: GPL-2.0-or-later
/* qfsck diff. */
#include "check/check.h"
#include "cmd.h"
#include "lib/format/diskkey.h"
#include "lib/model/open.h"
#include "lib/base/text.h"
#include "viz/show/cmd_args.h"
#include "viz/show/diff.h"
#include "viz/files/diff_files.h"
#include "viz/show/map.h"
#include "viz/show/missed.h"
#include "viz/viz.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char help[] =
	"Usage: qfsck diff --from=S [--to=S] [OPTION]... IMAGE\n"
	"   or: qfsck diff [--from=S] [--to=S] [OPTION]... OLD NEW\n"
	"   or: qfsck diff --bitmap=B [--from=S | --against=BACKUP] IMAGE\n"
	"Tells which ranges of the disk differ between two snapshots, a snapshot\n"
	"and the active disk, or two images: what a backup made of the first\n"
	"needs to become one of the second.\n\n"
	"      --from=S           the old state: a snapshot's id or name, or\n"
	"                         active\n"
	"      --to=S             the new state (default: active)\n"
	"      --content          compare the bytes, sector by sector, where the\n"
	"                         two do not have them from the same place\n"
	"      --files            tell which of the guest's files changed, came and\n"
	"                         went, and which of the bytes that differ belong\n"
	"                         to none; implies --content\n"
	"      --bitmap=B,...     the ranges that the persistent bitmap B marks as\n"
	"                         changed, or any of several; with --from or\n"
	"                         --against: whether it is true. What differs and\n"
	"                         is not marked, an incremental backup by the\n"
	"                         bitmap would lack: an error\n"
	"      --against=BACKUP   with --bitmap: compare with the backup that was\n"
	"                         made when the bitmap began (qcow2 or raw)\n"
	"      --key-file=FILE    the passphrase of the encrypted ones among the\n"
	"                         images, all bytes of FILE (-: standard input)\n"
	"      --output=FORMAT    human (the default) or json\n"
	"  -U, --force-share      read an image that another program writes\n"
	"  -f, --format=FMT       the image's format; with qcow2 it is read also where\n"
	"                         its magic or its version is damaged\n"
	"      --help             this text\n\n"
	"Without --content, a range differs where the two have their bytes from\n"
	"different places; they may be alike all the same. The ranges end with\n"
	"the new disk; where the old one is shorter, it counts as zeros. What\n"
	"qfsck check calls lost on one side, or what cannot be read, cannot be\n"
	"compared: such ranges are told among the others, with a word for it.\n\n"
	"Exit codes: 0 done, whether they differ or not; 1 not readable, or a\n"
	"part cannot be compared; 2 a bitmap misses what differs; 63 not a\n"
	"qcow2 image.\n";

struct options {
	bool content, files;
	const char *from, *to, *bitmap, *against, *key_file;
	char *pass; /* owned; what is in the key file */
	size_t pass_bytes;
};

struct printing {
	bool json;
	bool bitmap; /* each range is marked, or missed */
	uint64_t n;
	uint64_t unknown; /* of them, that cannot be compared */
};

/* All that one side needs. */
struct side {
	const struct options *o;
	struct qf_image *img;
	struct qf_io *raw; /* instead of img */
	struct qf_chain chain;
	struct qf_disk *guest;
};

static bool print_range(void *ctx, uint64_t start, uint64_t bytes, bool unknown,
			bool missed)
{
	struct printing *p = ctx;
	const char *word = unknown  ? "cannot be compared"
			   : missed ? "not marked in the bitmap"
				    : NULL;

	if (p->json) {
		printf("%s{ \"start\": %" PRIu64 ", \"length\": %" PRIu64 "%s",
		       p->n ? ",\n" : "[", start, bytes,
		       unknown ? ", \"unknown\": true" : "");
		if (p->bitmap && !unknown)
			printf(", \"missed\": %s", missed ? "true" : "false");
		fputs("}", stdout);
	} else {
		if (!p->n)
			printf("%-18s%s\n", "Offset", "Length");
		printf("%#-18" PRIx64 "%#-*" PRIx64 "%s\n", start,
		       word ? 18 : 0, bytes, word ? word : "");
	}
	p->n++;
	p->unknown += unknown;
	return !ferror(stdout);
}

static bool print(void *ctx, uint64_t start, uint64_t bytes, bool unknown)
{
	return print_range(ctx, start, bytes, unknown, false);
}

/* A file that is no qcow2 image, as a raw disk. */
static enum qf_err open_raw(struct side *s, const char *name,
			    const struct qf_args *a, struct qf_why *why)
{
	enum qf_err err = qf_io_open(name, &s->raw, why);

	if (!err && !a->share && !qf_io_is_remote(name))
		err = qf_lock_take(s->raw->fd, QF_LOCK_READ, why);
	if (!err)
		err = qf_chain_open_raw(s->raw, &s->chain, why);
	return err ? err
		   : qf_disk_open(&s->chain, QF_HOLDER_ACTIVE, &s->guest, why);
}

static enum qf_err open_side(struct side *s, const char *name,
			     const char *state, const struct qf_args *a,
			     struct qf_loss *loss, struct qf_why *why)
{
	enum qf_err err;
	uint32_t holder;

	err = qf_open_image(name, a->format, QF_LOCK_READ, a->share, &s->img,
			    why);
	if (!err)
		err = qf_chain_open(s->img, true, &s->chain, why);
	if (!err)
		err = qf_map_holder(s->img, state, &holder, why);
	if (!err)
		err = qf_disk_open(&s->chain, holder, &s->guest, why);
	if (!err && s->o->pass && qf_disk_locked(s->guest))
		err = qf_disk_unlock(s->guest, s->o->pass, s->o->pass_bytes,
				     why);
	if (err)
		return err;
	qf_progress_start(name, false);
	err = qf_loss_tell(loss, &s->chain, holder, s->guest, why);
	qf_progress_stop();
	return err;
}

/* The old state: a snapshot of the image, or the backup. */
static enum qf_err open_old(struct side *s, const char *name,
			    const struct qf_args *a, const struct options *o,
			    struct qf_loss *loss, struct qf_why *why)
{
	struct qf_args old = { .share = a->share };
	enum qf_err err;

	if (!o->against)
		return open_side(s, name, o->from, a, loss, why);
	err = open_side(s, name, NULL, &old, loss, why);
	return err == QF_ERR_FOREIGN ? open_raw(s, name, a, why) : err;
}

static void close_side(struct side *s)
{
	qf_disk_close(s->guest);
	qf_chain_close(&s->chain);
	qf_image_close(s->img);
	qf_io_close(s->raw);
}

static void tell_next(const char *name, const struct qf_diff_side *side)
{
	fprintf(stderr,
		"  Next: qfsck check --data%s %s tells what is wrong, and qfsck "
		"repair -n %s what can be put right\n",
		side->chain->n > 1 ? " --backing-chain" : "",
		QF_TEXT_WORD(name), QF_TEXT_WORD(name));
}

static void tell_unknown(const struct qf_diff *d, const char *old,
			 const char *new)
{
	char text[32];

	fprintf(stderr,
		"qfsck: %s: %s of the disk cannot be compared: they are lost "
		"on one side, or damaged\n",
		new, qf_text_bytes(d->unknown, text, sizeof(text)));
	tell_next(new, &d->to);
	if (strcmp(old, new))
		tell_next(old, &d->from);
}

static int finish(const struct qf_diff *d, const struct printing *p,
		  const struct qf_difffiles *files, const char *old,
		  const char *new)
{
	uint64_t n = p->n - p->unknown;
	uint64_t from = qf_disk_bytes(d->from.guest);
	uint64_t to = qf_disk_bytes(d->to.guest);
	char text[32];
	int code;

	if (files)
		qf_difffiles_print(files);
	else if (p->json)
		printf("%s]\n", p->n ? "" : "[");
	else
		printf("%s%s in %" PRIu64 " range%s %s\n", p->n ? "\n" : "",
		       qf_text_bytes(d->differs, text, sizeof(text)), n,
		       n == 1 ? "" : "s",
		       d->content ? "differ"
				  : "are not at the same place in both");
	if (!p->json && from != to)
		printf("The disk's size changed from %" PRIu64 " to %" PRIu64
		       " bytes.\n",
		       from, to);
	code = qf_args_flush();
	if (files && qf_difffiles_troubles(files))
		code = QF_EXIT_FAILED;
	if (!d->unknown)
		return code;
	tell_unknown(d, old, new);
	return QF_EXIT_FAILED;
}

static int diff(const struct qf_args *a, const struct options *o)
{
	const char *old = a->arg[0], *new = a->arg[a->n - 1], *name = old;
	struct side from = { .o = o }, to = { .o = o };
	struct printing p = { .json = a->json };
	struct qf_difffiles files = { .json = a->json };
	struct qf_diff d = { .content = o->content, .range = print, .ctx = &p };
	struct qf_loss loss = { .shared = a->share };
	struct qf_why why = { 0 };
	enum qf_err err;
	int code;

	if (o->files) {
		d.content = true;
		d.range = qf_difffiles_add;
		d.ctx = &files;
	}
	err = open_side(&from, old, o->from, a, &loss, &why);
	if (!err) {
		name = new;
		err = open_side(&to, new, o->to, a, &loss, &why);
	}
	if (!err) {
		d.from = (struct qf_diff_side){ &from.chain, from.guest };
		d.to = (struct qf_diff_side){ &to.chain, to.guest };
		err = qf_diff_run(&d, &why);
	}
	if (!err && o->files)
		err = qf_difffiles_find(&files, from.guest, to.guest, &why);
	if (err && err != QF_ERR_STOPPED)
		code = qf_args_failed(name, &why);
	else
		code = finish(&d, &p, o->files ? &files : NULL, old, new);
	qf_difffiles_free(&files);
	qf_loss_free(&loss);
	close_side(&from);
	close_side(&to);
	return code;
}

/* What is to be backed up again, and whose it is. */
static int tell_missed(const struct qf_missed *m, const char *image)
{
	const char *off = qf_dirty_disabled(m->dirty);
	char text[32], safe[100], shell[1200];

	fprintf(stderr,
		"qfsck: %s: %s differ and are not marked in the bitmap: an "
		"incremental backup by it would lack them\n",
		image, qf_text_bytes(m->missed, text, sizeof(text)));
	if (off)
		fprintf(stderr,
			"  The bitmap \"%s\" is disabled: no write is "
			"recorded in it.\n",
			qf_text_safe(off, safe, sizeof(safe)));
	fprintf(stderr,
		"  Next: make a full backup, and a new bitmap; qfsck guest "
		"--files=0x%" PRIx64 "+%" PRIu64 " %s tells which files the "
		"first of them belong to\n",
		m->first, m->first_bytes,
		qf_text_file(image, shell, sizeof(shell)));
	return QF_EXIT_CORRUPT;
}

/* The bitmap itself, or how true it is. */
static enum qf_err run_bitmap(struct qf_missed *m, struct qf_diff *d,
			      struct side *to, bool compare, uint64_t *marked,
			      struct qf_why *why)
{
	enum qf_err err =
		qf_missed_marked(m, qf_disk_bytes(to->guest), !compare, marked);

	if (err || !compare)
		return err;
	d->to = (struct qf_diff_side){ &to->chain, to->guest };
	err = qf_diff_run(d, why);
	return m->err ? m->err : err;
}

static int finish_bitmap(const struct qf_missed *m, const struct qf_diff *d,
			 struct printing *p, uint64_t marked, const char *old,
			 const char *image)
{
	char text[32];
	int code;

	if (d->from.guest) {
		code = finish(d, p, NULL, old, image);
	} else {
		if (p->json)
			puts(p->n ? "]" : "[]");
		code = qf_args_flush();
	}
	if (!p->json)
		printf("%sThe bitmap marks %s of the disk as changed.\n",
		       p->n && !d->from.guest ? "\n" : "",
		       qf_text_bytes(marked, text, sizeof(text)));
	return m->missed ? tell_missed(m, image) : code;
}

static int bitmap(const struct qf_args *a, const struct options *o)
{
	const char *image = a->arg[0], *name = image;
	const char *old = o->against ? o->against : image;
	struct side from = { .o = o }, to = { .o = o };
	struct printing p = { .json = a->json };
	struct qf_why why = { 0 };
	struct qf_missed m = { .range = print_range, .ctx = &p, .why = &why };
	struct qf_diff d = { .content = true,
			     .range = qf_missed_add,
			     .ctx = &m };
	struct qf_loss loss = { .shared = a->share };
	uint64_t marked = 0;
	enum qf_err err;
	int code;

	p.bitmap = o->from || o->against;
	err = open_side(&to, image, NULL, a, &loss, &why);
	if (!err)
		err = qf_dirty_open(to.img, o->bitmap, &m.dirty, &why);
	if (!err && p.bitmap) {
		name = old;
		err = open_old(&from, old, a, o, &loss, &why);
		d.from = (struct qf_diff_side){ &from.chain, from.guest };
	}
	if (!err) {
		name = image;
		err = run_bitmap(&m, &d, &to, p.bitmap, &marked, &why);
	}
	if (err && err != QF_ERR_STOPPED)
		code = qf_args_failed(name, &why);
	else
		code = finish_bitmap(&m, &d, &p, marked, old, image);
	qf_dirty_close(m.dirty);
	qf_loss_free(&loss);
	close_side(&from);
	close_side(&to);
	return code;
}

/* What does not go together, or NULL. */
static const char *contradiction(const struct qf_args *a,
				 const struct options *o)
{
	if (o->against && !o->bitmap)
		return "--against needs --bitmap";
	if (o->bitmap && a->n > 1)
		return "--bitmap takes one image; name the backup by --against";
	if (o->bitmap && (o->to || o->files))
		return "--bitmap goes with neither --to nor --files";
	if (o->against && o->from)
		return "either --from or --against";
	if (a->n == 1 && !o->from && !o->to && !o->bitmap)
		return "with one image, --from or --bitmap is needed";
	return NULL;
}

int qf_cmd_diff(int argc, char **argv)
{
	struct options o = { 0 };
	const struct qf_args_option options[] = {
		{ "from", 0, QF_ARGS_TEXT, &o.from },
		{ "to", 0, QF_ARGS_TEXT, &o.to },
		{ "content", 0, QF_ARGS_FLAG, &o.content },
		{ "files", 0, QF_ARGS_FLAG, &o.files },
		{ "bitmap", 0, QF_ARGS_TEXT, &o.bitmap },
		{ "against", 0, QF_ARGS_TEXT, &o.against },
		{ "key-file", 0, QF_ARGS_TEXT, &o.key_file },
		{ 0 }
	};
	struct qf_args a = {
		.command = "diff", .help = help, .option = options, .more = 1
	};
	int code = qf_args_parse(&a, argc, argv);
	struct qf_why why = { 0 };
	const char *wrong;

	if (code >= 0)
		return code;
	wrong = contradiction(&a, &o);
	if (wrong)
		return qf_args_wrong("diff", wrong, NULL);
	if (o.key_file &&
	    qf_diskkey_read_file(o.key_file, &o.pass, &o.pass_bytes, &why))
		return qf_args_failed(o.key_file, &why);
	code = o.bitmap ? bitmap(&a, &o) : diff(&a, &o);
	qf_diskkey_forget(o.pass, o.pass_bytes);
	return code;
}
