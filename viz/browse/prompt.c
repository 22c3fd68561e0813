// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/browse/prompt.h"
#include "lib/base/mem.h"
#include "lib/base/text.h"
#include "viz/browse/keys.h"
#include "viz/hex/hex_bytes.h"
#include "viz/views/views.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A place that was typed. */
struct place {
	bool guest; /* on the guest's disk, not in the file */
	uint64_t off;
};

/* "64k", "0x10000", "50%" of ALL. */
static bool parse_number(const char *s, uint64_t all, uint64_t *off)
{
	static const char units[] = "kmgtp";
	const char *unit;
	char *end;

	if (!isdigit((unsigned char)*s))
		return false;
	errno = 0;
	*off = strtoull(s, &end, 0);
	if (errno)
		return false;
	if (*end == '%' && !end[1] && *off <= 100) {
		*off = all / 100 * *off + all % 100 * *off / 100;
		return true;
	}
	unit = *end ? strchr(units, tolower((unsigned char)*end)) : NULL;
	if (unit) {
		end++;
		if (!qf_mem_mul(*off, 1ull << (10 * (unit - units + 1)), off))
			return false;
	}
	return !*end;
}

static uint64_t disk_bytes(const struct qf_app *a)
{
	uint32_t h = a->guest.holder;

	return h < a->model->scene.n_holders
		       ? a->model->scene.holder[h].disk_bytes
		       : 0;
}

/* "g3G" of the guest's disk, "h0x50000" of the file, "c12" a cluster; without
 * a letter it is of what the view shows. */
static bool parse_place(const struct qf_app *a, const char *s, struct place *p)
{
	int letter = tolower((unsigned char)*s);
	bool cluster = false;

	p->guest = a->view == QF_VIEW_GUEST ||
		   (a->view == QF_VIEW_HEX && a->hex.guest);
	if (letter == 'g' || letter == 'h') {
		p->guest = letter == 'g';
		letter = tolower((unsigned char)*++s);
	}
	if (letter == 'c') {
		cluster = true;
		s++;
	}
	if (!parse_number(s, p->guest ? disk_bytes(a) : a->img->io->size,
			  &p->off))
		return false;
	return !cluster ||
	       qf_mem_mul(p->off, a->img->geo.cluster_bytes, &p->off);
}

static void go_to(struct qf_app *a, const struct place *p)
{
	char size[32];
	bool bytes;

	if (!p->guest) {
		qf_app_go(a,
			  a->view == QF_VIEW_HEX      ? QF_VIEW_HEX
			  : a->view == QF_VIEW_OWNERS ? QF_VIEW_OWNERS
						      : QF_VIEW_MAP,
			  p->off);
	} else if (p->off >= disk_bytes(a)) {
		qf_app_say(a, QF_TINT_WARN,
			   "0x%" PRIx64 " is past the end of the disk, which "
			   "has %s",
			   p->off,
			   qf_text_bytes(disk_bytes(a), size, sizeof(size)));
	} else {
		bytes = a->view == QF_VIEW_HEX && a->hex.guest;
		qf_app_go_guest(a, a->guest.holder, p->off);
		a->view = bytes ? QF_VIEW_HEX : a->view;
	}
}

void qf_prompt_search(struct qf_app *a, bool back)
{
	a->wrapped = false;
	if (!a->pattern[0])
		qf_app_say(a, QF_TINT_WARN, "no search yet: / starts one");
	else if (!qf_views[a->view]->find)
		qf_app_say(a, QF_TINT_WARN, "this view has no search");
	else if (!qf_views[a->view]->find(a, back))
		qf_app_say(a, QF_TINT_WARN, "\"%s\" not found here",
			   a->pattern);
	else if (a->wrapped)
		qf_app_say(a, QF_TINT_NOTE, "\"%s\": round the %s", a->pattern,
			   back ? "start" : "end");
}

