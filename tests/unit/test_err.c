// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/base/err.h"
#include "tests/unit/unit.h"

#include <errno.h>

static void a_reason_is_filled_in(void **state)
{
	struct qf_why why;

	(void)state;
	memset(&why, 0xff, sizeof(why));
	assert_int_equal(qf_err_set(&why, QF_ERR_FORMAT, 0, 20, "bits %d", 63),
			 QF_ERR_FORMAT);
	assert_int_equal(why.err, QF_ERR_FORMAT);
	assert_int_equal(why.sys, 0);
	assert_int_equal(why.off, 20);
	assert_string_equal(why.text, "bits 63");
	assert_string_equal(why.next, "");
}

static void the_system_s_reason_is_appended(void **state)
{
	struct qf_why why = { 0 };

	(void)state;
	qf_err_set(&why, QF_ERR_IO, ENOENT, QF_NOWHERE, "cannot open");
	assert_string_equal(why.text, "cannot open: No such file or directory");
	assert_int_equal(why.sys, ENOENT);
	qf_err_next(&why, "look for %s", "it");
	assert_string_equal(why.next, "look for it");
}

static void nobody_has_to_ask_why(void **state)
{
	(void)state;
	assert_int_equal(qf_err_set(NULL, QF_ERR_BUSY, EAGAIN, 0, "x"),
			 QF_ERR_BUSY);
	qf_err_next(NULL, "y");
}

static void long_texts_are_cut(void **state)
{
	struct qf_why why;
	char text[2000];

	(void)state;
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	qf_err_set(&why, QF_ERR_IO, EIO, 0, "%s", text);
	assert_int_equal(strlen(why.text), sizeof(why.text) - 1);
	qf_err_next(&why, "%s", text);
	assert_int_equal(strlen(why.next), sizeof(why.next) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reason_is_filled_in),
		cmocka_unit_test(the_system_s_reason_is_appended),
		cmocka_unit_test(nobody_has_to_ask_why),
		cmocka_unit_test(long_texts_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
