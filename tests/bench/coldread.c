/*
 * coldread IMAGE [ROUNDS]: which way of reading an image's tables is the
 * fastest when none of them is in the page cache.
 *
 * The places are those that a check reads, in the order in which it reads
 * them: every unique L2 table, then every refcount block, each in the order
 * of the file. Each way reads them all and nothing else; what is read is not
 * looked at. Before each reading the page cache is dropped, for the whole
 * machine where that is allowed and else for this file. The ways take turns,
 * so that a busy moment hits all of them; printed is each one's median.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <omp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define OFFSET_MASK 0x00fffffffffffe00ull
#define ROOM 256u /* reads in flight, at the most */

static struct {
	int fd;
	size_t cluster;
	uint64_t *place;
	size_t n, room;
} f;

static void die(const char *what)
{
	fprintf(stderr, "coldread: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void *grab(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size);

	if (!p)
		die("memory");
	return p;
}

/* What lies behind the end of the file reads as zeros. */
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

/* Adds where the N pointers at OFF lead. */
static void add_table(uint64_t off, size_t n)
{
	uint64_t *table = grab(n, sizeof(*table)), to;
	size_t i;

	get(table, n * sizeof(*table), off);
	for (i = 0; i < n; i++) {
		to = be64toh(table[i]) & OFFSET_MASK;
		if (!to)
			continue;
		if (f.n == f.room) {
			f.room = f.room ? 2 * f.room : 4096;
			f.place = realloc(f.place, f.room * sizeof(*f.place));
			if (!f.place)
				die("memory");
		}
		f.place[f.n++] = to;
	}
	free(table);
}

static int order(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Sorts the places from number FROM on and leaves each one once. */
static void sort_from(size_t from)
{
	size_t i, to = from;

	qsort(f.place + from, f.n - from, sizeof(*f.place), order);
	for (i = from; i < f.n; i++)
		if (i == from || f.place[i] != f.place[to - 1])
			f.place[to++] = f.place[i];
	f.n = to;
}

static void find_places(const char *path)
{
	unsigned char h[104], e[40];
	uint64_t at;
	unsigned int i;

	f.fd = open(path, O_RDONLY | O_CLOEXEC);
	if (f.fd < 0)
		die(path);
	get(h, sizeof(h), 0);
	if (be(h, 4) != 0x514649fb) {
		fputs("coldread: not a qcow2 image\n", stderr);
		exit(1);
	}
	f.cluster = (size_t)1 << be(h + 20, 4);
	add_table(be(h + 40, 8), be(h + 36, 4));
	at = be(h + 64, 8);
	for (i = 0; i < be(h + 60, 4); i++) {
		get(e, sizeof(e), at);
		add_table(be(e, 8), be(e + 8, 4));
		at += 40 + be(e + 36, 4) + be(e + 12, 2) + be(e + 14, 2);
		at = (at + 7) & ~7ull;
	}
	sort_from(0);
	i = (unsigned int)f.n;
	add_table(be(h + 48, 8), be(h + 56, 4) * f.cluster / 8);
	sort_from(i);
}

static void drop_caches(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "3\n", 2) != 2)
		(void)posix_fadvise(f.fd, 0, 0, POSIX_FADV_DONTNEED);
	if (fd >= 0)
		close(fd);
}

/* --- the ways: each reads all places, about DEPTH at a time --- */

static bool read_plain(unsigned int depth)
{
	void *buf = grab(1, f.cluster);
	size_t i;

	(void)depth;
	for (i = 0; i < f.n; i++)
		get(buf, f.cluster, f.place[i]);
	free(buf);
	return true;
}

static bool read_threads(unsigned int depth)
{
	atomic_size_t next = 0;

#pragma omp parallel num_threads(depth)
	{
		void *buf = grab(1, f.cluster);
		size_t i;

		while ((i = atomic_fetch_add(&next, 1)) < f.n)
			get(buf, f.cluster, f.place[i]);
		free(buf);
	}
	return true;
}

