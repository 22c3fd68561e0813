// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/model/chain.h"
#include "lib/base/mem.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* True if NAME begins with a protocol ("nbd:", "https://"). */
static bool has_protocol(const char *name)
{
	size_t n = strcspn(name, ":/");

	return name[n] == ':' && n > 0;
}

/* The file name in a json: name: {"file": {"filename": ...}}, or NULL. */
static char *from_json(const char *text)
{
	json_t *root = json_loads(text, 0, NULL);
	json_t *at = root, *name = NULL;
	char *copy = NULL;

	while (json_is_object(at) && !name) {
		name = json_object_get(at, "filename");
		if (!name)
			name = json_object_get(at, "file.filename");
		at = json_object_get(at, "file");
	}
	if (json_is_string(name))
		copy = strdup(json_string_value(name));
	json_decref(root);
	return copy;
}

static char *beside(const char *image_path, const char *name)
{
	const char *slash = strrchr(image_path, '/');
	char *path;

	if (name[0] == '/' || !slash)
		return strdup(name);
	if (asprintf(&path, "%.*s/%s", (int)(slash - image_path), image_path,
		     name) < 0)
		return NULL;
	return path;
}

/* The path that NAME means by itself, as a "file:" or "json:" name; NULL if
 * it is no local file. Such names are relative to the working directory. */
static char *by_itself(const char *name)
{
	char *inner;

	if (qf_io_is_remote(name))
		return strdup(name);
	if (!strncmp(name, "file:", 5))
		return strdup(name + 5);
	if (strncmp(name, "json:", 5))
		return NULL;
	inner = from_json(name + 5);
	if (inner && has_protocol(inner)) {
		char *path = by_itself(inner);

		free(inner);
		return path;
	}
	return inner;
}

char *qf_chain_path(const char *image_path, const char *name)
{
	if (has_protocol(name))
		return by_itself(name);
	return beside(image_path, name);
}

char *qf_chain_data_path(const char *image_path, const char *name)
{
	if (has_protocol(name))
		return by_itself(name);
	if (name[0] != '/' && !qf_chain_readable(name, NULL))
		return strdup(name);
	return beside(image_path, name);
}

enum qf_err qf_chain_readable(const char *path, struct qf_why *why)
{
	struct qf_io *io;
	enum qf_err err = qf_io_open(path, &io, why);

	if (!err)
		qf_io_close(io);
	return err;
}

const char *qf_chain_format(const struct qf_chain_node *node)
{
	return node->img ? "qcow2" : "raw";
}

/*
 * How a backing file without a stated format shows that it is neither qcow2
 * nor raw: to take its bytes for the disk's would be a lie.
 */
static const struct {
	const char *magic;
	unsigned int at, bytes;
	const char *format;
	bool always; /* no image of that format is without one of its magics */
} others[] = {
	{ "KDMV", 0, 4, "vmdk", false },
	{ "# Disk DescriptorFile", 0, 21, "vmdk", false },
	{ "conectix", 0, 8, "vpc", false },
	{ "vhdxfile", 0, 8, "vhdx", true },
	{ "QED\0", 0, 4, "qed", true },
	{ "\x7f\x10\xda\xbe", 64, 4, "vdi", true },
	{ "LUKS\xba\xbe", 0, 6, "luks", true },
	{ "WithoutFreeSpace", 0, 16, "parallels", true },
	{ "WithouFreSpacExt", 0, 16, "parallels", true },
	{ "QFI\xfb\0\0\0\1", 0, 8, "qcow", true },
};

#define OTHERS (sizeof(others) / sizeof(others[0]))
#define HEAD_BYTES 128u

/* What QEMU can open under a name that we do not read. */
static bool is_known(const char *format)
{
	static const char *const known[] = {
		"blkdebug",
		"blklogwrites",
		"blkverify",
		"bochs",
		"cloop",
		"compress",
		"dmg",
		"copy-on-read",
		"copy-before-write",
		"ftp",
		"ftps",
		"gluster",
		"host_cdrom",
		"http",
		"https",
		"iscsi",
		"iser",
		"luks",
		"nbd",
		"nfs",
		"null-aio",
		"null-co",
		"nvme",
		"parallels",
		"preallocate",
		"qcow",
		"qed",
		"quorum",
		"rbd",
		"replication",
		"ssh",
		"throttle",
		"snapshot-access",
		"vdi",
		"vhdx",
		"vmdk",
		"vpc",
		"vvfat",
		"io_uring",
		"nvme-io_uring",
		"virtio-blk-vfio-pci",
		"virtio-blk-vhost-user",
		"virtio-blk-vhost-vdpa",
	};
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strcmp(format, known[i]))
			return true;
	return false;
}

