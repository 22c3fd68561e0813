// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/extarea.h"
#include "lib/base/mem.h"
#include "lib/format/believe.h"

#include <stdlib.h>
#include <string.h>

static uint64_t end_of_list(const struct qf_extarea *a)
{
	const struct qf_ext *last;

	if (!a->list.n)
		return a->hdr.header_bytes;
	last = &a->list.ext[a->list.n - 1];
	return last->off + qf_mem_round_up(last->bytes, 8);
}

enum qf_err qf_extarea_read(struct qf_io *io, struct qf_extarea *a,
			    struct qf_why *why)
{
	struct qf_wire_header w;
	enum qf_err err;

	memset(a, 0, sizeof(*a));
	err = qf_io_read_pad(io, &w, sizeof(w), 0, why);
	if (!err)
		err = qf_believe_parse(io, &w, sizeof(w), &a->hdr, why);
	if (err)
		return err;
	a->bytes = 1ull << a->hdr.cluster_bits;
	a->buf = qf_mem_zalloc(1, a->bytes);
	if (!a->buf)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory for the header");
	err = qf_io_read_pad(io, a->buf, a->bytes, 0, why);
	if (err)
		return err;
	a->end = a->hdr.backing_name_off;
	if (!a->end || a->end > a->bytes)
		a->end = a->bytes;
	err = qf_ext_parse(a->buf, a->hdr.header_bytes, a->end, &a->list, why);
	a->list_end = end_of_list(a);
	return err;
}

void qf_extarea_free(struct qf_extarea *a)
{
	qf_ext_free(&a->list);
	free(a->buf);
	a->buf = NULL;
}

bool qf_extarea_is_sound(const struct qf_extarea *a)
{
	size_t i;

	for (i = 0; i < a->list.n; i++)
		if (a->list.ext[i].odd)
			return false;
	/* without an end mark where there is room for one, too */
	return a->list_end <= a->end &&
	       (!a->list.unterminated || a->list_end + 8 > a->end);
}
