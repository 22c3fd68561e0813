// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Any bytes as the files that are no images and are read all the same: what the
 * checks of a pool came to (--state), names (--files0-from), and lines of JSON
 * or a page for `qfsck report`. The first byte chooses; with 4 in it, what is
 * kept is kept of a file that did not change since.
 */
#include "check/many/imagelist.h"
#include "check/many/poolstate.h"
#include "viz/page/poollist.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define MAGIC "QFSCK-STATE 1\n"
#define KNOWN "/etc/passwd" /* some file that stays */

static char folder[] = "/tmp/fuzz-lists.XXXXXX", file[64];

static void done(void)
{
	unlink(file);
	rmdir(folder);
}

/* In a folder of its own, which goes when this program ends. */
static FILE *begin(void)
{
	FILE *f;

	if (!*file) {
		if (!mkdtemp(folder))
			abort();
		snprintf(file, sizeof(file), "%s/list", folder);
		atexit(done);
	}
	f = fopen(file, "wb");
	if (!f)
		abort();
	return f;
}

static void state(struct qf_poolstate_look *look)
{
	struct qf_poolstate *s;
	struct qf_result r = { 0 };
	json_t *report;

	if (qf_poolstate_open(file, "", &s, NULL))
		return;
	if (qf_poolstate_find(s, KNOWN, look, &r, &report)) {
		json_decref(report);
		qf_result_free(&r);
	}
	qf_poolstate_close(s);
}

static void names(void)
{
	struct qf_imagelist l = { 0 };

	if (qf_imagelist_read(&l, file)) {
		qf_imagelist_resolve(&l);
		qf_imagelist_shard(&l, 1, 3);
	}
	qf_imagelist_free(&l);
}

static void reports(void)
{
	struct qf_poollist l = { 0 };

	if (!qf_poollist_read(&l, file, NULL))
		qf_poollist_sort(&l);
	qf_poollist_free(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct qf_poolstate_look look = { 0 };
	FILE *f;

	if (!n)
		return 0;
	f = begin();
	if (data[0] % 3 == 0)
		fputs(MAGIC, f);
	if (data[0] % 3 == 0 && data[0] & 4 && qf_poolstate_look(KNOWN, &look))
		fprintf(f,
			KNOWN "\t%" PRIu64 "\t%" PRIu64 "\t%" PRId64
			      "\t%" PRId64 "\t",
			look.inode, look.size, look.mtime_ns, look.ctime_ns);
	fwrite(data + 1, 1, n - 1, f);
	fclose(f);
	if (data[0] % 3 == 0)
		state(&look);
	else if (data[0] % 3 == 1)
		names();
	else
		reports();
	return 0;
}
