// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * From L2 tables to runs.
 *
 * One version of a table: entries that go on (next = previous + cluster) are
 * found in vectors. Several versions: in blocks of BLOCK entries, the tables
 * that agree form a class. If no two classes have an entry in common, each
 * is decoded like one table; else the block is merged slot by slot.
 */
#include "lib/walk/walk_l2.h"
#include "lib/base/simd.h"

#include <stdlib.h>

#define BLOCK 32u
#define MAX_CLASSES 16u

/* The tables that agree on a stretch. */
struct cls {
	uint32_t rep; /* the table whose bytes are decoded */
	uint32_t weight;
	bool active;
	const uint64_t *members;
};

void qf_l2_flush(struct qf_l2_out *out)
{
	if (out->n && !out->stopped &&
	    !out->v->runs(out->v->ctx, out->worker, out->grp, out->run, out->n))
		out->stopped = true;
	out->n = 0;
}

static inline struct qf_run *emit(struct qf_l2_out *out, const struct cls *c,
				  uint64_t entry, uint32_t index, uint32_t n)
{
	struct qf_run *r;

	if (out->n == QF_L2_BATCH)
		qf_l2_flush(out);
	r = &out->run[out->n];
	r->entry = entry;
	r->bitmap = 0;
	r->members = NULL;
	if (c->members) {
		r->members = memcpy(out->members + out->n * out->words,
				    c->members, out->words * sizeof(uint64_t));
	}
	r->index = index;
	r->n = n;
	r->weight = c->weight;
	r->odd = 0;
	r->kind = QF_ENTRY_KIND_DATA;
	r->active = c->active;
	r->again = false;
	out->n++;
	return r;
}

static inline uint64_t word(const unsigned char *p, uint64_t i)
{
	struct qf_be64 w;

	memcpy(&w, p + i * 8, sizeof(w));
	return qf_be_get64(w);
}

/* How many of the MAX words at P are FIRST, FIRST + STEP, ... */
QF_CLONES
static uint32_t count_run(const unsigned char *p, uint32_t max, uint64_t first,
			  uint64_t step)
{
	uint32_t n = 0, j;
	uint64_t bad, next = first;

	while (n + 16 <= max) {
		bad = 0;
		for (j = 0; j < 16; j++)
			bad |= word(p, n + j) ^ (next + j * step);
		if (bad)
			break;
		n += 16;
		next += 16 * step;
	}
	for (; n < max && word(p, n) == next; n++)
		next += step;
	return n;
}

/* The same with extended entries: the BITMAP must be equal too. */
QF_CLONES
static uint32_t count_run_ext(const unsigned char *p, uint32_t max,
			      uint64_t first, uint64_t step, uint64_t bitmap)
{
	uint32_t n = 0, j;
	uint64_t bad, next = first;

	while (n + 8 <= max) {
		bad = 0;
		for (j = 0; j < 8; j++) {
			bad |= word(p, 2 * (n + j)) ^ (next + j * step);
			bad |= word(p, 2 * (n + j) + 1) ^ bitmap;
		}
		if (bad)
			break;
		n += 8;
		next += 8 * step;
	}
	for (;
	     n < max && word(p, 2 * n) == next && word(p, 2 * n + 1) == bitmap;
	     n++)
		next += step;
	return n;
}

QF_CLONES
bool qf_l2_is_zero(const void *p, uint64_t bytes)
{
	const unsigned char *b = p;
	uint64_t i, j, any;

	for (i = 0; i + 128 <= bytes; i += 128) {
		any = 0;
		for (j = 0; j < 16; j++)
			any |= word(b + i, j);
		if (any)
			return false;
	}
	for (; i < bytes; i++)
		if (b[i])
			return false;
	return true;
}

/* Four words side by side; on any machine, the compiler knows how. */
typedef uint64_t four_words __attribute__((vector_size(32)));