static bool has_magic(const char *head, size_t i)
{
	return !memcmp(head + others[i].at, others[i].magic, others[i].bytes);
}

/* True if what begins with HEAD is no image of FORMAT beyond doubt. */
static bool is_not(const char *head, const char *format)
{
	bool always = false;
	size_t i;

	for (i = 0; i < OTHERS; i++) {
		if (strcmp(others[i].format, format))
			continue;
		if (has_magic(head, i))
			return false;
		always |= others[i].always;
	}
	return always;
}

/* A stated format that is not read here: can QEMU open that? *END says. */
static enum qf_err other_format(struct qf_io *io, const char *stated,
				enum qf_chain_end *end, struct qf_why *why)
{
	char head[HEAD_BYTES] = { 0 };
	enum qf_err err = qf_io_read_pad(io, head, sizeof(head), 0, why);

	*end = QF_CHAIN_DAMAGED;
	if (err)
		return err;
	if (!is_known(stated))
		return qf_err_set(why, QF_ERR_UNSUPPORTED, 0, 0,
				  "has the format \"%.32s\", which QEMU does "
				  "not know",
				  stated);
	if (is_not(head, stated))
		return qf_err_set(why, QF_ERR_FORMAT, 0, 0,
				  "should have the format \"%.32s\", and does "
				  "not begin as such an image does",
				  stated);
	*end = QF_CHAIN_FOREIGN;
	return qf_err_set(why, QF_ERR_UNSUPPORTED, 0, 0,
			  "has the format \"%.32s\", which is not read here",
			  stated);
}

/*
 * Finds the format of the file IO: *QCOW2, or an error if it is neither, and
 * then *END tells whether QEMU can make something of it.
 */
static enum qf_err find_format(struct qf_io *io, const char *stated,
			       bool *qcow2, enum qf_chain_end *end,
			       struct qf_why *why)
{
	static const char *const raw[] = { "raw", "file", "host_device" };
	char head[HEAD_BYTES] = { 0 };
	enum qf_err err;
	size_t i;

	*qcow2 = stated && !strcmp(stated, "qcow2");
	if (*qcow2)
		return QF_OK;
	for (i = 0; stated && i < sizeof(raw) / sizeof(raw[0]); i++)
		if (!strcmp(stated, raw[i]))
			return QF_OK;
	if (stated)
		return other_format(io, stated, end, why);
	*end = QF_CHAIN_FOREIGN;
	err = qf_io_read_pad(io, head, sizeof(head), 0, why);
	if (err)
		return err;
	*qcow2 = !memcmp(head, "QFI\xfb", 4);
	for (i = 0; i < OTHERS; i++)
		if (has_magic(head, i))
			return qf_err_set(why, QF_ERR_UNSUPPORTED, 0, 0,
					  "looks like %s, which is not read "
					  "here",
					  others[i].format);
	return QF_OK;
}

static enum qf_err no_memory(struct qf_why *why)
{
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
			  "no memory for the backing chain");
}

/* The external data file of NODE, if it has one. */
static enum qf_err open_data(struct qf_chain_node *node, struct qf_why *why)
{
	const char *name = node->img->data_file_name;
	char *path;

	node->data = node->io;
	if (!node->img->geo.data_file)
		return QF_OK;
	node->data = NULL;
	if (!name) {
		qf_err_set(&node->data_why, QF_ERR_FORMAT, 0, QF_NOWHERE,
			   "the image does not name its data file");
		return QF_OK;
	}
	path = qf_chain_data_path(node->path, name);
	if (path)
		(void)qf_io_open(path, &node->data, &node->data_why);
	else
		qf_err_set(&node->data_why, QF_ERR_UNSUPPORTED, 0, QF_NOWHERE,
			   "the data file is not a local file");
	free(path);
	return node->data_why.err == QF_ERR_NOMEM ? no_memory(why) : QF_OK;
}

/* Adds a node for the file at PATH, which it owns from now on. */
static enum qf_err add_node(struct qf_chain *c, char *path, struct qf_io *io,
			    struct qf_image *img, struct qf_why *why)
{
	struct qf_chain_node *node;

	if (!path ||
	    !qf_mem_grow((void **)&c->node, c->n, &c->room, sizeof(*c->node))) {
		free(path);
		if (c->n && img)
			qf_image_close(img);
		else if (c->n)
			qf_io_close(io);
		return no_memory(why);
	}
	node = &c->node[c->n++];
	memset(node, 0, sizeof(*node));
	node->path = path;
	node->img = img;
	node->io = img ? img->io : io;
	/* QEMU's disks are whole sectors: a raw file is rounded up */
	node->disk_bytes = img ? img->hdr.disk_bytes & ~511ull
			       : qf_mem_round_up(io->size, 512);
	if (img)
		return open_data(node, why);
	node->data = io;
	return QF_OK;
}

