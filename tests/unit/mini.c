// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/unit/mini.h"
#include "tests/unit/unit.h"

#include <errno.h>

static void put(struct mini *m, uint64_t off, uint64_t v, unsigned int bytes)
{
	assert_true(off + bytes <= m->bytes);
	while (bytes--) {
		m->buf[off + bytes] = (unsigned char)v;
		v >>= 8;
	}
}

void mini_put16(struct mini *m, uint64_t off, uint16_t v)
{
	put(m, off, v, 2);
}

void mini_put32(struct mini *m, uint64_t off, uint32_t v)
{
	put(m, off, v, 4);
}

void mini_put64(struct mini *m, uint64_t off, uint64_t v)
{
	put(m, off, v, 8);
}

uint64_t mini_get64(const struct mini *m, uint64_t off)
{
	uint64_t v = 0;
	unsigned int i;

	assert_true(off + 8 <= m->bytes);
	for (i = 0; i < 8; i++)
		v = v << 8 | m->buf[off + i];
	return v;
}

/* N zeroed clusters at the end of the file, not counted yet. */
static uint64_t extend(struct mini *m, uint64_t n)
{
	uint64_t off = m->bytes;

	m->bytes += n * m->cluster_bytes;
	if (m->bytes > m->room) {
		m->room = m->bytes * 2;
		m->buf = realloc(m->buf, m->room);
		assert_non_null(m->buf);
	}
	memset(m->buf + off, 0, n * m->cluster_bytes);
	return off;
}

/* How many refcounts a block holds, and where one stands, in bits. */
static uint64_t counts_in_block(const struct mini *m)
{
	return m->cluster_bytes * 8 >> m->o.refcount_order;
}

static uint64_t block_of(const struct mini *m, uint64_t cluster)
{
	return mini_get64(m,
			  m->reftable_off + cluster / counts_in_block(m) * 8);
}

uint64_t mini_refcount(const struct mini *m, uint64_t off)
{
	uint64_t c = off / m->cluster_bytes, block = block_of(m, c), v = 0;
	uint64_t bit = (c % counts_in_block(m)) << m->o.refcount_order;
	uint32_t width = 1u << m->o.refcount_order, i;

	if (!block)
		return 0;
	if (width < 8)
		return (uint32_t)m->buf[block + bit / 8] >> (bit % 8) &
		       ((1u << width) - 1);
	for (i = 0; i < width / 8; i++)
		v = v << 8 | m->buf[block + bit / 8 + i];
	return v;
}

void mini_set_refcount(struct mini *m, uint64_t off, uint64_t n)
{
	uint64_t c = off / m->cluster_bytes, block = block_of(m, c);
	uint64_t bit = (c % counts_in_block(m)) << m->o.refcount_order;
	uint32_t width = 1u << m->o.refcount_order, mask;
	unsigned char *p;

	if (!block) {
		assert_true(c / counts_in_block(m) * 8 < m->cluster_bytes);
		block = extend(m, 1);
		mini_put64(m, m->reftable_off + c / counts_in_block(m) * 8,
			   block);
		mini_set_refcount(m, block, 1);
	}
	if (width >= 8) {
		put(m, block + bit / 8, n, width / 8);
		return;
	}
	p = m->buf + block + bit / 8;
	mask = ((1u << width) - 1) << (bit % 8);
	*p = (unsigned char)((*p & ~mask) | ((n << (bit % 8)) & mask));
}

uint64_t mini_alloc(struct mini *m, uint64_t n)
{
	uint64_t off = extend(m, n), i;

	for (i = 0; i < n; i++)
		mini_set_refcount(m, off + i * m->cluster_bytes, 1);
	return off;
}

/* Room for a table; one without entries has no place. */
static uint64_t alloc_table(struct mini *m, uint64_t bytes)
{
	uint64_t n = (bytes + m->cluster_bytes - 1) / m->cluster_bytes;

	return n ? mini_alloc(m, n) : 0;
}

static void put_header(struct mini *m)
{
	put(m, 0, 0x514649fb, 4);
	put(m, 4, m->o.version, 4);
	put(m, 20, m->o.cluster_bits, 4);
	put(m, 24, m->o.disk_bytes, 8);
	put(m, 36, m->l1_entries, 4);
	put(m, 40, m->l1_off, 8);
	put(m, 48, m->reftable_off, 8);
	put(m, 56, 1, 4);
	if (m->o.version < 3)
		return;
	put(m, 72, m->o.incompatible, 8);
	put(m, 80, m->o.compatible, 8);
	put(m, 88, m->o.autoclear, 8);
	put(m, 96, m->o.refcount_order, 4);
	put(m, 100, 104, 4);
}

