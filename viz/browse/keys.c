// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/browse/keys.h"
#include "viz/draw/cells.h"

#include <string.h>

static const struct {
	const char *name;
	uint32_t key;
} names[] = {
	{ "Up", QF_KEY_UP },	       { "Down", QF_KEY_DOWN },
	{ "Left", QF_KEY_LEFT },       { "Right", QF_KEY_RIGHT },
	{ "PgUp", QF_KEY_PAGE_UP },    { "PgDn", QF_KEY_PAGE_DOWN },
	{ "Home", QF_KEY_HOME },       { "End", QF_KEY_END },
	{ "Enter", QF_KEY_ENTER },     { "Backspace", QF_KEY_BACKSPACE },
	{ "Delete", QF_KEY_DELETE },   { "Tab", QF_KEY_TAB },
	{ "BackTab", QF_KEY_BACKTAB }, { "Esc", QF_KEY_ESC },
	{ "F1", QF_KEY_F1 },	       { "Space", ' ' },
};

static const struct {
	const char *views, *keys, *help;
} table[] = {
#define QF_BIND(ACTION, views, keys, help) { views, keys, help },
#include "viz/browse/keys.def"
#undef QF_BIND
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

uint32_t qf_keys_parse(const char *name)
{
	const char *p = name;
	uint32_t ch;
	size_t i;

	for (i = 0; i < COUNT(names); i++)
		if (!strcmp(name, names[i].name))
			return names[i].key;
	if (!strncmp(name, "Ctrl-", 5) && name[5] >= 'A' && name[5] <= 'Z' &&
	    !name[6])
		return (uint32_t)(name[5] - 'A' + 1);
	if (!*name)
		return QF_KEY_NONE;
	ch = qf_cells_next(&p);
	return *p || ch < ' ' ? QF_KEY_NONE : ch;
}

/* True if KEY is among the key names in LIST. */
static bool listed(const char *list, uint32_t key)
{
	char name[24];
	size_t n;

	for (; *list; list += n + (list[n] == ' ')) {
		n = strcspn(list, " ");
		if (n >= sizeof(name))
			continue;
		memcpy(name, list, n);
		name[n] = '\0';
		if (qf_keys_parse(name) == key)
			return true;
	}
	return false;
}

enum qf_action qf_keys_action(uint32_t key, char view)
{
	size_t i;

	for (i = 0; i < COUNT(table); i++)
		if ((table[i].views[0] == '*' ||
		     strchr(table[i].views, view)) &&
		    listed(table[i].keys, key))
			return (enum qf_action)(i + 1);
	return QF_ACT_NONE;
}

bool qf_keys_row(size_t i, const char **views, const char **keys,
		 const char **help)
{
	if (i >= COUNT(table))
		return false;
	*views = table[i].views;
	*keys = table[i].keys;
	*help = table[i].help;
	return true;
}
