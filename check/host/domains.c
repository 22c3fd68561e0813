// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libvirt, and libxml2 that comes with it, are loaded when they are asked for:
 * few hosts of those who check images have them, and their headers are not
 * needed to build. Only pointers to what they keep to themselves go to and
 * fro.
 */
#include "check/host/domains.h"
#include "lib/base/dynload.h"
#include "lib/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIBVIRT "libvirt.so.0"
#define LIBXML "libxml2.so.2"
#define MAX_TEXT (4u << 20) /* of a description */

/* libxml2's numbers */
#define XML_ELEMENT 1
#define XML_TEXT 3
#define XML_QUIET (1 << 5 | 1 << 6 | 1 << 11) /* no messages, no network */

static struct {
	void *(*ConnectOpenReadOnly)(const char *uri);
	int (*ConnectClose)(void *conn);
	int (*ConnectListAllDomains)(void *conn, void ***domains,
				     unsigned int flags);
	void *(*DomainLookupByName)(void *conn, const char *name);
	int (*DomainIsActive)(void *domain);
	char *(*DomainGetXMLDesc)(void *domain, unsigned int flags);
	int (*DomainFree)(void *domain);
	void *(*StoragePoolLookupByName)(void *conn, const char *name);
	int (*StoragePoolFree)(void *pool);
	void *(*StorageVolLookupByName)(void *pool, const char *name);
	char *(*StorageVolGetPath)(void *vol);
	int (*StorageVolFree)(void *vol);
	const char *(*GetLastErrorMessage)(void);
	void (*SetErrorFunc)(void *ctx, void (*fn)(void *ctx, void *error));
} vir;

static const char *const vir_names[] = {
#define X(f) "vir" #f
	X(ConnectOpenReadOnly),
	X(ConnectClose),
	X(ConnectListAllDomains),
	X(DomainLookupByName),
	X(DomainIsActive),
	X(DomainGetXMLDesc),
	X(DomainFree),
	X(StoragePoolLookupByName),
	X(StoragePoolFree),
	X(StorageVolLookupByName),
	X(StorageVolGetPath),
	X(StorageVolFree),
	X(GetLastErrorMessage),
	X(SetErrorFunc),
#undef X
};

static struct {
	void *(*ReaderForMemory)(const char *buf, int size, const char *url,
				 const char *encoding, int options);
	int (*TextReaderRead)(void *reader);
	int (*TextReaderNodeType)(void *reader);
	int (*TextReaderDepth)(void *reader);
	const unsigned char *(*TextReaderConstLocalName)(void *reader);
	int (*TextReaderMoveToAttribute)(void *reader,
					 const unsigned char *name);
	const unsigned char *(*TextReaderConstValue)(void *reader);
	int (*TextReaderMoveToElement)(void *reader);
	void (*FreeTextReader)(void *reader);
} xml;

static const char *const xml_names[] = {
#define X(f) "xml" #f
	X(ReaderForMemory),	     X(TextReaderRead),
	X(TextReaderNodeType),	     X(TextReaderDepth),
	X(TextReaderConstLocalName), X(TextReaderMoveToAttribute),
	X(TextReaderConstValue),     X(TextReaderMoveToElement),
	X(FreeTextReader),
#undef X
};

static enum qf_err no_memory(struct qf_why *why)
{
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
			  "no memory for the domains");
}

/* What libvirt says of its last failure. */
static enum qf_err vir_failed(enum qf_err err, struct qf_why *why)
{
	return qf_err_set(why, err, 0, QF_NOWHERE, "libvirt: %.300s",
			  vir.GetLastErrorMessage());
}

static void quiet(void *ctx, void *error)
{
	(void)ctx;
	(void)error;
}

static enum qf_err load_xml(struct qf_why *why)
{
	return qf_dynload_load(LIBXML, xml_names,
			       sizeof(xml_names) / sizeof(xml_names[0]), &xml,
			       why);
}

static enum qf_err load(struct qf_why *why)
{
	enum qf_err err = qf_dynload_load(
		LIBVIRT, vir_names, sizeof(vir_names) / sizeof(vir_names[0]),
		&vir, why);

	if (!err)
		err = load_xml(why);
	if (!err) {
		vir.SetErrorFunc(NULL, quiet);
		return QF_OK;
	}
	qf_err_next(why,
		    "name the images: \"virsh domblklist --details DOMAIN\" "
		    "tells them, and qfsck check takes them");
	return err;
}

/* --- one domain's description --- */