void mini_make(struct mini *m, const struct mini_opts *o)
{
	uint64_t span;

	memset(m, 0, sizeof(*m));
	m->o = *o;
	if (o->version < 3)
		m->o.refcount_order = 4;
	m->cluster_bytes = 1ull << o->cluster_bits;
	m->l2_words = o->incompatible & QF_INCOMPAT_EXTL2 ? 2 : 1;
	m->l2_bits = o->cluster_bits - 2 - m->l2_words;
	span = m->cluster_bytes << m->l2_bits;
	m->l1_entries = (uint32_t)((o->disk_bytes + span - 1) / span);
	extend(m, 2);
	m->reftable_off = m->cluster_bytes;
	mini_set_refcount(m, 0, 1);
	mini_set_refcount(m, m->reftable_off, 1);
	m->l1_off = alloc_table(m, m->l1_entries * 8ull);
	put_header(m);
}

void mini_free(struct mini *m)
{
	free(m->buf);
	memset(m, 0, sizeof(*m));
}

static void add_refcount(struct mini *m, uint64_t off, int by)
{
	mini_set_refcount(m, off, mini_refcount(m, off) + (uint64_t)by);
}

/* A shared table is copied first, as a writer does. */
uint64_t mini_l2(struct mini *m, uint32_t l1_index)
{
	uint64_t at = m->l1_off + l1_index * 8ull, old, off;

	assert_true(l1_index < m->l1_entries);
	if (mini_get64(m, at) & MINI_COPIED)
		return mini_get64(m, at) & ~MINI_COPIED;
	old = mini_get64(m, at);
	off = mini_alloc(m, 1);
	if (old) {
		memcpy(m->buf + off, m->buf + old, m->cluster_bytes);
		add_refcount(m, old, -1);
	}
	mini_put64(m, at, off | MINI_COPIED);
	return off;
}

uint64_t mini_entry_off(struct mini *m, uint64_t guest_cluster)
{
	uint64_t l2 = mini_l2(m, (uint32_t)(guest_cluster >> m->l2_bits));

	return l2 +
	       (guest_cluster & ((1ull << m->l2_bits) - 1)) * 8 * m->l2_words;
}

/* The sectors that a compressed entry names, as bytes. */
static uint64_t packed_place(const struct mini *m, uint64_t entry,
			     uint64_t *bytes)
{
	uint32_t x = 62 - (m->o.cluster_bits - 8);
	uint64_t off = entry & ((1ull << x) - 1);

	entry &= ~(MINI_COPIED | MINI_COMPRESSED);
	*bytes = ((entry >> x) + 1) * 512 - off % 512;
	return off;
}

/* Adds BY to the refcounts of what an L2 entry names. */
static void count_entry(struct mini *m, uint64_t entry, int by)
{
	uint64_t off = entry & 0x00fffffffffffe00ull, bytes = 1, c;

	if (entry & MINI_COMPRESSED)
		off = packed_place(m, entry, &bytes);
	if (!off)
		return;
	for (c = off / m->cluster_bytes;
	     c <= (off + bytes - 1) / m->cluster_bytes; c++)
		add_refcount(m, c * m->cluster_bytes, by);
}

uint64_t mini_data(struct mini *m, uint64_t guest_cluster)
{
	uint64_t at = mini_entry_off(m, guest_cluster);
	uint64_t off = mini_alloc(m, 1);

	count_entry(m, mini_get64(m, at), -1);
	memset(m->buf + off, (int)(guest_cluster % 255 + 1), m->cluster_bytes);
	mini_put64(m, at, off | MINI_COPIED);
	if (m->l2_words == 2)
		mini_put64(m, at + 8, UINT32_MAX);
	return off;
}

uint64_t mini_packed(struct mini *m, uint64_t guest_cluster, uint64_t bytes)
{
	uint32_t x = 62 - (m->o.cluster_bits - 8);
	uint64_t at = mini_entry_off(m, guest_cluster);
	uint64_t off = mini_alloc(m, 1);

	assert_true(bytes && bytes <= m->cluster_bytes);
	count_entry(m, mini_get64(m, at), -1);
	mini_put64(m, at,
		   MINI_COMPRESSED | ((bytes + 511) / 512 - 1) << x | off);
	if (m->l2_words == 2)
		mini_put64(m, at + 8, 0);
	return off;
}

/* All that the active L1 table reaches has one owner more. */
static void share_tables(struct mini *m)
{
	uint64_t at, l2, e;
	uint32_t i, k;

	for (i = 0; i < m->l1_entries; i++) {
		at = m->l1_off + i * 8ull;
		l2 = mini_get64(m, at) & ~MINI_COPIED;
		if (!l2)
			continue;
		mini_put64(m, at, l2);
		add_refcount(m, l2, 1);
		for (k = 0; k < 1u << m->l2_bits; k++) {
			at = l2 + k * 8ull * m->l2_words;
			e = mini_get64(m, at);
			count_entry(m, e, 1);
			if (!(e & MINI_COMPRESSED))
				mini_put64(m, at, e & ~MINI_COPIED);
		}
	}
}

/* The snapshot table moves to a longer place: a writer does the same. */
static uint64_t move_table(struct mini *m, uint64_t more)
{
	uint64_t start = (m->snap_bytes + 7) & ~7ull;
	uint64_t n = (start + more + m->cluster_bytes - 1) / m->cluster_bytes;
	uint64_t off = mini_alloc(m, n), at;

	if (m->snap_off)
		memcpy(m->buf + off, m->buf + m->snap_off, m->snap_bytes);
	for (at = 0; at < m->snap_bytes; at += m->cluster_bytes)
		add_refcount(m, m->snap_off + at, -1);
	m->snap_off = off;
	m->snap_bytes = start + more;
	return off + start;
}

