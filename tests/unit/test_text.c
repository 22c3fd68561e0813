// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/base/text.h"
#include "tests/unit/unit.h"

static void hostile_names(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "", "" },
		{ "before upgrade", "before upgrade" },
		{ "Grüße", "Grüße" },
		{ "日本語", "日本語" },
		{ "\360\237\222\276", "\360\237\222\276" },
		{ "a\nb\033[2J", "a\\x0ab\\x1b[2J" },
		{ "\177", "\\x7f" },
		{ "\xff\xfe", "\\xff\\xfe" },
		{ "\xc0\xaf", "\\xc0\\xaf" },	       /* overlong */
		{ "\xed\xa0\x80", "\\xed\\xa0\\x80" }, /* a surrogate */
		{ "\xc2\x9b"
		  "1m",
		  "\\xc2\\x9b"
		  "1m" }, /* a C1 control */
		{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" },
		{ "\xe6\x97", "\\xe6\\x97" }, /* cut */
	};
	char buf[100];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(qf_text_safe(rows[i].in, buf, sizeof(buf)),
				    rows[i].out);
}

static void places(void **state)
{
	static const struct {
		uint64_t off;
		const char *text;
	} rows[] = {
		{ 0, "0x0" },
		{ 512, "0x200" },
		{ 0x400, "0x400 (1 KiB)" },
		{ 0x401, "0x401 (about 1 KiB)" },
		{ 0x40100000, "0x40100000 (1 GiB + 1 MiB)" },
		{ 0xc0000000, "0xc0000000 (3 GiB)" },
		{ 0xc0100200, "0xc0100200 (about 3 GiB + 1 MiB)" },
		{ UINT64_MAX, "0xffffffffffffffff (about 15 EiB + 1023 PiB)" },
	};
	char buf[100];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(qf_text_place(rows[i].off, buf,
						  sizeof(buf)),
				    rows[i].text);
	for (i = 1; i < 20; i++)
		assert_true(strlen(qf_text_place(0x40100000, buf, i)) < i);
}

static void places_in_a_text(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "", "" },
		{ "the table at 0x40000 holds",
		  "the table at 0x40000 (256 KiB) "
		  "holds" },
		{ "from 0x0 to 0x300", "from 0x0 to 0x300" },
		{ "offsets 0x400 and 0x100000",
		  "offsets 0x400 and 0x100000 (1 MiB)" },
		{ "at guest offset 0xc000 (L1 entry 0)",
		  "at guest offset 0xc000 (48 KiB; L1 entry 0)" },
		{ "(L1 entry 1, guest offset 0x20000000) x at 0x400",
		  "(L1 entry 1, guest offset 0x20000000 = 512 MiB) x at 0x400 "
		  "(1 KiB)" },
		/* numbers that are no places */
		{ "entry 4 is 0x8000000000050000, type 0x00100000",
		  "entry 4 is 0x8000000000050000, type 0x00100000" },
		{ "begins with 0x51465900; cat 0x400; hand 0x400",
		  "begins with 0x51465900; cat 0x400; hand 0x400" },
		{ "at 0x40000 (256 KiB) at", "at 0x40000 (256 KiB) at" },
		{ "at 0x40001 (about 256 KiB)", "at 0x40001 (about 256 KiB)" },
		{ "at 0x12345678123456789", "at 0x12345678123456789" },
		{ "at 0x", "at 0x" },
	};
	char *text;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		text = qf_text_places(rows[i].in);
		assert_non_null(text);
		assert_string_equal(text, rows[i].out);
		free(text);
	}
}

static void nothing_past_the_room(void **state)
{
	struct dice d = { 9 };
	char in[64], buf[64];
	size_t i, k, room;

	(void)state;
	for (i = 0; i < 20000; i++) {
		for (k = 0; k < 63; k++)
			in[k] = (char)dice_roll(&d);
		in[dice_below(&d, 64)] = '\0';
		in[63] = '\0';
		room = dice_below(&d, 64);
		memset(buf, 'Z', sizeof(buf));
		qf_text_safe(in, buf, room);
		for (k = room; k < 64; k++)
			assert_int_equal(buf[k], 'Z');
		if (!room)
			continue;
		assert_true(memchr(buf, 0, room) != NULL);
		for (k = 0; buf[k]; k++)
			assert_true((unsigned char)buf[k] >= 0x20 &&
				    buf[k] != 0x7f);
	}
}

static void sizes(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *out;
	} rows[] = {
		{ 0, "0 B" },
		{ 512, "512 B" },
		{ 1023, "1023 B" },
		{ 1024, "1 KiB" },
		{ 1536, "1.50 KiB" },
		{ 65536, "64 KiB" },
		{ 10752, "10.5 KiB" },
		{ 1ull << 30, "1 GiB" },
		{ 3ull << 39, "1.50 TiB" },
		{ UINT64_MAX, "16 EiB" },
	};
	char buf[32];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(qf_text_bytes(rows[i].bytes, buf,
						  sizeof(buf)),
				    rows[i].out);
}

/* One word of a shell, whatever the name holds. */
static void shell_words(void **state)
{
	static const struct {
		const char *name, *word;
	} cases[] = {
		{ "vm-1_disk.qcow2", "vm-1_disk.qcow2" },
		{ "/a/b:c@d%e+f,g=h", "/a/b:c@d%e+f,g=h" },
		{ "", "''" },
		{ "two words", "'two words'" },
		{ "$(reboot)", "'$(reboot)'" },
		{ "it's", "'it'\\''s'" },
		{ "a\nb", "'a\\x0ab'" },
	};
	char buf[64], word[16];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(qf_text_shell(cases[i].name, buf,
						  sizeof(buf)),
				    cases[i].word);
	/* cut, the word is still closed */
	assert_string_equal(qf_text_shell("ab cdefghijklmnop", word,
					  sizeof(word)),
			    "'ab cdefgh'");
	assert_string_equal(qf_text_shell("a'''''''''", word, sizeof(word)),
			    "'a'\\'''\\'''");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hostile_names),
		cmocka_unit_test(nothing_past_the_room),
		cmocka_unit_test(sizes),
		cmocka_unit_test(places),
		cmocka_unit_test(places_in_a_text),
		cmocka_unit_test(shell_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
