// SPDX-License-Identifier: GPL-2.0-or-later
/* qfsck extract. */
#include "check/check.h"
#include "cmd.h"
#include "lib/model/open.h"
#include "lib/base/text.h"
#include "repair/salvage/extract_disk.h"
#include "repair/salvage/extract_path.h"
#include "repair/salvage/orphans.h"
#include "repair/salvage/placed.h"
#include "repair/repair.h"
#include "repair/write/sink.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Lost stretches that are told before "... and N more". */
#define SHOWN 10

static const char help[] =
	"Usage: qfsck extract [OPTION]... IMAGE OUT|-\n"
	"       qfsck extract [OPTION]... --orphans=DIR IMAGE\n"
	"Writes the disk as a guest sees it to the new raw file OUT (with holes\n"
	"for zeros), or to standard output: the active disk or a snapshot,\n"
	"through the backing files, past damage. What cannot be read is zero.\n"
	"That is listed, and so is what qfsck check calls lost: also where an\n"
	"erased table looks like an empty disk, and where there are bytes that\n"
	"may be wrong. The image is not changed.\n\n"
	"      --path=P           only the file P of a file system on the disk: what\n"
	"                         is told is of the file, and its holes are holes\n"
	"  -s, --snapshot=S       the disk as snapshot S (id or name) has it\n"
	"      --key-file=FILE    the passphrase of an encrypted image, all bytes of\n"
	"                         FILE (-: standard input)\n"
	"      --hash             also tell the SHA-256 of the bytes written\n"
	"      --map=FILE         write what was read (+) and what is lost or in\n"
	"                         doubt (-), in the format of GNU ddrescue, to the\n"
	"                         new FILE; without this, to OUT.map, if\n"
	"                         something is\n"
	"      --table=HOST       the disk as it would be if the L2 table at this\n"
	"                         host offset, which nobody names, mapped the\n"
	"      --at=GUEST         stretch in which this guest offset lies\n"
	"      --orphans=DIR      write each run of clusters without an owner to a\n"
	"                         file of its own in the new folder DIR, and where\n"
	"                         they lie to DIR/orphans.map\n"
	"      --output=FORMAT    what is told: human (the default) or json\n"
	"  -p, --progress         show progress on standard error\n"
	"  -U, --force-share      read an image that another program writes\n"
	"  -f, --format=FMT       the image's format; with qcow2 it is read also where\n"
	"                         its magic or its version is damaged\n"
	"      --help             this text\n\n"
	"Exit codes: 0 all was read, 1 failed, or a part is lost or could not be\n"
	"read, 63 not a qcow2 image.\n";

#define LETTERS "s:f:pUh"

static const struct option options[] = {
	{ "snapshot", required_argument, NULL, 's' },
	{ "path", required_argument, NULL, 'P' },
	{ "hash", no_argument, NULL, 'H' },
	{ "key-file", required_argument, NULL, 'K' },
	{ "map", required_argument, NULL, 'M' },
	{ "table", required_argument, NULL, 'T' },
	{ "at", required_argument, NULL, 'A' },
	{ "orphans", required_argument, NULL, 'R' },
	{ "output", required_argument, NULL, 'O' },
	{ "progress", no_argument, NULL, 'p' },
	{ "force-share", no_argument, NULL, 'U' },
	{ "format", required_argument, NULL, 'f' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 }
};

struct args {
	const char *snapshot, *map, *path, *image, *out, *key_file;
	const char *format;  /* the user's word on it, or NULL */
	const char *orphans; /* the folder, or NULL */
	uint64_t table, at;  /* see --table */
	bool has_table, has_at;
	bool hash, json, progress, share;
};

struct job {
	const struct args *a;
	struct qf_image *img;	 /* to be read: the file's, or placed.img */
	struct qf_placed placed; /* with --table */
	struct qf_chain chain;
	struct qf_extract x;
	struct qf_guest_contents file; /* with --path */
	char volume[600];	       /* that it lies in */
	struct qf_sink sink;
	bool to_stdout;
	char *map_name; /* owned; NULL: none was written */
};

static int wrong_use(const char *text)
{
	fprintf(stderr, "qfsck extract: %s; see qfsck extract --help\n", text);
	return QF_EXIT_FAILED;
}

static int failed(const char *name, const struct qf_why *why)
{
	fprintf(stderr, "qfsck: %s: %s%s%s\n", name, why->text,
		why->next[0] ? "\n  Next: " : "", why->next);
	return why->err == QF_ERR_FOREIGN ? QF_EXIT_FOREIGN : QF_EXIT_FAILED;
}