void mini_snapshot(struct mini *m, const char *id, const char *name)
{
	size_t id_len = strlen(id), name_len = strlen(name);
	uint64_t l1, at, bytes = m->l1_entries * 8ull;

	share_tables(m);
	l1 = alloc_table(m, bytes);
	memcpy(m->buf + l1, m->buf + m->l1_off, bytes);
	at = move_table(m, 40 + 16 + id_len + name_len);
	mini_put64(m, at, l1);
	mini_put32(m, at + 8, m->l1_entries);
	mini_put16(m, at + 12, (uint16_t)id_len);
	mini_put16(m, at + 14, (uint16_t)name_len);
	mini_put32(m, at + 16, 1700000000);
	mini_put32(m, at + 36, 16);
	mini_put64(m, at + 40 + 8, m->o.disk_bytes);
	memcpy(m->buf + at + 56, id, id_len);
	memcpy(m->buf + at + 56 + id_len, name, name_len);
	mini_put32(m, 60, ++m->snaps);
	mini_put64(m, 64, m->snap_off);
}

void mini_extension(struct mini *m, uint32_t type, const void *data,
		    uint32_t bytes)
{
	uint64_t at = m->o.version < 3 ? 72 : 104;

	while (mini_get64(m, at))
		at += 8 + (((mini_get64(m, at) & UINT32_MAX) + 7) & ~7ull);
	assert_true(at + 8 + bytes + 8 <= m->cluster_bytes);
	mini_put32(m, at, type);
	mini_put32(m, at + 4, bytes);
	memcpy(m->buf + at + 8, data, bytes);
}

void mini_bitmap(struct mini *m, const char *name)
{
	uint64_t dir = mini_alloc(m, 1), table = mini_alloc(m, 1);
	uint64_t n = (24 + strlen(name) + 7) & ~7ull, i;
	unsigned char ext[24] = { 0, 0, 0, 1 };

	mini_put64(m, dir, table);
	mini_put32(m, dir + 8, 1);
	mini_put32(m, dir + 12, 2); /* auto */
	m->buf[dir + 16] = 1;
	m->buf[dir + 17] = 16;
	mini_put16(m, dir + 18, (uint16_t)strlen(name));
	memcpy(m->buf + dir + 24, name, strlen(name));
	mini_put64(m, table, mini_alloc(m, 1));
	for (i = 0; i < 8; i++) {
		ext[8 + i] = (unsigned char)(n >> (56 - 8 * i));
		ext[16 + i] = (unsigned char)(dir >> (56 - 8 * i));
	}
	mini_extension(m, 0x23852875, ext, sizeof(ext));
	mini_put64(m, 88, mini_get64(m, 88) | 1);
}

struct qf_image *mini_open(const struct mini *m)
{
	struct qf_why why = { 0 };
	struct qf_image *img = NULL;
	struct qf_io *io;

	assert_int_equal(qf_io_mem_open(m->buf, m->bytes, "mini", &io, NULL),
			 QF_OK);
	if (qf_image_open(io, &img, &why))
		fail_msg("the image does not open: %s", why.text);
	return img;
}

static int64_t faulty_read(struct qf_io *io, void *buf, uint64_t len,
			   uint64_t off)
{
	struct mini_faulty *f = (struct mini_faulty *)io;

	if (++f->reads == f->fail_read)
		return -EIO;
	if (off < f->fail_off + f->fail_bytes && f->fail_off < off + len)
		return -EIO;
	if (off >= f->m->bytes)
		return 0;
	if (len > f->m->bytes - off)
		len = f->m->bytes - off;
	memcpy(buf, f->m->buf + off, len);
	return (int64_t)len;
}

static int64_t faulty_read_cached(struct qf_io *io, void *buf, uint64_t len,
				  uint64_t off)
{
	struct mini_faulty *f = (struct mini_faulty *)io;

	return f->no_cache ? -EAGAIN : faulty_read(io, buf, len, off);
}

static void faulty_hint(struct qf_io *io, uint64_t off, uint64_t len)
{
	struct mini_faulty *f = (struct mini_faulty *)io;

	(void)off;
	(void)len;
	f->hints++;
}

static void faulty_close(struct qf_io *io)
{
	free(io->name);
	io->name = NULL;
}

struct qf_io *mini_faulty_io(struct mini_faulty *f, const struct mini *m)
{
	static const struct qf_io_ops ops = {
		.read = faulty_read,
		.read_cached = faulty_read_cached,
		.hint = faulty_hint,
		.close = faulty_close,
	};

	f->io = (struct qf_io){ .ops = &ops,
				.size = m->bytes,
				.name = strdup("faulty"),
				.fd = -1,
				.disk_bytes = m->bytes };
	f->m = m;
	return &f->io;
}
