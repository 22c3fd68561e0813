// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/report/chain_tree.h"
#include "check/report/report.h"
#include "cmd.h"
#include "lib/base/mem.h"
#include "lib/model/open.h"

#include <stdlib.h>
#include <string.h>

static uint32_t find(const struct qf_tree *t, const char *path,
		     const uint64_t id[2])
{
	uint32_t i;

	for (i = 0; i < t->n; i++) {
		const struct qf_layer *l = &t->at[i];

		if (l->id[0] != id[0] || l->id[1] != id[1])
			continue;
		/* what is not there is told by its name */
		if (id[1] || !strcmp(l->path, path))
			return i;
	}
	return QF_LAYER_NONE;
}

/* The layer of the file at PATH, added if need be; _NONE: no memory. */
static uint32_t layer_of(struct qf_tree *t, const char *path,
			 const uint64_t id[2])
{
	uint32_t i = find(t, path, id);
	struct qf_layer *l;
	char *copy;

	if (i != QF_LAYER_NONE)
		return i;
	copy = strdup(path);
	if (!copy ||
	    !qf_mem_grow((void **)&t->at, t->n, &t->room, sizeof(*t->at))) {
		free(copy);
		return QF_LAYER_NONE;
	}
	l = &t->at[t->n];
	memset(l, 0, sizeof(*l));
	l->path = copy;
	l->id[0] = id[0];
	l->id[1] = id[1];
	l->base = QF_LAYER_NONE;
	return t->n++;
}

/*
 * The layer that the chain lacks at its end. A loop lacks none: the file is
 * there, only a base that leads back up cannot stand in a tree.
 */
static uint32_t lacking(struct qf_tree *t, const struct qf_chain *c)
{
	static const uint64_t nothing[2];
	const char *path = c->broken_path ? c->broken_path : c->broken_name;
	uint32_t i = layer_of(t, path, nothing);
	struct qf_layer *l;

	if (i == QF_LAYER_NONE || t->at[i].checked)
		return i;
	l = &t->at[i];
	l->linked = l->absent = l->checked = true;
	l->untold = c->end == QF_CHAIN_REMOTE || c->end == QF_CHAIN_LONG;
	l->code = c->end == QF_CHAIN_FOREIGN ? QF_EXIT_FOREIGN : QF_EXIT_FAILED;
	l->state = strdup(c->broken.text);
	return l->state ? i : QF_LAYER_NONE;
}

/* True if LAYER stands behind FROM, or is it. */
static bool is_behind(const struct qf_tree *t, uint32_t from, uint32_t layer)
{
	for (; from != QF_LAYER_NONE; from = t->at[from].base)
		if (from == layer)
			return true;
	return false;
}

/*
 * BASE is the base of LAYER. What was entered before stays, and a circle,
 * which only a file changed meanwhile can close, is left open.
 */
static void set_base(struct qf_tree *t, uint32_t layer, uint32_t base)
{
	if (!t->at[layer].linked && !is_behind(t, base, layer))
		t->at[layer].base = base;
	t->at[layer].linked = true;
}

/* Enters the chain C into the tree. *TOP is its first layer. */
static enum qf_err enter(struct qf_tree *t, const struct qf_chain *c,
			 uint32_t *top)
{
	uint32_t above = QF_LAYER_NONE, i, layer;

	for (i = 0; i <= c->n; i++) {
		if (i < c->n)
			layer = layer_of(t, c->node[i].path, c->node[i].io->id);
		else if (c->end != QF_CHAIN_WHOLE)
			layer = lacking(t, c);
		else
			break;
		if (layer == QF_LAYER_NONE)
			return QF_ERR_NOMEM;
		if (i < c->n && !c->node[i].img)
			t->at[layer].raw = true;
		if (i)
			set_base(t, above, layer);
		else
			*top = layer;
		above = layer;
	}
	t->at[above].linked = true;
	return QF_OK;
}

enum qf_err qf_tree_gather(struct qf_tree *t, const char *path,
			   const char *format, uint32_t *top,
			   struct qf_why *why)
{
	struct qf_chain chain = { 0 };
	struct qf_image *img = NULL;
	enum qf_err err =
		qf_open_image(path, format, QF_LOCK_READ, true, &img, why);

	if (err)
		return err;
	err = qf_chain_open(img, true, &chain, why);
	if (!err)
		err = enter(t, &chain, top);
	if (err)
		qf_err_set(why, err, 0, QF_NOWHERE,
			   "no memory for the backing chain");
	qf_chain_close(&chain);
	qf_image_close(img);
	return err;
}

void qf_tree_free(struct qf_tree *t)
{
	uint32_t i;

	for (i = 0; i < t->n; i++) {
		free(t->at[i].path);
		free(t->at[i].state);
		free(t->at[i].text);
		json_decref(t->at[i].json);
	}
	free(t->at);
	memset(t, 0, sizeof(*t));
}

uint32_t qf_tree_behind(const struct qf_tree *t, uint32_t layer, uint32_t depth)
{
	while (layer != QF_LAYER_NONE && depth--)
		layer = t->at[layer].base;
	return layer;
}

uint32_t qf_tree_fault(const struct qf_tree *t, uint32_t layer)
{
	uint32_t i;

	for (i = t->at[layer].base; i != QF_LAYER_NONE; i = t->at[i].base)
		if (t->at[i].code == QF_EXIT_CORRUPT ||
		    (t->at[i].code == QF_EXIT_FAILED && !t->at[i].stuck))
			return i;
	return QF_LAYER_NONE;
}

int qf_tree_code(const struct qf_tree *t, uint32_t layer)
{
	int code = QF_EXIT_CLEAN;

	for (; layer != QF_LAYER_NONE; layer = t->at[layer].base)
		code = qf_report_gravest(code, t->at[layer].code);
	return code;
}
