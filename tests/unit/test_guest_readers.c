// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * lib/guest: what every reader must keep, on file systems made by the real
 * tools. On a healthy one each block that is told of holds, and each loose
 * one is told its true place; on a mutated one nothing breaks down.
 */
#include "tests/unit/unit.h"

#include "lib/guest/guest.h"

#include <stdlib.h>
#include <unistd.h>

#define MIB (1ull << 20)
#define PIECE 65536u

static const struct {
	const char *kind;
	const char *make; /* a file system in "$d", with files out of "$t" */
	uint64_t bytes;
	uint32_t blocks, places; /* to be told at least */
	uint32_t copies;	 /* that say the place of another one */
} recipes[] = {
	{ "ext4", "mke2fs -q -t ext4 -b 1024 -d $t $d", 24 * MIB, 100, 40, 0 },
	{ "ext3", "mke2fs -q -t ext3 -b 4096 -d $t $d", 24 * MIB, 1, 0, 0 },
	{ "XFS",
	  "TEST_DIR=x TEST_DEV=x QA_CHECK_FS=x "
	  "mkfs.xfs -q -m rmapbt=1 $d",
	  32 * MIB, 10, 5, 0 },
	{ "btrfs", "mkfs.btrfs -q -m dup --rootdir $t $d", 160 * MIB, 20, 10,
	  1000 },
	{ "NTFS", "mkntfs -F -q -Q -p 0 -s 512 -H 1 -S 1 $d", 16 * MIB, 16, 16,
	  4 },
	{ "FAT16", "mkfs.fat -F 16 $d && mcopy -s -i $d $t ::/x", 16 * MIB, 30,
	  0, 0 },
	{ "exFAT", "mkfs.exfat $d", 16 * MIB, 0, 0, 0 },
	{ "ISO 9660", "genisoimage -quiet -R -o $d $t", 0, 0, 0, 0 },
};

/* The disk of a recipe, in memory. */
struct disk {
	unsigned char *bytes;
	uint64_t n;
	struct qf_io *io;
	struct qf_chain_node node;
	struct qf_chain chain;
	struct qf_disk *disk;
	struct qf_guest *guest;
};

static void make_files(void)
{
	assert_int_equal(system("mkdir -p tree/one/two && cd tree && "
				"for i in 1 2 3 4 5 6 7 8 9; do "
				"head -c ${i}0000 /dev/zero | tr '\\0' $i "
				">one/file$i; done && "
				"for i in $(seq 300); do "
				": >one/two/an-entry-with-a-name-$i; done"),
			 0);
}

static void load(struct disk *d, size_t recipe)
{
	char command[600];
	FILE *f;

	snprintf(command, sizeof(command),
		 "PATH=$PATH:/usr/sbin:/sbin; d=disk; t=tree; rm -f disk; "
		 "truncate -s %llu disk; "
		 "{ %s; } >log 2>&1",
		 (unsigned long long)recipes[recipe].bytes,
		 recipes[recipe].make);
	assert_int_equal(system(command), 0);
	memset(d, 0, sizeof(*d));
	f = fopen("disk", "rb");
	assert_non_null(f);
	assert_int_equal(fseek(f, 0, SEEK_END), 0);
	d->n = (uint64_t)ftell(f);
	rewind(f);
	d->bytes = malloc(d->n);
	assert_int_equal(fread(d->bytes, 1, d->n, f), d->n);
	fclose(f);
}

static void look_at(struct disk *d, bool uncaged)
{
	assert_int_equal(qf_io_mem_open(d->bytes, d->n, "disk", &d->io, NULL),
			 QF_OK);
	d->node = (struct qf_chain_node){ .io = d->io,
					  .data = d->io,
					  .disk_bytes = d->n };
	d->chain = (struct qf_chain){ .node = &d->node, .n = 1 };
	assert_int_equal(qf_disk_open(&d->chain, QF_HOLDER_ACTIVE, &d->disk,
				      NULL),
			 QF_OK);
	assert_int_equal(qf_guest_open(d->disk, uncaged, &d->guest, NULL),
			 QF_OK);
}

static void look_away(struct disk *d)
{
	qf_guest_close(d->guest);
	qf_disk_close(d->disk);
	qf_io_close(d->io);
}

/* --- blocks and places --- */

struct seen {
	uint32_t holds, fails, wrong;
	const char *kind;
};

