/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One file of a chain, as a layer of a guest's disk. Internal to guest. */
#ifndef QF_DISK_LAYER_H
#define QF_DISK_LAYER_H

#include "lib/format/codec.h"
#include "lib/format/diskkey.h"
#include "lib/model/disk.h"

struct qf_layer {
	const struct qf_chain_node *node;
	uint64_t disk_bytes;
	bool beside; /* l1 and lost are another's: see qf_disk_beside */
	/* a qcow2 file: */
	uint64_t *l1; /* in host order; QF_LAYER_UNREAD: not readable */
	uint64_t l1_entries;
	unsigned char *l2; /* the table at l2_off, QF_NOWHERE: none yet */
	uint64_t l2_off;
	bool l2_unread; /* that one cannot be read */
	/* preallocated: -1 not known yet, else 0 or 1 */
	int preallocated;
	/* compressed clusters: the last one, inflated */
	struct qf_codec *codec;
	unsigned char *packed, *plain;
	uint64_t plain_entry;		 /* its L2 entry; 0: none */
	enum qf_codec_state plain_state; /* of the last one inflated */
	struct qf_ranges lost;		 /* see qf_disk_lose */
	struct qf_diskkey *key;		 /* owned; see qf_disk_unlock */
};

/* Aligned like no table is, and with every reserved bit. */
#define QF_LAYER_UNREAD UINT64_MAX

struct qf_disk {
	struct qf_layer *layer; /* [0]: the image; one a node */
	uint32_t n;
	bool incomplete;     /* the last layer names a file that is not there */
	bool holes;	     /* see qf_disk_look_into_holes */
	qf_disk_lost *doubt; /* see qf_disk_tell_doubts */
	void *doubt_ctx;
};

/* Prepares the layer of NODE for HOLDER's L1 table. Errors: as
 * qf_disk_open. */
enum qf_err qf_layer_open(struct qf_layer *l, const struct qf_chain_node *node,
			  uint32_t holder, struct qf_why *why);
/* What FROM shows, for another thread; FROM must live longer. */
void qf_layer_beside(struct qf_layer *l, const struct qf_layer *from);
void qf_layer_close(struct qf_layer *l);

/* What the layer says of the place, without what lies behind it; present,
 * zero and data are not set. OFF lies below disk_bytes. Errors: _NOMEM. */
enum qf_err qf_layer_at(struct qf_layer *l, uint64_t off, uint64_t limit,
			struct qf_disk_extent *e, struct qf_why *why);

/* True if QEMU would think that the file was preallocated. */
bool qf_layer_preallocated(struct qf_layer *l);

/*
 * Puts into BUF the BYTES from IN on of the compressed cluster with the L2
 * entry ENTRY; *BAD is NULL or why it is not whole, l->plain_state what became
 * of it. Errors: _NOMEM, _UNSUPPORTED.
 */
enum qf_err qf_layer_inflate(struct qf_layer *l, uint64_t entry, uint64_t in,
			     uint64_t bytes, unsigned char *buf,
			     const char **bad, struct qf_why *why);

#endif
