// SPDX-License-Identifier: GPL-2.0-or-later
/* qfsck check. */
#include "check/check.h"
#include "check/host/cmd_domains.h"
#include "check/report/cmd_layers.h"
#include "check/report/hits.h"
#include "check/report/report.h"
#include "check/report/report_pending.h"
#include "cmd.h"
#include "lib/model/open.h"
#include "lib/base/pool.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct args {
	struct qf_check_opts check;
	struct qf_report_style style;
	bool json, progress, image_opts, chain;
	char **name; /* owned list of borrowed or owned strings */
	size_t n;
	size_t resolved; /* names from the first on that are owned */
	struct qf_domains domains;
	bool by_domain; /* they name the images, if only none */
	char *files0;	/* what the names of --files0-from point into */
};

enum {
	OPT_OUTPUT = 256,
	OPT_ALL,
	OPT_JOBS,
	OPT_MEMORY,
	OPT_DATA,
	OPT_WHY,
	OPT_NO_GUEST,
	OPT_GUEST,
	OPT_CHAIN,
	OPT_FILES0,
	OPT_DOMAIN,
	OPT_DOMAINS,
	OPT_DOMAIN_XML,
	OPT_IMAGE_OPTS,
	OPT_OBJECT,
	OPT_HELP
};

#define LETTERS "f:r:s:UqpT:h"

static const struct option options[] = {
	{ "output", required_argument, NULL, OPT_OUTPUT },
	{ "format", required_argument, NULL, 'f' },
	{ "repair", required_argument, NULL, 'r' },
	{ "force-share", no_argument, NULL, 'U' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "progress", no_argument, NULL, 'p' },
	{ "cache", required_argument, NULL, 'T' },
	{ "all", no_argument, NULL, OPT_ALL },
	{ "data", no_argument, NULL, OPT_DATA },
	{ "why", no_argument, NULL, OPT_WHY },
	{ "no-guest", no_argument, NULL, OPT_NO_GUEST },
	{ "guest", no_argument, NULL, OPT_GUEST },
	{ "snapshot", required_argument, NULL, 's' },
	{ "backing-chain", no_argument, NULL, OPT_CHAIN },
	{ "jobs", required_argument, NULL, OPT_JOBS },
	{ "max-memory", required_argument, NULL, OPT_MEMORY },
	{ "files0-from", required_argument, NULL, OPT_FILES0 },
	{ "domain", required_argument, NULL, OPT_DOMAIN },
	{ "domain-xml", required_argument, NULL, OPT_DOMAIN_XML },
	{ "all-domains", no_argument, NULL, OPT_DOMAINS },
	{ "image-opts", no_argument, NULL, OPT_IMAGE_OPTS },
	{ "object", required_argument, NULL, OPT_OBJECT },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 }
};

