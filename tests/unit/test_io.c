// SPDX-License-Identifier: GPL-2.0-or-later
/* io, io_mem and io_file: the same rules, whatever the bytes come from. */
#include "lib/io/io.h"
#include "lib/base/mem.h"
#include "tests/unit/mini.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOLE_AT (1u << 20)
#define FILE_BYTES (HOLE_AT * 2 + 100)

static char path[4096], folder[4096], fifo[4096];

static int make_files(void **state)
{
	const char *tmp = getenv("TMPDIR");
	unsigned char buf[1000];
	int fd;

	(void)state;
	snprintf(folder, sizeof(folder), "%s/qfsck-io-%d", tmp ? tmp : "/tmp",
		 (int)getpid());
	snprintf(path, sizeof(path), "%.4000s/file", folder);
	snprintf(fifo, sizeof(fifo), "%.4000s/fifo", folder);
	memset(buf, 0xab, sizeof(buf));
	if (mkdir(folder, 0700) || mkfifo(fifo, 0600))
		return -1;
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	if (fd < 0 || pwrite(fd, buf, sizeof(buf), 0) != sizeof(buf) ||
	    pwrite(fd, "end", 3, FILE_BYTES - 3) != 3)
		return -1;
	return close(fd);
}

static int remove_files(void **state)
{
	(void)state;
	unlink(path);
	unlink(fifo);
	return rmdir(folder);
}

static void a_file_is_read(void **state)
{
	struct qf_io *io = NULL;
	struct stat st;
	char buf[8];

	(void)state;
	assert_int_equal(qf_io_file_open(path, &io, NULL), QF_OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(io->size, FILE_BYTES);
	assert_int_equal(io->id[0], st.st_dev);
	assert_int_equal(io->id[1], st.st_ino);
	assert_int_equal(io->mtime_ns,
			 st.st_mtim.tv_sec * 1000000000ll + st.st_mtim.tv_nsec);
	assert_int_equal(io->disk_bytes, st.st_blocks * 512);
	assert_false(io->block_dev);
	assert_string_equal(io->name, path);
	assert_int_equal(qf_io_read(io, buf, 3, FILE_BYTES - 3, NULL), QF_OK);
	assert_memory_equal(buf, "end", 3);
	qf_io_hint(io, 0, FILE_BYTES);
	assert_int_equal(qf_io_read_pad(io, buf, 8, FILE_BYTES - 3, NULL),
			 QF_OK);
	assert_memory_equal(buf, "end\0\0\0\0\0", 8);
	qf_io_close(io);
}

static void holes_are_told(void **state)
{
	struct qf_io *io = NULL;
	uint64_t end = 0;

	(void)state;
	assert_int_equal(qf_io_file_open(path, &io, NULL), QF_OK);
	assert_int_equal(qf_io_extent(io, 0, FILE_BYTES, &end), QF_IO_DATA);
	assert_true(end >= 1000 && end <= FILE_BYTES);
	if (end == FILE_BYTES) { /* this file system has no holes */
		qf_io_close(io);
		skip();
	}
	assert_int_equal(qf_io_extent(io, HOLE_AT, FILE_BYTES, &end),
			 QF_IO_HOLE);
	assert_true(end > HOLE_AT && end <= FILE_BYTES - 3);
	assert_int_equal(qf_io_extent(io, HOLE_AT, HOLE_AT + 5, &end),
			 QF_IO_HOLE);
	assert_int_equal(end, HOLE_AT + 5);
	assert_int_equal(qf_io_extent(io, FILE_BYTES, FILE_BYTES + 9, &end),
			 QF_IO_DATA);
	assert_int_equal(end, FILE_BYTES + 9);
	qf_io_close(io);
}

static void what_is_no_image_is_refused(void **state)
{
	static const struct {
		const char *name, *text;
		int sys;
	} rows[] = {
		{ folder, "is a directory, not a disk image", 0 },
		{ fifo, "is a special file, not a disk image", 0 },
		{ "/dev/null", "is a special file, not a disk image", 0 },
		{ "/no/such/file", "cannot open: No such file or directory",
		  ENOENT },
	};
	struct qf_io *io = NULL;
	struct qf_why why;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		memset(&why, 0, sizeof(why));
		assert_int_equal(qf_io_file_open(rows[i].name, &io, &why),
				 QF_ERR_IO);
		assert_string_equal(why.text, rows[i].text);
		assert_int_equal(why.sys, rows[i].sys);
		assert_null(io);
	}
}