static bool see_block(void *ctx, uint32_t volume,
		      const struct qf_guest_block *b)
{
	struct seen *s = ctx;

	assert_int_equal(volume, 0);
	assert_true(b->bytes > 0);
	if (b->state == QF_GUEST_HOLDS) {
		s->holds++;
		assert_true(b->says == QF_NOWHERE || b->says == b->start ||
			    b->bond == QF_GUEST_BY_NUMBER);
	} else {
		s->fails++;
		print_message("%s: %s at %llx\n", s->kind, b->what,
			      (unsigned long long)b->start);
	}
	return true;
}

static bool see_place(void *ctx, uint32_t volume,
		      const struct qf_guest_block *b)
{
	uint64_t at = (b->start >> 32) * PIECE + (uint32_t)b->start;
	struct seen *s = ctx;

	(void)volume;
	if (b->says == at)
		s->holds++;
	else
		s->wrong++;
	return true;
}

static void ask_places(struct disk *d, struct seen *s)
{
	size_t n = d->n / PIECE, i;
	struct qf_guest_loose *l = calloc(n, sizeof(*l));

	for (i = 0; i < n; i++)
		l[i] = (struct qf_guest_loose){ d->bytes + i * PIECE, PIECE };
	assert_int_equal(qf_guest_places(d->guest, l, n, see_place, s, NULL),
			 QF_OK);
	free(l);
}

static void healthy(void **state)
{
	struct seen blocks, places;
	struct qf_guest_range all = { 0 };
	struct disk d;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(recipes); i++) {
		load(&d, i);
		/* an emulator of another machine has no cage for them */
		look_at(&d, getenv("QFSCK_UNDER") != NULL);
		assert_int_equal(d.guest->n, 1);
		assert_string_equal(d.guest->volume[0].fs.kind,
				    recipes[i].kind);
		all.bytes = d.n;
		blocks = places = (struct seen){ .kind = recipes[i].kind };
		assert_int_equal(qf_guest_blocks(d.guest, &all, 1, see_block,
						 &blocks, NULL),
				 QF_OK);
		ask_places(&d, &places);
		assert_string_equal(d.guest->volume[0].trouble, "");
		assert_int_equal(blocks.fails, 0);
		assert_int_equal(qf_guest_agree(d.guest, &all, 1, see_block,
						&blocks, NULL),
				 QF_OK);
		assert_int_equal(blocks.fails, 0);
		assert_true(blocks.holds >= recipes[i].blocks);
		assert_true(places.wrong <= recipes[i].copies);
		assert_true(places.holds >= recipes[i].places);
		look_away(&d);
		free(d.bytes);
	}
}

/* --- mutations --- */

#define MAX_CHANGES 8192

/* What was changed, to be put right again. */
static struct change {
	uint64_t at;
	unsigned char byte;
} changes[MAX_CHANGES];
static size_t n_changes;

static void change(struct disk *d, uint64_t at, unsigned char byte)
{
	assert_true(n_changes < MAX_CHANGES);
	changes[n_changes++] = (struct change){ at, d->bytes[at] };
	d->bytes[at] = byte;
}

static void restore(struct disk *d)
{
	while (n_changes) {
		n_changes--;
		d->bytes[changes[n_changes].at] = changes[n_changes].byte;
	}
}

static bool see_anything(void *ctx, uint32_t volume,
			 const struct qf_guest_block *b)
{
	const uint64_t *disk = ctx;

	(void)volume;
	assert_true(b->says == QF_NOWHERE || b->says < *disk);
	return true;
}

/* Each part lies in its file, and on the disk. */
static void ask_contents(struct disk *d, const char *path)
{
	struct qf_guest_contents c;
	const struct qf_guest_part *p;
	size_t i;

	assert_int_equal(qf_guest_contents(d->guest, 0, path, &c, NULL), QF_OK);
	for (i = 0; i < c.n; i++) {
		p = &c.at[i];
		assert_true(p->file_off < c.file.bytes &&
			    p->bytes <= c.file.bytes - p->file_off);
		assert_true(!i || c.at[i - 1].file_off <= p->file_off);
		if (p->content == QF_GUEST_BYTES)
			assert_true(p->start < d->n &&
				    p->bytes <= d->n - p->start);
		assert_true((p->content == QF_GUEST_INLINE) == !!p->data);
	}
	qf_guest_contents_free(&c);
}