/* What is read, and one <disk> while its parts are. */
struct reading {
	struct qf_domains *d;
	void *conn, *domain; /* NULL: libvirt is not asked */
	void *reader;
	size_t first;	/* of its disks */
	bool is_domain; /* the outermost element says so */
	bool in_name;	/* what comes next is its name */
	char *name;	/* owned */
	int depth;	/* of the disk; -1: none is open */
	char *device, *format, *target, *source, *pool, *volume; /* owned */
};

static void forget(struct reading *r)
{
	char **text[] = { &r->device, &r->format, &r->target,
			  &r->source, &r->pool,	  &r->volume };
	size_t i;

	for (i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
		free(*text[i]);
		*text[i] = NULL;
	}
	r->depth = -1;
}

/* The attribute NAME of the element that is read, into *TO, if it has it. */
static bool take(void *reader, const char *name, char **to)
{
	const unsigned char *key = (const unsigned char *)name;

	if (xml.TextReaderMoveToAttribute(reader, key) != 1)
		return true;
	free(*to);
	*to = strdup((const char *)xml.TextReaderConstValue(reader));
	xml.TextReaderMoveToElement(reader);
	return *to;
}

static const struct part {
	const char *element, *attribute;
	size_t at;
} parts[] = {
	{ "driver", "type", offsetof(struct reading, format) },
	{ "target", "dev", offsetof(struct reading, target) },
	{ "source", "file", offsetof(struct reading, source) },
	{ "source", "dev", offsetof(struct reading, source) },
	{ "source", "pool", offsetof(struct reading, pool) },
	{ "source", "volume", offsetof(struct reading, volume) },
};

/* An element right below a disk; what is deeper is of its backing files. */
static bool take_part(struct reading *r, const char *element)
{
	size_t i;

	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (!strcmp(element, parts[i].element) &&
		    !take(r->reader, parts[i].attribute,
			  (char **)((char *)r + parts[i].at)))
			return false;
	return true;
}

/* The path of a volume of a storage pool; NULL if libvirt knows none. */
static char *volume_path(const struct reading *r)
{
	void *pool = r->conn ? vir.StoragePoolLookupByName(r->conn, r->pool)
			     : NULL;
	void *vol = pool ? vir.StorageVolLookupByName(pool, r->volume) : NULL;
	char *path = vol ? vir.StorageVolGetPath(vol) : NULL;

	if (vol)
		vir.StorageVolFree(vol);
	if (pool)
		vir.StoragePoolFree(pool);
	return path;
}

static char *take_over(char **from)
{
	char *p = *from;

	*from = NULL;
	return p;
}

/* A disk whose end has been read. */
static bool add(struct reading *r)
{
	struct qf_domains *d = r->d;
	struct qf_domains_disk *disk;

	if (r->device && strcmp(r->device, "disk") && strcmp(r->device, "lun"))
		return true;
	if (!qf_mem_grow((void **)&d->disk, d->n, &d->room, sizeof(*d->disk)))
		return false;
	disk = &d->disk[d->n++];
	memset(disk, 0, sizeof(*disk));
	disk->running = r->domain && vir.DomainIsActive(r->domain) == 1;
	disk->target = r->target ? take_over(&r->target) : strdup("?");
	disk->format = take_over(&r->format);
	disk->path = r->pool && r->volume ? volume_path(r)
					  : take_over(&r->source);
	return disk->target;
}

static bool take_element(struct reading *r, int depth, const char *name)
{
	if (!depth)
		r->is_domain = !strcmp(name, "domain");
	r->in_name = depth == 1 && !strcmp(name, "name") && !r->name;
	/* domain/devices/disk */
	if (depth == 2 && !strcmp(name, "disk")) {
		r->depth = depth;
		return take(r->reader, "device", &r->device);
	}
	return r->depth < 0 || depth != r->depth + 1 || take_part(r, name);
}

/* One node of the description. */
static bool take_node(struct reading *r)
{
	int type = xml.TextReaderNodeType(r->reader);
	int depth = xml.TextReaderDepth(r->reader);
	const unsigned char *text;

	if (r->depth >= 0 && depth <= r->depth) {
		if (!add(r))
			return false;
		forget(r);
	}
	if (type == XML_ELEMENT)
		return take_element(
			r, depth,
			(const char *)xml.TextReaderConstLocalName(r->reader));
	if (!r->in_name || type != XML_TEXT)
		return true;
	r->in_name = false;
	text = xml.TextReaderConstValue(r->reader);
	r->name = strdup((const char *)text);
	return r->name;
}

