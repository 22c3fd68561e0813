// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/many/checkargs.h"
#include "check/host/cmd_domains.h"
#include "check/many/folder.h"
#include "check/many/gentle.h"
#include "cmd.h"
#include "lib/io/rate.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

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
	OPT_IN_USE,
	OPT_SUMMARY,
	OPT_SHARD,
	OPT_STATE,
	OPT_RATE,
	OPT_PRIORITY,
	OPT_PROM,
	OPT_OBJECT,
	OPT_HELP
};

#define LETTERS "f:r:s:RUqpT:h"

static const struct option options[] = {
	{ "output", required_argument, NULL, OPT_OUTPUT },
	{ "format", required_argument, NULL, 'f' },
	{ "repair", required_argument, NULL, 'r' },
	{ "recursive", no_argument, NULL, 'R' },
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
	{ "summary", no_argument, NULL, OPT_SUMMARY },
	{ "shard", required_argument, NULL, OPT_SHARD },
	{ "state", required_argument, NULL, OPT_STATE },
	{ "prom", required_argument, NULL, OPT_PROM },
	{ "max-rate", required_argument, NULL, OPT_RATE },
	{ "io-priority", required_argument, NULL, OPT_PRIORITY },
	{ "in-use", required_argument, NULL, OPT_IN_USE },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 }
};

static const char help[] =
	"Usage: qfsck check [OPTION]... IMAGE|FOLDER...\n"
	"Checks qcow2 images: rebuilds the refcounts from the L1 and L2 tables\n"
	"and says what is wrong. Without -r, never changes a byte. Of a folder all\n"
	"qcow2 images in it are checked.\n\n"
	"  -f, --format=FMT       the image's format; only qcow2 is checked, and read\n"
	"                         also where its magic or its version is damaged\n"
	"      --output=FORMAT    human (the default) or json; several images\n"
	"                         give one line of JSON each; journal: a line an\n"
	"                         image for the system's log\n"
	"  -r, --repair=WHAT      repair as well: leaks or all (see qfsck repair)\n"
	"  -R, --recursive        of a folder, check the images in all folders below\n"
	"                         it as well\n"
	"  -U, --force-share      read an image that another program writes\n"
	"      --in-use=HOW       of an image that another program has open for\n"
	"                         writing: skip it, share (read it as -U does), or\n"
	"                         fail; without: told, and of several images no\n"
	"                         failure\n"
	"      --summary          a line an image, the worst first, and the totals\n"
	"      --state=FILE       pass over what did not change since the last check,\n"
	"                         by the record in FILE; go on after an interruption\n"
	"      --prom=FILE        write verdicts and figures to FILE, for Prometheus'\n"
	"                         textfile collector\n"
	"      --shard=I/N        of the images only those that fall to host I of N\n"
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
	"      --backing-chain    check the backing files too, each once, and whether\n"
	"                         each image was made on the file behind it, by what\n"
	"                         the guest's file systems tell\n"
	"      --jobs=N           threads to use (default: one a processor)\n"
	"      --max-memory=SIZE  count in windows that take about SIZE (16M, 1G)\n"
	"      --max-rate=SIZE    read at most SIZE a second (50M)\n"
	"      --io-priority=HOW  idle (read when nobody else does), low, or normal\n"
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
	"else 63, else 0; an image in use leaves it as it is.\n";

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

int qf_checkargs_wrong(const char *text, const char *arg)
{
	fprintf(stderr, "qfsck check: %s%s%s; see qfsck check --help\n", text,
		arg ? ": " : "", arg ? arg : "");
	return QF_EXIT_FAILED;
}

static int take_in_use(struct qf_checkargs *a, const char *s)
{
	static const struct {
		const char *word;
		enum qf_in_use how;
	} ways[] = { { "skip", QF_IN_USE_SKIP },
		     { "share", QF_IN_USE_SHARE },
		     { "fail", QF_IN_USE_FAIL } };
	size_t i;

	for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (!strcmp(s, ways[i].word)) {
			a->in_use = ways[i].how;
			a->check.share_in_use = ways[i].how == QF_IN_USE_SHARE;
			return -1;
		}
	return qf_checkargs_wrong("none of skip, share and fail", s);
}

static int take_rate(const char *s)
{
	uint64_t bytes;

	if (!parse_size(s, &bytes))
		return qf_checkargs_wrong("not a size of 1M or more", s);
	qf_rate_limit(bytes);
	return -1;
}

static int take_shard(struct qf_checkargs *a, const char *s)
{
	int end = -1;

	if (strspn(s, "0123456789/") == strlen(s) &&
	    sscanf(s, "%4u/%4u%n", &a->part, &a->parts, &end) == 2 && !s[end] &&
	    a->part && a->part <= a->parts)
		return -1;
	return qf_checkargs_wrong("not I/N with I from 1 to N", s);
}

static bool add_image(void *ctx, char *path)
{
	struct qf_checkargs *a = ctx;

	return qf_imagelist_add(&a->list, path);
}