/* Of the 64 words at P, a bit for each that is not zero. */
QF_CLONES
static uint64_t nonzero_64(const unsigned char *p)
{
	four_words zero = { 0 }, bit = { 1, 2, 4, 8 }, w;
	uint32_t i;

	for (i = 0; i < 64; i += 4) {
		memcpy(&w, p + i * 8, sizeof(w));
		zero |= (four_words)(w == 0) & bit;
		bit <<= 4;
	}
	return ~(zero[0] | zero[1] | zero[2] | zero[3]);
}

/* The same for N words, up to 64. */
static uint64_t nonzero_words(const unsigned char *p, uint32_t n)
{
	uint64_t mask = 0;
	uint32_t i;

	if (n == 64)
		return nonzero_64(p);
	for (i = 0; i < n; i++)
		mask |= (uint64_t)(word(p, i) != 0) << i;
	return mask;
}

/* True if the entries are equal but for COPIED of uncompressed ones. */
static inline bool same_but_copied(uint64_t a, uint64_t b)
{
	return !((a ^ b) & ~(QF_ENTRY_COPIED & ~(a << 1)));
}

/* True if A and B are equal but for COPIED. STRIDE: words an entry. */
QF_CLONES
static bool alike(const unsigned char *a, const unsigned char *b, uint32_t n,
		  uint32_t stride)
{
	const uint64_t copied = stride == 1 ? QF_ENTRY_COPIED : 0;
	uint64_t bad = 0;
	uint32_t i;

	/* of a compressed entry, COPIED is a fault of that table alone */
	for (i = 0; i < n * stride; i++)
		bad |= (word(a, i) ^ word(b, i)) &
		       ~(copied & ~(word(a, i) << 1));
	if (!bad || stride == 1)
		return !bad;
	for (i = 0; i < n; i++) {
		if (!same_but_copied(word(a, 2 * i), word(b, 2 * i)))
			return false;
		if (word(a, 2 * i + 1) != word(b, 2 * i + 1))
			return false;
	}
	return true;
}

/*
 * The host cluster that an entry names: two versions of a slot that differ in
 * flags or in reserved bits alone do not make it two owners.
 */
static inline uint64_t host_of(uint64_t entry)
{
	if (entry & QF_ENTRY_COMPRESSED)
		return entry & ~QF_ENTRY_COPIED;
	return entry & QF_ENTRY_OFFSET_MASK;
}

/* The same for a look at many: too much alike, but never too little. */
#define HOST_BITS (QF_ENTRY_OFFSET_MASK | QF_ENTRY_COMPRESSED)

/* True if A and B name one host cluster at one index. */
QF_CLONES
static bool have_common(const unsigned char *a, const unsigned char *b,
			uint32_t n, uint32_t stride)
{
	uint32_t i, common = 0;
	uint64_t x;

	for (i = 0; i < n; i++) {
		x = word(a, i * stride) & HOST_BITS;
		common |= x && x == (word(b, i * stride) & HOST_BITS);
	}
	return common;
}

/* What a plain entry must not have: the fast path takes the others. */
static uint64_t plain_mask(const struct qf_geometry *g)
{
	return QF_L2_RESERVED_MASK | QF_ENTRY_COMPRESSED | QF_ENTRY_ZERO |
	       (g->cluster_bytes - 1);
}

static uint64_t guest_off(const struct qf_l2_slice *s,
			  const struct qf_group *grp, uint32_t index)
{
	return (((uint64_t)grp->l1_index << s->img->geo.l2_bits) + index)
	       << s->img->geo.cluster_bits;
}

