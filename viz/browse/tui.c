// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The terminal: cells to ncurses, keys from it. Promises: the terminal is
 * given back on every way out, also by a signal; no key is waited for while
 * there is work.
 */
#include "viz/browse/tui.h"
#include "viz/browse/drive.h"
#include "viz/browse/frame.h"

#include <errno.h>
#include <limits.h>
#include <ncurses.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <term.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

/* How long to wait for a key: with a job in the background, and without. */
#define WAIT_JOB_MS 100
#define WAIT_MS 1000
/* Two clicks within that time are a double one. */
#define TWICE_MS 400

#define GREY 8	 /* of 16 colours; with 8 it is the terminal's own, dim */
#define MADE 512 /* pairs of colours for cells */

static struct {
	struct termios before;
	bool colours, bright; /* bright: 16 colours or more */
	bool many;	      /* 256 */
	int pairs;	      /* made so far */
	struct {
		short fg, bg, pair;
	} made[MADE];
	char undo[256]; /* gives the terminal back */
	size_t undo_bytes;
} t;

static volatile sig_atomic_t caught;

static void on_end(int sig)
{
	caught = sig;
}

/* Only what is allowed in a handler: the terminal back, then the signal. */
static void on_crash(int sig)
{
	if (write(STDOUT_FILENO, t.undo, t.undo_bytes) < 0)
		tcflush(STDOUT_FILENO, TCIFLUSH);
	tcsetattr(STDIN_FILENO, TCSANOW, &t.before);
	raise(sig);
}

