// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/report/report.h"
#include "tests/unit/mini.h"
#include "tests/unit/unit.h"

static void make(struct mini *m)
{
	struct mini_opts o = { .version = 3,
			       .cluster_bits = 12,
			       .refcount_order = 4,
			       .disk_bytes = 8 << 20 };
	uint64_t i;

	mini_make(m, &o);
	for (i = 0; i < 20; i++)
		mini_data(m, i);
}

/* The human report on M, with that style; free it. */
static char *tell(const struct mini *m, const struct qf_report_style *style)
{
	struct qf_check_opts opts = { .jobs = 1, .all = style->all };
	struct qf_image *img = mini_open(m);
	struct qf_report rep;
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	assert_non_null(f);
	assert_int_equal(qf_check_run(img, &opts, &rep, NULL), QF_OK);
	qf_report_human(f, img, "disk.qcow2", &rep, NULL, style);
	fclose(f);
	qf_check_free(&rep);
	qf_image_close(img);
	return text;
}

static json_t *tell_json(const struct mini *m)
{
	struct qf_check_opts opts = { .jobs = 1 };
	struct qf_image *img = mini_open(m);
	struct qf_report rep;
	json_t *o;

	assert_int_equal(qf_check_run(img, &opts, &rep, NULL), QF_OK);
	o = qf_report_json(img, "disk.qcow2", &rep, NULL);
	qf_check_free(&rep);
	qf_image_close(img);
	return o;
}

static int64_t get(const json_t *o, const char *key)
{
	json_t *v = json_object_get(o, key);

	assert_true(json_is_integer(v));
	return json_integer_value(v);
}

static void has_verdict(const json_t *o, const char *verdict)
{
	assert_string_equal(json_string_value(json_object_get(o, "verdict")),
			    verdict);
}

static void a_clean_image(void **state)
{
	struct qf_report_style style = { 0 }, quiet = { .quiet = true };
	struct mini m;
	char *text;
	json_t *o;

	(void)state;
	make(&m);
	text = tell(&m, &style);
	assert_ptr_equal(strstr(text, "disk.qcow2: clean\n"), text);
	free(text);
	text = tell(&m, &quiet);
	assert_string_equal(text, "");
	free(text);
	o = tell_json(&m);
	has_verdict(o, "clean");
	assert_string_equal(json_string_value(json_object_get(o, "filename")),
			    "disk.qcow2");
	assert_string_equal(json_string_value(json_object_get(o, "format")),
			    "qcow2");
	assert_int_equal(get(o, "check-errors"), 0);
	assert_int_equal(get(o, "corruptions"), 0);
	assert_int_equal(get(o, "leaks"), 0);
	assert_int_equal(get(o, "corruptions-fixed"), 0);
	assert_int_equal(get(o, "leaks-fixed"), 0);
	assert_int_equal(get(o, "image-end-offset"), m.bytes);
	assert_int_equal(get(o, "total-clusters"), 2048);
	assert_int_equal(get(o, "allocated-clusters"), 20);
	assert_int_equal(get(o, "compressed-clusters"), 0);
	assert_int_equal(json_array_size(json_object_get(o, "findings")), 0);
	assert_true(json_is_array(json_object_get(o, "diagnosis")));
	assert_true(json_is_array(json_object_get(o, "lost")));
	json_decref(o);
	mini_free(&m);
}

static void leaks_are_no_loss(void **state)
{
	struct qf_report_style style = { 0 };
	struct mini m;
	char *text;
	json_t *o;

	(void)state;
	make(&m);
	mini_alloc(&m, 5);
	text = tell(&m, &style);
	assert_ptr_equal(strstr(text, "disk.qcow2: leaks: no data are lost"),
			 text);
	assert_non_null(strstr(text, "20 KiB"));
	free(text);
	o = tell_json(&m);
	has_verdict(o, "leaks");
	assert_int_equal(get(o, "leaks"), 5);
	assert_int_equal(json_array_size(json_object_get(o, "findings")), 1);
	json_decref(o);
	mini_free(&m);
}