static enum qf_err find_holder(const struct job *j, uint32_t *holder,
			       struct qf_why *why)
{
	const char *name = j->a->snapshot;
	char safe[200];
	int64_t i;

	*holder = QF_HOLDER_ACTIVE;
	if (!name)
		return QF_OK;
	i = qf_snapshot_find(&j->img->snapshots, name);
	if (i >= 0)
		*holder = QF_HOLDER_SNAPSHOT(i);
	if (i >= 0 || !strcmp(name, "active"))
		return QF_OK;
	qf_err_set(why, QF_ERR_USAGE, 0, QF_NOWHERE,
		   "has no snapshot with the id or name \"%s\"",
		   qf_text_safe(name, safe, sizeof(safe)));
	qf_err_next(why, "qfsck info tells which there are");
	return QF_ERR_USAGE;
}

/* The new file lets in whom the image lets in: it has the same data. */
static enum qf_err create_out(struct job *j, struct qf_why *why)
{
	unsigned int mode = 0600;
	struct stat st;
	enum qf_err err;

	if (!fstat(j->img->io->fd, &st) && S_ISREG(st.st_mode))
		mode = st.st_mode & 0666;
	err = qf_sink_create(&j->sink, j->a->out, mode | 0600, why);
	if (err)
		qf_sink_close(&j->sink, false);
	if (err && why->sys == EEXIST)
		qf_err_next(why, "name a new file: nothing is overwritten");
	return err;
}

/* Encrypted data would be found late, with the file half written. */
static enum qf_err unlock(struct job *j, struct qf_why *why)
{
	enum qf_err err = qf_disk_unlock_by(j->x.guest, j->a->key_file, why);

	if (err || !qf_disk_locked(j->x.guest))
		return err;
	qf_err_set(why, QF_ERR_UNSUPPORTED, 0, QF_NOWHERE,
		   "the disk is encrypted, and there is no key here");
	qf_err_next(why, "give its passphrase: --key-file=FILE");
	return QF_ERR_UNSUPPORTED;
}

/* Names the map before hours of reading: it must not be there yet. */
static enum qf_err name_map(struct job *j, struct qf_why *why)
{
	int n = 0;

	if (j->a->map)
		j->map_name = strdup(j->a->map);
	else if (!j->to_stdout)
		n = asprintf(&j->map_name, "%s.map", j->a->out);
	else
		return QF_OK;
	if (n < 0 || !j->map_name) {
		j->map_name = NULL;
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory");
	}
	if (access(j->map_name, F_OK))
		return QF_OK;
	qf_err_set(why, QF_ERR_IO, EEXIST, QF_NOWHERE,
		   "cannot create the map \"%s\"", j->map_name);
	qf_err_next(why, "name a new file: nothing is overwritten");
	return QF_ERR_IO;
}

/* Asks the judge: an erased table looks like an empty one to a reader. */
static enum qf_err find_lost(struct job *j, uint32_t holder, struct qf_why *why)
{
	struct qf_loss loss = { .shared = j->a->share };
	enum qf_err err;

	qf_progress_start(j->a->image, j->a->progress);
	err = qf_loss_tell(&loss, &j->chain, holder, j->x.guest, why);
	qf_progress_stop();
	qf_loss_free(&loss);
	return err;
}

static enum qf_err prepare(struct job *j, struct qf_why *why)
{
	enum qf_err err;
	uint32_t holder;

	err = find_holder(j, &holder, why);
	if (!err)
		err = qf_chain_open(j->img, true, &j->chain, why);
	if (!err)
		err = qf_disk_open(&j->chain, holder, &j->x.guest, why);
	if (!err)
		err = unlock(j, why);
	if (!err)
		err = name_map(j, why);
	if (!err)
		err = find_lost(j, holder, why);
	j->x.run = qf_extract_disk_run;
	if (!err && j->a->path)
		err = qf_extract_path_find(&j->x, j->a->path, &j->file,
					   j->volume, sizeof(j->volume), why);
	if (!err && j->to_stdout)
		qf_sink_stdout(&j->sink);
	else if (!err)
		err = create_out(j, why);
	return err;
}

/* A map that nobody asked for is written only if it has news. */
static enum qf_err write_map(struct job *j, struct qf_why *why)
{
	if (j->a->map || (j->x.n_lost && j->map_name))
		return qf_extract_map(&j->x, j->map_name, why);
	free(j->map_name);
	j->map_name = NULL;
	return QF_OK;
}

