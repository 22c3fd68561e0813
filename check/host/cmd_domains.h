/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The images of libvirt's domains, for a command that takes several. */
#ifndef QF_CMD_DOMAINS_H
#define QF_CMD_DOMAINS_H

#include "check/host/domains.h"

/* What names the domains. */
enum qf_cmd_domains_by {
	QF_CMD_DOMAINS_NAME,
	QF_CMD_DOMAINS_ALL,
	QF_CMD_DOMAINS_XML, /* a file with a domain's description */
};

/*
 * Calls ADD for each qcow2 image of the domain NAME, by what that is, once each;
 * the names stay D's. Disks that are none are told on standard error. Returns
 * -1 to go on, else the exit code.
 */
int qf_cmd_domains_add(struct qf_domains *d, enum qf_cmd_domains_by by,
		       const char *name, bool (*add)(void *ctx, char *path),
		       void *ctx);

#endif
