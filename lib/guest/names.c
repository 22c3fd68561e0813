// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/guest/names.h"
#include "lib/base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/* Directories nested deeper than this are a circle. */
#define MAX_DEPTH 512

/* A file that was hit, or a directory that may lead to one. */
struct node {
	uint64_t id, dir;
	char *name; /* owned; NULL: not found in any directory */
	size_t bytes;
	UT_hash_handle hh;
};

struct hit {
	struct qf_inode inode;
	char area[64]; /* for metadata */
};

struct names {
	struct qf_job *j;
	const struct qf_reader *r;
	void *fs;
	struct node *nodes;
	struct hit *hit;
	size_t n, room;
	/* the inode whose extents are told */
	const struct qf_inode *inode;
	bool is_hit;
	bool stopped; /* by the one who is told */
	bool no_memory;
};

static bool failed(const struct names *s)
{
	return s->stopped || s->no_memory;
}

static struct node *find(struct names *s, uint64_t id)
{
	struct node *n;

	HASH_FIND(hh, s->nodes, &id, sizeof(id), n);
	return n;
}

static struct node *need(struct names *s, uint64_t id)
{
	struct node *n = find(s, id);

	if (n)
		return n;
	n = qf_mem_zalloc(1, sizeof(*n));
	if (!n) {
		s->no_memory = true;
		return NULL;
	}
	n->id = id;
	HASH_ADD(hh, s->nodes, id, sizeof(n->id), n);
	if (n->hh.tbl)
		return n;
	free(n);
	s->no_memory = true;
	return NULL;
}

static void free_names(struct names *s)
{
	struct node *n, *next;

	HASH_ITER(hh, s->nodes, n, next) {
		HASH_DEL(s->nodes, n);
		free(n->name);
		free(n);
	}
	free(s->hit);
}

static bool add_hit(struct names *s, const struct qf_inode *inode,
		    const char *area)
{
	struct hit *h;

	if (!qf_mem_grow((void **)&s->hit, s->n, &s->room, sizeof(*s->hit))) {
		s->no_memory = true;
		return false;
	}
	h = &s->hit[s->n++];
	memset(h, 0, sizeof(*h));
	h->inode = *inode;
	if (area)
		strncpy(h->area, area, sizeof(h->area) - 1);
	return true;
}

/* A piece of the last hit. */
static bool tell_piece(struct names *s, uint64_t file_off, uint64_t start,
		       uint64_t bytes)
{
	const struct qf_guest_piece p = { start, bytes, file_off,
					  (uint32_t)s->n - 1 };

	if (!qf_job_tell(s->j, QF_RECORD_PIECE, &p, sizeof(p)))
		s->stopped = true;
	return !s->stopped;
}

static bool see_area(void *ctx, const char *name, uint64_t start,
		     uint64_t bytes)
{
	const struct qf_inode inode = { .kind = QF_GUEST_METADATA,
					.modified = QF_GUEST_NO_TIME };
	struct names *s = ctx;
	struct hit *last = s->n ? &s->hit[s->n - 1] : NULL;

	if (!qf_volume_asked(&s->j->vol, start, bytes))
		return true;
	if ((!last || strcmp(last->area, name)) && !add_hit(s, &inode, name))
		return false;
	last = &s->hit[s->n - 1];
	last->inode.bytes += bytes;
	return tell_piece(s, last->inode.bytes - bytes, start, bytes);
}

static bool see_extent(void *ctx, uint64_t file_off, uint64_t start,
		       uint64_t bytes)
{
	struct names *s = ctx;

	if (!qf_volume_asked(&s->j->vol, start, bytes))
		return true;
	if (!s->is_hit && !add_hit(s, s->inode, NULL))
		return false;
	s->is_hit = true;
	return tell_piece(s, file_off, start, bytes);
}

static bool see_inode(void *ctx, const struct qf_inode *inode)
{
	struct names *s = ctx;

	s->inode = inode;
	s->is_hit = false;
	s->r->extents(s->fs, inode->id, see_extent, s);
	if (!failed(s) && !s->is_hit && s->j->op == QF_JOB_LIST)
		s->is_hit = add_hit(s, inode, NULL);
	if (!failed(s) && (s->is_hit || inode->kind == QF_GUEST_DIRECTORY))
		need(s, inode->id);
	return !failed(s);
}

/* Keeps the link if it leads to what was hit or to a directory. */
static bool see_link(void *ctx, uint64_t dir, uint64_t id, const char *name,
		     size_t bytes)
{
	struct names *s = ctx;
	struct node *n = find(s, id);

	if (!n || n->name || id == s->r->root(s->fs))
		return true;
	n->name = malloc(bytes + 1);
	if (!n->name) {
		s->no_memory = true;
		return false;
	}
	memcpy(n->name, name, bytes);
	n->name[bytes] = '\0';
	n->bytes = bytes;
	n->dir = dir;
	return true;
}