static bool read_hinted(unsigned int depth)
{
	void *buf = grab(1, f.cluster);
	size_t i, hinted = 0;

	for (i = 0; i < f.n; i++) {
		for (; hinted < f.n && hinted < i + depth; hinted++)
			(void)posix_fadvise(f.fd, (off_t)f.place[hinted],
					    (off_t)f.cluster,
					    POSIX_FADV_WILLNEED);
		get(buf, f.cluster, f.place[i]);
	}
	free(buf);
	return true;
}

static bool read_ahead(unsigned int depth)
{
	void *buf = grab(1, f.cluster);
	size_t i, hinted = 0;

	for (i = 0; i < f.n; i++) {
		for (; hinted < f.n && hinted < i + depth; hinted++)
			(void)readahead(f.fd, (off64_t)f.place[hinted],
					f.cluster);
		get(buf, f.cluster, f.place[i]);
	}
	free(buf);
	return true;
}

/* Hints by DEPTH, and a thread a processor that reads behind them. */
static bool read_hinted_threads(unsigned int depth)
{
	atomic_size_t next = 0, hinted = 0;

#pragma omp parallel
	{
		void *buf = grab(1, f.cluster);
		size_t i, h;

		while ((i = atomic_fetch_add(&next, 1)) < f.n) {
			while (atomic_load(&hinted) < i + depth &&
			       (h = atomic_fetch_add(&hinted, 1)) < f.n)
				(void)posix_fadvise(f.fd, (off_t)f.place[h],
						    (off_t)f.cluster,
						    POSIX_FADV_WILLNEED);
			get(buf, f.cluster, f.place[i]);
		}
		free(buf);
	}
	return true;
}

struct ring {
	int fd;
	struct io_uring_params p;
	unsigned char *sq, *cq;
	struct io_uring_sqe *sqe;
	unsigned char *buf; /* a cluster for each read in flight */
};

static _Atomic unsigned int *at(unsigned char *base, uint32_t off)
{
	return (_Atomic unsigned int *)(void *)(base + off);
}

static void *map(const struct ring *r, size_t bytes, off_t what)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_POPULATE, r->fd, what);

	if (p == MAP_FAILED)
		die("io_uring");
	return p;
}

static bool open_ring(struct ring *r, unsigned int depth)
{
	memset(&r->p, 0, sizeof(r->p));
	r->fd = (int)syscall(SYS_io_uring_setup, depth, &r->p);
	if (r->fd < 0)
		return false;
	r->sq = map(r, r->p.sq_off.array + r->p.sq_entries * 4,
		    IORING_OFF_SQ_RING);
	r->cq = map(r,
		    r->p.cq_off.cqes +
			    r->p.cq_entries * sizeof(struct io_uring_cqe),
		    IORING_OFF_CQ_RING);
	r->sqe = map(r, r->p.sq_entries * sizeof(*r->sqe), IORING_OFF_SQES);
	r->buf = grab(depth, f.cluster);
	return true;
}

/* Puts the read of PLACE into SLOT on its way. */
static void submit(struct ring *r, unsigned int slot, uint64_t place)
{
	unsigned int mask = *at(r->sq, r->p.sq_off.ring_mask);
	unsigned int tail = *at(r->sq, r->p.sq_off.tail);
	struct io_uring_sqe *e = &r->sqe[tail & mask];

	memset(e, 0, sizeof(*e));
	e->opcode = IORING_OP_READ;
	e->fd = f.fd;
	e->off = place;
	e->addr = (uint64_t)(uintptr_t)(r->buf + slot * f.cluster);
	e->len = (uint32_t)f.cluster;
	e->user_data = slot;
	*at(r->sq, r->p.sq_off.array + (tail & mask) * 4) = tail & mask;
	atomic_store_explicit(at(r->sq, r->p.sq_off.tail), tail + 1,
			      memory_order_release);
}

