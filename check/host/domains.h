/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which images libvirt's domains have, if libvirt is there. */
#ifndef QF_DOMAINS_H
#define QF_DOMAINS_H

#include "lib/base/err.h"

#include <stddef.h>

struct qf_domains_disk {
	char *domain, *target; /* owned; "vm", "vda" */
	char *format;	       /* owned; "qcow2", "raw"; NULL: not told */
	char *path;	       /* owned; NULL: not on this host */
	bool running;
};

struct qf_domains {
	struct qf_domains_disk *disk; /* owned; in libvirt's order */
	size_t n, room;
};

/*
 * The disks (no CD-ROMs and floppies) of the domain NAME, or of all domains if
 * that is NULL. libvirt is asked where it is by default (LIBVIRT_DEFAULT_URI).
 * Adds to D. Errors: QF_ERR_UNSUPPORTED (no libvirt on this machine),
 * QF_ERR_IO (its daemon does not answer), QF_ERR_USAGE (no such domain),
 * QF_ERR_NOMEM. Free with qf_domains_free, also after an error.
 */
enum qf_err qf_domains_find(struct qf_domains *d, const char *name,
			    struct qf_why *why);

/*
 * The same out of a domain's description in the file NAME ("-": standard
 * input), as a hook of libvirt's gets it: libvirt itself, which waits for its
 * hooks, is not asked, so that volumes of its pools have no path. Errors:
 * QF_ERR_UNSUPPORTED (no libxml2), QF_ERR_IO, QF_ERR_FORMAT (it describes no
 * domain), QF_ERR_NOMEM.
 */
enum qf_err qf_domains_read(struct qf_domains *d, const char *name,
			    struct qf_why *why);
void qf_domains_free(struct qf_domains *d);

#endif
