// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/chain.h"
#include "tests/unit/unit.h"

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
		{ "/a/top.qcow2", "nbd://host/export", NULL },
		{ "/a/top.qcow2", "https://host/x", NULL },
		{ "/a/top.qcow2", "./odd:name", "/a/./odd:name" },
		{ "/a/top.qcow2", "json:{\"file\": {\"filename\": \"x\"}}",
		  "x" },
		{ "/a/top.qcow2", "json:{\"filename\": \"file:x\"}", "x" },
		{ "/a/top.qcow2", "json:{\"filename\": \"nbd://x\"}", NULL },
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_to_paths),
		cmocka_unit_test(deep_json_ends),
		cmocka_unit_test(readable_or_why_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
