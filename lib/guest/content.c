// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/guest/content.h"
#include "lib/guest/names.h"

#include <string.h>

static bool tell_part(void *ctx, const struct qf_guest_part *p)
{
	struct qf_record_part r = { .file_off = p->file_off,
				    .bytes = p->bytes,
				    .start = p->start,
				    .content = p->content };
	size_t n = 0;

	if (p->content == QF_GUEST_INLINE) {
		if (p->bytes > sizeof(r.data))
			return true;
		n = p->bytes;
		memcpy(r.data, p->data, n);
	}
	return qf_job_tell(ctx, QF_RECORD_PART, &r,
			   offsetof(struct qf_record_part, data) + n);
}

static bool tell_extent(void *ctx, uint64_t file_off, uint64_t start,
			uint64_t bytes)
{
	const struct qf_guest_part p = { .file_off = file_off,
					 .bytes = bytes,
					 .start = start };

	return file_off == QF_NOWHERE || tell_part(ctx, &p);
}

enum qf_err qf_content_of_path(struct qf_job *j, const struct qf_reader *r,
			       void *fs, struct qf_why *why)
{
	struct qf_record_file file = { 0 };
	size_t n = strlen(j->path);
	uint64_t id;

	(void)why;
	if (!r->links || n > sizeof(file.path) ||
	    !qf_names_find(r, fs, j->path, &id) ||
	    !r->inode(fs, id, &file.inode))
		return QF_OK;
	memcpy(file.path, j->path, n);
	file.path_bytes = (uint32_t)n;
	if (!qf_job_tell(j, QF_RECORD_FILE, &file,
			 offsetof(struct qf_record_file, path) + n))
		return QF_OK;
	if (!r->content)
		r->extents(fs, id, tell_extent, j);
	else if (r->content(fs, id, tell_part, j))
		qf_job_tell(j, QF_RECORD_WHOLE, "", 0);
	return QF_OK;
}
