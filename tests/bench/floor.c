/*
 * floor IMAGE: what a check of a qcow2 image costs at the least.
 *
 * The plainest loop that does the work, on one thread: gather the L2 tables
 * of every L1, read each unique one once in the order of the file, swap its
 * bytes and count its clusters as often as it is named; then read the
 * refcount blocks and compare. It judges nothing else, trusts what it reads
 * (the bench makes its images itself), and shares no code with libqfsck.
 *
 * 16-bit refcounts, no compressed clusters: the shapes of the bench.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OFFSET_MASK 0x00fffffffffffe00ull
#define COMPRESSED (1ull << 62)
#define EXTENDED_L2 16u

static struct {
	int fd;
	unsigned int bits; /* of a cluster's size */
	unsigned int step; /* words an L2 entry has */
	size_t cluster;
	uint64_t clusters;
	uint16_t *counts;

	uint64_t *tables; /* L2 tables, as the L1s name them */
	size_t n, room;
} f;

static void die(const char *what)
{
	fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void *grab(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size);

	if (!p)
		die("memory");
	return p;
}

/* The tail of the file may be a partial cluster; it reads as zeros. */
static void get(void *buf, size_t len, uint64_t off)
{
	ssize_t n = pread(f.fd, buf, len, (off_t)off);

	if (n < 0)
		die("read");
	memset((char *)buf + n, 0, len - (size_t)n);
}

static uint64_t be(const unsigned char *p, unsigned int bytes)
{
	uint64_t v = 0;

	while (bytes--)
		v = v << 8 | *p++;
	return v;
}

static void count(uint64_t off, uint64_t bytes)
{
	uint64_t c = off >> f.bits;
	uint64_t last = (off + bytes - 1) >> f.bits;

	for (; bytes && c <= last && c < f.clusters; c++)
		f.counts[c]++;
}

static void add_table(uint64_t off)
{
	if (f.n == f.room) {
		f.room = f.room ? 2 * f.room : 4096;
		f.tables = realloc(f.tables, f.room * sizeof(*f.tables));
		if (!f.tables)
			die("memory");
	}
	f.tables[f.n++] = off;
}

static void gather(uint64_t off, size_t entries)
{
	uint64_t *l1 = grab(entries, sizeof(*l1));

	get(l1, entries * sizeof(*l1), off);
	count(off, entries * sizeof(*l1));
	for (size_t i = 0; i < entries; i++)
		if (be64toh(l1[i]) & OFFSET_MASK)
			add_table(be64toh(l1[i]) & OFFSET_MASK);
	free(l1);
}

static void gather_snapshots(uint64_t off, unsigned int n)
{
	uint64_t at = off;

	while (n--) {
		unsigned char e[40];

		get(e, sizeof(e), at);
		gather(be(e, 8), be(e + 8, 4));
		at += 40 + be(e + 36, 4) + be(e + 12, 2) + be(e + 14, 2);
		at = (at + 7) & ~7ull;
	}
	count(off, at - off);
}

static int order(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void count_table(const uint64_t *l2, uint16_t weight)
{
	for (size_t i = 0; i < f.cluster / 8; i += f.step) {
		uint64_t e = be64toh(l2[i]);
		uint64_t c = (e & OFFSET_MASK) >> f.bits;

		if (e & COMPRESSED) {
			fputs("floor: a compressed cluster\n", stderr);
			exit(1);
		}
		if (c && c < f.clusters)
			f.counts[c] = (uint16_t)(f.counts[c] + weight);
	}
}

static void walk(void)
{
	uint64_t *l2 = grab(1, f.cluster);

	qsort(f.tables, f.n, sizeof(*f.tables), order);
	for (size_t i = 0, next; i < f.n; i = next) {
		uint64_t c = f.tables[i] >> f.bits;

		for (next = i; next < f.n && f.tables[next] == f.tables[i];)
			next++;
		if (c < f.clusters)
			f.counts[c] = (uint16_t)(f.counts[c] + next - i);
		get(l2, f.cluster, f.tables[i]);
		count_table(l2, (uint16_t)(next - i));
	}
	free(l2);
}

/* A block that nobody names says that its clusters are free. */
static uint64_t compare_block(uint64_t off, uint64_t first, uint16_t *block)
{
	uint64_t wrong = 0;
	size_t n = f.cluster / 2;

	if (off)
		get(block, f.cluster, off);
	else
		memset(block, 0, f.cluster);
	if (first + n > f.clusters)
		n = (size_t)(f.clusters - first);
	for (size_t i = 0; i < n; i++)
		wrong += be16toh(block[i]) != f.counts[first + i];
	return wrong;
}

static uint64_t compare(uint64_t off, size_t table_clusters)
{
	size_t n = table_clusters * f.cluster / 8;
	uint64_t *table = grab(n, sizeof(*table));
	uint16_t *block = grab(1, f.cluster);
	uint64_t wrong = 0, per = f.cluster / 2;

	get(table, n * sizeof(*table), off);
	count(off, n * sizeof(*table));
	for (size_t i = 0; i < n; i++)
		if (table[i])
			count(be64toh(table[i]), f.cluster);
	for (size_t i = 0; i < n && i * per < f.clusters; i++)
		wrong += compare_block(be64toh(table[i]), i * per, block);
	free(block);
	free(table);
	return wrong;
}

static void begin(const char *path, unsigned char *h)
{
	struct stat st;

	f.fd = open(path, O_RDONLY | O_CLOEXEC);
	if (f.fd < 0 || fstat(f.fd, &st))
		die(path);
	get(h, 104, 0);
	if (be(h, 4) != 0x514649fb || be(h + 4, 4) < 3 || be(h + 96, 4) != 4) {
		fputs("floor: not such an image as the bench makes\n", stderr);
		exit(1);
	}
	f.bits = (unsigned int)be(h + 20, 4);
	f.cluster = (size_t)1 << f.bits;
	f.step = be(h + 72, 8) & EXTENDED_L2 ? 2 : 1;
	f.clusters = ((uint64_t)st.st_size + f.cluster - 1) >> f.bits;
	f.counts = grab(f.clusters, sizeof(*f.counts));
}

int main(int argc, char **argv)
{
	unsigned char h[104];
	uint64_t wrong;

	if (argc != 2) {
		fputs("usage: floor IMAGE\n", stderr);
		return 1;
	}
	begin(argv[1], h);
	count(0, f.cluster);
	gather(be(h + 40, 8), be(h + 36, 4));
	gather_snapshots(be(h + 64, 8), (unsigned int)be(h + 60, 4));
	walk();
	wrong = compare(be(h + 48, 8), be(h + 56, 4));
	printf("%llu of %llu clusters differ, %zu tables\n",
	       (unsigned long long)wrong, (unsigned long long)f.clusters, f.n);
	return wrong ? 2 : 0;
}