static const char help[] =
	"Usage: qfsck check [OPTION]... IMAGE...\n"
	"Checks qcow2 images: rebuilds the refcounts from the L1 and L2 tables\n"
	"and says what is wrong. Without -r, never changes a byte.\n\n"
	"  -f, --format=FMT       the image's format; only qcow2 is checked, and read\n"
	"                         also where its magic or its version is damaged\n"
	"      --output=FORMAT    human (the default) or json; several images\n"
	"                         give one line of JSON each\n"
	"  -r, --repair=WHAT      repair as well: leaks or all (see qfsck repair)\n"
	"  -U, --force-share      read an image that another program writes\n"
	"      --all              list every damaged entry by itself\n"
	"      --why              tell what speaks for and against each answer to\n"
	"                         what is in question, and how to choose one\n"
	"      --no-guest         do not look into the guest's file systems for what\n"
	"                         was lost there\n"
	"      --guest            hold the metadata of the guest's file systems against\n"
	"                         their own addresses and checksums, in every state\n"
	"                         of the disk; with --data also what files hold, where\n"
	"                         the file system has checksums of that\n"
	"  -s, --snapshot=STATE   with --guest: only in the snapshot with this id or\n"
	"                         name, or in \"active\"\n"
	"      --data             inflate every compressed cluster as well\n"
	"      --backing-chain    check the backing files too, each once\n"
	"      --jobs=N           threads to use (default: one a processor)\n"
	"      --max-memory=SIZE  count in windows that take about SIZE (16M, 1G)\n"
	"      --files0-from=F    take the images' names, ended by NUL, from F\n"
	"                         (- is standard input)\n"
	"      --domain=NAME      the qcow2 images of this domain of libvirt's\n"
	"      --all-domains      the qcow2 images of all domains\n"
	"      --domain-xml=FILE  those of the domain that FILE describes (- is\n"
	"                         standard input: a hook of libvirt's has it there)\n"
	"  -q, --quiet            print nothing about a clean image\n"
	"  -p, --progress         show progress on standard error\n"
	"      --image-opts       IMAGE is a list driver=qcow2,file.filename=X\n"
	"  -T, --cache=MODE       accepted for compatibility, without effect\n"
	"      --help             this text\n\n"
	"Exit codes, as of qemu-img check: 0 clean, 1 could not be checked,\n"
	"2 corrupt, 3 leaks only, 63 not a format that is checked. With several\n"
	"images, or with --backing-chain: 2 if any is corrupt, else 1, else 3,\n"
	"else 63, else 0.\n";

static bool parse_number(const char *s, unsigned int *out)
{
	char *end;
	unsigned long v;

	errno = 0;
	v = strtoul(s, &end, 10);
	if (errno || *end || end == s || *s == '-' || v > 4096)
		return false;
	*out = (unsigned int)v;
	return true;
}

/* "64M" to bytes; at least a mebibyte. */
static bool parse_size(const char *s, uint64_t *out)
{
	static const char units[] = "KMGT";
	const char *unit;
	char *end;
	unsigned long long v;

	errno = 0;
	v = strtoull(s, &end, 10);
	if (errno || end == s || *s == '-')
		return false;
	unit = *end ? strchr(units, *end) : NULL;
	if (unit) {
		if (__builtin_mul_overflow(v, 1024ull << (unit - units) * 10,
					   &v))
			return false;
		end++;
	}
	*out = v;
	return !*end && v >= 1u << 20;
}

static bool add_name(void *ctx, char *name)
{
	struct args *a = ctx;
	char **names = realloc(a->name, (a->n + 1) * sizeof(char *));

	if (!names)
		return false;
	a->name = names;
	a->name[a->n++] = name;
	return true;
}

/* Reads NUL-ended names from F and adds them. */
static bool read_names(struct args *a, const char *file)
{
	FILE *f = strcmp(file, "-") ? fopen(file, "re") : stdin;
	size_t used = 0, room = 0, got, i, start = 0;
	char *buf = NULL, *grown;

	if (!f) {
		fprintf(stderr, "qfsck: %s: %s\n", file, strerror(errno));
		return false;
	}
	do {
		if (used + 4096 + 1 > room) {
			room = room * 2 + 8192;
			grown = realloc(buf, room);
			if (!grown)
				break;
			buf = grown;
		}
		got = fread(buf + used, 1, 4096, f);
		used += got;
	} while (got);
	if (f != stdin)
		fclose(f);
	if (!buf)
		return false;
	buf[used] = '\0';
	a->files0 = buf;
	for (i = 0; i <= used; i++) {
		if (buf[i] && i < used)
			continue;
		if (i > start && !add_name(a, buf + start))
			return false;
		start = i + 1;
	}
	return true;
}

/* The file name in "driver=qcow2,file.filename=X,..."; commas are doubled. */
static char *from_image_opts(const char *opts)
{
	static const char *const keys[] = { "file.filename=", "filename=" };
	const char *p = opts;
	char *out = malloc(strlen(opts) + 1);
	size_t k, n;

	while (out && p && *p) {
		for (k = 0; k < 2; k++) {
			n = strlen(keys[k]);
			if (strncmp(p, keys[k], n))
				continue;
			p += n;
			for (n = 0; *p && (*p != ',' || p[1] == ','); p++) {
				p += *p == ',';
				out[n++] = *p;
			}
			out[n] = '\0';
			return out;
		}
		p = strchr(p, ',');
		p = p ? p + 1 : NULL;
	}
	free(out);
	return NULL;
}

