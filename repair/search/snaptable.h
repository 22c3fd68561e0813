/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A snapshot table under repair. Entries with a wrong length are told apart by
 * what must follow: a printable id and name, and then the next entry.
 */
#ifndef QF_SNAPTABLE_H
#define QF_SNAPTABLE_H

#include "repair/plan/plan.h"

#include "lib/model/image.h"

#define QF_SNAPTABLE_FIXED sizeof(struct qf_wire_snapshot)

/* An entry of the table as it is to be. */
struct qf_snaptable_entry {
	uint64_t at;		  /* in the table */
	uint32_t extra, id, name; /* bytes of each, as they are there */
	uint64_t disk;		  /* bytes; 0: what its extra data say */
	char new_id[24];	  /* "": it keeps its own */
};

/* A table under examination, and what it shall become. */
struct qf_snaptable {
	const struct qf_image *img;
	unsigned char *buf; /* the bytes as they are */
	uint64_t room;
	unsigned char *out;
	uint64_t out_bytes;
	struct qf_snaptable_entry *entry;
	size_t entry_room;
	uint32_t n;    /* whole entries */
	uint64_t most; /* the highest of the ids that are numbers */
	bool ends;     /* behind them there is nothing */
	bool same;     /* each entry was right already */
	bool cut;      /* what lies behind ROOM cannot be read */
};

/* Reads the table at OFF, MOST bytes of it. Free with qf_snaptable_free. */
enum qf_err qf_snaptable_read(struct qf_snaptable *t,
			      const struct qf_image *img, uint64_t off,
			      uint64_t most, struct qf_why *why);
void qf_snaptable_free(struct qf_snaptable *t);

/* Takes as many entries as there are, COUNT at most; false without memory. */
bool qf_snaptable_take(struct qf_snaptable *t, uint32_t count);

/*
 * Takes the entries as the reader of the image has made them out: it knows
 * where each begins. Of one whose strings cannot be told, the L1 table is
 * kept. False without memory.
 */
bool qf_snaptable_take_known(struct qf_snaptable *t,
			     const struct qf_snapshot_table *known);

/* Gives an id of its own to each entry that has none, or one that an earlier
 * entry has too, as far as P allows it; false without memory. */
bool qf_snaptable_give_ids(struct qf_snaptable *t, const struct qf_plan *p);

/* Writes all entries to t->out; false without memory. */
bool qf_snaptable_compose(struct qf_snaptable *t);

#endif
