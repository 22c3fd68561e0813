// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Any bytes at all, opened and checked as an image: no crash, no hang, no
 * memory out of proportion. The last byte chooses the options.
 */
#include "check/check.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct qf_check_opts opts = { .jobs = 1 };
	struct qf_image *img;
	struct qf_report rep;
	struct qf_io *io;

	if (!size)
		return 0;
	opts.all = data[size - 1] & 1;
	opts.data = data[size - 1] & 2;
	if (qf_io_mem_open(data, size - 1, "fuzz", &io, NULL) ||
	    qf_image_open(io, &img, NULL))
		return 0;
	qf_check_run(img, &opts, &rep, NULL);
	qf_check_free(&rep);
	qf_image_close(img);
	return 0;
}
