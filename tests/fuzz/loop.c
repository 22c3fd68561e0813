// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What runs a fuzz target where there is no libFuzzer: it changes bytes of
 * the seeds, in a fixed order, for -max_total_time= seconds. The input that
 * is tried is kept in the file -artifact_prefix=...input, so that a crash
 * leaves it behind. Other options are passed over.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_SEEDS 256
#define MAX_BYTES (4u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct seed {
	uint8_t *data;
	size_t size;
} seed[MAX_SEEDS];

static size_t n_seeds;
static uint64_t state = 1;

static uint64_t roll(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static void add_file(const char *name)
{
	FILE *f = n_seeds < MAX_SEEDS ? fopen(name, "rb") : NULL;
	struct seed *s = &seed[n_seeds];

	if (!f)
		return;
	s->data = malloc(MAX_BYTES);
	s->size = s->data ? fread(s->data, 1, MAX_BYTES, f) : 0;
	fclose(f);
	if (s->size > 8)
		n_seeds++;
}

static void add_folder(const char *name)
{
	DIR *dir = opendir(name);
	struct dirent *de;
	char path[4096];

	while (dir && (de = readdir(dir))) {
		if (de->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", name, de->d_name);
		add_file(path);
	}
	if (dir)
		closedir(dir);
}

/* One change to N bytes at P; the first ones are the header. */
static void change(uint8_t *p, size_t n)
{
	size_t at = roll() % (roll() % 3 && n > 256 ? 256 : n - 7);
	uint64_t v = roll() % n & ~511ull;
	size_t i;

	switch (roll() % 3) {
	case 0:
		p[at] = (uint8_t)roll();
		break;
	case 1:
		p[at] ^= (uint8_t)(1u << roll() % 8);
		break;
	default: /* a pointer to some place in the file */
		for (i = 0; i < 8; i++)
			p[(at & ~(size_t)7) + i] = (uint8_t)(v >> (56 - 8 * i));
	}
}

static void keep(const char *prefix, const uint8_t *p, size_t n)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%sinput", prefix);
	f = fopen(path, "wb");
	if (!f)
		return;
	fwrite(p, 1, n, f);
	fclose(f);
}

static void one_try(const char *prefix)
{
	const struct seed *s = &seed[roll() % n_seeds];
	size_t n = roll() % 8 ? s->size : 8 + roll() % (s->size - 8);
	uint64_t changes = roll() % 8;
	uint8_t *p = malloc(n);

	if (!p)
		return;
	memcpy(p, s->data, n);
	while (changes--)
		change(p, n);
	keep(prefix, p, n);
	LLVMFuzzerTestOneInput(p, n);
	free(p);
}

int main(int argc, char **argv)
{
	const char *prefix = "";
	time_t end = 60;
	uint64_t runs = 0;
	int i;

	for (i = 1; i < argc; i++) {
		if (!strncmp(argv[i], "-max_total_time=", 16))
			end = atoi(argv[i] + 16);
		else if (!strncmp(argv[i], "-artifact_prefix=", 17))
			prefix = argv[i] + 17;
		else if (argv[i][0] != '-')
			add_folder(argv[i]);
	}
	if (!n_seeds) {
		fprintf(stderr, "%s: no seeds\n", argv[0]);
		return 1;
	}
	for (end += time(NULL); time(NULL) < end; runs++)
		one_try(prefix);
	printf("%s: %llu runs\n", argv[0], (unsigned long long)runs);
	while (n_seeds)
		free(seed[--n_seeds].data);
	return 0;
}