/* A file system that cannot hold the length says so before the reading. */
static enum qf_err set_length(struct job *j, struct qf_why *why)
{
	enum qf_err err;

	j->sink.at = qf_extract_bytes(&j->x);
	err = qf_sink_end(&j->sink, why);
	j->sink.at = 0;
	return err;
}

static enum qf_err extract(struct job *j, struct qf_why *why)
{
	enum qf_err err;

	j->x.hash = j->a->hash;
	j->x.sink = &j->sink;
	err = j->to_stdout ? QF_OK : set_length(j, why);
	qf_progress_start(j->a->image, j->a->progress);
	if (!err)
		err = qf_extract_run(&j->x, why);
	qf_progress_stop();
	if (!err && !j->to_stdout)
		err = qf_sink_sync(&j->sink, why);
	qf_sink_close(&j->sink, err != QF_OK);
	return err ? err : write_map(j, why);
}

static void tell_json(const struct job *j)
{
	json_t *o = json_object(), *list = json_array(), *r;
	size_t i;

	qf_json_text(o, "filename", j->a->image);
	qf_json_text(o, "out", j->a->out);
	if (j->a->path) {
		qf_json_text(o, "path", j->a->path);
		qf_json_text(o, "volume", j->volume);
	}
	qf_json_int(o, "length", qf_extract_bytes(&j->x));
	if (j->a->hash)
		json_object_set_new(o, "sha256", json_string(j->x.sha256));
	for (i = 0; i < j->x.n_lost; i++) {
		r = json_object();
		qf_json_int(r, "start", j->x.lost[i].start);
		qf_json_int(r, "length", j->x.lost[i].bytes);
		qf_json_text(r, "reason", j->x.lost[i].reason);
		if (j->x.lost[i].doubtful)
			json_object_set_new(r, "doubtful", json_true());
		json_array_append_new(list, r);
	}
	json_object_set_new(o, "lost", list);
	json_object_set_new(
		o, "map", j->map_name ? json_string(j->map_name) : json_null());
	json_dumpf(o, stdout, JSON_INDENT(4) | JSON_PRESERVE_ORDER);
	putchar('\n');
	json_decref(o);
}

/* The stretches that are in doubt, or those that are gone. */
static void list_lost(const struct job *j, bool doubtful)
{
	const struct qf_extract_lost *l = j->x.lost;
	size_t i, n = 0;

	for (i = 0; i < j->x.n_lost; i++, l++) {
		if (l->doubtful != doubtful || n++ >= SHOWN)
			continue;
		fprintf(stderr, "  0x%" PRIx64 " to 0x%" PRIx64 ": %s\n",
			l->start, l->start + l->bytes, l->reason);
	}
	if (n > SHOWN)
		fprintf(stderr, "  ... and %zu more\n", n - SHOWN);
}

static void tell_lost(const struct job *j)
{
	const char *chain = j->chain.n > 1 ? " --backing-chain" : "";
	const char *format = j->a->format ? "-f qcow2 " : "";
	const char *what = j->a->path ? "file" : "disk";
	char size[32];

	if (j->x.lost_bytes) {
		fprintf(stderr,
			"qfsck: %s: %s of the %s is lost or could not be "
			"read; there are zeros instead:\n",
			j->a->image,
			qf_text_bytes(j->x.lost_bytes, size, sizeof(size)),
			what);
		list_lost(j, false);
	}
	if (j->x.doubtful_bytes) {
		fprintf(stderr,
			"qfsck: %s: %s of the %s could be read but may be "
			"wrong:\n",
			j->a->image,
			qf_text_bytes(j->x.doubtful_bytes, size, sizeof(size)),
			what);
		list_lost(j, true);
	}
	if (j->map_name)
		fprintf(stderr, "  All of it is listed in %s\n", j->map_name);
	fprintf(stderr,
		"  Next: qfsck check %s--data%s %s tells what is wrong, and "
		"qfsck repair %s-n %s what can be put right\n",
		format, chain, QF_TEXT_WORD(j->a->image), format,
		QF_TEXT_WORD(j->a->image));
}

static int tell(const struct job *j)
{
	if (j->a->json)
		tell_json(j);
	else if (j->a->hash) /* as sha256sum has it */
		fprintf(j->to_stdout ? stderr : stdout, "%s  %s\n", j->x.sha256,
			j->a->out);
	if (j->x.n_lost)
		tell_lost(j);
	fflush(stdout);
	return j->x.n_lost ? QF_EXIT_FAILED : QF_EXIT_CLEAN;
}