/* Every disk is told with its domain's name. */
static bool set_names(const struct reading *r)
{
	size_t i;

	for (i = r->first; i < r->d->n; i++) {
		r->d->disk[i].domain = strdup(r->name ? r->name : "?");
		if (!r->d->disk[i].domain)
			return false;
	}
	return true;
}

static enum qf_err parse(struct qf_domains *d, void *conn, void *domain,
			 const char *text, struct qf_why *why)
{
	struct reading r = { .d = d,
			     .conn = conn,
			     .domain = domain,
			     .first = d->n,
			     .depth = -1 };
	enum qf_err err = QF_OK;
	int got = 0;

	r.reader = xml.ReaderForMemory(text, (int)strlen(text), NULL, NULL,
				       XML_QUIET);
	if (!r.reader)
		err = no_memory(why);
	while (!err && (got = xml.TextReaderRead(r.reader)) == 1)
		if (!take_node(&r))
			err = no_memory(why);
	if (!set_names(&r) && !err)
		err = no_memory(why);
	if (!err && (got < 0 || !r.is_domain))
		err = qf_err_set(why, QF_ERR_FORMAT, 0, QF_NOWHERE,
				 "is no description of a domain");
	forget(&r);
	free(r.name);
	if (r.reader)
		xml.FreeTextReader(r.reader);
	return err;
}

static enum qf_err take_domain(struct qf_domains *d, void *conn, void *domain,
			       struct qf_why *why)
{
	char *text = vir.DomainGetXMLDesc(domain, 0);
	enum qf_err err;

	if (!text)
		return vir_failed(QF_ERR_IO, why);
	err = parse(d, conn, domain, text, why);
	free(text);
	return err;
}

static enum qf_err read_text(int fd, char *text, struct qf_why *why)
{
	size_t n = 0;
	ssize_t got;

	while (n < MAX_TEXT) {
		got = read(fd, text + n, MAX_TEXT - n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return qf_err_set(why, QF_ERR_IO, errno, QF_NOWHERE,
					  "cannot be read");
		if (!got)
			return QF_OK;
		n += (size_t)got;
	}
	return qf_err_set(why, QF_ERR_FORMAT, 0, QF_NOWHERE,
			  "is no description of a domain");
}

enum qf_err qf_domains_read(struct qf_domains *d, const char *name,
			    struct qf_why *why)
{
	bool standard = !strcmp(name, "-");
	enum qf_err err = load_xml(why);
	char *text;
	int fd;

	if (err)
		return err;
	fd = standard ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return qf_err_set(why, QF_ERR_IO, errno, QF_NOWHERE,
				  "cannot open");
	text = qf_mem_zalloc(1, MAX_TEXT + 1);
	err = text ? read_text(fd, text, why) : no_memory(why);
	if (!standard)
		close(fd);
	if (!err)
		err = parse(d, NULL, NULL, text, why);
	free(text);
	return err;
}

static enum qf_err take_all(struct qf_domains *d, void *conn,
			    struct qf_why *why)
{
	void **domain = NULL;
	int n = vir.ConnectListAllDomains(conn, &domain, 0), i;
	enum qf_err err = QF_OK;

	if (n < 0)
		return vir_failed(QF_ERR_IO, why);
	for (i = 0; i < n; i++) {
		if (!err)
			err = take_domain(d, conn, domain[i], why);
		vir.DomainFree(domain[i]);
	}
	free(domain);
	return err;
}

static enum qf_err take_one(struct qf_domains *d, void *conn, const char *name,
			    struct qf_why *why)
{
	void *domain = vir.DomainLookupByName(conn, name);
	enum qf_err err;

	if (!domain) {
		vir_failed(QF_ERR_USAGE, why);
		qf_err_next(why, "virsh list --all tells which there are");
		return QF_ERR_USAGE;
	}
	err = take_domain(d, conn, domain, why);
	vir.DomainFree(domain);
	return err;
}

enum qf_err qf_domains_find(struct qf_domains *d, const char *name,
			    struct qf_why *why)
{
	enum qf_err err = load(why);
	void *conn;

	if (err)
		return err;
	conn = vir.ConnectOpenReadOnly(NULL);
	if (!conn)
		return vir_failed(QF_ERR_IO, why);
	err = name ? take_one(d, conn, name, why) : take_all(d, conn, why);
	vir.ConnectClose(conn);
	return err;
}

void qf_domains_free(struct qf_domains *d)
{
	size_t i;

	for (i = 0; i < d->n; i++) {
		free(d->disk[i].domain);
		free(d->disk[i].target);
		free(d->disk[i].format);
		free(d->disk[i].path);
	}
	free(d->disk);
	memset(d, 0, sizeof(*d));
}
