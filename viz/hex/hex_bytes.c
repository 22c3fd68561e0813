// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/hex/hex_bytes.h"
#include "lib/base/text.h"
#include "viz/draw/outfile.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SLICE (1u << 20)
/* More is a matter of extract. */
#define MOST (256ull << 20)

struct qf_guestmap *qf_hex_bytes_disk(const struct qf_app *a)
{
	struct qf_guestmap *map = a->guest.map;

	return map && map->disk && map->holder == a->guest.holder ? map : NULL;
}

uint64_t *qf_hex_bytes_cursor(struct qf_app *a)
{
	return a->hex.guest ? &a->guest.at : &a->at;
}

uint64_t qf_hex_bytes_size(const struct qf_app *a)
{
	const struct qf_guestmap *map = qf_hex_bytes_disk(a);

	if (!a->hex.guest)
		return a->img->io->size;
	return map ? map->disk_bytes : 0;
}

static bool note_lost(void *ctx, uint64_t start, uint64_t bytes,
		      const char *reason)
{
	bool *lost = ctx;

	(void)start;
	(void)bytes;
	(void)reason;
	*lost = true;
	return true;
}

enum qf_err qf_hex_bytes_read(struct qf_app *a, void *buf, uint64_t n,
			      uint64_t off, bool *lost, struct qf_why *why)
{
	struct qf_guestmap *map = qf_hex_bytes_disk(a);
	uint64_t size = qf_hex_bytes_size(a), there = 0;
	bool any = false;
	enum qf_err err;

	if (!a->hex.guest)
		return qf_io_read_pad(a->img->io, buf, n, off, why);
	memset(buf, 0, n);
	if (!map)
		return qf_err_set(why, QF_ERR_UNSUPPORTED, 0, QF_NOWHERE,
				  "the guest's disk is not known");
	if (off < size)
		there = n < size - off ? n : size - off;
	err = there ? qf_disk_read(map->disk, buf, there, off, note_lost, &any,
				   why)
		    : QF_OK;
	if (lost)
		*lost |= any;
	return err;
}

uint64_t qf_hex_bytes_zeros(struct qf_app *a, uint64_t off)
{
	struct qf_guestmap *map = qf_hex_bytes_disk(a);
	uint64_t size = qf_hex_bytes_size(a), end;
	struct qf_disk_extent e;

	if (off >= size)
		return 0;
	if (!a->hex.guest)
		return qf_io_extent(a->img->io, off, size, &end) == QF_IO_HOLE
			       ? end - off
			       : 0;
	if (!map || qf_disk_at(map->disk, off, size - off, &e, NULL))
		return 0;
	return e.zero && !e.lost ? e.start + e.bytes - off : 0;
}

struct writing {
	struct qf_app *app;
	uint64_t from;
	bool lost;
};

static enum qf_err fill(void *ctx, void *buf, size_t n, uint64_t at,
			struct qf_why *why)
{
	struct writing *w = ctx;

	return qf_hex_bytes_read(w->app, buf, n, w->from + at, &w->lost, why);
}

void qf_hex_bytes_write(struct qf_app *a, const char *name, uint64_t off,
			uint64_t n)
{
	struct writing w = { a, off, false };
	uint64_t size = qf_hex_bytes_size(a);
	struct qf_why why = { 0 };
	char text[32];

	if (off >= size)
		n = 0;
	else if (n > size - off)
		n = size - off;
	if (a->by_chance)
		return;
	if (!n || n > MOST) {
		qf_app_say(a, QF_TINT_WARN,
			   n ? "more than 256 MiB: \"qfsck extract\" writes "
			       "so much"
			     : "there is nothing to write");
		return;
	}
	if (qf_outfile_new(name, n, fill, &w, &why))
		qf_app_say(a, QF_TINT_BAD, "%s: %s", name, why.text);
	else
		qf_app_say(a, w.lost ? QF_TINT_WARN : QF_TINT_GOOD,
			   "%s from %s0x%" PRIx64 " on are in %s%s",
			   qf_text_bytes(n, text, sizeof(text)),
			   a->hex.guest ? "guest offset " : "", off, name,
			   w.lost ? "; what is lost is zeros there" : "");
}

void qf_hex_bytes_to_file(struct qf_app *a)
{
	struct qf_guestmap *map = qf_hex_bytes_disk(a);
	uint64_t host = QF_NOWHERE, entry;
	char what[400];

	if (map)
		qf_guestmap_describe(map, a->guest.at, &host, &entry, what,
				     sizeof(what));
	if (host != QF_NOWHERE)
		qf_app_go(a, QF_VIEW_HEX, host);
	else if (map)
		qf_app_say(a, QF_TINT_WARN, "it has no place in this file: %s",
			   what);
}
