// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/guest/partitions.h"
#include "lib/guest/le.h"
#include "lib/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR 512u
#define MAX_LOGICAL 128

/* An entry of an MBR or of an extended boot record. */
struct entry {
	uint8_t active, type;
	uint64_t start, bytes;
};

struct qf_guest_volume *qf_partitions_add(struct qf_partitions *p)
{
	struct qf_guest_volume *v = &p->volume[p->n];

	if (p->n == QF_PARTITIONS_MAX) {
		p->table.cut = true;
		return NULL;
	}
	memset(v, 0, sizeof(*v));
	v->segment = (uint32_t)p->segments;
	v->reader = QF_GUEST_NO_READER;
	p->n++;
	return v;
}

void qf_partitions_segment(struct qf_partitions *p,
			   const struct qf_guest_segment *s)
{
	if (p->segments == QF_PARTITIONS_SEGMENTS) {
		p->table.cut = true;
		return;
	}
	if (!qf_mem_grow((void **)&p->segment, p->segments, &p->room,
			 sizeof(*p->segment))) {
		p->no_memory = true;
		return;
	}
	p->segment[p->segments++] = *s;
	p->volume[p->n - 1].segments++;
}

void qf_partitions_area(struct qf_partitions *p, const char *name,
			uint64_t start, uint64_t bytes)
{
	struct qf_guest_area a = { start, bytes, "" };

	snprintf(a.name, sizeof(a.name), "%s", name);
	if (start < p->j->vol.bytes && bytes <= p->j->vol.bytes - start)
		qf_job_tell(p->j, QF_RECORD_AREA, &a, sizeof(a));
}

void qf_partitions_partition(struct qf_partitions *p, uint32_t number,
			     const char *type, const char *name, uint64_t start,
			     uint64_t bytes)
{
	uint64_t disk = p->j->vol.bytes, on_disk = bytes;
	struct qf_guest_volume *v = qf_partitions_add(p);

	if (!v)
		return;
	v->level = number ? QF_GUEST_PARTITION : QF_GUEST_WHOLE;
	v->number = number;
	snprintf(v->type, sizeof(v->type), "%s", type);
	snprintf(v->name, sizeof(v->name), "%s", name);
	v->start = start;
	v->bytes = bytes;
	if (start >= disk)
		on_disk = 0;
	else if (bytes > disk - start)
		on_disk = disk - start;
	if (on_disk < bytes)
		snprintf(v->note, sizeof(v->note), "%s",
			 on_disk ? "it reaches past the end of the disk"
				 : "it lies past the end of the disk");
	if (on_disk)
		qf_partitions_segment(
			p, &(struct qf_guest_segment){ .bytes = on_disk,
						       .at = start,
						       .columns = 1 });
}

static bool parse_entry(const unsigned char *e, struct entry *out)
{
	out->active = e[0];
	out->type = e[4];
	out->start = (uint64_t)qf_le_get32(e, 8) * SECTOR;
	out->bytes = (uint64_t)qf_le_get32(e, 12) * SECTOR;
	return out->type && out->start && out->bytes;
}

static bool is_extended(const struct entry *e)
{
	return e->type == 0x05 || e->type == 0x0f || e->type == 0x85;
}

static void type_name(uint8_t type, char *out, size_t room)
{
	static const struct {
		uint8_t type;
		const char *name;
	} known[] = { { 0x01, "FAT12" },      { 0x06, "FAT16" },
		      { 0x07, "NTFS/exFAT" }, { 0x0b, "FAT32" },
		      { 0x0c, "FAT32" },      { 0x0e, "FAT16" },
		      { 0x82, "Linux swap" }, { 0x83, "Linux" },
		      { 0x8e, "Linux LVM" },  { 0xef, "EFI system" } };
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].type == type) {
			snprintf(out, room, "%s", known[i].name);
			return;
		}
	snprintf(out, room, "0x%02x", type);
}

static void add_entry(struct qf_partitions *p, uint32_t number,
		      const struct entry *e)
{
	char type[16];

	type_name(e->type, type, sizeof(type));
	qf_partitions_partition(p, number, type, "", e->start, e->bytes);
}

/* The logical partitions: a list of boot records, each with one of them and
 * the place of the next, all within the extended partition. */