/* What has no owner, out of the image: --orphans. */
static int orphans(struct job *j)
{
	struct qf_orphan_runs l;
	struct qf_why why = { 0 };
	enum qf_err err = qf_orphans_write(j->img, j->a->orphans, &l, &why);
	int code;

	if (!err)
		qf_orphans_tell(j->img, j->a->image, j->a->orphans, &l,
				j->a->json);
	code = err	  ? failed(j->a->image, &why)
	       : l.unread ? QF_EXIT_FAILED
			  : QF_EXIT_CLEAN;
	qf_orphans_free(&l);
	return code;
}

/* An offset, as C writes numbers. */
static int take_offset(const char *s, uint64_t *off)
{
	char *end;

	errno = 0;
	*off = strtoull(s, &end, 0);
	return errno || *end || end == s || *s == '-'
		       ? wrong_use("an offset is a number of bytes, as 0x50000")
		       : -1;
}

/* Takes one option; -1 to go on, else the exit code. */
static int take(struct args *a, int opt)
{
	switch (opt) {
	case 's':
		a->snapshot = optarg;
		return -1;
	case 'P':
		a->path = optarg;
		return -1;
	case 'H':
		a->hash = true;
		return -1;
	case 'K':
		a->key_file = optarg;
		return -1;
	case 'M':
		a->map = optarg;
		return -1;
	case 'T':
		a->has_table = true;
		return take_offset(optarg, &a->table);
	case 'A':
		a->has_at = true;
		return take_offset(optarg, &a->at);
	case 'R':
		a->orphans = optarg;
		return -1;
	case 'O':
		a->json = !strcmp(optarg, "json");
		return a->json || !strcmp(optarg, "human")
			       ? -1
			       : wrong_use("unknown output format");
	case 'p':
		a->progress = true;
		return -1;
	case 'U':
		a->share = true;
		return -1;
	case 'f':
		a->format = optarg;
		return -1;
	case 'h':
		fputs(help, stdout);
		return QF_EXIT_CLEAN;
	default:
		return wrong_use("wrong use");
	}
}

static int parse(struct args *a, int argc, char **argv)
{
	int opt, code;

	if (qf_complete_asked(argc, argv))
		return qf_complete_options(options, LETTERS, help);
	optind = 1;
	while ((opt = getopt_long(argc, argv, LETTERS, options, NULL)) != -1) {
		code = take(a, opt);
		if (code >= 0)
			return code;
	}
	if (a->has_table != a->has_at || (a->has_table && a->snapshot))
		return wrong_use("--table and --at go together, and show the "
				 "active disk");
	if (a->orphans && (a->snapshot || a->map || a->hash || a->has_table ||
			   a->path || a->key_file))
		return wrong_use("--orphans goes with none of -s, --map, "
				 "--hash, --key-file, --table and --path");
	if (argc - optind != 2 - (a->orphans != NULL))
		return wrong_use(a->orphans ? "one image is needed"
					    : "an image and a new file are "
					      "needed");
	a->image = argv[optind];
	if (a->orphans)
		return -1;
	a->out = argv[optind + 1];
	if (strcmp(a->out, "-"))
		return -1;
	if (a->json)
		return wrong_use("--output=json and the disk cannot both go "
				 "to standard output");
	if (isatty(STDOUT_FILENO))
		return wrong_use("a disk is not for a terminal");
	return -1;
}

int qf_cmd_extract(int argc, char **argv)
{
	struct args a = { 0 };
	struct job j = { .a = &a, .sink = { .fd = -1 } };
	struct qf_image *img = NULL;
	struct qf_why why = { 0 };
	int code = parse(&a, argc, argv);
	enum qf_err err;

	if (code >= 0)
		return code;
	j.to_stdout = a.out && !strcmp(a.out, "-");
	err = qf_open_image(a.image, a.format, QF_LOCK_READ, a.share, &img,
			    &why);
	j.img = img;
	if (!err && a.orphans) {
		code = orphans(&j);
		qf_image_close(img);
		return code;
	}
	if (!err && a.has_table) {
		err = qf_placed_open(img, a.table, a.at, &j.placed, &why);
		j.img = j.placed.img;
	}
	if (!err)
		err = prepare(&j, &why);
	if (!err)
		err = extract(&j, &why);
	code = err ? failed(a.image, &why) : tell(&j);
	qf_guest_contents_free(&j.file);
	qf_disk_close(j.x.guest);
	qf_extract_free(&j.x);
	qf_chain_close(&j.chain);
	qf_placed_free(&j.placed);
	qf_image_close(img);
	free(j.map_name);
	return code;
}