static void remember(struct qf_app *a, int list)
{
	char(*past)[128] = a->past[list];
	int *n = &a->n_past[list];

	if (*n && !strcmp(past[*n - 1], a->typed))
		return;
	if (*n == QF_APP_PAST) {
		memmove(past, past + 1, (QF_APP_PAST - 1) * sizeof(*past));
		--*n;
	}
	memcpy(past[(*n)++], a->typed, sizeof(*past));
}

void qf_prompt_remember(struct qf_app *a)
{
	remember(a, 1);
}

static int list_of(const struct qf_app *a)
{
	return a->ask == QF_ASK_GOTO;
}

/* What was typed before, or after that. */
static void recall(struct qf_app *a, int by)
{
	int list = list_of(a), to = a->past_at + by;

	if (to < 0 || to > a->n_past[list])
		return;
	a->past_at = to;
	if (to == a->n_past[list])
		a->typed[0] = '\0';
	else
		memcpy(a->typed, a->past[list][to], sizeof(a->typed));
}

/* "FILE": the cluster that is shown; "4k FILE": that much from the cursor
 * on. */
static void write_bytes(struct qf_app *a)
{
	char *name = strchr(a->typed, ' ');
	uint64_t bytes = a->img->geo.cluster_bytes;
	uint64_t at = *qf_hex_bytes_cursor(a), n;

	if (name) {
		*name = '\0';
		if (parse_number(a->typed, 0, &n)) {
			qf_hex_bytes_write(a, name + 1, at, n);
			return;
		}
		*name = ' ';
	}
	qf_hex_bytes_write(a, a->typed, at - at % bytes, bytes);
}

static void answer(struct qf_app *a)
{
	enum qf_ask ask = a->ask;
	struct place p;

	if (a->typed[0] && ask != QF_ASK_WRITE)
		remember(a, list_of(a));
	a->ask = QF_ASK_NOTHING;
	if (!a->typed[0])
		return;
	if (ask == QF_ASK_WRITE) {
		write_bytes(a);
		return;
	}
	if (ask == QF_ASK_SEARCH) {
		memcpy(a->pattern, a->typed, sizeof(a->pattern));
		qf_prompt_search(a, false);
	} else if (a->typed[0] == '/') {
		memcpy(a->path, a->typed, sizeof(a->path));
		a->wish = QF_WISH_PATH;
		qf_app_say(a, QF_TINT_NOTE,
			   "looking for %s on the guest's disk", a->path);
	} else if (parse_place(a, a->typed, &p)) {
		go_to(a, &p);
	} else {
		qf_app_say(a, QF_TINT_WARN,
			   "\"%s\" is no place: 0x10000, 4M, 50%%, c12, g3G "
			   "(disk), h64k (file), /etc/passwd",
			   a->typed);
	}
}

void qf_prompt_begin(struct qf_app *a, enum qf_ask what)
{
	a->ask = what;
	a->typed[0] = '\0';
	a->past_at = a->n_past[list_of(a)];
}

static void erase(struct qf_app *a)
{
	size_t n = strlen(a->typed);

	if (!n)
		a->ask = QF_ASK_NOTHING;
	while (n && (a->typed[--n] & 0xc0) == 0x80)
		;
	a->typed[n] = '\0';
}

void qf_prompt_key(struct qf_app *a, uint32_t key)
{
	size_t n = strlen(a->typed);
	char utf8[5];
	int len;

	if (key == QF_KEY_ENTER) {
		answer(a);
	} else if (key == QF_KEY_ESC || key == 3) {
		a->ask = QF_ASK_NOTHING;
	} else if (key == QF_KEY_BACKSPACE || key == QF_KEY_DELETE) {
		erase(a);
	} else if (key == QF_KEY_UP || key == QF_KEY_DOWN) {
		recall(a, key == QF_KEY_UP ? -1 : 1);
	} else if (key == 21) { /* Ctrl-U */
		a->typed[0] = '\0';
	} else if (key >= ' ' && key < QF_KEY_NONE && key != 0x7f) {
		len = qf_cells_utf8(key, utf8);
		if (n + (size_t)len < sizeof(a->typed))
			memcpy(a->typed + n, utf8, (size_t)len + 1);
	}
}