/* One entry that is not plain: classified in full. */
static void slow_entry(const struct qf_l2_slice *s, const struct cls *c,
		       uint64_t entry, uint64_t bitmap, uint32_t index,
		       bool again, struct qf_l2_out *out)
{
	const struct qf_geometry *g = &s->img->geo;
	enum qf_entry_kind kind = qf_entry_kind(g, entry);
	unsigned int odd = qf_entry_l2_odd(g, s->img->hdr.version,
					   s->img->io->size, entry, bitmap);
	struct qf_run *r;

	if (g->data_file &&
	    (kind == QF_ENTRY_KIND_DATA || kind == QF_ENTRY_KIND_ZERO_ALLOC)) {
		if ((entry & QF_ENTRY_OFFSET_MASK) !=
		    guest_off(s, out->grp, index))
			odd |= QF_ODD_NOT_GUEST_OFF;
		if (!(entry & QF_ENTRY_COPIED))
			odd |= QF_ODD_DATA_FILE_PLAIN;
	}
	if (kind == QF_ENTRY_KIND_NONE && !odd)
		return;
	r = emit(out, c, entry, index, 1);
	r->bitmap = bitmap;
	r->kind = (uint8_t)kind;
	r->odd = (uint16_t)odd;
	r->again = again;
}

static inline bool is_plain(const struct qf_l2_slice *s, uint64_t entry,
			    uint64_t mask, const struct qf_group *grp,
			    uint32_t index)
{
	uint64_t off = entry & QF_ENTRY_OFFSET_MASK;

	if (entry & mask)
		return false;
	if (s->img->geo.data_file)
		return entry & QF_ENTRY_COPIED &&
		       off == guest_off(s, grp, index);
	return off && off < s->img->io->size;
}

/* Cuts a run where it would pass the end of the file. */
static inline uint32_t cut_run(const struct qf_l2_slice *s, uint64_t off,
			       uint32_t n)
{
	uint64_t room;

	if (s->img->geo.data_file)
		return n;
	room = (s->img->io->size - off + s->img->geo.cluster_bytes - 1) >>
	       s->img->geo.cluster_bits;
	return n < room ? n : (uint32_t)room;
}

/*
 * Decodes the entries of which USED has the bits, up to 64 from FROM on, and
 * all that a run goes on into. Returns the first entry that is left. Which
 * entries are used is told by a mask and not by a branch for each: where a
 * disk is filled at random, no processor can foretell them.
 */
static uint32_t decode_used(const struct qf_l2_slice *s, const struct cls *c,
			    const unsigned char *p, uint32_t from, uint32_t n,
			    uint64_t used, struct qf_l2_out *out)
{
	const uint64_t step = s->img->geo.cluster_bytes;
	const uint64_t mask = plain_mask(&s->img->geo);
	uint32_t i, k;
	uint64_t e;

	while (used) {
		i = from + (uint32_t)__builtin_ctzll(used);
		e = word(p, i);
		used &= used - 1;
		if (!is_plain(s, e, mask, out->grp, s->from + i)) {
			slow_entry(s, c, e, 0, s->from + i, false, out);
			continue;
		}
		k = 1;
		if (i + 1 < n && word(p, i + 1) == e + step) {
			k = count_run(p + i * 8ull, n - i, e, step);
			k = cut_run(s, e & QF_ENTRY_OFFSET_MASK, k);
		}
		emit(out, c, e, s->from + i, k);
		if (i + k >= from + 64)
			return i + k;
		if (k > 1)
			used &= UINT64_MAX << (i + k - from);
	}
	return from + 64;
}

static void decode_plain(const struct qf_l2_slice *s, const struct cls *c,
			 uint32_t from, uint32_t n, struct qf_l2_out *out)
{
	const unsigned char *p = s->at[c->rep];
	uint32_t end = from + n, i, k;
	uint64_t used;

	for (i = from; i < end;) {
		k = end - i < 64 ? end - i : 64;
		used = nonzero_words(p + i * 8ull, k);
		i = used ? decode_used(s, c, p, i, end, used, out) : i + k;
	}
}

