// SPDX-License-Identifier: LGPL-2.1-or-later
/* What a file holds, as the child tells it; in the parent. */
#include "lib/guest/ask.h"
#include "lib/base/mem.h"

#include <stdlib.h>
#include <string.h>

struct asking {
	struct qf_guest_contents *out;
	struct qf_volume vol;
	uint32_t volume;
	bool no_memory;
};

static enum qf_err no_memory(struct qf_why *why)
{
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
			  "no memory for the parts of the file");
}

static bool take_file(struct asking *a, const struct qf_record_file *r,
		      uint32_t n)
{
	struct qf_guest_file *f = &a->out->file;

	if (n < offsetof(struct qf_record_file, path) || a->out->found ||
	    r->path_bytes != n - offsetof(struct qf_record_file, path) ||
	    r->path_bytes > sizeof(r->path) || r->inode.kind > QF_GUEST_OTHER ||
	    r->inode.bytes > INT64_MAX)
		return false;
	*f = (struct qf_guest_file){ .id = r->inode.id,
				     .bytes = r->inode.bytes,
				     .modified = r->inode.modified,
				     .volume = a->volume,
				     .kind = r->inode.kind };
	f->path = qf_mem_zalloc(1, r->path_bytes + 1);
	if (!f->path) {
		a->no_memory = true;
		return false;
	}
	memcpy(f->path, r->path, r->path_bytes);
	a->out->found = true;
	return true;
}

static struct qf_guest_part *new_part(struct asking *a, uint64_t file_off,
				      uint64_t bytes)
{
	struct qf_guest_contents *c = a->out;
	struct qf_guest_part *p;

	if (!qf_mem_grow((void **)&c->at, c->n, &c->room, sizeof(*c->at))) {
		a->no_memory = true;
		return NULL;
	}
	p = &c->at[c->n++];
	*p = (struct qf_guest_part){ .file_off = file_off, .bytes = bytes };
	return p;
}

/* Where the volume is not on the disk, nothing is known. */
static bool take_bytes(struct asking *a, uint64_t file_off, uint64_t start,
		       uint64_t bytes)
{
	struct qf_guest_part *p;
	uint64_t at, n;

	if (start >= a->vol.bytes)
		return true;
	if (bytes > a->vol.bytes - start)
		bytes = a->vol.bytes - start;
	for (; bytes; bytes -= n, start += n, file_off += n) {
		at = qf_volume_place(&a->vol, start, bytes, &n);
		if (at == QF_NOWHERE)
			continue;
		p = new_part(a, file_off, n);
		if (!p)
			return false;
		p->start = at;
	}
	return true;
}

static bool take_part(struct asking *a, const struct qf_record_part *r,
		      uint32_t n)
{
	const uint32_t head = offsetof(struct qf_record_part, data);
	uint64_t size = a->out->file.bytes, bytes;
	struct qf_guest_part *p;

	if (!a->out->found || n < head || r->content > QF_GUEST_CODED ||
	    (r->content == QF_GUEST_INLINE ? r->bytes != n - head : n != head))
		return false;
	if (r->file_off >= size)
		return true;
	bytes = r->bytes < size - r->file_off ? r->bytes : size - r->file_off;
	if (r->content == QF_GUEST_BYTES)
		return take_bytes(a, r->file_off, r->start, bytes);
	p = new_part(a, r->file_off, bytes);
	if (!p)
		return false;
	p->content = (enum qf_guest_content)r->content;
	if (p->content != QF_GUEST_INLINE)
		return true;
	p->data = qf_mem_zalloc(1, bytes + 1);
	if (!p->data) {
		a->no_memory = true;
		return false;
	}
	memcpy(p->data, r->data, bytes);
	return true;
}

static bool take(void *ctx, uint32_t type, const void *record, uint32_t n)
{
	struct asking *a = ctx;

	if (type == QF_RECORD_FILE)
		return take_file(a, record, n);
	if (type == QF_RECORD_PART)
		return take_part(a, record, n);
	if (type != QF_RECORD_WHOLE || n || !a->out->found)
		return false;
	a->out->whole = true;
	return true;
}

/* Those with the same place stay as they were told: by their address. */
static int by_place(const void *pa, const void *pb)
{
	const struct qf_guest_part *a = pa, *b = pb;

	if (a->file_off != b->file_off)
		return a->file_off < b->file_off ? -1 : 1;
	return a->start < b->start ? -1 : a->start > b->start;
}

enum qf_err qf_guest_contents(struct qf_guest *g, uint32_t volume,
			      const char *path, struct qf_guest_contents *out,
			      struct qf_why *why)
{
	const struct qf_guest_volume *v = &g->volume[volume];
	struct asking a = { .out = out, .volume = volume };
	struct qf_job j = { .op = QF_JOB_CONTENT,
			    .reader = v->reader,
			    .path = path };
	struct qf_why reason = { 0 };
	enum qf_err err = QF_OK;

	memset(out, 0, sizeof(*out));
	if (v->reader == QF_GUEST_NO_READER || v->fs.opaque)
		return QF_OK;
	j.vol = a.vol = qf_ask_volume(g, volume);
	if (qf_reader_table[v->reader]->prepare)
		err = qf_reader_table[v->reader]->prepare(&reason);
	if (!err)
		err = qf_ask(g, &j, take, &a, &reason);
	if (a.no_memory) {
		qf_guest_contents_free(out);
		return no_memory(why);
	}
	qf_ask_outcome(g, volume, err, &reason);
	if (out->n)
		qsort(out->at, out->n, sizeof(*out->at), by_place);
	return QF_OK;
}

void qf_guest_contents_free(struct qf_guest_contents *c)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		free(c->at[i].data);
	free(c->at);
	free(c->file.path);
	memset(c, 0, sizeof(*c));
}
