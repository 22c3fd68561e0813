// SPDX-License-Identifier: LGPL-2.1-or-later
/* A control group's quota, and those above it, bound the processors. */
#include "lib/base/cpus.h"
#include "tests/unit/unit.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char root[] = "/tmp/qfsck-cpus.XXXXXX";

/* Makes the file NAME below ROOT, with the folders that it needs. */
static void put(const char *name, const char *text)
{
	char path[256], *slash;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	for (slash = strchr(path + 1, '/'); slash;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(path, 0700);
		*slash = '/';
	}
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static int make_root(void **state)
{
	(void)state;
	strcpy(root, "/tmp/qfsck-cpus.XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int drop_root(void **state)
{
	char command[256];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", root);
	return system(command);
}

static void nothing_is_known(void **state)
{
	(void)state;
	assert_int_equal(qf_cpus_quota(root), 0);
	put("proc/self/cgroup", "0::/user.slice\n");
	assert_int_equal(qf_cpus_quota(root), 0);
	put("sys/fs/cgroup/user.slice/cpu.max", "max 100000\n");
	assert_int_equal(qf_cpus_quota(root), 0);
}

static void version_2(void **state)
{
	(void)state;
	put("proc/self/cgroup", "0::/a.slice/b.service\n");
	put("sys/fs/cgroup/a.slice/b.service/cpu.max", "300000 100000\n");
	assert_int_equal(qf_cpus_quota(root), 3);
	/* a part of a processor is one */
	put("sys/fs/cgroup/a.slice/b.service/cpu.max", "150000 100000\n");
	assert_int_equal(qf_cpus_quota(root), 2);
	put("sys/fs/cgroup/a.slice/b.service/cpu.max", "1000 100000\n");
	assert_int_equal(qf_cpus_quota(root), 1);
	/* the least of all above it counts */
	put("sys/fs/cgroup/a.slice/b.service/cpu.max", "max 100000\n");
	put("sys/fs/cgroup/a.slice/cpu.max", "200000 50000\n");
	assert_int_equal(qf_cpus_quota(root), 4);
	put("sys/fs/cgroup/cpu.max", "200000 100000\n");
	assert_int_equal(qf_cpus_quota(root), 2);
}

/* In a container the group is "/". */
static void in_a_container(void **state)
{
	(void)state;
	put("proc/self/cgroup", "0::/\n");
	put("sys/fs/cgroup/cpu.max", "100000 100000\n");
	assert_int_equal(qf_cpus_quota(root), 1);
}

static void version_1(void **state)
{
	(void)state;
	put("proc/self/cgroup",
	    "5:memory:/m\n4:cpuset:/other\n"
	    "3:cpu,cpuacct:/group/inner\n1:name=systemd:/\n");
	put("sys/fs/cgroup/cpu/group/inner/cpu.cfs_quota_us", "-1\n");
	put("sys/fs/cgroup/cpu/group/inner/cpu.cfs_period_us", "100000\n");
	assert_int_equal(qf_cpus_quota(root), 0);
	put("sys/fs/cgroup/cpu/group/cpu.cfs_quota_us", "500000\n");
	put("sys/fs/cgroup/cpu/group/cpu.cfs_period_us", "100000\n");
	assert_int_equal(qf_cpus_quota(root), 5);
}

static void what_makes_no_sense(void **state)
{
	(void)state;
	put("proc/self/cgroup", "\n::\nx\n0\n0:\n0::\n3:cpu\n3:cpu:\n");
	put("sys/fs/cgroup/cpu.max", "-5 0\n");
	assert_int_equal(qf_cpus_quota(root), 0);
	put("sys/fs/cgroup/cpu.max", "many\n");
	assert_int_equal(qf_cpus_quota(root), 0);
}

static void no_more_than_the_mask(void **state)
{
	cpu_set_t set;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	assert_in_range(qf_cpus_count(), 1, (unsigned int)CPU_COUNT(&set));
	assert_int_equal(qf_cpus_count(), qf_cpus_count());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_is_known, make_root,
						drop_root),
		cmocka_unit_test_setup_teardown(version_2, make_root,
						drop_root),
		cmocka_unit_test_setup_teardown(in_a_container, make_root,
						drop_root),
		cmocka_unit_test_setup_teardown(version_1, make_root,
						drop_root),
		cmocka_unit_test_setup_teardown(what_makes_no_sense, make_root,
						drop_root),
		cmocka_unit_test(no_more_than_the_mask),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
