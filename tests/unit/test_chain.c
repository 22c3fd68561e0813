// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/model/chain.h"
#include "tests/unit/mini.h"
#include "tests/unit/unit.h"

#include <unistd.h>

static void names_to_paths(void **state)
{
	static const struct {
		const char *image, *name, *path;
	} rows[] = {
		{ "/a/b/top.qcow2", "base.qcow2", "/a/b/base.qcow2" },
		{ "/a/b/top.qcow2", "../base.qcow2", "/a/b/../base.qcow2" },
		{ "/a/b/top.qcow2", "/c/base.qcow2", "/c/base.qcow2" },
		{ "top.qcow2", "base.qcow2", "base.qcow2" },
		{ "/top.qcow2", "base.qcow2", "/base.qcow2" },
		{ "/a/top.qcow2", "file:base.qcow2", "base.qcow2" },
		{ "/a/top.qcow2", "file:/c/base", "/c/base" },
		{ "/a/top.qcow2", "nbd://host/export", "nbd://host/export" },
		{ "/a/top.qcow2", "https://host/base", NULL },
		{ "/a/top.qcow2", "https://host/x", NULL },
		{ "/a/top.qcow2", "./odd:name", "/a/./odd:name" },
		{ "/a/top.qcow2", "json:{\"file\": {\"filename\": \"x\"}}",
		  "x" },
		{ "/a/top.qcow2", "json:{\"filename\": \"file:x\"}", "x" },
		{ "/a/top.qcow2", "json:{\"filename\": \"nbd://x\"}",
		  "nbd://x" },
		{ "/a/top.qcow2",
		  "json:{\"driver\":\"qcow2\",\"file.filename\":\"/b/x\"}",
		  "/b/x" },
		{ "/a/top.qcow2", "json:{\"driver\": \"nbd\"}", NULL },
		{ "/a/top.qcow2", "json:{\"file\": [1]}", NULL },
		{ "/a/top.qcow2", "json:{\"filename\": 7}", NULL },
		{ "/a/top.qcow2", "json:no json", NULL },
	};
	char *path;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		path = qf_chain_path(rows[i].image, rows[i].name);
		if (!rows[i].path)
			assert_null(path);
		else
			assert_string_equal(path, rows[i].path);
		free(path);
	}
}

static void deep_json_ends(void **state)
{
	enum { DEPTH = 100000 };
	static char text[DEPTH * 10];
	size_t n = 0;
	int i;

	(void)state;
	n += (size_t)sprintf(text, "json:");
	for (i = 0; i < DEPTH; i++)
		n += (size_t)sprintf(text + n, "{\"file\":");
	assert_null(qf_chain_path("/a", text));
}

static void readable_or_why_not(void **state)
{
	struct qf_why why = { 0 };

	(void)state;
	assert_int_equal(qf_chain_readable("/proc/self/exe", &why), QF_OK);
	assert_int_equal(qf_chain_readable("/no/such", &why), QF_ERR_IO);
	assert_string_equal(why.text, "cannot open: No such file or directory");
	assert_int_equal(qf_chain_readable("/", &why), QF_ERR_IO);
}

static char folder[256];

static int make_folder(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(folder, sizeof(folder), "%s/chain.XXXXXX", tmp ? tmp : "/tmp");
	return mkdtemp(folder) ? 0 : -1;
}

static const char *in_folder(const char *name)
{
	static char path[2][512];
	static int turn;

	turn = !turn;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", folder, name);
	return path[turn];
}