/* All questions; what is told must lie in what was asked. */
static void ask_all(struct disk *d)
{
	const struct qf_guest_range all = { 0, d->n };
	struct qf_guest_loose piece = { d->bytes, PIECE };
	struct qf_guest_names names;
	struct qf_guest_runs runs;
	uint64_t at = 0;
	size_t i;

	assert_int_equal(qf_guest_use(d->guest, &all, 1, &runs, NULL), QF_OK);
	for (i = 0; i < runs.n; i++) {
		assert_int_equal(runs.at[i].start, at);
		at += runs.at[i].bytes;
	}
	assert_int_equal(at, d->n);
	qf_guest_runs_free(&runs);
	assert_int_equal(qf_guest_names(d->guest, &all, 1, &names, NULL),
			 QF_OK);
	for (i = 0; i < names.pieces; i++) {
		assert_true(names.piece[i].file < names.n);
		assert_true(names.piece[i].start < d->n &&
			    names.piece[i].bytes <=
				    d->n - names.piece[i].start);
	}
	qf_guest_names_free(&names);
	assert_int_equal(qf_guest_blocks(d->guest, &all, 1, see_anything, &d->n,
					 NULL),
			 QF_OK);
	assert_int_equal(qf_guest_agree(d->guest, &all, 1, see_anything, &d->n,
					NULL),
			 QF_OK);
	assert_int_equal(qf_guest_places(d->guest, &piece, 1, see_anything,
					 &d->n, NULL),
			 QF_OK);
	if (d->guest->n)
		assert_int_equal(qf_guest_path(d->guest, 0, "/one/file3",
					       &names, NULL),
				 QF_OK);
	qf_guest_names_free(&names);
	if (d->guest->n) {
		ask_contents(d, "/one/file3");
		ask_contents(d, "/x/one/file3");
	}
}

/* Where the metadata are: there a change matters. */
static size_t find_metadata(struct disk *d, struct qf_guest_range *out,
			    size_t room)
{
	const struct qf_guest_range all = { 0, d->n };
	struct qf_guest_names names;
	size_t i, n = 0;

	look_at(d, false);
	assert_int_equal(qf_guest_names(d->guest, &all, 1, &names, NULL),
			 QF_OK);
	for (i = 0; i < names.pieces && n + 1 < room; i++)
		if (names.file[names.piece[i].file].kind >=
			    QF_GUEST_DIRECTORY ||
		    names.piece[i].start < MIB)
			out[n++] =
				(struct qf_guest_range){ names.piece[i].start,
							 names.piece[i].bytes };
	out[n++] = (struct qf_guest_range){ 0, 4096 };
	qf_guest_names_free(&names);
	look_away(d);
	return n;
}

static void mutate(struct disk *d, struct dice *dice,
		   const struct qf_guest_range *where, size_t n)
{
	static const unsigned char verbs[] = { 0x00, 0xff, 0x7f, 0x80, 0x01 };
	uint64_t r = dice_below(dice, n), at, len;

	at = where[r].start +
	     dice_below(dice, where[r].bytes < 8192 ? where[r].bytes : 8192);
	len = dice_once_in(dice, 4) ? 1 + dice_below(dice, 600)
				    : 1 + dice_below(dice, 8);
	for (; len && at < d->n; len--, at++)
		change(d, at,
		       dice_once_in(dice, 3)
			       ? (unsigned char)dice_roll(dice)
			       : verbs[dice_below(dice, ARRAY_SIZE(verbs))]);
}

/* A reader of our own never needs its cage. */
static void look_at_trouble(const struct disk *d)
{
	const struct qf_guest_volume *v;
	uint32_t i;

	for (i = 0; i < d->guest->n; i++) {
		v = &d->guest->volume[i];
		if (*v->trouble)
			print_message("%s: %s\n", v->fs.kind, v->trouble);
		if (strncmp(v->fs.kind, "ext", 3))
			assert_null(strstr(v->trouble, "its reader"));
	}
}

static void mutated(void **state)
{
	const char *rounds = getenv("QFSCK_TEST_ROUNDS");
	int n = rounds ? atoi(rounds) : 4, k, m;
	struct dice dice = { 77 };
	struct qf_guest_range where[4000];
	size_t i, places;
	struct disk d;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(recipes); i++) {
		load(&d, i);
		places = find_metadata(&d, where, ARRAY_SIZE(where));
		for (k = 0; k < n; k++) {
			for (m = 0; m < 1 + k % 6; m++)
				mutate(&d, &dice, where, places);
			look_at(&d, false);
			ask_all(&d);
			look_at_trouble(&d);
			look_away(&d);
			restore(&d);
		}
		free(d.bytes);
	}
}

static int set_up(void **state)
{
	const char *folder = getenv("TMPDIR");

	(void)state;
	if (folder && chdir(folder))
		return -1;
	make_files();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(healthy),
		cmocka_unit_test(mutated),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
