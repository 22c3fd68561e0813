/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * QEMU's image locks: OFD read locks on bytes 100 + n for a permission that
 * is in use and 200 + n for one that is not shared with others. A lock is
 * taken first, and then it is looked whether anyone holds the opposite byte.
 */
#ifndef QF_LOCK_H
#define QF_LOCK_H

#include "lib/io/io.h"

#include <sys/types.h>

enum qf_lock_mode {
	QF_LOCK_READ,  /* beside readers; no writer: as qemu-img check */
	QF_LOCK_WRITE, /* alone */
};

/* QEMU's permissions, as bits n of the lock bytes. */
#define QF_LOCK_CONSISTENT_READ (1u << 0)
#define QF_LOCK_WRITES (1u << 1)
#define QF_LOCK_WRITE_UNCHANGED (1u << 2)
#define QF_LOCK_RESIZE (1u << 3)
#define QF_LOCK_PERMS 4u

/*
 * Locks the open file FD in MODE until it is closed. Errors: QF_ERR_BUSY if
 * someone else's permissions exclude ours; WHY names process, program and
 * command line. QF_ERR_UNSUPPORTED if the file system has no such locks.
 */
enum qf_err qf_lock_take(int fd, enum qf_lock_mode mode, struct qf_why *why);

/* Gives up all locks held through FD. */
void qf_lock_drop(int fd);

/* A process with the file open under QEMU's locks. */
struct qf_lock_holder {
	pid_t pid;
	char program[64];
	char command[400];    /* the command line, cut */
	unsigned int uses;    /* permissions in use */
	unsigned int refuses; /* permissions not shared */
};

/*
 * Lists the other processes that hold such locks on FD's file: at most ROOM
 * into H. Returns how many there are; those of other users may stay hidden
 * unless one is root.
 */
size_t qf_lock_holders(int fd, struct qf_lock_holder *h, size_t room);

#endif