static void see_links(struct names *s)
{
	struct node *n, *next;
	uint64_t root = s->r->root(s->fs);

	if (s->r->links_all) {
		s->r->links(s->fs, root, see_link, s);
		return;
	}
	/* the nodes are directories and hits; a file has no links */
	HASH_ITER(hh, s->nodes, n, next) {
		if (!failed(s))
			s->r->links(s->fs, n->id, see_link, s);
	}
}

/* Puts the path of ID into R, from its end to its beginning. */
static void make_path(struct names *s, uint64_t id, struct qf_record_file *r)
{
	uint64_t root = s->r->root(s->fs);
	size_t at = sizeof(r->path);
	struct node *n;
	int depth;

	for (depth = 0; id != root; depth++) {
		n = find(s, id);
		if (!n || !n->name || depth == MAX_DEPTH || n->bytes + 1 > at)
			return;
		at -= n->bytes;
		memcpy(r->path + at, n->name, n->bytes);
		r->path[--at] = '/';
		id = n->dir;
	}
	if (at == sizeof(r->path))
		r->path[--at] = '/';
	r->path_bytes = (uint32_t)(sizeof(r->path) - at);
	memmove(r->path, r->path + at, r->path_bytes);
}

static void tell_files(struct names *s)
{
	struct qf_record_file r;
	size_t i;

	for (i = 0; i < s->n && !s->stopped; i++) {
		r.inode = s->hit[i].inode;
		r.path_bytes = 0;
		if (r.inode.kind == QF_GUEST_METADATA) {
			r.path_bytes = (uint32_t)strlen(s->hit[i].area);
			memcpy(r.path, s->hit[i].area, r.path_bytes);
		} else {
			make_path(s, r.inode.id, &r);
		}
		s->stopped = !qf_job_tell(
			s->j, QF_RECORD_FILE, &r,
			offsetof(struct qf_record_file, path) + r.path_bytes);
	}
}

static enum qf_err no_memory(struct qf_why *why)
{
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
			  "no memory for the names of its files");
}

enum qf_err qf_names_of_ranges(struct qf_job *j, const struct qf_reader *r,
			       void *fs, struct qf_why *why)
{
	struct names s = { .j = j, .r = r, .fs = fs };

	if (r->areas)
		r->areas(fs, see_area, &s);
	if (!failed(&s) && r->inodes)
		r->inodes(fs, see_inode, &s);
	if (!failed(&s) && s.n && r->inodes)
		see_links(&s);
	if (!failed(&s))
		tell_files(&s);
	free_names(&s);
	return s.no_memory ? no_memory(why) : QF_OK;
}

/* A step down a path. */
struct step {
	const struct qf_reader *r;
	uint64_t dir, id;
	const char *name;
	size_t bytes;
	bool found, exact;
};

static bool see_step(void *ctx, uint64_t dir, uint64_t id, const char *name,
		     size_t bytes)
{
	struct step *s = ctx;

	if (dir != s->dir || bytes != s->bytes)
		return true;
	s->exact = !memcmp(name, s->name, bytes);
	if (!s->exact &&
	    (s->found || !s->r->any_case || strncasecmp(name, s->name, bytes)))
		return true;
	s->found = true;
	s->id = id;
	return !s->exact;
}

bool qf_names_find(const struct qf_reader *r, void *fs, const char *path,
		   uint64_t *id)
{
	struct step s = { .r = r };

	*id = r->root(fs);
	for (;;) {
		path += strspn(path, "/");
		if (!*path)
			return true;
		s.name = path;
		s.bytes = strcspn(path, "/");
		s.dir = *id;
		s.found = false;
		r->links(fs, s.dir, see_step, &s);
		if (!s.found)
			return false;
		*id = s.id;
		path += s.bytes;
	}
}

enum qf_err qf_names_of_path(struct qf_job *j, const struct qf_reader *r,
			     void *fs, struct qf_why *why)
{
	struct names s = { .j = j, .r = r, .fs = fs };
	struct qf_record_file file = { 0 };
	size_t n = strlen(j->path);
	uint64_t id;

	if (!r->links || n > sizeof(file.path) ||
	    !qf_names_find(r, fs, j->path, &id) ||
	    !r->inode(fs, id, &file.inode))
		return QF_OK;
	memcpy(file.path, j->path, n);
	file.path_bytes = (uint32_t)n;
	if (!qf_job_tell(j, QF_RECORD_FILE, &file,
			 offsetof(struct qf_record_file, path) + n))
		return QF_OK;
	s.inode = &file.inode;
	r->extents(fs, id, see_extent, &s);
	free_names(&s);
	return s.no_memory ? no_memory(why) : QF_OK;
}