static int take_domain(struct qf_checkargs *a, int opt, const char *name)
{
	enum qf_cmd_domains_by by = opt == OPT_DOMAIN	 ? QF_CMD_DOMAINS_NAME
				    : opt == OPT_DOMAINS ? QF_CMD_DOMAINS_ALL
							 : QF_CMD_DOMAINS_XML;

	a->by_domain = true;
	return qf_cmd_domains_add(&a->domains, by, name, add_image, a);
}

/* Takes one option. Returns -1 to go on, else the exit code. */
static int take_option(struct qf_checkargs *a, int opt)
{
	switch (opt) {
	case 'f':
		a->check.format = optarg;
		return -1;
	case 'r': /* taken by the repair before it comes here */
		return qf_checkargs_wrong(
			"-r needs leaks or all, and one image", NULL);
	case 'R':
		a->recursive = true;
		return -1;
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
		a->journal = !strcmp(optarg, "journal");
		if (!a->json && !a->journal && strcmp(optarg, "human"))
			return qf_checkargs_wrong("unknown output format",
						  optarg);
		return -1;
	case OPT_ALL:
		a->check.all = a->style.all = true;
		return -1;
	case OPT_CHAIN:
		a->chain = a->style.chain = a->check.against_base = true;
		return -1;
	case OPT_WHY:
		a->style.why = true;
		return -1;
	case OPT_NO_GUEST:
		a->style.no_guest = a->check.no_guest = true;
		return -1;
	case OPT_GUEST:
		a->check.guest = a->check.against_base = true;
		return -1;
	case 's':
		a->check.guest_state = optarg;
		return -1;
	case OPT_DATA:
		a->check.data = a->style.data = true;
		return -1;
	case OPT_JOBS:
		return parse_number(optarg, &a->check.jobs)
			       ? -1
			       : qf_checkargs_wrong("not a number of jobs",
						    optarg);
	case OPT_MEMORY:
		return parse_size(optarg, &a->check.max_memory)
			       ? -1
			       : qf_checkargs_wrong("not a size", optarg);
	case OPT_FILES0:
		return qf_imagelist_read(&a->list, optarg) ? -1
							   : QF_EXIT_FAILED;
	case OPT_DOMAIN:
	case OPT_DOMAINS:
	case OPT_DOMAIN_XML:
		return take_domain(a, opt, optarg);
	case OPT_IMAGE_OPTS:
		a->image_opts = true;
		return -1;
	case OPT_SUMMARY:
		a->summary = true;
		return -1;
	case OPT_SHARD:
		return take_shard(a, optarg);
	case OPT_STATE:
		a->state = optarg;
		return -1;
	case OPT_PROM:
		a->prom = optarg;
		return -1;
	case OPT_RATE:
		return take_rate(optarg);
	case OPT_PRIORITY:
		return qf_gentle_io(optarg)
			       ? -1
			       : qf_checkargs_wrong(
					 "none of idle, low and normal",
					 optarg);
	case OPT_IN_USE:
		return take_in_use(a, optarg);
	case OPT_HELP:
		fputs(help, stdout);
		return QF_EXIT_CLEAN;
	default:
		return qf_checkargs_wrong("wrong use", NULL);
	}
}

/* What cannot be had together. */
static int refuse_pair(const struct qf_checkargs *a)
{
	const char *no = a->summary   ? "--summary"
			 : a->journal ? "--output=journal"
			 : a->state   ? "--state"
			 : a->prom    ? "--prom"
				      : NULL;

	if (a->check.guest_state && !a->check.guest)
		return qf_checkargs_wrong("-s needs --guest", NULL);
	if (a->check.guest && a->style.no_guest)
		return qf_checkargs_wrong("--guest and --no-guest at once",
					  NULL);
	if (a->chain && no)
		return qf_checkargs_wrong(
			"--backing-chain tells of chains, not of images: there "
			"is no",
			no);
	if (a->journal && a->summary)
		return qf_checkargs_wrong("--output=journal has a line an "
					  "image: there is no",
					  no);
	return -1;
}

/* From what was named to the images. */
static int find_images(struct qf_checkargs *a)
{
	size_t named = a->list.n;
	const char *bad;

	if (!named && a->by_domain)
		return QF_EXIT_CLEAN;
	if (!named)
		return qf_checkargs_wrong("no image given", NULL);
	bad = a->image_opts ? qf_imagelist_resolve(&a->list) : NULL;
	if (bad)
		return qf_checkargs_wrong("no file.filename in the image "
					  "options",
					  bad);
	if (!a->image_opts)
		a->unread = !qf_folder_open(&a->list, a->recursive);
	if (a->parts)
		qf_imagelist_shard(&a->list, a->part, a->parts);
	a->many = named > 1 || a->list.n != 1 || a->list.at[0].found ||
		  a->parts;
	return -1;
}

int qf_checkargs_parse(struct qf_checkargs *a, int argc, char **argv)
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
		if (!qf_imagelist_add(&a->list, argv[optind]))
			return QF_EXIT_FAILED;
	code = refuse_pair(a);
	return code < 0 ? find_images(a) : code;
}

void qf_checkargs_free(struct qf_checkargs *a)
{
	qf_imagelist_free(&a->list);
	qf_domains_free(&a->domains);
}
