// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Any bytes as an undo file, beside a small image: with checksums that are
 * right, or nothing behind them would ever be looked at.
 */
#include "lib/undofile/undofind.h"
#include "repair/write/verify.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_BYTES (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static unsigned char file[MAX_BYTES], image[4096];

static void set_crc(size_t at, size_t field, size_t bytes, size_t n)
{
	struct qf_be32 zero = qf_be_put32(0), crc;

	if (at > n || bytes > n - at)
		return;
	memcpy(file + at + field, &zero, sizeof(zero));
	crc = qf_be_put32(qf_undofile_crc(0, file + at, bytes));
	memcpy(file + at + field, &crc, sizeof(crc));
}

static void set_records(size_t n)
{
	size_t at = QF_UNDO_HEADER_BYTES, body;
	struct qf_wire_undo_record r;
	int i;

	for (i = 0; i < 64 && at + sizeof(r) <= n; i++) {
		r.magic = qf_be_put32(QF_UNDO_RECORD);
		memcpy(file + at, &r.magic, sizeof(r.magic));
		memcpy(&r, file + at, sizeof(r));
		body = sizeof(r) + (size_t)qf_be_get32(r.before_len);
		if (qf_be_get32(r.phase) != QF_UNDO_PHASE_TRIM)
			body += qf_be_get32(r.len);
		set_crc(at, 24, body, n);
		at += (body + 7) / 8 * 8;
	}
}

/* Whole as far as checksums go, if the first byte says so. */
static void make_file(const uint8_t *data, size_t n)
{
	struct qf_be32 magic =
		qf_be_put32(data[0] & 2 ? QF_UNDO_COMMIT : QF_UNDO_STATE);
	struct qf_wire_undo *h = (struct qf_wire_undo *)file;
	uint64_t mark;
	struct qf_be32 crc;

	memcpy(file, data, n);
	if (n < sizeof(*h) + QF_UNDO_MARK_BYTES)
		return;
	memcpy(h->magic, QF_UNDO_MAGIC, sizeof(h->magic));
	h->version = qf_be_put32(QF_UNDO_VERSION);
	if (data[0] & 4)
		h->record_bytes = qf_be_put64(n - QF_UNDO_HEADER_BYTES -
					      QF_UNDO_MARK_BYTES);
	set_records(n);
	mark = QF_UNDO_HEADER_BYTES + qf_be_get64(h->record_bytes);
	if (data[0] & 1 && mark >= QF_UNDO_HEADER_BYTES &&
	    mark <= n - QF_UNDO_MARK_BYTES) {
		memcpy(file + mark, &magic, sizeof(magic));
		crc = qf_be_put32(qf_undofile_crc(0, file + mark, 24));
		memcpy(file + mark + 24, &crc, sizeof(crc));
	}
	set_crc(0, 12, sizeof(*h), n);
}

static void look(struct qf_undofile *u, struct qf_io *io)
{
	struct qf_undo_record r;
	uint64_t i, sum = 0;
	unsigned int want;

	(void)qf_undofind_see(u, io, NULL);
	assert(u->n_whole <= u->n);
	for (i = 0; i < u->n_whole; i++) {
		if (qf_undofile_read(u, i, &r, NULL))
			continue;
		sum += r.before_len ? r.before[r.before_len - 1] : 0;
		sum += r.after ? r.after[r.len - 1] : 0;
	}
	if (u->health == QF_UNDO_WHOLE)
		for (want = QF_WANT_BEFORE; want <= QF_WANT_AFTER; want++)
			(void)qf_verify_image(io, u, (enum qf_want)want, NULL);
	assert(sum <= UINT64_MAX / 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const unsigned char head[] = { 'Q', 'F', 'I', 0xfb, 0, 0, 0, 3 };
	struct qf_undofile *u;
	struct qf_io *io;
	char name[64];
	int fd;

	if (!n || n > MAX_BYTES)
		return 0;
	make_file(data, n);
	memcpy(image, head, sizeof(head));
	image[79] = 2;
	fd = memfd_create("undo", MFD_CLOEXEC);
	if (fd < 0 || write(fd, file, n) != (ssize_t)n ||
	    qf_io_mem_open(image, sizeof(image), "image", &io, NULL))
		abort();
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	if (!qf_undofile_open(name, &u, NULL)) {
		look(u, io);
		qf_undofile_close(u);
	}
	(void)qf_undofind_is_leftover(name, io);
	qf_io_close(io);
	close(fd);
	return 0;
}
