/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Creates new files, and never touches one that is there already. */
#ifndef QF_SINK_H
#define QF_SINK_H

#include "lib/base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct qf_sink {
	int fd;
	char *name;  /* owned */
	uint64_t at; /* bytes written */
	bool stream; /* standard output: no place in it, and no holes */
};

/* Creates NAME, which must not be there, with the permissions MODE. Errors:
 * QF_ERR_IO. */
enum qf_err qf_sink_create(struct qf_sink *s, const char *name,
			   unsigned int mode, struct qf_why *why);

/* Standard output as a sink, for qf_sink_write and _skip alone. */
void qf_sink_stdout(struct qf_sink *s);

/* Creates the folder NAME, which must not be there, with the permissions MODE.
 * Errors: QF_ERR_IO. */
enum qf_err qf_sink_folder(const char *name, unsigned int mode,
			   struct qf_why *why);

/* Appends. Errors: QF_ERR_IO. */
enum qf_err qf_sink_write(struct qf_sink *s, const void *buf, uint64_t len,
			  struct qf_why *why);

/* Goes on LEN bytes further: over a hole, or in a stream with zeros. Errors:
 * QF_ERR_IO, for a stream. */
enum qf_err qf_sink_skip(struct qf_sink *s, uint64_t len, struct qf_why *why);

/* Writes at OFF of a file, wherever it is; by any thread. Errors: QF_ERR_IO. */
enum qf_err qf_sink_put(const struct qf_sink *s, const void *buf, uint64_t len,
			uint64_t off, struct qf_why *why);

/* Ends the file where it is, also if that is in a hole. Errors: QF_ERR_IO. */
enum qf_err qf_sink_end(struct qf_sink *s, struct qf_why *why);

/* Makes the file and its name durable. Errors: QF_ERR_IO. */
enum qf_err qf_sink_sync(struct qf_sink *s, struct qf_why *why);

/* Closes; REMOVE: the file is taken away again. */
void qf_sink_close(struct qf_sink *s, bool remove);

/*
 * Appends the line of LEN bytes at BUF to the log NAME, which is made if it is
 * not there, and makes it durable. With LEN 0, only sees that this can be
 * done, and that the file is a log: empty, or lines of JSON. Errors: QF_ERR_IO.
 */
enum qf_err qf_sink_append(const char *name, const void *buf, uint64_t len,
			   struct qf_why *why);

/* Takes away an undo file that recorded nothing. */
void qf_sink_remove(const char *name);

/*
 * The free bytes of the file system on which NAME is or would be;
 * UINT64_MAX if that cannot be told.
 */
uint64_t qf_sink_room(const char *name);

/* True if NAME is or would be on the device with the number DEV. */
bool qf_sink_is_on(const char *name, uint64_t dev);

/* True if NAME is or would be in memory, as all of /dev is. */
bool qf_sink_is_memory(const char *name);

/*
 * Copies the file FROM to the new file TO: by sharing the blocks where the
 * file system can, else byte by byte, keeping holes; the beginning last, so
 * that a copy that was cut short is no image. Errors: QF_ERR_IO.
 */
enum qf_err qf_sink_copy(const char *from, const char *to, struct qf_why *why);

#endif
