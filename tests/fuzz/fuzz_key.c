// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Any bytes as an encrypted image, opened with a passphrase: the encryption
 * header, its key slots, and what is made of the key material. What would take
 * long to stretch on purpose is made short.
 */
#include "lib/format/diskkey.h"
#include "lib/model/image.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MAX_BYTES (4u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The iterations of the header (at 164) and of its slots (from 208 on). */
static void be_quick(unsigned char *luks, size_t n)
{
	size_t i;

	for (i = 0; i < 9; i++) {
		size_t at = i ? 208 + 4 + 48 * (i - 1) : 164;

		if (at + 4 <= n)
			luks[at] = luks[at + 1] = 0;
	}
}

static void ask(struct qf_image *img)
{
	struct qf_diskkey *key;
	unsigned char sector[512] = { 0 };

	if (qf_diskkey_open(img->io, img->hdr.crypt_method, &img->ext, "qfsck",
			    5, &key, NULL))
		return;
	qf_diskkey_decrypt(key, sector, sizeof(sector), 4096, 0);
	qf_diskkey_free(qf_diskkey_copy(key));
	qf_diskkey_free(key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned char copy[MAX_BYTES];
	struct qf_image *img;
	struct qf_io *io;
	size_t i;

	if (size < 8 || size > MAX_BYTES)
		return 0;
	memcpy(copy, data, size);
	for (i = 0; i + 6 < size; i += 512)
		if (!memcmp(copy + i, "LUKS\xba\xbe", 6))
			be_quick(copy + i, size - i);
	if (qf_io_mem_open(copy, size, "fuzz", &io, NULL) ||
	    qf_image_open(io, &img, NULL))
		return 0;
	ask(img);
	qf_image_close(img);
	return 0;
}