static void put_file(const char *name, const void *bytes, size_t n)
{
	FILE *f = fopen(in_folder(name), "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

/* A sound image of 1 MiB on the base NAME, of the format FMT or of none. */
static void put_overlay(const char *file, const char *name, const char *fmt)
{
	static const struct mini_opts opts = { .version = 3,
					       .cluster_bits = 12,
					       .refcount_order = 4,
					       .disk_bytes = 1 << 20 };
	struct mini m;

	mini_make(&m, &opts);
	if (fmt)
		mini_extension(&m, 0xe2792aca, fmt, (uint32_t)strlen(fmt));
	mini_put64(&m, 8, 1024);
	mini_put32(&m, 16, (uint32_t)strlen(name));
	memcpy(m.buf + 1024, name, strlen(name));
	put_file(file, m.buf, m.bytes);
	mini_free(&m);
}

/* The files of TOP's chain, and how it ends. */
static uint32_t follow(const char *top, enum qf_chain_end *end)
{
	struct qf_chain chain;
	struct qf_image *img;
	struct qf_io *io;
	uint32_t n;

	assert_int_equal(qf_io_file_open(in_folder(top), &io, NULL), QF_OK);
	assert_int_equal(qf_image_open(io, &img, NULL), QF_OK);
	assert_int_equal(qf_chain_open(img, true, &chain, NULL), QF_OK);
	n = chain.n;
	*end = chain.end;
	assert_int_equal(chain.end == QF_CHAIN_WHOLE,
			 chain.broken.err == QF_OK);
	assert_int_equal(chain.end == QF_CHAIN_WHOLE, !chain.broken_name);
	qf_chain_close(&chain);
	qf_image_close(img);
	return n;
}

static void ends(void **state)
{
	static const struct {
		const char *base, *fmt;
		uint32_t n;
		enum qf_chain_end end;
	} rows[] = {
		{ "raw", "raw", 2, QF_CHAIN_WHOLE },
		{ "raw", NULL, 2, QF_CHAIN_WHOLE },
		{ "raw", "qcow2", 1, QF_CHAIN_DAMAGED },
		{ "magic", NULL, 1, QF_CHAIN_DAMAGED },
		{ "magic", "raw", 2, QF_CHAIN_WHOLE },
		{ "vmdk", NULL, 1, QF_CHAIN_FOREIGN },
		{ "vmdk", "vmdk", 1, QF_CHAIN_FOREIGN },
		{ "vmdk", "raw", 2, QF_CHAIN_WHOLE },
		{ "none", "qcow2", 1, QF_CHAIN_MISSING },
		{ ".", "raw", 1, QF_CHAIN_MISSING },
		{ "top", "qcow2", 1, QF_CHAIN_LOOP },
		{ "https://host/x", "raw", 1, QF_CHAIN_REMOTE },
		{ "mid", "qcow2", 3, QF_CHAIN_WHOLE },
		{ "bad", "qcow2", 2, QF_CHAIN_MISSING },
		{ "back", "qcow2", 2, QF_CHAIN_LOOP },
	};
	static const char zeros[4096], magic[4096] = "QFI\xfb\0\0\0\3";
	enum qf_chain_end end;
	size_t i;

	(void)state;
	put_file("raw", zeros, sizeof(zeros));
	put_file("magic", magic, sizeof(magic));
	put_file("vmdk", "KDMV", 4);
	put_overlay("mid", "raw", "raw");
	put_overlay("bad", "none", NULL);
	put_overlay("back", "top", "qcow2");
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		put_overlay("top", rows[i].base, rows[i].fmt);
		assert_int_equal(follow("top", &end), rows[i].n);
		assert_int_equal(end, rows[i].end);
	}
}

/* The working directory first, as QEMU does; else beside the image. */
static void data_file_names(void **state)
{
	static const struct {
		const char *name, *path;
	} rows[] = {
		{ "no-such-data", "/images/no-such-data" },
		{ "lib/model/chain.h", "lib/model/chain.h" },
		{ "/d/data", "/d/data" },
		{ "file:data", "data" },
		{ "json:{\"filename\":\"data\"}", "data" },
	};
	char *path;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		path = qf_chain_data_path("/images/top.qcow2", rows[i].name);
		assert_string_equal(path, rows[i].path);
		free(path);
	}
}

static int remove_folder(void **state)
{
	static const char *const names[] = { "raw", "magic", "vmdk", "mid",
					     "bad", "back",  "top" };
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(names); i++)
		unlink(in_folder(names[i]));
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_to_paths),
		cmocka_unit_test(deep_json_ends),
		cmocka_unit_test(readable_or_why_not),
		cmocka_unit_test_setup_teardown(ends, make_folder,
						remove_folder),
		cmocka_unit_test(data_file_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
