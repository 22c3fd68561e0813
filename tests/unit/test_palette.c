// SPDX-License-Identifier: GPL-2.0-or-later
/* Looks that can be told apart, keys that mean something, cells that clip. */
#include "tests/unit/unit.h"
#include "viz/draw/cells.h"
#include "viz/browse/keys.h"
#include "viz/show/outbuf.h"

#include <locale.h>
#include <math.h>

/* Without colours the glyphs alone must tell the kinds, also in ASCII. */
static void test_glyphs_differ(void **unused)
{
	int a, b;

	(void)unused;
	for (a = 0; a < QF_KINDS; a++)
		for (b = a + 1; b < QF_KINDS; b++) {
			const struct qf_kind_look *x =
				qf_palette_kind((enum qf_kind)a);
			const struct qf_kind_look *y =
				qf_palette_kind((enum qf_kind)b);

			assert_int_not_equal(x->glyph, y->glyph);
			assert_int_not_equal(x->ascii, y->ascii);
			assert_int_not_equal(x->rgb, y->rgb);
			assert_string_not_equal(x->key, y->key);
		}
}

static void test_colours(void **unused)
{
	int t;

	(void)unused;
	assert_int_equal(qf_palette_256(0x000000), 16);
	assert_int_equal(qf_palette_256(0xffffff), 231);
	assert_int_equal(qf_palette_256(0xff0000), 196);
	assert_int_equal(qf_palette_256(0x808080), 244);
	for (t = 0; t < QF_TINTS; t++) {
		struct qf_paint p = qf_palette_paint((enum qf_tint)t);

		assert_in_range(p.fg16 + 1, 0, 16);
		assert_in_range(p.bg16 + 1, 0, 16);
		/* a colour of its own in one palette has one in the other */
		assert_int_equal(p.fg == QF_PLAIN, p.fg16 < 0);
		assert_int_equal(p.bg == QF_PLAIN, p.bg16 < 0);
	}
}

/* The light of a colour, as WCAG 2 has it. */
static double light(uint32_t rgb)
{
	static const double weight[] = { .0722, .7152, .2126 };
	double sum = 0, v;
	int i;

	for (i = 0; i < 3; i++) {
		v = (double)(rgb >> 8 * i & 0xff) / 255;
		sum += weight[i] *
		       (v <= .03928 ? v / 12.92 : pow((v + .055) / 1.055, 2.4));
	}
	return sum;
}

static double contrast(uint32_t x, uint32_t y)
{
	double a = light(x), b = light(y);

	return a > b ? (a + .05) / (b + .05) : (b + .05) / (a + .05);
}

/* Letters on areas can be read: 4.5 to 1, in pictures and on a terminal. */
static void test_contrast(void **unused)
{
	int k;

	(void)unused;
	for (k = QF_KIND_HEADER; k < QF_KINDS; k++) {
		enum qf_tint t = (enum qf_tint)k;
		uint32_t area = qf_palette_kind((enum qf_kind)k)->rgb;
		struct qf_paint p = qf_palette_solid(t, -1, 'x');

		assert_true(contrast(qf_palette_letter(area), area) >= 4.5);
		if (p.bg != QF_PLAIN)
			assert_true(contrast(p.fg, p.bg) >= 4.5);
		/* the cursor is a block of the terminal's ink there */
		assert_int_equal(qf_palette_cursor(t, &p), p.bg != QF_PLAIN);
		if (p.bg != QF_PLAIN)
			assert_int_equal(p.fg, QF_PLAIN);
	}
}

/* Every key of the table has a known name, and no two rows claim one. */
static void test_keys(void **unused)
{
	const char *views, *keys, *help, *v;
	char list[64], *name, *state;
	size_t i;

	(void)unused;
	for (i = 0; qf_keys_row(i, &views, &keys, &help); i++) {
		assert_true(strlen(keys) < sizeof(list));
		assert_true(strlen(keys) <= 17); /* the help's column */
		strcpy(list, keys);
		for (name = strtok_r(list, " ", &state); name;
		     name = strtok_r(NULL, " ", &state)) {
			assert_int_not_equal(qf_keys_parse(name), QF_KEY_NONE);
			for (v = *views == '*' ? "msfoh" : views; *v; v++)
				assert_int_equal(
					qf_keys_action(qf_keys_parse(name), *v),
					i + 1);
		}
	}
	assert_int_equal(i, QF_ACTIONS - 1);
	assert_int_equal(qf_keys_parse(""), QF_KEY_NONE);
	assert_int_equal(qf_keys_parse("Upp"), QF_KEY_NONE);
	assert_int_equal(qf_keys_parse("Ctrl-L"), 12);
	assert_int_equal(qf_keys_parse("\xc3\xa9"), 0xe9);
}

static void test_cells(void **unused)
{
	struct qf_cells c = { 0 };
	char *text;

	(void)unused;
	assert_true(qf_cells_resize(&c, 6, 2));
	qf_cells_text(&c, 0, 0, 6, QF_TINT_TEXT, "abcdefgh");
	qf_cells_text(&c, 4, 1, 100, QF_TINT_TEXT,
		      "\xe6\xbc\xa2"
		      "x");
	qf_cells_text(&c, -3, 5, 6, QF_TINT_TEXT, "outside");
	qf_cells_set(&c, 6, 0, QF_TINT_TEXT, 'x');
	qf_cells_reverse(&c, -5, -5, 100);
	qf_cells_wipe(&c, -1, -1, 1, 1, QF_TINT_TEXT);
	text = qf_cells_dump(&c);
	assert_string_equal(text, "abcde>\n    >\n");
	free(text);
	/* control characters and broken UTF-8 do not reach a terminal */
	qf_cells_blank(&c);
	qf_cells_text(&c, 0, 0, 6, QF_TINT_TEXT, "a\033[\xff");
	qf_cells_text(&c, 0, 1, 6, QF_TINT_TEXT,
		      "\xe6\xbc\xa2"
		      "e\xcc\x81"
		      "b");
	text = qf_cells_dump(&c);
	assert_string_equal(text, "a?[\xef\xbf\xbd\n\xe6\xbc\xa2"
				  "eb\n");
	free(text);
	/* sizes without a meaning are clamped */
	assert_true(qf_cells_resize(&c, -4, 100000));
	assert_int_equal(c.w, 1);
	assert_int_equal(c.h, QF_CELLS_MAX);
	qf_cells_free(&c);
}

static void test_xml(void **unused)
{
	struct qf_outbuf b = { 0 };

	(void)unused;
	qf_outbuf_xml(&b, "<a href='x'>&\"</a>");
	assert_string_equal(b.at, "&lt;a href=&#39;x&#39;&gt;&amp;&quot;"
				  "&lt;/a&gt;");
	qf_outbuf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_glyphs_differ),
		cmocka_unit_test(test_colours),
		cmocka_unit_test(test_contrast),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_cells),
		cmocka_unit_test(test_xml),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