static int wrong_use(const char *text, const char *arg)
{
	fprintf(stderr, "qfsck check: %s%s%s; see qfsck check --help\n", text,
		arg ? ": " : "", arg ? arg : "");
	return QF_EXIT_FAILED;
}

static enum qf_cmd_domains_by by_what(int opt)
{
	return opt == OPT_DOMAIN    ? QF_CMD_DOMAINS_NAME
	       : opt == OPT_DOMAINS ? QF_CMD_DOMAINS_ALL
				    : QF_CMD_DOMAINS_XML;
}

/* Takes one option. Returns -1 to go on, else the exit code. */
static int take_option(struct args *a, int opt)
{
	switch (opt) {
	case 'f':
		a->check.format = optarg;
		return -1;
	case 'r': /* taken by the repair before it comes here */
		return wrong_use("-r needs leaks or all, and one image", NULL);
	case 'U':
		a->check.shared = true;
		return -1;
	case 'q':
		a->style.quiet = true;
		return -1;
	case 'p':
		a->progress = true;
		return -1;
	case 'T':
	case OPT_OBJECT:
		return -1;
	case OPT_OUTPUT:
		a->json = !strcmp(optarg, "json");
		if (!a->json && strcmp(optarg, "human"))
			return wrong_use("unknown output format", optarg);
		return -1;
	case OPT_ALL:
		a->check.all = a->style.all = true;
		return -1;
	case OPT_CHAIN:
		a->chain = true;
		return -1;
	case OPT_WHY:
		a->style.why = true;
		return -1;
	case OPT_NO_GUEST:
		a->style.no_guest = a->check.no_guest = true;
		return -1;
	case OPT_GUEST:
		a->check.guest = true;
		return -1;
	case 's':
		a->check.guest_state = optarg;
		return -1;
	case OPT_DATA:
		a->check.data = true;
		return -1;
	case OPT_JOBS:
		return parse_number(optarg, &a->check.jobs)
			       ? -1
			       : wrong_use("not a number of jobs", optarg);
	case OPT_MEMORY:
		return parse_size(optarg, &a->check.max_memory)
			       ? -1
			       : wrong_use("not a size", optarg);
	case OPT_FILES0:
		return read_names(a, optarg) ? -1 : QF_EXIT_FAILED;
	case OPT_DOMAIN:
	case OPT_DOMAINS:
	case OPT_DOMAIN_XML:
		a->by_domain = true;
		return qf_cmd_domains_add(&a->domains, by_what(opt), optarg,
					  add_name, a);
	case OPT_IMAGE_OPTS:
		a->image_opts = true;
		return -1;
	case OPT_HELP:
		fputs(help, stdout);
		return QF_EXIT_CLEAN;
	default:
		return wrong_use("wrong use", NULL);
	}
}

static int parse(struct args *a, int argc, char **argv)
{
	int opt, code;

	if (qf_complete_asked(argc, argv))
		return qf_complete_options(options, LETTERS, help);
	optind = 1;
	while ((opt = getopt_long(argc, argv, LETTERS, options, NULL)) != -1) {
		code = take_option(a, opt == 'h' ? OPT_HELP : opt);
		if (code >= 0)
			return code;
	}
	for (; optind < argc; optind++)
		if (!add_name(a, argv[optind]))
			return QF_EXIT_FAILED;
	if (a->check.guest_state && !a->check.guest)
		return wrong_use("-s needs --guest", NULL);
	if (a->check.guest && a->style.no_guest)
		return wrong_use("--guest and --no-guest at once", NULL);
	if (!a->n && a->by_domain)
		return QF_EXIT_CLEAN;
	if (!a->n)
		return wrong_use("no image given", NULL);
	return -1;
}

