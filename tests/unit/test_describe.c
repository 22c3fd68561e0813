// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/walk/describe.h"
#include "tests/unit/mini.h"
#include "tests/unit/unit.h"

static void holders(void **state)
{
	struct mini_opts o = { .version = 3,
			       .cluster_bits = 9,
			       .refcount_order = 4,
			       .disk_bytes = 1 << 20 };
	struct qf_image *img;
	struct mini m;
	char buf[400], tiny[8];

	(void)state;
	mini_make(&m, &o);
	mini_snapshot(&m, "1", "before \033[31mupgrade");
	img = mini_open(&m);
	assert_string_equal(qf_describe_holder(img, QF_HOLDER_ACTIVE, buf, 400),
			    "the active disk");
	assert_string_equal(qf_describe_holder(img, QF_HOLDER_IMAGE, buf, 400),
			    "the image");
	assert_string_equal(qf_describe_holder(img, 77, buf, 400), "the image");
	assert_string_equal(qf_describe_holder(img, QF_HOLDER_SNAPSHOT(0), buf,
					       400),
			    "snapshot 1 (\"before \\x1b[31mupgrade\")");
	assert_string_equal(qf_describe_holder(img, QF_HOLDER_SNAPSHOT(0), tiny,
					       8),
			    "snapsho");
	qf_image_close(img);
	mini_free(&m);
}

static void every_kind_has_its_words(void **state)
{
	unsigned int i, k;

	(void)state;
	for (i = 0; i < QF_REF_KINDS; i++) {
		assert_non_null(qf_describe_kind(i));
		assert_non_null(qf_describe_kind_key(i));
		for (k = 0; k < i; k++) {
			assert_string_not_equal(qf_describe_kind(i),
						qf_describe_kind(k));
			assert_string_not_equal(qf_describe_kind_key(i),
						qf_describe_kind_key(k));
		}
	}
	assert_string_equal(qf_describe_kind_key(QF_REF_REFBLOCK),
			    "refcount-block");
}

static void every_oddity_has_its_words(void **state)
{
	unsigned int i, k;

	(void)state;
	for (i = 0; i < QF_ODD_KINDS; i++)
		for (k = 0; k < i; k++)
			assert_string_not_equal(qf_describe_odd(1u << i),
						qf_describe_odd(1u << k));
	assert_string_equal(qf_describe_odd(QF_ODD_SUB_BOTH),
			    "subclusters allocated and zero at once");
	assert_string_equal(qf_describe_odd(1u << QF_ODD_KINDS), "odd");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(holders),
		cmocka_unit_test(every_kind_has_its_words),
		cmocka_unit_test(every_oddity_has_its_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
