// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/base/identify.h"
#include "tests/unit/unit.h"

static void known_and_unknown_bytes(void **state)
{
	static unsigned char buf[65536];
	char out[200], tiny[5];
	struct dice d = { 1 };
	size_t i;

	(void)state;
	memcpy(buf, "KDMV\1\0\0\0", 8);
	assert_non_null(strstr(qf_identify_bytes(buf, 512, out, sizeof(out)),
			       "VMware"));
	memcpy(buf, "QFI\xfb\0\0\0\3", 8);
	assert_non_null(strstr(qf_identify_bytes(buf, 512, out, sizeof(out)),
			       "QEMU QCOW"));
	assert_string_equal(qf_identify_bytes("hello there\n", 12, out,
					      sizeof(out)),
			    "ASCII text");
	memset(buf, 0, sizeof(buf));
	buf[0x438] = 0x53; /* the superblock's magic */
	buf[0x439] = 0xef;
	buf[0x44c] = 1;
	assert_non_null(
		strstr(qf_identify_bytes(buf, sizeof(buf), out, sizeof(out)),
		       "ext2 filesystem"));
	buf[0] = 0xee;
	for (i = 1; i < sizeof(buf); i++)
		buf[i] = (unsigned char)dice_roll(&d);
	qf_identify_bytes(buf, sizeof(buf), out, sizeof(out));
	assert_true(out[0] != '\0');
	qf_identify_bytes(buf, 512, tiny, sizeof(tiny));
	assert_true(memchr(tiny, 0, sizeof(tiny)) != NULL);
	qf_identify_bytes(buf, 0, out, sizeof(out));
	assert_string_equal(out, "empty");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_and_unknown_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
