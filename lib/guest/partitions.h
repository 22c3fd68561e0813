/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The volumes of a disk: a GPT or an MBR, LVM2 on top of it, or the disk
 * itself. In the child. Internal to lib/guest.
 */
#ifndef QF_PARTITIONS_H
#define QF_PARTITIONS_H

#include "lib/guest/job.h"

#define QF_PARTITIONS_MAX 256u
#define QF_PARTITIONS_SEGMENTS 65536u

struct qf_partitions {
	struct qf_job *j;
	struct qf_record_table table;
	struct qf_guest_volume volume[QF_PARTITIONS_MAX];
	uint32_t n;
	struct qf_guest_segment *segment; /* owned */
	size_t segments, room;
	bool no_memory;
};

/* Tells a table, and the volumes with their segments. Errors: QF_ERR_NOMEM. */
enum qf_err qf_partitions_find(struct qf_job *j, struct qf_why *why);

/* A further volume without segments; NULL: there are too many. */
struct qf_guest_volume *qf_partitions_add(struct qf_partitions *p);

/* Appends a segment to the last volume. */
void qf_partitions_segment(struct qf_partitions *p,
			   const struct qf_guest_segment *s);

/* Tells what a stretch of the disk is that is part of no volume. */
void qf_partitions_area(struct qf_partitions *p, const char *name,
			uint64_t start, uint64_t bytes);

/* A partition; out of the disk it may reach, and that is told. */
void qf_partitions_partition(struct qf_partitions *p, uint32_t number,
			     const char *type, const char *name, uint64_t start,
			     uint64_t bytes);

/* gpt.c: adds the partitions of a GPT; false if there is none. */
bool qf_gpt_find(struct qf_partitions *p);

/* lvm.c: adds the logical volumes of what lies in the volumes so far. */
void qf_lvm_find(struct qf_partitions *p);

#endif