/* Where the report on one image goes. */
struct streams {
	FILE *out, *err;
};

/* Several images have a line each. */
static size_t line_format(const struct args *a)
{
	return (a->n > 1 ? JSON_COMPACT : JSON_INDENT(4)) | JSON_PRESERVE_ORDER;
}

/* Reports that an image could not be checked; returns the exit code. */
static int not_checked(const struct args *a, const char *name,
		       const struct qf_why *why, const struct streams *to)
{
	int code = why->err == QF_ERR_FOREIGN ? QF_EXIT_FOREIGN
					      : QF_EXIT_FAILED;
	json_t *o;

	fprintf(to->err, "qfsck: %s: %s%s%s\n", name, why->text,
		why->next[0] ? "\n  Next: " : "", why->next);
	if (!a->json)
		return code;
	/* an object an image, also for this one */
	o = qf_report_why_json(name, why);
	json_dumpf(o, to->out, line_format(a));
	fputc('\n', to->out);
	json_decref(o);
	return code;
}

static void print_report(const struct args *a, const char *name,
			 struct qf_image *img, const struct qf_report *rep,
			 const struct qf_undofind *pending, FILE *out)
{
	json_t *o, *more = qf_report_pending_json(pending);
	struct qf_hits hits = { 0 };

	if (!a->style.no_guest)
		qf_hits_find(img, rep, &hits);
	if (!a->json) {
		qf_report_human(out, img, name, rep, &hits, &a->style);
		qf_hits_free(&hits);
		json_decref(more);
		return;
	}
	o = qf_report_json(img, name, rep, &hits);
	qf_hits_free(&hits);
	if (more)
		json_object_set_new(o, "interrupted-repair", more);
	json_dumpf(o, out, line_format(a));
	fputc('\n', out);
	json_decref(o);
}

static int check_one(const struct args *a, const char *name,
		     const struct qf_check_opts *opts, struct qf_layers *layers,
		     const struct streams *to)
{
	struct qf_image *img;
	struct qf_report rep;
	struct qf_undofind pending;
	struct qf_why why = { 0 };
	enum qf_err err;
	int code;

	if (a->chain) {
		code = qf_layers_image(layers, name, &why);
		return code < 0 ? not_checked(a, name, &why, to) : code;
	}
	if (opts->shared)
		err = qf_check_shared(name, opts, &img, &rep, &why);
	else
		err = qf_check_alone(name, opts, &img, &rep, &why);
	if (err)
		return not_checked(a, name, &why, to);
	qf_report_pending(to->err, name, img->io, &pending);
	if (rep.leaks)
		qf_report_given_up(to->err, name, img->io);
	print_report(a, name, img, &rep, &pending, to->out);
	free(pending.name);
	code = qf_report_exit(rep.verdict);
	qf_check_free(&rep);
	qf_image_close(img);
	return code;
}

/* The files' names, as they stand or out of image options. */
static bool resolve_names(struct args *a)
{
	char *name;
	size_t i;

	for (i = 0; a->image_opts && i < a->n; i++) {
		name = from_image_opts(a->name[i]);
		if (!name) {
			wrong_use("no file.filename in the image options",
				  a->name[i]);
			return false;
		}
		a->name[i] = name;
		a->resolved++;
	}
	return true;
}

/* One after another, each with all jobs. */
static int check_in_turn(const struct args *a, int *codes)
{
	struct qf_layers layers = { .check = &a->check,
				    .style = &a->style,
				    .json = a->json,
				    .progress = a->progress,
				    .many = a->n > 1 };
	struct streams to = { stdout, stderr };
	int code = QF_EXIT_CLEAN;
	size_t i;

	for (i = 0; i < a->n; i++) {
		if (!a->chain)
			qf_progress_start(a->name[i], a->progress);
		codes[i] = check_one(a, a->name[i], &a->check, &layers, &to);
		if (!a->chain)
			qf_progress_stop();
		fflush(stdout);
		code = qf_report_gravest(code, codes[i]);
	}
	qf_layers_end(&layers);
	return code;
}

