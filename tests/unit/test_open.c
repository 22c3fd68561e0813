// SPDX-License-Identifier: GPL-2.0-or-later
/* From a name to an image, or to words that say what to do next. */
#include "lib/model/open.h"
#include "tests/unit/mini.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <unistd.h>

static char path[4096];

static int name_file(void **state)
{
	const char *tmp = getenv("TMPDIR");
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "%.4000s/qfsck-open-XXXXXX",
		 tmp ? tmp : "/tmp");
	fd = mkstemp(path);
	return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

static void put_file(const void *buf, size_t n)
{
	int fd = open(path, O_WRONLY | O_TRUNC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, buf, n), n);
	close(fd);
}

static void make(struct mini *m)
{
	struct mini_opts o = { .version = 3,
			       .cluster_bits = 9,
			       .refcount_order = 4,
			       .disk_bytes = 1 << 20 };

	mini_make(m, &o);
	mini_data(m, 1);
}

static enum qf_err try_open(struct qf_why *why)
{
	struct qf_image *img = NULL;
	enum qf_err err;

	memset(why, 0, sizeof(*why));
	err = qf_open_image(path, NULL, QF_LOCK_READ, false, &img, why);
	if (!err)
		qf_image_close(img);
	return err;
}

static void an_image_is_opened_and_locked(void **state)
{
	struct qf_image *img = NULL, *other = NULL;
	struct qf_why why = { 0 };
	struct mini m;
	int fd;

	(void)state;
	make(&m);
	put_file(m.buf, m.bytes);
	assert_int_equal(qf_open_image(path, NULL, QF_LOCK_WRITE, false, &img,
				       &why),
			 QF_OK);
	assert_int_equal(img->hdr.cluster_bits, 9);
	assert_string_equal(img->io->name, path);
	fd = open(path, O_RDONLY);
	assert_int_equal(qf_lock_take(fd, QF_LOCK_READ, NULL), QF_ERR_BUSY);
	/* with -U beside anyone, without a lock of its own */
	assert_int_equal(qf_open_image(path, NULL, QF_LOCK_READ, true, &other,
				       &why),
			 QF_OK);
	qf_image_close(img);
	assert_int_equal(qf_lock_take(fd, QF_LOCK_WRITE, NULL), QF_OK);
	qf_image_close(other);
	close(fd);
	mini_free(&m);
}

static void busy_says_how_to_go_on(void **state)
{
	struct qf_image *img = NULL;
	struct qf_why why;
	struct mini m;
	int fd;

	(void)state;
	make(&m);
	put_file(m.buf, m.bytes);
	fd = open(path, O_RDONLY);
	assert_int_equal(qf_lock_take(fd, QF_LOCK_WRITE, NULL), QF_OK);
	assert_int_equal(try_open(&why), QF_ERR_BUSY);
	assert_non_null(strstr(why.text, "in use"));
	assert_non_null(strstr(why.next, "-U"));
	memset(&why, 0, sizeof(why));
	assert_int_equal(qf_open_image(path, NULL, QF_LOCK_WRITE, false, &img,
				       &why),
			 QF_ERR_BUSY);
	assert_null(strstr(why.next, "-U"));
	assert_null(img);
	close(fd);
	mini_free(&m);
}

static void what_it_is_instead(void **state)
{
	static unsigned char buf[4096];
	struct qf_why why;

	(void)state;
	memcpy(buf, "KDMV\1\0\0\0", 8);
	put_file(buf, sizeof(buf));
	assert_int_equal(try_open(&why), QF_ERR_FOREIGN);
	assert_string_equal(why.text, "is no qcow2 image: VMDK");
	assert_non_null(strstr(why.next, "qemu-img check -f vmdk "));
	put_file("hello, this is a letter\n", 24);
	assert_int_equal(try_open(&why), QF_ERR_FOREIGN);
	assert_non_null(strstr(why.text, "ASCII text"));
	assert_non_null(strstr(why.next, "header is destroyed"));
}

static void an_empty_file_is_no_other_format(void **state)
{
	struct qf_why why;

	(void)state;
	put_file("", 0);
	assert_int_equal(try_open(&why), QF_ERR_IO);
	assert_string_equal(why.text, "is empty (0 bytes)");
	assert_non_null(strstr(why.next, "backup"));
}

static void a_damaged_header_has_advice(void **state)
{
	struct qf_why why;
	struct mini m;

	(void)state;
	make(&m);
	put_file(m.buf, 60);
	assert_int_equal(try_open(&why), QF_ERR_FORMAT);
	assert_non_null(strstr(why.text, "60 bytes"));
	assert_non_null(strstr(why.next, "keep a copy"));
	mini_put32(&m, 20, 63);
	put_file(m.buf, m.bytes);
	assert_int_equal(try_open(&why), QF_ERR_FORMAT);
	assert_non_null(strstr(why.text, "cluster_bits 63"));
	mini_free(&m);
}

static void nobody_has_to_ask_why(void **state)
{
	struct qf_image *img = NULL;

	(void)state;
	assert_int_equal(qf_open_image("/no/such", NULL, QF_LOCK_READ, false,
				       &img, NULL),
			 QF_ERR_IO);
	put_file("x", 1);
	assert_int_equal(qf_open_image(path, NULL, QF_LOCK_READ, false, &img,
				       NULL),
			 QF_ERR_FOREIGN);
	assert_null(img);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_image_is_opened_and_locked),
		cmocka_unit_test(busy_says_how_to_go_on),
		cmocka_unit_test(what_it_is_instead),
		cmocka_unit_test(an_empty_file_is_no_other_format),
		cmocka_unit_test(a_damaged_header_has_advice),
		cmocka_unit_test(nobody_has_to_ask_why),
	};

	return cmocka_run_group_tests(tests, name_file, remove_file);
}
