// SPDX-License-Identifier: GPL-2.0-or-later
/* lib/guest/digest: values that other programs computed (xxh64sum, sha256sum,
 * b2sum -l 256), of the bytes 0, 1, 2, ... modulo 251. */
#include "tests/unit/unit.h"

#include "lib/guest/digest.h"

#include <stdio.h>
#include <string.h>

static const struct {
	size_t n;
	const char *xxh64, *sha256, *blake2b;
} rows[] = {
	{ 0, "ef46db3751d8e999",
	  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
	  "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8" },
	{ 1, "e934a84adb052768",
	  "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
	  "03170a2e7597b7b7e3d84c05391d139a62b157e78786d8c082f29dcf4c111314" },
	{ 3, "e5c7bb4533bc65dd",
	  "ae4b3280e56e2faf83f414a6e3dabe9d5fbe18976544c05fed121accb85b53fc",
	  "3d8c3d594928271f44aad7a04b177154806867bcf918e1549c0bc16f9da2b09b" },
	{ 4, "ffced8604453cc1e",
	  "054edec1d0211f624fed0cbca9d4f9400b0e491c43742af2c5b0abebf0c990d8",
	  "e1eae5a8adae652ec9af9677346a9d60eced61e3a0a69bfacf518db31f86e36b" },
	{ 31, "c346d2b59b4d8ee1",
	  "4f23c2ca8c5c962e50cd31e221bfb6d0adca19111dca8e0c62598ff146dd19c4",
	  "9adf65b53153b1caec84cd717e00e01c2000d0569704ce38d065180adee5d964" },
	{ 32, "cbf59c5116ff32b4",
	  "630dcd2966c4336691125448bbb25b4ff412a49c732db2c8abc1b8581bd710dd",
	  "cb2f5160fc1f7e05a55ef49d340b48da2e5a78099d53393351cd579dd42503d6" },
	{ 33, "0c535d1acafb8ead",
	  "5d8fcfefa9aeeb711fb8ed1e4b7d5c8a9bafa46e8e76e68aa18adce5a10df6ab",
	  "b7634fe13c7aca3914ee896e22cfabc9da5b4f13e72a2ccbecb6d44bbda95bcc" },
	{ 55, "511cd496994ea839",
	  "463eb28e72f82e0a96c0a4cc53690c571281131f672aa229e0d45ae59b598b59",
	  "ace7db9e8f298e823b7b265bbcd004577e0029256c48684b2d7a7cdfcbff5e47" },
	{ 56, "0cd869f80ff2b918",
	  "da2ae4d6b36748f2a318f23e7ab1dfdf45acdc9d049bd80e59de82a60895f562",
	  "a6c1d35f74218e57b4dbd4ed467b41981208666738ffa0d9dc53d3de96be702a" },
	{ 64, "f7c67301db6713f0",
	  "fdeab9acf3710362bd2658cdc9a29e8f9c757fcf9811603a8c447cd1d9151108",
	  "10d8e6d534b00939843fe9dcc4dae48cdf008f6b8b2b82b156f5404d874887f5" },
	{ 127, "464d085810ce0199",
	  "92ca0fa6651ee2f97b884b7246a562fa71250fedefe5ebf270d31c546bfea976",
	  "f2fe67ff342e21b8f45e8f2e0bcd1d9243245d50ee6c78042e9c491388791c72" },
	{ 128, "7a7fe14647b9ab92",
	  "471fb943aa23c511f6f72f8d1652d9c880cfa392ad80503120547703e56a2be5",
	  "c3582f71ebb2be66fa5dd750f80baae97554f3b015663c8be377cfcb2488c1d1" },
	{ 129, "0ba25dfd6e891fcf",
	  "5099c6a56203f9687f7d33f4bfdf576d31dc91f6b695ecea38b2770c87631135",
	  "f7f3c46ba2564ff4c4c162da1f5b605f9f1c4aa6a20652a9f9a337c1a2f5b9c9" },
	{ 256, "f33944343ee85824",
	  "5bc31b283cef0072274e97d74916552954c935794536cab632641e5ea071379d",
	  "582f782226018ec33076bd8d1c42413530ac7e1126260ffc0f306ba3befc3f24" },
	{ 1000, "f306f04aa88b54d3",
	  "4e4c294b331f7a2099a379bec34b9f9fc03dc46ab465d998f4d683da53487e6d",
	  "b372d0608f720c8c3dd41e9c8eecb10143b41abe520b616607e754bf79c08331" },
	{ 4064, "f6b1a070d967901c",
	  "d272f5146d6471a0000466ab07cc2eb5d72a0df66535e1cffe70a7fc9e7d5565",
	  "79ca6703daecde479bf11526cabedc72880acc72266ccf79c498c8c0a646a49f" },
	{ 5000, "a6833d648fd6a332",
	  "69dbee893909fa17d1be397e0c07691336fe42049c29d403467d3d4a1fc3b5a1",
	  "380a35589ac0b8796076c76b284d2e0dd0842d3eac226475610946e0c2277b8b" },
};

static void hex(const unsigned char *p, char *out)
{
	int i;

	for (i = 0; i < 32; i++)
		sprintf(out + 2 * i, "%02x", p[i]);
}

static void known(void **state)
{
	unsigned char b[5000], out[32];
	char text[65];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(b); i++)
		b[i] = (unsigned char)(i % 251);
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		sprintf(text, "%016llx",
			(unsigned long long)qf_digest_xxh64(b, rows[i].n));
		assert_string_equal(text, rows[i].xxh64);
		qf_digest_sha256(b, rows[i].n, out);
		hex(out, text);
		assert_string_equal(text, rows[i].sha256);
		qf_digest_blake2b(b, rows[i].n, out);
		hex(out, text);
		assert_string_equal(text, rows[i].blake2b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