static void corruption_says_what_and_where(void **state)
{
	struct qf_report_style style = { 0 }, colour = { .colour = true };
	struct mini m;
	uint64_t at;
	json_t *o, *f;
	char *text;

	(void)state;
	make(&m);
	at = mini_entry_off(&m, 3);
	mini_put64(&m, at, mini_get64(&m, at) | 2);
	text = tell(&m, &style);
	assert_ptr_equal(strstr(text, "disk.qcow2: corrupt: 1 error\n"), text);
	assert_non_null(strstr(text, "Next:"));
	assert_null(strchr(text, '\033'));
	free(text);
	text = tell(&m, &colour);
	assert_non_null(strchr(text, '\033'));
	free(text);
	o = tell_json(&m);
	has_verdict(o, "corrupt");
	assert_int_equal(get(o, "corruptions"), 1);
	f = json_array_get(json_object_get(o, "findings"), 0);
	assert_int_equal(get(f, "count"), 1);
	assert_int_equal(get(f, "host-offset"), at);
	assert_int_equal(get(f, "guest-offset"), 3 * 4096);
	assert_string_equal(json_string_value(json_object_get(f, "severity")),
			    "error");
	assert_non_null(json_object_get(f, "id"));
	assert_non_null(json_object_get(f, "name"));
	assert_non_null(json_object_get(f, "message"));
	assert_non_null(json_object_get(f, "owner"));
	assert_non_null(json_object_get(f, "fix"));
	assert_non_null(json_object_get(f, "risk"));
	json_decref(o);
	mini_free(&m);
}

static size_t lines(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static void a_flood_is_short_unless_all_is_asked(void **state)
{
	struct qf_report_style style = { 0 }, all = { .all = true };
	struct dice d = { 1 };
	struct mini m;
	uint64_t l2;
	uint32_t i;
	char *text;

	(void)state;
	make(&m);
	l2 = mini_l2(&m, 0);
	for (i = 0; i < 512; i++)
		mini_put64(&m, l2 + i * 8, dice_roll(&d));
	text = tell(&m, &style);
	assert_true(lines(text) <= 24);
	free(text);
	text = tell(&m, &all);
	assert_true(lines(text) > 500);
	free(text);
	mini_free(&m);
}

static void hostile_names_stay_harmless(void **state)
{
	struct mini m;
	json_t *o;
	char *s;

	(void)state;
	o = qf_json_string("plain \"quoted\"");
	assert_string_equal(json_string_value(o), "plain \"quoted\"");
	json_decref(o);
	o = qf_json_string("\xff\xfe");
	assert_string_equal(json_string_value(o), "\\xff\\xfe");
	json_decref(o);
	make(&m);
	mini_snapshot(&m, "1", "\033[2J\xff");
	mini_put32(&m, m.snap_off + 8, UINT32_MAX); /* its L1 entries */
	o = tell_json(&m);
	has_verdict(o, "corrupt");
	s = json_dumps(o, 0);
	assert_non_null(s);
	assert_null(strchr(s, '\033'));
	free(s);
	json_decref(o);
	mini_free(&m);
}

static void exit_codes_are_qemu_img_s(void **state)
{
	(void)state;
	assert_int_equal(qf_report_exit(QF_VERDICT_CLEAN), 0);
	assert_int_equal(qf_report_exit(QF_VERDICT_UNCHECKED), 1);
	assert_int_equal(qf_report_exit(QF_VERDICT_CORRUPT), 2);
	assert_int_equal(qf_report_exit(QF_VERDICT_LEAKS), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_clean_image),
		cmocka_unit_test(leaks_are_no_loss),
		cmocka_unit_test(corruption_says_what_and_where),
		cmocka_unit_test(a_flood_is_short_unless_all_is_asked),
		cmocka_unit_test(hostile_names_stay_harmless),
		cmocka_unit_test(exit_codes_are_qemu_img_s),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