static const int ends[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
static const int crashes[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void set_handlers(bool ours)
{
	struct sigaction sa;
	size_t i;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = ours ? on_end : SIG_DFL;
	for (i = 0; i < COUNT(ends); i++)
		sigaction(ends[i], &sa, NULL);
	sa.sa_handler = ours ? on_crash : SIG_DFL;
	sa.sa_flags = ours ? (int)SA_RESETHAND | SA_NODEFER : 0;
	for (i = 0; i < COUNT(crashes); i++)
		sigaction(crashes[i], &sa, NULL);
}

static void add_undo(const char *s)
{
	size_t n = s && s != (const char *)-1 ? strlen(s) : 0;

	if (t.undo_bytes + n > sizeof(t.undo))
		return;
	memcpy(t.undo + t.undo_bytes, s ? s : "", n);
	t.undo_bytes += n;
}

static void prepare_undo(void)
{
	t.undo_bytes = 0;
	if (tigetstr("kmous") && tigetstr("kmous") != (char *)-1)
		add_undo("\033[?1002l\033[?1000l\033[?1006l");
	add_undo(tigetstr("sgr0"));
	add_undo(tigetstr("rmkx"));
	add_undo(tigetstr("cnorm"));
	add_undo(tigetstr("rmcup"));
}

static short colour_number(uint32_t rgb, int8_t of16)
{
	if (rgb == QF_PLAIN || of16 < 0)
		return -1;
	if (t.many)
		return (short)qf_palette_256(rgb);
	if (!t.bright && of16 == GREY)
		return -1; /* bold black is black on many a terminal */
	return (short)(t.bright ? of16 : of16 % 8);
}

static void set_colours(enum qf_tui_colours want)
{
	struct qf_paint p;
	int i;

	t.colours = has_colors() && want != QF_COLOURS_MONO;
	if (want == QF_COLOURS_AUTO && getenv("NO_COLOR") &&
	    *getenv("NO_COLOR"))
		t.colours = false;
	if (!t.colours || start_color() == ERR || COLOR_PAIRS < QF_TINTS + 1) {
		t.colours = false;
		return;
	}
	use_default_colors();
	t.many = COLORS >= 256 && want != QF_COLOURS_16;
	t.bright = COLORS >= 16;
	for (i = 0; i < QF_TINTS; i++) {
		p = qf_palette_paint((enum qf_tint)i);
		init_pair((short)(i + 1), colour_number(p.fg, p.fg16),
			  colour_number(p.bg, p.bg16));
	}
	t.pairs = QF_TINTS + 1;
	memset(t.made, 0, sizeof(t.made));
}

/* The pair of two of 256 colours, which is made when it is first wanted; 0:
 * the terminal has no more. */
static short pair_of(short fg, short bg)
{
	int i;

	for (i = 0; i < MADE && t.made[i].pair; i++)
		if (t.made[i].fg == fg && t.made[i].bg == bg)
			return t.made[i].pair;
	if (i == MADE || t.pairs >= COLOR_PAIRS || t.pairs >= SHRT_MAX ||
	    init_pair((short)t.pairs, fg, bg) == ERR)
		return 0;
	t.made[i].fg = fg;
	t.made[i].bg = bg;
	t.made[i].pair = (short)t.pairs++;
	return t.made[i].pair;
}

/* A cell as an area of its kind's colour; false: it has no such look. */
static bool solid(const struct qf_cell *c, wchar_t *ch, short *pair)
{
	struct qf_paint p;
	short made;

	if (!t.colours || !t.many ||
	    (!c->under && c->tint >= (int)QF_KIND_LEAKED &&
	     (!c->reverse || c->tint >= (int)QF_KINDS)))
		return false;
	p = qf_palette_solid((enum qf_tint)c->tint, (int)c->under - 1, c->ch);
	if (c->reverse && !c->under)
		qf_palette_cursor((enum qf_tint)c->tint, &p);
	made = pair_of(colour_number(p.fg, 0), colour_number(p.bg, 0));
	if (!made)
		return false;
	*pair = made;
	if (!c->under && qf_palette_is_shade((enum qf_tint)c->tint, c->ch))
		*ch = L' ';
	return true;
}

/* Without colours enough for two in a cell, that of its larger part, or what
 * there is in an empty one. */
static struct qf_cell simple(struct qf_cell c)
{
	if (c.under && !(t.colours && t.many)) {
		if (c.under - 1 >= (int)QF_KIND_HEADER)
			c.tint = (uint8_t)(c.under - 1);
		c.ch = qf_palette_kind((enum qf_kind)c.tint)->glyph;
		c.under = 0;
	}
	return c;
}

/* The attributes of a cell; *PAIR its colours. */
static attr_t attributes(const struct qf_cell *c, short *pair)
{
	struct qf_paint p = qf_palette_paint((enum qf_tint)c->tint);
	attr_t a = 0;

	*pair = 0;
	if (t.colours) {
		*pair = (short)(c->tint + 1);
		if (!t.many && !t.bright && p.fg16 == GREY)
			a |= A_DIM;
		else if (p.mono & QF_MONO_BOLD ||
			 (!t.many && !t.bright && p.fg16 > GREY))
			a |= A_BOLD;
	} else {
		if (p.mono & QF_MONO_BOLD)
			a |= A_BOLD;
		if (p.mono & QF_MONO_DIM)
			a |= A_DIM;
		if (p.mono & QF_MONO_UNDERLINE)
			a |= A_UNDERLINE;
		if (p.mono & QF_MONO_REVERSE)
			a |= A_REVERSE;
	}
	return c->reverse ? a ^ A_REVERSE : a;
}

static void show(struct qf_app *a)
{
	const struct qf_cells *c = &a->screen;
	int x, y;

	qf_frame_draw(a);
	if (a->redraw)
		clearok(stdscr, TRUE);
	a->redraw = false;
	for (y = 0; y < c->h; y++)
		for (x = 0; x < c->w; x++) {
			struct qf_cell p = simple(c->at[y * c->w + x]);
			wchar_t text[2] = { (wchar_t)p.ch, 0 };
			cchar_t out;
			short pair;
			attr_t attr = attributes(&p, &pair);

			if (!p.ch)
				continue;
			solid(&p, text, &pair);
			if (a->ascii && p.ch > 0x7e)
				text[0] = L'?';
			setcchar(&out, text, attr, pair, NULL);
			mvadd_wch(y, x, &out);
		}
	refresh();
}

static uint32_t key_of_code(wint_t code)
{
	switch (code) {
	case KEY_UP:
		return QF_KEY_UP;
	case KEY_DOWN:
		return QF_KEY_DOWN;
	case KEY_LEFT:
		return QF_KEY_LEFT;
	case KEY_RIGHT:
		return QF_KEY_RIGHT;
	case KEY_PPAGE:
		return QF_KEY_PAGE_UP;
	case KEY_NPAGE:
		return QF_KEY_PAGE_DOWN;
	case KEY_HOME:
		return QF_KEY_HOME;
	case KEY_END:
		return QF_KEY_END;
	case KEY_ENTER:
		return QF_KEY_ENTER;
	case KEY_BACKSPACE:
		return QF_KEY_BACKSPACE;
	case KEY_DC:
		return QF_KEY_DELETE;
	case KEY_BTAB:
		return QF_KEY_BACKTAB;
	case KEY_F(1):
		return QF_KEY_F1;
	default:
		return QF_KEY_NONE;
	}
}

static uint32_t key_of_char(wint_t ch)
{
	switch (ch) {
	case '\r':
	case '\n':
		return QF_KEY_ENTER;
	case '\t':
		return QF_KEY_TAB;
	case '\b':
	case 0x7f:
		return QF_KEY_BACKSPACE;
	case 27:
		return QF_KEY_ESC;
	default:
		return ch < QF_KEY_NONE ? ch : QF_KEY_NONE;
	}
}

/* True if E is the second of two presses on one place. */
static bool is_second(const MEVENT *e)
{
	static struct {
		int x, y;
		int64_t ms;
	} last = { -1, -1, 0 };
	struct timespec now;
	int64_t ms;
	bool second;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
	second = e->x == last.x && e->y == last.y && ms - last.ms < TWICE_MS;
	last.x = second ? -1 : e->x;
	last.y = e->y;
	last.ms = ms;
	return second;
}

static void take_mouse(struct qf_app *a)
{
	MEVENT e;

	if (getmouse(&e) == ERR)
		return;
	if (e.bstate & REPORT_MOUSE_POSITION)
		qf_drive_click(a, e.x, e.y, QF_DRAG);
	else if (e.bstate & (BUTTON1_DOUBLE_CLICKED | BUTTON1_TRIPLE_CLICKED))
		/* ncurses has put together what came at once */
		qf_drive_click(a, e.x, e.y, QF_CLICK_TWICE);
	else if (e.bstate & (BUTTON1_CLICKED | BUTTON1_PRESSED))
		qf_drive_click(a, e.x, e.y,
			       is_second(&e) ? QF_CLICK_TWICE : QF_CLICK);
	else if (e.bstate & BUTTON4_PRESSED)
		qf_drive_click(a, e.x, e.y, QF_WHEEL_UP);
#ifdef BUTTON5_PRESSED
	else if (e.bstate & BUTTON5_PRESSED)
		qf_drive_click(a, e.x, e.y, QF_WHEEL_DOWN);
#endif
}

static void take_size(struct qf_app *a)
{
	int w, h;

	getmaxyx(stdscr, h, w);
	if (w != a->screen.w || h != a->screen.h)
		qf_cells_resize(&a->screen, w, h);
	a->redraw = true;
}

/* Base64 of the short TEXT. */
static void base64(const char *text, char *out)
{
	static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t n = strlen(text), i, k;
	uint32_t v;

	for (i = 0; i < n; i += 3) {
		for (v = 0, k = 0; k < 3; k++)
			v = v << 8 |
			    (i + k < n ? (unsigned char)text[i + k] : 0);
		for (k = 0; k < 4; k++)
			*out++ = i + k <= n ? digit[v >> (18 - 6 * k) & 63]
					    : '=';
	}
	*out = '\0';
}

/* What was yanked, to the clipboard of a terminal that says it has one. */
static void take_yank(struct qf_app *a)
{
	const char *ms = tigetstr("Ms");
	char coded[2 * sizeof(a->yank)];

	if (!a->yank[0])
		return;
	if (ms && ms != (const char *)-1) {
		base64(a->yank, coded);
		putp(tiparm(ms, "c", coded));
		fflush(stdout);
	}
	a->yank[0] = '\0';
}

/* Takes all keys that are there; true if there were any. */
static bool take_keys(struct qf_app *a)
{
	bool any = false;
	wint_t ch;
	int kind;

	while (!a->quit && (kind = get_wch(&ch)) != ERR) {
		any = true;
		if (kind != KEY_CODE_YES)
			qf_drive_key(a, key_of_char(ch));
		else if (ch == KEY_RESIZE)
			take_size(a);
		else if (ch == KEY_MOUSE)
			take_mouse(a);
		else
			qf_drive_key(a, key_of_code(ch));
	}
	take_yank(a);
	return any;
}

/* Until the user quits or a signal comes; false if the terminal went away. A
 * hang-up is no key: poll would say forever that there is one to read. */
static bool loop(struct qf_app *a)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	bool busy, changed;
	int n;

	show(a);
	while (!a->quit && !caught) {
		busy = qf_drive_tick(a, &changed);
		if (changed)
			show(a);
		n = poll(&in, 1, busy ? 0 : a->job ? WAIT_JOB_MS : WAIT_MS);
		if (n > 0 && in.revents & ~POLLIN)
			return false;
		errno = 0;
		if (take_keys(a))
			show(a);
		else if (n > 0 && errno == EIO)
			return false; /* as an orphan in the background */
	}
	return true;
}

/* Moves with a button held, too, which ncurses does not ask for. */
static void report_drags(bool on)
{
	const char *mouse = tigetstr("kmous");

	if (!mouse || mouse == (const char *)-1)
		return;
	putp(on ? "\033[?1002h" : "\033[?1002l");
	fflush(stdout);
}

static bool start(enum qf_tui_colours colours)
{
	const char *cup;

	if (!newterm(NULL, stdout, stdin))
		return false;
	cup = tigetstr("cup");
	if (!cup || cup == (const char *)-1) {
		endwin(); /* a printer, an editor's shell: no cursor to move */
		return false;
	}
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	set_escdelay(25);
	curs_set(0);
	/* all of them: ncurses waits for the next key, delay or not, when
	 * one comes that is not wanted; nor is it to wait for a second click */
	mousemask(ALL_MOUSE_EVENTS | REPORT_MOUSE_POSITION, NULL);
	mouseinterval(0);
	report_drags(true);
	set_colours(colours);
	return true;
}

enum qf_err qf_tui_run(struct qf_app *a, enum qf_tui_colours colours,
		       struct qf_why *why)
{
	SCREEN *screen;
	bool there;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
		qf_err_set(why, QF_ERR_UNSUPPORTED, 0, QF_NOWHERE,
			   "the browser needs a terminal");
		qf_err_next(why, "--export FILE.svg draws a picture instead, "
				 "and \"qfsck check\" prints the findings");
		return QF_ERR_UNSUPPORTED;
	}
	tcgetattr(STDIN_FILENO, &t.before);
	caught = 0;
	if (!start(colours)) {
		qf_err_set(why, QF_ERR_UNSUPPORTED, 0, QF_NOWHERE,
			   "the terminal \"%s\" is unknown, or cannot move "
			   "its cursor",
			   getenv("TERM") ? getenv("TERM") : "");
		qf_err_next(why, "try it with TERM=xterm");
		return QF_ERR_UNSUPPORTED;
	}
	a->fine = t.colours && t.many && !a->ascii;
	prepare_undo();
	set_handlers(true);
	take_size(a);
	there = loop(a);
	report_drags(false);
	endwin();
	screen = set_term(NULL);
	delscreen(screen);
	set_handlers(false);
	if (caught)
		raise(caught);
	if (!there)
		return qf_err_set(why, QF_ERR_IO, 0, QF_NOWHERE,
				  "the terminal is gone");
	return QF_OK;
}
