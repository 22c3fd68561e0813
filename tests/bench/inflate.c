/*
 * inflate IMAGE: what reading the compressed clusters costs at the least.
 *
 * The bare loop: gather the compressed entries of the active disk, then read
 * and inflate each of them on every processor, with libdeflate or libzstd and
 * no look at what comes out. Trusts what it reads (the bench makes its images
 * itself), and shares no code with libqfsck.
 */
#include <endian.h>
#include <fcntl.h>
#include <libdeflate.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#define OFFSET_MASK 0x00fffffffffffe00ull
#define COMPRESSED (1ull << 62)

static struct {
	int fd;
	unsigned int bits; /* of a cluster's size */
	size_t cluster;
	int zstd;
	uint64_t *entry;
	size_t n, room;
} f;

static void die(const char *what)
{
	fprintf(stderr, "inflate: %s\n", what);
	exit(1);
}

static void *grab(size_t n)
{
	void *p = calloc(1, n);

	if (!p)
		die("no memory");
	return p;
}

/* What the file has of it: the last cluster may be short. */
static size_t get(void *buf, size_t len, uint64_t off)
{
	ssize_t n = pread(f.fd, buf, len, (off_t)off);

	if (n < 0)
		die("cannot read");
	return (size_t)n;
}

static void gather_table(uint64_t off, uint64_t *table)
{
	size_t i, n = f.cluster / 8;

	get(table, f.cluster, off);
	for (i = 0; i < n; i++) {
		uint64_t entry = be64toh(table[i]);

		if (!(entry & COMPRESSED))
			continue;
		if (f.n == f.room) {
			f.room = f.room ? 2 * f.room : 4096;
			f.entry = realloc(f.entry, f.room * sizeof(*f.entry));
			if (!f.entry)
				die("no memory");
		}
		f.entry[f.n++] = entry;
	}
}

static void gather(void)
{
	unsigned char h[112] = { 0 };
	uint64_t l1_off, *l1, *table;
	uint32_t l1_size, i;

	get(h, sizeof(h), 0);
	f.bits = h[23];
	f.cluster = (size_t)1 << f.bits;
	f.zstd = h[104];
	memcpy(&l1_size, h + 36, 4);
	memcpy(&l1_off, h + 40, 8);
	l1_size = be32toh(l1_size);
	l1 = grab((size_t)l1_size * 8 + 8);
	table = grab(f.cluster);
	get(l1, (size_t)l1_size * 8, be64toh(l1_off));
	for (i = 0; i < l1_size; i++)
		if (be64toh(l1[i]) & OFFSET_MASK)
			gather_table(be64toh(l1[i]) & OFFSET_MASK, table);
	free(l1);
	free(table);
}

int main(int argc, char **argv)
{
	size_t i, bad = 0;

	if (argc != 2)
		die("usage: inflate IMAGE");
	f.fd = open(argv[1], O_RDONLY);
	if (f.fd < 0)
		die("cannot open the image");
	gather();
#pragma omp parallel reduction(+ : bad)
	{
		struct libdeflate_decompressor *d =
			libdeflate_alloc_decompressor();
		ZSTD_DCtx *z = ZSTD_createDCtx();
		unsigned char *in = grab(2 * f.cluster), *out = grab(f.cluster);

#pragma omp for schedule(dynamic, 4)
		for (i = 0; i < f.n; i++) {
			unsigned int x = 62 - (f.bits - 8);
			uint64_t off = f.entry[i] & ((1ull << x) - 1);
			size_t len = (size_t)((f.entry[i] & (COMPRESSED - 1)) >>
					      x),
			       got, used;

			len = (len + 1) * 512 - (off & 511);
			len = get(in, len, off);
			if (!f.zstd) {
				bad += libdeflate_deflate_decompress_ex(
					       d, in, len, out, f.cluster,
					       &used, &got) != 0;
				continue;
			}
			used = ZSTD_findFrameCompressedSize(in, len);
			bad += ZSTD_isError(used) ||
			       ZSTD_decompressDCtx(z, out, f.cluster, in,
						   used) != f.cluster;
		}
		libdeflate_free_decompressor(d);
		ZSTD_freeDCtx(z);
		free(in);
		free(out);
	}
	free(f.entry);
	if (bad)
		die("a cluster does not inflate");
	return 0;
}
