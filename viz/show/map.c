// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/show/map.h"
#include "lib/base/text.h"

#include <stdio.h>
#include <string.h>

enum qf_err qf_map_run(struct qf_disk *g, uint64_t start, uint64_t bytes,
		       qf_map_fn *fn, void *ctx, struct qf_why *why)
{
	uint64_t size = qf_disk_bytes(g), end, at;
	struct qf_disk_extent e, last = { 0 };
	enum qf_err err;

	if (start >= size)
		return QF_OK;
	end = bytes < size - start ? start + bytes : size;
	for (at = start; at < end; at += e.bytes) {
		err = qf_disk_at(g, at, end - at, &e, why);
		if (err)
			return err;
		if (last.bytes && qf_disk_extends(&last, &e)) {
			last.bytes += e.bytes;
			continue;
		}
		if (last.bytes && !fn(ctx, &last))
			return QF_ERR_STOPPED;
		last = e;
	}
	return last.bytes && !fn(ctx, &last) ? QF_ERR_STOPPED : QF_OK;
}

/* The ids and names of the snapshots, as far as they fit. */
static void list_snapshots(const struct qf_image *img, struct qf_why *why)
{
	char list[220] = "", id[64], name[96];
	size_t n = 0;
	uint32_t i;
	int k;

	for (i = 0; i < img->snapshots.n; i++) {
		k = snprintf(list + n, sizeof(list) - n, "%s%s (\"%s\")",
			     i ? ", " : "",
			     qf_text_safe(img->snapshots.snap[i].id, id,
					  sizeof(id)),
			     qf_text_safe(img->snapshots.snap[i].name, name,
					  sizeof(name)));
		if (k < 0 || (size_t)k >= sizeof(list) - n - 6) {
			snprintf(list + n, sizeof(list) - n, "%s...",
				 i ? ", " : "");
			break;
		}
		n += (size_t)k;
	}
	qf_err_next(why, "it has \"active\"%s%s",
		    n ? " and the snapshots " : "", list);
}

enum qf_err qf_map_holder(const struct qf_image *img, const char *text,
			  uint32_t *holder, struct qf_why *why)
{
	char safe[200];
	int64_t i = -1;

	*holder = QF_HOLDER_ACTIVE;
	if (!text)
		return QF_OK;
	i = qf_snapshot_find(&img->snapshots, text);
	if (i >= 0)
		*holder = QF_HOLDER_SNAPSHOT(i);
	if (i >= 0 || !strcmp(text, "active"))
		return QF_OK;
	qf_err_set(why, QF_ERR_USAGE, 0, QF_NOWHERE,
		   "has no snapshot with the id or name \"%s\"",
		   qf_text_safe(text, safe, sizeof(safe)));
	list_snapshots(img, why);
	return QF_ERR_USAGE;
}
