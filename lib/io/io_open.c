// SPDX-License-Identifier: LGPL-2.1-or-later
/* Where the bytes of a name are: in a file, or with a server. */
#include "lib/io/io.h"
#include "lib/io/io_nbd.h"

#include <string.h>

/* What qfsck does not speak itself, and the nbdkit plugin that does. */
static const struct {
	const char *scheme, *plugin;
} others[] = {
	{ "http", "curl URL" },
	{ "https", "curl URL" },
	{ "ftp", "curl URL" },
	{ "ftps", "curl URL" },
	{ "ssh", "ssh host=HOST path=PATH" },
	{ "sftp", "ssh host=HOST path=PATH" },
	{ "iscsi", "iscsi URL" },
	{ "s3", "S3 bucket=BUCKET key=KEY" },
	{ "rbd", NULL },
	{ "gluster", NULL },
	{ "nfs", NULL },
	{ "vxhs", NULL },
};

static const char *const nbd[] = { "nbd", "nbds", "nbd+unix", "nbds+unix" };

/* The length of NAME's scheme ("https" of https://host/x), or 0. */
static size_t scheme_of(const char *name)
{
	size_t n = strcspn(name, ":/");

	return strncmp(name + n, "://", 3) ? 0 : n;
}

static bool is(const char *name, size_t n, const char *scheme)
{
	return strlen(scheme) == n && !strncmp(name, scheme, n);
}

static bool is_nbd(const char *name)
{
	size_t n = scheme_of(name), i;

	for (i = 0; i < sizeof(nbd) / sizeof(nbd[0]); i++)
		if (n && is(name, n, nbd[i]))
			return true;
	return false;
}

bool qf_io_is_remote(const char *name)
{
	return is_nbd(name);
}

static enum qf_err refuse_json(struct qf_why *why)
{
	qf_err_set(why, QF_ERR_UNSUPPORTED, 0, QF_NOWHERE,
		   "is a json: description, and qfsck reads files and nbd://");
	qf_err_next(why, "serve it: qemu-nbd -r -f raw -t -k /tmp/nbd.sock "
			 "'json:...'; then name nbd+unix:///?socket=/tmp/"
			 "nbd.sock");
	return QF_ERR_UNSUPPORTED;
}

enum qf_err qf_io_open(const char *name, struct qf_io **io, struct qf_why *why)
{
	size_t n = scheme_of(name), i;

	if (is_nbd(name))
		return qf_io_nbd_open(name, io, why);
	if (!strncmp(name, "json:", 5))
		return refuse_json(why);
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (!n || !is(name, n, others[i].scheme))
			continue;
		qf_err_set(why, QF_ERR_UNSUPPORTED, 0, QF_NOWHERE,
			   "qfsck reads files and nbd://, not %s://",
			   others[i].scheme);
		if (others[i].plugin)
			qf_err_next(why,
				    "nbdkit -r -U - %s --run 'qfsck check "
				    "\"$uri\"'",
				    others[i].plugin);
		else
			qf_err_next(why,
				    "qemu-nbd -r -f raw -t -k /tmp/nbd.sock "
				    "URL; then name nbd+unix:///?socket="
				    "/tmp/nbd.sock");
		return QF_ERR_UNSUPPORTED;
	}
	return qf_io_file_open(name, io, why);
}