static void decode_ext(const struct qf_l2_slice *s, const struct cls *c,
		       uint32_t from, uint32_t n, struct qf_l2_out *out)
{
	const unsigned char *p = s->at[c->rep] + from * 16ull;
	const uint64_t step = s->img->geo.cluster_bytes;
	const uint64_t mask = plain_mask(&s->img->geo);
	uint32_t index = s->from + from, i, k;
	uint64_t e, b;

	for (i = 0; i < n; i += k) {
		k = 1;
		e = word(p, 2 * i);
		b = word(p, 2 * i + 1);
		if (!e && !b)
			continue;
		if (!is_plain(s, e, mask, out->grp, index + i) ||
		    (b >> 32) & b) {
			slow_entry(s, c, e, b, index + i, false, out);
			continue;
		}
		k = count_run_ext(p + i * 16ull, n - i, e, step, b);
		k = cut_run(s, e & QF_ENTRY_OFFSET_MASK, k);
		emit(out, c, e, index + i, k)->bitmap = b;
	}
}

static void decode_class(const struct qf_l2_slice *s, const struct cls *c,
			 uint32_t from, uint32_t n, struct qf_l2_out *out)
{
	if (s->img->geo.extl2)
		decode_ext(s, c, from, n, out);
	else
		decode_plain(s, c, from, n, out);
}

static void class_add(const struct qf_l2_slice *s, struct cls *c, uint32_t v)
{
	c->weight += s->table[v].weight;
	if (s->table[v].active) {
		c->active = true;
		c->rep = v; /* its COPIED flags are the ones that count */
	}
}

static int by_host(const void *pa, const void *pb)
{
	const struct qf_l2_scratch *a = pa, *b = pb;
	uint64_t ae = host_of(a->entry), be = host_of(b->entry);

	if (ae != be)
		return ae < be ? -1 : 1;
	ae = a->entry & ~QF_ENTRY_COPIED;
	be = b->entry & ~QF_ENTRY_COPIED;
	if (ae != be)
		return ae < be ? -1 : 1;
	if (a->bitmap != b->bitmap)
		return a->bitmap < b->bitmap ? -1 : 1;
	return a->table < b->table ? -1 : a->table > b->table;
}

static bool same_word(const struct qf_l2_scratch *a,
		      const struct qf_l2_scratch *b)
{
	return same_but_copied(a->entry, b->entry) && a->bitmap == b->bitmap;
}

/* Few as a rule, and in order already: the library's sort is for more. */
static void sort_slot(struct qf_l2_scratch *w, uint32_t n)
{
	struct qf_l2_scratch one;
	uint32_t i, k;

	if (n > 32) {
		qsort(w, n, sizeof(*w), by_host);
		return;
	}
	for (i = 1; i < n; i++) {
		one = w[i];
		for (k = i; k && by_host(&w[k - 1], &one) > 0; k--)
			w[k] = w[k - 1];
		w[k] = one;
	}
}

/* Takes the word at SLOT of each table; true if all say the same. */
static bool take_slot(const struct qf_l2_slice *s, uint32_t slot)
{
	uint32_t stride = s->img->geo.l2_entry_bytes / 8, v;
	struct qf_l2_scratch *w = s->scratch;
	bool same = true;

	for (v = 0; v < s->n_tables; v++) {
		w[v].entry = word(s->at[v], (uint64_t)slot * stride);
		w[v].bitmap = stride == 1 ? 0 : word(s->at[v], 2ull * slot + 1);
		w[v].table = v;
		same = same && same_word(&w[0], &w[v]);
	}
	return same;
}

/* Merges one slot: equal entries of all tables to one run each. ALL: the
 * tables together. */
static void merge_slot(const struct qf_l2_slice *s, const struct cls *all,
		       uint32_t slot, uint64_t *members, struct qf_l2_out *out)
{
	struct qf_l2_scratch *w = s->scratch;
	uint32_t v, i, j;
	uint64_t entry;
	struct cls c;
	bool again;

	if (take_slot(s, slot)) {
		entry = w[all->rep].entry;
		if (entry || w[0].bitmap)
			slow_entry(s, all, entry, w[0].bitmap, s->from + slot,
				   false, out);
		return;
	}
	sort_slot(w, s->n_tables);
	for (i = 0; i < s->n_tables; i = j) {
		memset(&c, 0, sizeof(c));
		memset(members, 0, out->words * sizeof(*members));
		c.members = members;
		entry = w[i].entry;
		for (j = i; j < s->n_tables && same_word(&w[i], &w[j]); j++) {
			v = w[j].table;
			class_add(s, &c, v);
			if (s->table[v].active)
				entry = w[j].entry;
			members[v / 64] |= 1ull << (v % 64);
		}
		again = i && host_of(w[i - 1].entry) == host_of(entry);
		if (entry || w[i].bitmap)
			slow_entry(s, &c, entry, w[i].bitmap, s->from + slot,
				   again, out);
	}
}

