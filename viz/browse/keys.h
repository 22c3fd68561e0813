/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keys, by neutral numbers and names, and what they do. The one table,
 * keys.def, makes the bindings and the help.
 */
#ifndef QF_KEYS_H
#define QF_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A key: a character, Ctrl-A to Ctrl-Z as 1 to 26, or one of these. */
enum qf_key {
	QF_KEY_NONE = 0x110000,
	QF_KEY_UP,
	QF_KEY_DOWN,
	QF_KEY_LEFT,
	QF_KEY_RIGHT,
	QF_KEY_PAGE_UP,
	QF_KEY_PAGE_DOWN,
	QF_KEY_HOME,
	QF_KEY_END,
	QF_KEY_ENTER,
	QF_KEY_BACKSPACE,
	QF_KEY_DELETE,
	QF_KEY_TAB,
	QF_KEY_BACKTAB,
	QF_KEY_ESC,
	QF_KEY_F1,
	QF_KEY_END_OF_LIST
};

/* The key of that name ("Up", "Ctrl-L", "Space", "x"); QF_KEY_NONE if none. */
uint32_t qf_keys_parse(const char *name);

enum qf_action {
	QF_ACT_NONE,
#define QF_BIND(ACTION, views, keys, help) QF_ACT_##ACTION,
#include "viz/browse/keys.def"
#undef QF_BIND
	QF_ACTIONS
};

/* What KEY does in the view with that letter. */
enum qf_action qf_keys_action(uint32_t key, char view);

/* A row of the table, for the help: false behind the last. */
bool qf_keys_row(size_t i, const char **views, const char **keys,
		 const char **help);

#endif