/* Several at once: each is kept until those before it are printed. */
struct batch {
	const struct args *a;
	int *codes;
	struct text {
		char *out, *err;
		size_t n_out, n_err;
		bool done;
	} * text;
	size_t printed;
};

static void print_ended(void *ctx)
{
	struct batch *b = ctx;
	struct text *t;

	for (; b->printed < b->a->n; b->printed++) {
		t = &b->text[b->printed];
		if (!t->done)
			break;
		fwrite(t->out, 1, t->n_out, stdout);
		fflush(stdout);
		fwrite(t->err, 1, t->n_err, stderr);
		free(t->out);
		free(t->err);
	}
}

static bool check_item(void *ctx, uint64_t i, unsigned int worker)
{
	struct batch *b = ctx;
	struct text *t = &b->text[i];
	struct qf_check_opts opts = b->a->check;
	struct streams to;

	(void)worker;
	opts.jobs = 1;
	to.out = open_memstream(&t->out, &t->n_out);
	to.err = open_memstream(&t->err, &t->n_err);
	if (to.out && to.err)
		b->codes[i] = check_one(b->a, b->a->name[i], &opts, NULL, &to);
	else
		b->codes[i] = QF_EXIT_FAILED;
	if (to.out)
		fclose(to.out);
	if (to.err)
		fclose(to.err);
	t->done = true;
	qf_pool_alone(print_ended, b);
	return true;
}

static int check_at_once(const struct args *a, int *codes)
{
	struct batch b = { .a = a, .codes = codes };
	int code = QF_EXIT_CLEAN;
	size_t i;

	b.text = calloc(a->n, sizeof(*b.text));
	if (!b.text)
		return QF_EXIT_FAILED;
	qf_progress_start("images", a->progress);
	qf_pool_for(a->check.jobs, a->n, 1, check_item, &b);
	qf_progress_stop();
	for (i = 0; i < a->n; i++)
		code = qf_report_gravest(code, codes[i]);
	free(b.text);
	return code;
}

/* How many images ended how; not into the lines of JSON. */
static void summary(const struct args *a, const int *codes)
{
	static const struct {
		int code;
		const char *word;
	} kinds[] = { { QF_EXIT_CLEAN, "clean" },
		      { QF_EXIT_LEAKS, "with leaks" },
		      { QF_EXIT_CORRUPT, "corrupt" },
		      { QF_EXIT_FAILED, "not checked" },
		      { QF_EXIT_FOREIGN, "of another format" } };
	FILE *out = a->json ? stderr : stdout;
	bool some = false;
	size_t i, k, n;

	fprintf(out, "%zu images:", a->n);
	for (k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		for (n = i = 0; i < a->n; i++)
			n += codes[i] == kinds[k].code;
		if (n)
			fprintf(out, "%s %zu %s", some ? "," : "", n,
				kinds[k].word);
		some |= n > 0;
	}
	fputc('\n', out);
}

static int check_all(struct args *a)
{
	int *codes = calloc(a->n, sizeof(*codes)), code;

	if (!codes || !resolve_names(a)) {
		free(codes);
		return QF_EXIT_FAILED;
	}
	/* enough images: a job for each; few: all jobs for one */
	if (!a->chain && a->n >= 2 && a->n >= qf_pool_jobs(a->check.jobs) &&
	    qf_pool_jobs(a->check.jobs) > 1)
		code = check_at_once(a, codes);
	else
		code = check_in_turn(a, codes);
	if (a->n > 1 && !a->style.quiet && !a->chain)
		summary(a, codes);
	free(codes);
	return code;
}

int qf_cmd_check(int argc, char **argv)
{
	struct args a = { 0 };
	int code;

	a.style.colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
	code = parse(&a, argc, argv);
	if (code < 0)
		code = check_all(&a);
	while (a.resolved)
		free(a.name[--a.resolved]);
	free(a.name);
	free(a.files0);
	qf_domains_free(&a.domains);
	return code;
}
