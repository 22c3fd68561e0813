// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/browse/script.h"
#include "lib/base/text.h"
#include "viz/draw/outfile.h"
#include "viz/browse/drive.h"
#include "viz/browse/frame.h"
#include "viz/browse/screen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_BYTES (1u << 20) /* of a script */

static enum qf_err bad(struct qf_why *why, const char *what, const char *arg)
{
	char safe[200];

	return qf_err_set(why, QF_ERR_USAGE, 0, QF_NOWHERE, "%s: \"%s\"", what,
			  qf_text_safe(arg, safe, sizeof(safe)));
}

static enum qf_err do_size(struct qf_app *a, char *arg, struct qf_why *why)
{
	int w, h;

	if (sscanf(arg, "%dx%d", &w, &h) != 2)
		return bad(why, "not a size", arg);
	return qf_cells_resize(&a->screen, w, h)
		       ? QF_OK
		       : qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				    "no memory for the screen");
}

/* One key; the screen is drawn as it would be on a terminal. */
static void press(struct qf_app *a, uint32_t key)
{
	bool changed;

	qf_drive_key(a, key);
	qf_drive_tick(a, &changed);
	qf_frame_draw(a);
}

static enum qf_err do_key(struct qf_app *a, char *arg, struct qf_why *why)
{
	char *name, *state = NULL;

	for (name = strtok_r(arg, " \t", &state); name;
	     name = strtok_r(NULL, " \t", &state)) {
		uint32_t key = qf_keys_parse(name);

		if (key == QF_KEY_NONE)
			return bad(why, "no such key", name);
		press(a, key);
	}
	return QF_OK;
}

static enum qf_err do_type(struct qf_app *a, char *arg, struct qf_why *why)
{
	const char *p = arg;

	(void)why;
	while (*p)
		press(a, qf_cells_next(&p));
	return QF_OK;
}

static enum qf_err mouse(struct qf_app *a, const char *arg,
			 enum qf_drive_click c, struct qf_why *why)
{
	int x, y;

	if (sscanf(arg, "%d %d", &x, &y) != 2)
		return bad(why, "not a place on the screen", arg);
	qf_frame_draw(a);
	qf_drive_click(a, x, y, c);
	qf_frame_draw(a);
	return QF_OK;
}

static enum qf_err do_click(struct qf_app *a, char *arg, struct qf_why *why)
{
	return mouse(a, arg, QF_CLICK, why);
}

static enum qf_err do_double(struct qf_app *a, char *arg, struct qf_why *why)
{
	return mouse(a, arg, QF_CLICK_TWICE, why);
}

static enum qf_err do_wheel_up(struct qf_app *a, char *arg, struct qf_why *why)
{
	return mouse(a, arg, QF_WHEEL_UP, why);
}

static enum qf_err do_wheel_down(struct qf_app *a, char *arg,
				 struct qf_why *why)
{
	return mouse(a, arg, QF_WHEEL_DOWN, why);
}

static enum qf_err do_drag(struct qf_app *a, char *arg, struct qf_why *why)
{
	return mouse(a, arg, QF_DRAG, why);
}

static enum qf_err do_wait(struct qf_app *a, char *arg, struct qf_why *why)
{
	(void)arg;
	(void)why;
	qf_drive_wait(a);
	return QF_OK;
}

static enum qf_err do_save(struct qf_app *a, char *arg, struct qf_why *why)
{
	struct qf_outbuf out = { 0 };
	const char *dot = strrchr(arg, '.');
	enum qf_err err;
	char *text;

	if (!*arg)
		return bad(why, "no file to save to", arg);
	qf_frame_draw(a);
	if (dot && !strcmp(dot, ".svg")) {
		qf_screen_svg(&a->screen, &out);
	} else {
		text = qf_cells_dump(&a->screen);
		out.failed = !text;
		if (text)
			qf_outbuf_add(&out, text, strlen(text));
		free(text);
	}
	err = out.failed ? qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				      "no memory for the screen")
			 : qf_outfile_write(arg, out.at, out.n, why);
	qf_outbuf_free(&out);
	return err;
}

/* "X Y HALF FROM END KIND BESIDE" for each cell of the map that is shown, in
 * bytes of the disk or the file; of a wide or high cell where it begins. */
static enum qf_err do_cells(struct qf_app *a, char *arg, struct qf_why *why)
{
	bool guest = a->view == QF_VIEW_GUEST;
	const struct qf_grid *g = guest ? &a->guest.grid : &a->map.grid;
	const struct qf_scene *s = &a->model->scene;
	uint64_t first, end, seen[2] = { UINT64_MAX, UINT64_MAX };
	struct qf_outbuf out = { 0 };
	struct qf_scene_cell cell;
	enum qf_err err;
	int i;