static bool is_in_chain(const struct qf_chain *c, const struct qf_io *io)
{
	uint32_t i;

	for (i = 0; i < c->n; i++)
		if (io->id[1] && c->node[i].io->id[0] == io->id[0] &&
		    c->node[i].io->id[1] == io->id[1])
			return true;
	return false;
}

/* Opens the file at PATH, which stays the chain's, as what it is. */
static enum qf_err open_layer(struct qf_chain *c, const char *stated,
			      const char *path, struct qf_io **io,
			      struct qf_image **img)
{
	enum qf_err err;
	bool qcow2;

	err = qf_io_open(path, io, &c->broken);
	if (err) {
		/* that we cannot open so many is no fault of the file's */
		c->end = c->broken.sys == EMFILE || c->broken.sys == ENFILE
				 ? QF_CHAIN_LONG
				 : QF_CHAIN_MISSING;
		return err;
	}
	c->end = QF_CHAIN_LOOP;
	if (is_in_chain(c, *io))
		return qf_err_set(&c->broken, QF_ERR_FORMAT, 0, QF_NOWHERE,
				  "stands in the chain already: a loop");
	err = find_format(*io, stated, &qcow2, &c->end, &c->broken);
	if (err || !qcow2)
		return err;
	c->end = QF_CHAIN_DAMAGED;
	err = qf_image_open(*io, img, &c->broken);
	*io = NULL;
	return err;
}

/* Opens the file behind the last node; PATH is taken over. */
static enum qf_err open_next(struct qf_chain *c, const char *stated, char *path,
			     struct qf_why *why)
{
	struct qf_image *img = NULL;
	struct qf_io *io = NULL;
	enum qf_err err = open_layer(c, stated, path, &io, &img);

	if (err) {
		qf_io_close(io);
		c->broken_path = path;
		return err == QF_ERR_NOMEM ? no_memory(why) : QF_OK;
	}
	c->end = QF_CHAIN_WHOLE;
	return add_node(c, path, io, img, why);
}

static enum qf_err follow(struct qf_chain *c, struct qf_why *why)
{
	struct qf_image *img = c->node[0].img;
	enum qf_err err = QF_OK;
	char *path;

	while (!err && img && img->backing_name && c->end == QF_CHAIN_WHOLE) {
		path = qf_chain_path(c->node[c->n - 1].path, img->backing_name);
		if (c->n == QF_CHAIN_MAX) {
			c->end = QF_CHAIN_LONG;
			c->broken_path = path;
			qf_err_set(&c->broken, QF_ERR_UNSUPPORTED, 0,
				   QF_NOWHERE,
				   "is number %u of the chain, and no more are "
				   "opened",
				   QF_CHAIN_MAX);
		} else if (path) {
			err = open_next(c,
					qf_ext_string(&img->ext,
						      QF_EXT_BACKING_FORMAT),
					path, why);
		} else {
			c->end = QF_CHAIN_REMOTE;
			qf_err_set(&c->broken, QF_ERR_UNSUPPORTED, 0,
				   QF_NOWHERE, "is not a local file");
		}
		if (!err && c->end != QF_CHAIN_WHOLE) {
			c->broken_name = strdup(img->backing_name);
			return c->broken_name ? QF_OK : no_memory(why);
		}
		img = c->node[c->n - 1].img;
	}
	return err;
}

enum qf_err qf_chain_open(struct qf_image *img, bool with_backing,
			  struct qf_chain *c, struct qf_why *why)
{
	enum qf_err err;

	memset(c, 0, sizeof(*c));
	err = add_node(c, strdup(img->io->name), NULL, img, why);
	if (!err && with_backing)
		err = follow(c, why);
	return err;
}

enum qf_err qf_chain_open_raw(struct qf_io *io, struct qf_chain *c,
			      struct qf_why *why)
{
	enum qf_chain_end end;
	enum qf_err err;
	bool qcow2;

	memset(c, 0, sizeof(*c));
	err = find_format(io, NULL, &qcow2, &end, why);
	return err ? err : add_node(c, strdup(io->name), io, NULL, why);
}

void qf_chain_close(struct qf_chain *c)
{
	struct qf_chain_node *node;
	uint32_t i;

	for (i = 0; i < c->n; i++) {
		node = &c->node[i];
		free(node->path);
		if (node->data != node->io)
			qf_io_close(node->data);
		if (i && node->img)
			qf_image_close(node->img);
		else if (i)
			qf_io_close(node->io);
	}
	free(c->node);
	free(c->broken_name);
	free(c->broken_path);
	memset(c, 0, sizeof(*c));
}