static void memory_is_read(void **state)
{
	static const char bytes[] = "0123456789";
	struct qf_io *io = NULL;
	struct qf_why why;
	char buf[16];
	uint64_t end;

	(void)state;
	assert_int_equal(qf_io_mem_open(bytes, 10, "ten", &io, NULL), QF_OK);
	assert_string_equal(io->name, "ten");
	assert_int_equal(io->fd, -1);
	assert_int_equal(qf_io_read(io, buf, 10, 0, NULL), QF_OK);
	assert_memory_equal(buf, bytes, 10);
	assert_int_equal(qf_io_read(io, buf, 4, 7, &why), QF_ERR_OUTSIDE);
	assert_int_equal(why.off, 7);
	assert_int_equal(qf_io_read(io, buf, 1, UINT64_MAX, &why),
			 QF_ERR_OUTSIDE);
	memset(buf, 'x', sizeof(buf));
	assert_int_equal(qf_io_read_pad(io, buf, 5, 8, NULL), QF_OK);
	assert_memory_equal(buf, "89\0\0\0x", 6);
	memset(buf, 'x', sizeof(buf));
	assert_int_equal(qf_io_read_cached(io, buf, 5, 1000), QF_OK);
	assert_memory_equal(buf, "\0\0\0\0\0x", 6);
	assert_int_equal(qf_io_extent(io, 3, 9, &end), QF_IO_DATA);
	assert_int_equal(end, 9);
	qf_io_hint(io, 0, 10);
	qf_io_close(io);
	qf_io_close(NULL);
}

static void an_error_says_where(void **state)
{
	struct mini_opts o = { .version = 3,
			       .cluster_bits = 9,
			       .refcount_order = 4,
			       .disk_bytes = 512 };
	struct mini_faulty f = { .fail_off = 512, .fail_bytes = 1 };
	struct qf_why why = { 0 };
	struct qf_io *io;
	struct mini m;
	char buf[512];

	(void)state;
	mini_make(&m, &o);
	io = mini_faulty_io(&f, &m);
	assert_int_equal(qf_io_read(io, buf, 512, 0, &why), QF_OK);
	assert_int_equal(qf_io_read(io, buf, 512, 1, &why), QF_ERR_IO);
	assert_int_equal(why.sys, EIO);
	assert_int_equal(why.off, 1);
	assert_int_equal(qf_io_read_pad(io, buf, 1, 512, &why), QF_ERR_IO);
	assert_int_equal(qf_io_read_cached(io, buf, 1, 512), QF_ERR_IO);
	f.no_cache = true;
	assert_int_equal(qf_io_read_cached(io, buf, 1, 0), QF_ERR_BUSY);
	qf_io_close(io);
	mini_free(&m);
}

static void no_memory_is_an_error(void **state)
{
	struct qf_io *io = NULL;

	(void)state;
	qf_mem_fail_at(1);
	assert_int_equal(qf_io_file_open(path, &io, NULL), QF_ERR_NOMEM);
	qf_mem_fail_at(1);
	assert_int_equal(qf_io_mem_open("", 0, "", &io, NULL), QF_ERR_NOMEM);
	qf_mem_fail_at(0);
	assert_null(io);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_read),
		cmocka_unit_test(holes_are_told),
		cmocka_unit_test(what_is_no_image_is_refused),
		cmocka_unit_test(memory_is_read),
		cmocka_unit_test(an_error_says_where),
		cmocka_unit_test(no_memory_is_an_error),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}
