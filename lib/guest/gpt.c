// SPDX-License-Identifier: LGPL-2.1-or-later
/* GUID partition tables: UEFI specification, chapter 5. */
#include "lib/guest/ident.h"
#include "lib/guest/le.h"
#include "lib/guest/partitions.h"
#include "lib/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define MAX_ENTRIES 1024u
#define MAX_ENTRY 4096u

struct gpt {
	uint32_t sector;
	uint64_t at;	    /* of the header */
	uint64_t alternate; /* of the other header */
	uint64_t entries_at;
	uint32_t n, entry_bytes;
	unsigned char *entries; /* owned */
	bool read;		/* what was looked at is known */
	bool header;		/* the header is whole */
};

static const struct {
	const char *guid, *name;
} types[] = {
	{ "0fc63daf-8483-4772-8e79-3d69d8477de4", "Linux" },
	{ "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "EFI system" },
	{ "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7", "Microsoft basic data" },
	{ "e3c9e316-0b5c-4db8-817d-f92df00215ae", "Microsoft reserved" },
	{ "de94bba4-06d1-4d40-a16a-bfd50179d6ac", "Windows recovery" },
	{ "21686148-6449-6e6f-744e-656564454649", "BIOS boot" },
	{ "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f", "Linux swap" },
	{ "e6d6d379-f507-44c2-a23c-238f2a3df928", "Linux LVM" },
	{ "a19d880f-05fc-4d3b-a006-743f0f84911e", "Linux RAID" },
	{ "4f68bce3-e8cd-4db1-96e7-fbcaf984b709", "Linux root (x86-64)" },
	{ "933ac7e1-2eb4-4f13-b844-0e14e2aef915", "Linux home" },
	{ "bc13c2ff-59e6-4262-a352-b275fd6f7172", "Linux boot" },
};

/* The header's own numbers, once its checksum holds. */
static bool parse(const unsigned char *h, uint64_t at, struct gpt *g)
{
	unsigned char copy[512];
	uint32_t bytes = qf_le_get32(h, 12);

	if (memcmp(h, "EFI PART", 8) || bytes < 92 || bytes > sizeof(copy))
		return false;
	memcpy(copy, h, bytes);
	memset(copy + 16, 0, 4);
	if (crc32(0, copy, bytes) != qf_le_get32(h, 16) ||
	    !qf_mem_mul(qf_le_get64(h, 24), g->sector, &g->at) || g->at != at ||
	    !qf_mem_mul(qf_le_get64(h, 32), g->sector, &g->alternate) ||
	    !qf_mem_mul(qf_le_get64(h, 72), g->sector, &g->entries_at))
		return false;
	g->n = qf_le_get32(h, 80);
	g->entry_bytes = qf_le_get32(h, 84);
	return g->n && g->n <= MAX_ENTRIES && g->entry_bytes >= 128 &&
	       g->entry_bytes <= MAX_ENTRY;
}

/* The table whose header stands at AT; false if it is not whole. */
static bool read_table(struct qf_partitions *p, uint64_t at, uint32_t sector,
		       struct gpt *g)
{
	struct qf_volume *v = &p->j->vol;
	unsigned char h[512];
	uint32_t bytes;

	memset(g, 0, sizeof(*g));
	g->sector = sector;
	g->read = qf_volume_read(v, h, sizeof(h), at);
	if (!g->read || !parse(h, at, g))
		return false;
	g->header = true;
	bytes = g->n * g->entry_bytes;
	g->entries = qf_mem_zalloc(1, bytes);
	g->read = g->entries &&
		  qf_volume_read(v, g->entries, bytes, g->entries_at);
	if (g->read && crc32(0, g->entries, bytes) == qf_le_get32(h, 88))
		return true;
	free(g->entries);
	g->entries = NULL;
	return false;
}

static void add_entries(struct qf_partitions *p, const struct gpt *g)
{
	static const unsigned char none[16];
	const unsigned char *e;
	uint64_t first, last;
	char type[40], name[200];
	uint32_t i;
	size_t k;

	for (i = 0; i < g->n; i++) {
		e = g->entries + (size_t)i * g->entry_bytes;
		if (!memcmp(e, none, 16) ||
		    !qf_mem_mul(qf_le_get64(e, 32), g->sector, &first) ||
		    qf_le_get64(e, 40) == UINT64_MAX ||
		    !qf_mem_mul(qf_le_get64(e, 40) + 1, g->sector, &last) ||
		    last <= first || last > INT64_MAX)
			continue;
		qf_ident_guid(e, type, sizeof(type));
		for (k = 0; k < sizeof(types) / sizeof(types[0]); k++)
			if (!strcmp(types[k].guid, type))
				snprintf(type, sizeof(type), "%s",
					 types[k].name);
		qf_ident_utf16(e + 56, 36, name, sizeof(name));
		qf_partitions_partition(p, i + 1, type, name, first,
					last - first);
	}
}

static void tell_areas(struct qf_partitions *p, const struct gpt *g)
{
	qf_partitions_area(p, "partition table", g->at, g->sector);
	qf_partitions_area(p, "partition table", g->entries_at,
			   (uint64_t)g->n * g->entry_bytes);
}

/* What the two copies say of each other. */
static void note(struct qf_partitions *p, const struct gpt *first,
		 const struct gpt *second)
{
	const char *text = "";

	if (!first->entries)
		text = "its first copy is damaged, it is read by the second";
	else if (!second->entries)
		text = "its second copy is damaged or missing";
	else if (crc32(0, first->entries, first->n * first->entry_bytes) !=
		 crc32(0, second->entries, second->n * second->entry_bytes))
		text = "its two copies differ, it is read by the first";
	else if (second->at + second->sector != p->j->vol.bytes)
		text = "its second copy does not stand at the end of the disk";
	snprintf(p->table.note, sizeof(p->table.note), "%s", text);
}

/*
 * Whether the disk is one with a GPT today: the first sector says so, or is
 * gone as well. Under an MBR with partitions of its own, an old GPT can have
 * been left behind.
 */
static bool is_living(struct qf_partitions *p)
{
	unsigned char s[512];
	uint32_t i;
	bool empty = true;

	if (!qf_volume_read(&p->j->vol, s, sizeof(s), 0))
		return false;
	for (i = 0; i < 4; i++)
		if (s[446 + 16 * i + 4] == 0xee)
			return true;
	for (i = 0; i < sizeof(s) && empty; i++)
		empty = !s[i];
	return empty;
}

/* The copy whose header belongs at AT; OTHER is the one that names it. */
static void tell_copy(struct qf_partitions *p, const struct gpt *g,
		      const struct gpt *other, uint64_t at)
{
	struct qf_guest_block b = { .start = at,
				    .bytes = g->sector,
				    .says = QF_NOWHERE,
				    .parent = other->at,
				    .bond = QF_GUEST_BY_ADDRESS,
				    .what = "partition table" };

	if (g->header && !g->entries) {
		b.start = g->entries_at;
		b.bytes = (uint64_t)g->n * g->entry_bytes;
		b.parent = at;
		b.bond = QF_GUEST_BY_PARENT;
	}
	b.state = !g->read     ? QF_GUEST_UNREAD
		  : g->entries ? QF_GUEST_HOLDS
			       : QF_GUEST_FAILS;
	if (b.state == QF_GUEST_HOLDS)
		b.says = at;
	if (b.start < p->j->vol.bytes && b.bytes <= p->j->vol.bytes - b.start)
		qf_job_tell(p->j, QF_RECORD_BLOCK, &b, sizeof(b));
}

static bool find(struct qf_partitions *p, uint32_t sector)
{
	uint64_t disk = p->j->vol.bytes;
	struct gpt first, second;
	bool found;

	if (disk < 4 * (uint64_t)sector)
		return false;
	read_table(p, sector, sector, &first);
	if (!first.entries || !read_table(p, first.alternate, sector, &second))
		read_table(p, disk / sector * sector - sector, sector, &second);
	found = first.entries || second.entries;
	if (found && is_living(p)) {
		tell_copy(p, &first, &second, sector);
		/* one that is past the end went when the disk was cut */
		if (first.entries && first.alternate != sector &&
		    (!second.entries || second.at == first.alternate))
			tell_copy(p, &second, &first, first.alternate);
	}
	if (found) {
		snprintf(p->table.table, sizeof(p->table.table), "GPT");
		note(p, &first, &second);
		qf_partitions_area(p, "partition table", 0, sector);
		if (first.entries)
			tell_areas(p, &first);
		if (second.entries)
			tell_areas(p, &second);
		add_entries(p, first.entries ? &first : &second);
	}
	free(first.entries);
	free(second.entries);
	return found;
}

bool qf_gpt_find(struct qf_partitions *p)
{
	return find(p, 512) || find(p, 4096);
}