static void add_logical(struct qf_partitions *p, const struct entry *extended)
{
	unsigned char sector[SECTOR];
	uint64_t in = 0, at;
	struct entry e;
	uint32_t n;

	for (n = 0; n < MAX_LOGICAL; n++) {
		at = extended->start + in;
		if (!qf_volume_read(&p->j->vol, sector, SECTOR, at) ||
		    qf_le_get16(sector, 510) != 0xaa55)
			break;
		qf_partitions_area(p, "partition table", at, SECTOR);
		if (parse_entry(sector + 446, &e) && !is_extended(&e)) {
			e.start += at;
			add_entry(p, 5 + n, &e);
		}
		/* going on means going forward: no circle */
		if (!parse_entry(sector + 462, &e) || !is_extended(&e) ||
		    e.start <= in || e.start >= extended->bytes)
			return;
		in = e.start;
	}
	snprintf(p->table.note, sizeof(p->table.note),
		 "the list of logical partitions breaks off after %u",
		 (unsigned int)n);
}

/* True if there are partitions, or an empty table that a GPT leaves. */
static bool find_mbr(struct qf_partitions *p)
{
	unsigned char sector[SECTOR];
	uint32_t i, before = p->n;
	struct entry e[4];
	bool used[4];

	if (!qf_volume_read(&p->j->vol, sector, SECTOR, 0) ||
	    qf_le_get16(sector, 510) != 0xaa55)
		return false;
	for (i = 0; i < 4; i++) {
		used[i] = parse_entry(sector + 446 + 16 * i, &e[i]);
		if (e[i].active & 0x7f)
			return false; /* code or text, no table */
	}
	for (i = 0; i < 4; i++) {
		if (used[i] && e[i].type == 0xee)
			snprintf(p->table.note, sizeof(p->table.note),
				 "both copies of the GPT are damaged");
		else if (used[i] && !is_extended(&e[i]))
			add_entry(p, i + 1, &e[i]);
	}
	for (i = 0; i < 4; i++)
		if (used[i] && is_extended(&e[i]))
			add_logical(p, &e[i]);
	if (p->n == before)
		return false;
	snprintf(p->table.table, sizeof(p->table.table), "MBR");
	qf_partitions_area(p, "partition table", 0, SECTOR);
	return true;
}

/* File systems that have a boot sector of their own, which can look like an
 * MBR. */
static bool is_boot_sector(struct qf_partitions *p)
{
	static const char *const names[] = { "NTFS    ", "EXFAT   ",
					     "-FVE-FS-" };
	unsigned char sector[SECTOR];
	size_t i;

	if (!qf_volume_read(&p->j->vol, sector, SECTOR, 0))
		return false;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!memcmp(sector + 3, names[i], 8))
			return true;
	return false;
}

static bool overlap(const struct qf_guest_volume *a,
		    const struct qf_guest_volume *b)
{
	return a->start < b->start + b->bytes && b->start < a->start + a->bytes;
}

static void note_overlaps(struct qf_partitions *p)
{
	struct qf_guest_volume *a;
	uint32_t i, k;

	for (i = 0; i < p->n; i++) {
		a = &p->volume[i];
		for (k = 0; k < p->n && !*a->note; k++)
			if (k != i && overlap(a, &p->volume[k]))
				snprintf(a->note, sizeof(a->note),
					 "it overlaps partition %u",
					 (unsigned int)p->volume[k].number);
	}
}

static void tell_all(struct qf_partitions *p)
{
	const struct qf_guest_volume *v;
	uint32_t i, k;

	qf_job_tell(p->j, QF_RECORD_TABLE, &p->table, sizeof(p->table));
	for (i = 0; i < p->n; i++) {
		v = &p->volume[i];
		qf_job_tell(p->j, QF_RECORD_VOLUME, v, sizeof(*v));
		for (k = 0; k < v->segments; k++)
			qf_job_tell(p->j, QF_RECORD_SEGMENT,
				    &p->segment[v->segment + k],
				    sizeof(*p->segment));
	}
}

enum qf_err qf_partitions_find(struct qf_job *j, struct qf_why *why)
{
	struct qf_partitions *p = qf_mem_zalloc(1, sizeof(*p));
	bool no_memory = !p;

	if (p) {
		p->j = j;
		if (is_boot_sector(p) || (!qf_gpt_find(p) && !find_mbr(p)))
			qf_partitions_partition(p, 0, "", "", 0, j->vol.bytes);
		note_overlaps(p);
		qf_lvm_find(p);
		no_memory = p->no_memory;
		if (!no_memory)
			tell_all(p);
		free(p->segment);
	}
	free(p);
	return no_memory ? qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				      "no memory for the list of volumes")
			 : QF_OK;
}