	qf_frame_draw(a);
	if (guest && a->guest.map)
		s = &a->guest.map->scene;
	for (i = 0; i < 2 * a->screen.w * a->screen.h; i++) {
		int x = i / 2 % a->screen.w, y = i / 2 / a->screen.w;

		if (!qf_grid_cell_at(g, s, x, y, i % 2, &first, &end, &cell) ||
		    first == seen[i % 2] || (y - g->y) % g->lines)
			continue;
		seen[i % 2] = first;
		qf_outbuf_printf(
			&out, "%d %d %d %llu %llu %s %s\n", x, y, i % 2,
			(unsigned long long)first << s->cluster_bits,
			(unsigned long long)end << s->cluster_bits,
			qf_palette_kind((enum qf_kind)cell.kind)->key,
			qf_palette_kind((enum qf_kind)cell.minor)->key);
	}
	err = out.failed ? qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				      "no memory for the cells")
			 : qf_outfile_write(arg, out.at, out.n, why);
	qf_outbuf_free(&out);
	return err;
}

/* xorshift: the same keys from the same seed, everywhere. */
static uint64_t next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static enum qf_err do_random(struct qf_app *a, char *arg, struct qf_why *why)
{
	unsigned long long seed;
	unsigned int n;
	uint64_t state, v;

	if (sscanf(arg, "%llu %u", &seed, &n) != 2)
		return bad(why, "needs a seed and a number", arg);
	a->by_chance = true;
	for (state = seed * 2 + 1; n; n--) {
		v = next(&state) >> 8;
		if (v % 16 == 0)
			qf_drive_click(a, (int)(v >> 8 & 0xff),
				       (int)(v >> 16 & 0x3f),
				       (enum qf_drive_click)(v >> 24 & 3));
		else if (v % 3)
			press(a, ' ' + (uint32_t)(v >> 8) % 95);
		else
			press(a, QF_KEY_NONE + (uint32_t)(v >> 8) %
						       (QF_KEY_END_OF_LIST -
							QF_KEY_NONE));
		qf_frame_draw(a);
		a->quit = false;
	}
	a->by_chance = false;
	return QF_OK;
}

static enum qf_err do_storm(struct qf_app *a, char *arg, struct qf_why *why)
{
	unsigned long long seed;
	uint64_t state, v;
	unsigned int n;

	if (sscanf(arg, "%llu %u", &seed, &n) != 2)
		return bad(why, "needs a seed and a number", arg);
	for (state = seed * 2 + 1; n; n--) {
		v = next(&state) >> 8;
		/* small ones are where it hurts */
		if (v & 1)
			qf_cells_resize(&a->screen,
					1 + (int)(v >> 8 & 0xffff) % 12,
					1 + (int)(v >> 24 & 0xff) % 8);
		else
			qf_cells_resize(&a->screen,
					1 + (int)(v >> 8 & 0xffff) % 300,
					1 + (int)(v >> 24 & 0xffff) % 100);
		qf_frame_draw(a);
	}
	return QF_OK;
}

static const struct {
	const char *name;
	enum qf_err (*run)(struct qf_app *a, char *arg, struct qf_why *why);
} commands[] = {
	{ "size", do_size },
	{ "key", do_key },
	{ "type", do_type },
	{ "click", do_click },
	{ "double", do_double },
	{ "wheel-up", do_wheel_up },
	{ "wheel-down", do_wheel_down },
	{ "drag", do_drag },
	{ "wait", do_wait },
	{ "save", do_save },
	{ "cells", do_cells },
	{ "random", do_random },
	{ "storm", do_storm },
};

static enum qf_err run_line(struct qf_app *a, char *line, struct qf_why *why)
{
	size_t n = strcspn(line, " \t"), i;
	char *arg = line + n;

	while (*arg == ' ' || *arg == '\t')
		arg++;
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strlen(commands[i].name) == n &&
		    !strncmp(line, commands[i].name, n))
			return commands[i].run(a, arg, why);
	return bad(why, "unknown command in the script", line);
}

/* The whole script as a string, owned by the caller. */
static char *read_script(const char *file, struct qf_why *why)
{
	int fd = strcmp(file, "-") ? open(file, O_RDONLY | O_CLOEXEC)
				   : STDIN_FILENO;
	char *text = malloc(MAX_BYTES + 1);
	size_t n = 0;
	ssize_t got = -1;

	while (fd >= 0 && text && n < MAX_BYTES &&
	       (got = read(fd, text + n, MAX_BYTES - n)) > 0)
		n += (size_t)got;
	if (fd < 0 || !text || got < 0) {
		qf_err_set(why, QF_ERR_IO, errno, QF_NOWHERE,
			   "the script \"%s\" cannot be read", file);
		free(text);
		text = NULL;
	}
	if (fd > STDIN_FILENO)
		close(fd);
	if (text)
		text[n] = '\0';
	return text;
}

enum qf_err qf_script_run(struct qf_app *a, const char *file,
			  struct qf_why *why)
{
	char *text = read_script(file, why), *line, *state = NULL;
	enum qf_err err = QF_OK;

	if (!text)
		return QF_ERR_IO;
	for (line = strtok_r(text, "\r\n", &state); line && !err && !a->quit;
	     line = strtok_r(NULL, "\r\n", &state))
		if (*line != '#')
			err = run_line(a, line, why);
	free(text);
	return err;
}