/* The slots of all reads that have ended; returns how many. */
static unsigned int reap(struct ring *r, unsigned int *slot)
{
	unsigned int mask = *at(r->cq, r->p.cq_off.ring_mask), n = 0;
	unsigned int head = *at(r->cq, r->p.cq_off.head), tail;
	const struct io_uring_cqe *cqe =
		(const void *)(r->cq + r->p.cq_off.cqes);

	tail = atomic_load_explicit(at(r->cq, r->p.cq_off.tail),
				    memory_order_acquire);
	for (; head != tail && n < ROOM; head++) {
		if (cqe[head & mask].res < 0) {
			errno = -cqe[head & mask].res;
			die("read");
		}
		slot[n++] = (unsigned int)cqe[head & mask].user_data;
	}
	atomic_store_explicit(at(r->cq, r->p.cq_off.head), head,
			      memory_order_release);
	return n;
}

static bool read_uring(unsigned int depth)
{
	unsigned int slot[ROOM], n_free, i, added;
	size_t next = 0, flying = 0;
	struct ring r;

	if (!open_ring(&r, depth))
		return false;
	for (n_free = 0; n_free < depth; n_free++)
		slot[n_free] = n_free;
	while (next < f.n || flying) {
		for (added = i = 0; i < n_free && next < f.n; i++, added++)
			submit(&r, slot[i], f.place[next++]);
		flying += added;
		if (syscall(SYS_io_uring_enter, r.fd, added, 1,
			    IORING_ENTER_GETEVENTS, NULL, 0) < 0)
			die("io_uring");
		n_free = reap(&r, slot);
		flying -= n_free;
	}
	close(r.fd);
	free(r.buf);
	return true;
}

static const struct way {
	const char *name;
	bool (*run)(unsigned int depth);
	unsigned int depth;
} ways[] = {
	{ "pread, one at a time", read_plain, 1 },
	{ "pread, threads", read_threads, 2 },
	{ "pread, threads", read_threads, 16 },
	{ "pread, threads", read_threads, 64 },
	{ "readahead, then pread", read_ahead, 64 },
	{ "posix_fadvise, then pread", read_hinted, 16 },
	{ "posix_fadvise, then pread", read_hinted, 64 },
	{ "posix_fadvise, then pread", read_hinted, 256 },
	{ "the same, a thread a processor", read_hinted_threads, 64 },
	{ "io_uring", read_uring, 16 },
	{ "io_uring", read_uring, 64 },
	{ "io_uring", read_uring, 256 },
};

#define N_WAYS (sizeof(ways) / sizeof(ways[0]))
#define MAX_ROUNDS 32u

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	static double took[N_WAYS][MAX_ROUNDS];
	unsigned int rounds = argc > 2 ? (unsigned int)atoi(argv[2]) : 3, i;
	double start, all;
	size_t w;

	if (argc < 2 || !rounds || rounds > MAX_ROUNDS) {
		fputs("usage: coldread IMAGE [ROUNDS]\n", stderr);
		return 1;
	}
	find_places(argv[1]);
	all = (double)(f.n * f.cluster) / (1 << 20);
	printf("%zu places, %.0f MiB\n", f.n, all);
	for (i = 0; i < rounds; i++) {
		for (w = 0; w < N_WAYS; w++) {
			drop_caches();
			start = now();
			took[w][i] = ways[w].run(ways[w].depth) ? now() - start
								: -1;
		}
	}
	for (w = 0; w < N_WAYS; w++) {
		qsort(took[w], rounds, sizeof(double), by_size);
		if (took[w][0] < 0)
			printf("%-31s %4u  not to be had here\n", ways[w].name,
			       ways[w].depth);
		else
			printf("%-31s %4u  %7.3f s  %6.0f MiB/s\n",
			       ways[w].name, ways[w].depth, took[w][rounds / 2],
			       all / took[w][rounds / 2]);
	}
	return 0;
}