/* Sorts the tables into classes by their block at FROM; 0: too many. */
static uint32_t classify(const struct qf_l2_slice *s, uint32_t from, uint32_t n,
			 struct cls *cls, uint64_t *members, uint32_t words)
{
	uint32_t stride = s->img->geo.l2_entry_bytes / 8, v, k, used = 0;
	uint64_t at = (uint64_t)from * stride * 8;

	for (v = 0; v < s->n_tables; v++) {
		for (k = 0; k < used; k++)
			if (alike(s->at[cls[k].rep] + at, s->at[v] + at, n,
				  stride))
				break;
		if (k == MAX_CLASSES)
			return 0;
		if (k == used) {
			cls[k] = (struct cls){ .rep = v,
					       .members = members + k * words };
			memset(members + k * words, 0,
			       words * sizeof(*members));
			used++;
		}
		class_add(s, &cls[k], v);
		members[k * words + v / 64] |= 1ull << (v % 64);
	}
	return used;
}

static bool disjoint(const struct qf_l2_slice *s, uint32_t from, uint32_t n,
		     const struct cls *cls, uint32_t used)
{
	uint32_t stride = s->img->geo.l2_entry_bytes / 8, a, b;
	uint64_t at = (uint64_t)from * stride * 8;

	for (a = 0; a < used; a++)
		for (b = a + 1; b < used; b++)
			if (have_common(s->at[cls[a].rep] + at,
					s->at[cls[b].rep] + at, n, stride))
				return false;
	return true;
}

/* The classes' members while a block is worked on. */
static uint64_t *class_members(const struct qf_l2_out *out)
{
	return out->members + (uint64_t)QF_L2_BATCH * out->words;
}

static void decode_block(const struct qf_l2_slice *s, const struct cls *all,
			 uint32_t from, uint32_t n, const struct cls *cls,
			 uint32_t used, struct qf_l2_out *out)
{
	uint32_t i;

	if (used && disjoint(s, from, n, cls, used)) {
		for (i = 0; i < used; i++)
			decode_class(s, &cls[i], from, n, out);
		return;
	}
	for (i = 0; i < n; i++)
		merge_slot(s, all, from + i, class_members(out), out);
}

static void all_tables(const struct qf_l2_slice *s, struct cls *c)
{
	uint32_t v;

	memset(c, 0, sizeof(*c));
	for (v = 0; v < s->n_tables; v++)
		class_add(s, c, v);
}

void qf_l2_decode(const struct qf_l2_slice *s, struct qf_l2_out *out)
{
	struct cls all, cls[MAX_CLASSES];
	uint32_t from, n, used, alike_from = 0;

	all_tables(s, &all);
	if (s->n_tables == 1) {
		decode_class(s, &all, 0, s->n, out);
		return;
	}
	for (from = 0; from < s->n && !out->stopped; from += n) {
		n = s->n - from < BLOCK ? s->n - from : BLOCK;
		used = classify(s, from, n, cls, class_members(out),
				out->words);
		if (used == 1)
			continue; /* grows the stretch on which all agree */
		if (from > alike_from)
			decode_class(s, &all, alike_from, from - alike_from,
				     out);
		decode_block(s, &all, from, n, cls, used, out);
		alike_from = from + n;
	}
	if (s->n > alike_from)
		decode_class(s, &all, alike_from, s->n - alike_from, out);
}
