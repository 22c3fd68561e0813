// SPDX-License-Identifier: GPL-2.0-or-later
#include "repair/plan/mark.h"
#include "lib/base/mem.h"
#include "lib/format/extarea.h"
#include "lib/undofile/undokept.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define NAME_OFF offsetof(struct qf_wire_header, backing_file_offset)

static enum qf_err read_planned(struct qf_plan *p, struct qf_extarea *a,
				struct qf_why *why)
{
	struct qf_io *io = NULL;
	enum qf_err err = qf_overlay_view(p->over, &io, why);

	memset(a, 0, sizeof(*a));
	if (!err)
		err = qf_extarea_read(io, a, why);
	qf_io_close(io);
	return err;
}

static bool is_blank(const struct qf_extarea *a, uint64_t from, uint64_t end)
{
	for (; from < end; from++)
		if (a->buf[from])
			return false;
	return true;
}

/*
 * Where the name of the backing file is to begin, with the list grown to END;
 * 0: it has none, or no room.
 */
static uint64_t place_name(const struct qf_extarea *a, uint64_t end)
{
	uint64_t off = a->hdr.backing_name_off;
	uint64_t len = a->hdr.backing_name_bytes;

	if (off < a->list_end || off > a->bytes || len > a->bytes - off)
		return 0;
	if (off >= end)
		return off;
	return end + len <= a->bytes ? end : 0;
}

/* True if what the list and the name come to stand on is theirs, or nobody's:
 * the list grows to END, the name begins at NAME_OFF. */
static bool has_room(const struct qf_extarea *a, uint64_t end,
		     uint64_t name_off)
{
	uint64_t old = a->hdr.backing_name_off;
	uint64_t len = a->hdr.backing_name_bytes;

	if (!old)
		return end <= a->bytes && is_blank(a, a->list_end, end);
	if (name_off == old)
		return is_blank(a, a->list_end, end);
	return name_off && is_blank(a, a->list_end, old) &&
	       is_blank(a, old + len, name_off + len);
}

/* Plans the bytes from the list's end on: the mark, an end mark, the name. */
static enum qf_err put(struct qf_plan *p, const struct qf_extarea *a,
		       uint64_t name_off, struct qf_why *why)
{
	const struct qf_wire_ext head = {
		.type = qf_be_put32(QF_EXT_GAVE_UP),
		.len = qf_be_put32(sizeof(QF_UNDOKEPT_MARK)),
	};
	uint64_t len = QF_UNDOKEPT_MARK_BYTES + sizeof(head), old, n = 0;
	enum qf_err err = QF_OK;
	unsigned char *buf;

	old = a->hdr.backing_name_off;
	if (name_off != old) {
		n = a->hdr.backing_name_bytes;
		len += n;
	}
	buf = qf_mem_zalloc(1, len);
	if (!buf)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory for the header");
	memcpy(buf, &head, sizeof(head));
	memcpy(buf + sizeof(head), QF_UNDOKEPT_MARK, sizeof(QF_UNDOKEPT_MARK));
	memcpy(buf + len - n, a->buf + old, n);
	err = qf_plan_put(p, QF_P_GAVE_UP, a->list_end, buf, len, why,
			  "add the mark that something was given up%s",
			  n ? ", and move the backing file's name behind it"
			    : "");
	if (!err && n)
		err = qf_plan_put64(p, QF_P_GAVE_UP, NAME_OFF, name_off, why,
				    "point to the moved name");
	free(buf);
	return err;
}

static enum qf_err add(struct qf_plan *p, const struct qf_extarea *a,
		       struct qf_why *why)
{
	uint64_t end = a->list_end + QF_UNDOKEPT_MARK_BYTES +
		       sizeof(struct qf_wire_ext);
	uint64_t name_off = place_name(a, end);

	if (!qf_extarea_is_sound(a))
		p->unmarked = "its list of header extensions is damaged";
	else if (!has_room(a, end, name_off))
		p->unmarked = "its header has no room for the mark";
	else
		return put(p, a, name_off, why);
	return QF_OK;
}

enum qf_err qf_mark_plan(struct qf_plan *p, struct qf_why *why)
{
	struct qf_extarea a;
	enum qf_err err = read_planned(p, &a, why);

	p->unmarked = NULL;
	if (!err && !qf_ext_find(&a.list, QF_EXT_GAVE_UP))
		err = add(p, &a, why);
	qf_extarea_free(&a);
	return err;
}

enum qf_err qf_mark_drop(struct qf_plan *p, struct qf_why *why)
{
	const struct qf_ext *e;
	struct qf_extarea a;
	enum qf_err err = read_planned(p, &a, why);
	uint64_t from, gone, rest;

	e = err || !qf_extarea_is_sound(&a)
		    ? NULL
		    : qf_ext_find(&a.list, QF_EXT_GAVE_UP);
	if (e) {
		from = e->off - sizeof(struct qf_wire_ext);
		gone = sizeof(struct qf_wire_ext) +
		       qf_mem_round_up(e->bytes, 8);
		rest = a.list_end - from - gone;
		memmove(a.buf + from, a.buf + from + gone, rest);
		memset(a.buf + from + rest, 0, gone);
		err = qf_plan_put(p, QF_P_GAVE_UP, from, a.buf + from,
				  rest + gone, why,
				  "take out the mark that something was given "
				  "up");
		p->forgets = true;
	}
	qf_extarea_free(&a);
	return err;
}
