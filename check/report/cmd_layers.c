// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/report/cmd_layers.h"
#include "check/report/hits.h"
#include "cmd.h"
#include "lib/base/text.h"

#include <stdlib.h>
#include <string.h>

/* What the check of a layer came to. */
static void set_state(struct qf_layer *l, int code, const char *state)
{
	free(l->state);
	l->code = code;
	l->state = strdup(state);
	l->checked = true;
}

/* Keeps the report on LAYER as it will be printed. */
static void keep_report(const struct qf_layers *l, struct qf_layer *layer,
			const char *name, struct qf_image *img,
			const struct qf_report *rep)
{
	struct qf_hits hits = { 0 };
	size_t bytes;
	FILE *out;

	set_state(layer, qf_report_exit(rep->verdict),
		  qf_check_verdict(rep->verdict));
	layer->stuck = rep->absent && rep->tables != QF_VERDICT_CORRUPT &&
		       rep->tables != QF_VERDICT_UNCHECKED;
	if (!l->style->no_guest)
		qf_hits_find(img, rep, &hits);
	if (l->json) {
		layer->json = qf_report_json(img, name, rep, &hits);
	} else {
		out = open_memstream(&layer->text, &bytes);
		if (out) {
			qf_report_human(out, img, name, rep, &hits, l->style);
			fclose(out);
		}
	}
	qf_hits_free(&hits);
}

/* In words for opts->below; NULL if all is well below LAYER. */
static char *fault_below(const struct qf_tree *t, uint32_t layer)
{
	uint32_t fault = qf_tree_fault(t, layer);
	char path[1200], *text;
	const struct qf_layer *f;

	/* one that a program writes to is not known to be damaged */
	while (fault != QF_LAYER_NONE && t->at[fault].in_use)
		fault = qf_tree_fault(t, fault);
	if (fault == QF_LAYER_NONE)
		return NULL;
	f = &t->at[fault];
	/* an image behind which a file is lacking says so itself */
	if (f->absent && !f->untold)
		return NULL;
	if (asprintf(&text, "%s: %s", qf_text_safe(f->path, path, sizeof(path)),
		     f->state ? f->state : "") < 0)
		return NULL;
	return text;
}

static enum qf_err check_layer(struct qf_layers *l, uint32_t i,
			       const char *name, const char *format,
			       struct qf_why *why)
{
	struct qf_check_opts opts = *l->check;
	struct qf_layer *layer = &l->tree.at[i];
	char *below = fault_below(&l->tree, i);
	struct qf_image *img;
	struct qf_report rep;
	enum qf_err err;

	opts.below = below;
	opts.format = format;
	qf_progress_start(name, l->progress);
	err = qf_check_image(name, &opts, &img, &rep, why);
	qf_progress_stop();
	free(below);
	if (err)
		return err;
	keep_report(l, layer, name, img, &rep);
	qf_check_free(&rep);
	qf_image_close(img);
	return QF_OK;
}

/* A layer that is no argument of its own: it cannot fail, only be bad. */
static void check_below(struct qf_layers *l, uint32_t i)
{
	struct qf_layer *layer = &l->tree.at[i];
	struct qf_why why = { 0 };

	if (layer->raw && !layer->checked) {
		set_state(layer, QF_EXIT_CLEAN, "raw, nothing to check");
		return;
	}
	if (layer->checked || !check_layer(l, i, layer->path, NULL, &why))
		return;
	layer->in_use = why.err == QF_ERR_BUSY;
	set_state(layer,
		  why.err == QF_ERR_FOREIGN ? QF_EXIT_FOREIGN : QF_EXIT_FAILED,
		  why.text);
	fprintf(stderr, "qfsck: %s: %s%s%s\n", layer->path, why.text,
		why.next[0] ? "\n  Next: " : "", why.next);
}

/* From the lowest file up, so that each knows what is wrong below it. */
static void check_all_below(struct qf_layers *l, uint32_t top)
{
	uint32_t depth = 1, i;

	while (qf_tree_behind(&l->tree, top, depth) != QF_LAYER_NONE)
		depth++;
	while (--depth) {
		i = qf_tree_behind(&l->tree, top, depth);
		if (!l->tree.at[i].absent)
			check_below(l, i);
	}
}

static json_t *layer_json(const struct qf_layer *layer)
{
	const char *format = layer->raw ? "raw" : NULL;

	if (layer->json)
		return json_incref(layer->json);
	if (layer->raw)
		return qf_report_no_json(layer->path, format, "clean", NULL);
	return qf_report_no_json(layer->path, format,
				 layer->in_use ? "in-use" : "unchecked",
				 layer->state);
}

/* TOP's report, with those of all that is behind it beside it. */
static void print_json(const struct qf_layers *l, uint32_t top,
		       const char *name)
{
	json_t *o = json_copy(l->tree.at[top].json), *a = json_array();
	uint32_t i;

	for (i = l->tree.at[top].base; i != QF_LAYER_NONE;
	     i = l->tree.at[i].base)
		json_array_append_new(a, layer_json(&l->tree.at[i]));
	qf_json_text(o, "filename", name);
	json_object_set_new(o, "chain", a);
	json_dumpf(o, stdout,
		   (l->many ? JSON_COMPACT : JSON_INDENT(4)) |
			   JSON_PRESERVE_ORDER);
	putchar('\n');
	json_decref(o);
}

/* A report that stands above already is not repeated. */
static void print_layer(struct qf_layers *l, uint32_t i, const char *name)
{
	struct qf_layer *layer = &l->tree.at[i];

	if (!layer->text || !*layer->text)
		return;
	if (layer->shown)
		printf("%s: %s, see its report above\n", name, layer->state);
	else
		fputs(layer->text, stdout);
	layer->shown = true;
}

static void print_human(struct qf_layers *l, uint32_t top, const char *name)
{
	const struct qf_tree *t = &l->tree;
	uint32_t fault = qf_tree_fault(t, top), i;
	char path[1200];

	print_layer(l, top, name);
	for (i = t->at[top].base; i != QF_LAYER_NONE; i = t->at[i].base) {
		if (t->at[i].shown)
			continue;
		if (t->at[i].text && *t->at[i].text)
			putchar('\n');
		print_layer(l, i, t->at[i].path);
	}
	/* what is not there its own report has told */
	if (fault != QF_LAYER_NONE &&
	    (!t->at[fault].absent || t->at[fault].untold))
		printf("\n%s stands on a file that %s:\n"
		       "  %s: %s\n",
		       name,
		       t->at[fault].in_use ? "was not checked"
					   : "is not in order",
		       qf_text_safe(t->at[fault].path, path, sizeof(path)),
		       t->at[fault].state);
}

int qf_layers_image(struct qf_layers *l, const char *name, struct qf_why *why)
{
	struct qf_layer *layer;
	uint32_t top;

	if (qf_tree_gather(&l->tree, name, l->check->format, &top, why))
		return -1;
	check_all_below(l, top);
	layer = &l->tree.at[top];
	/* as a base it was taken for raw, or could not be opened */
	if (!layer->text && !layer->json &&
	    check_layer(l, top, name, l->check->format, why)) {
		set_state(layer, QF_EXIT_FAILED, why->text);
		return -1;
	}
	layer->raw = false;
	if (l->json)
		print_json(l, top, name);
	else
		print_human(l, top, name);
	fflush(stdout);
	return qf_tree_code(&l->tree, top);
}

/* The layers that stand on LAYER, each with a line of its own. */
static void print_branch(const struct qf_tree *t, uint32_t layer, char *lead,
			 size_t room)
{
	size_t n = strlen(lead);
	uint32_t i, last = QF_LAYER_NONE;
	char path[1200];

	qf_text_safe(t->at[layer].path, path, sizeof(path));
	printf("%s: %s\n", path, t->at[layer].state ? t->at[layer].state : "");
	for (i = 0; i < t->n; i++)
		if (t->at[i].base == layer)
			last = i;
	for (i = 0; last != QF_LAYER_NONE && i <= last; i++) {
		if (t->at[i].base != layer)
			continue;
		printf("  %s%s", lead, i == last ? "`-- " : "|-- ");
		/* a chain too deep for the line is drawn at its edge */
		if (n + 5 < room)
			strcpy(lead + n, i == last ? "    " : "|   ");
		print_branch(t, i, lead, room);
		lead[n] = '\0';
	}
}

void qf_layers_end(struct qf_layers *l)
{
	const struct qf_tree *t = &l->tree;
	bool *is_base = calloc(t->n + 1, sizeof(*is_base)), any = false;
	char lead[161] = "";
	uint32_t i;

	for (i = 0; is_base && i < t->n; i++)
		if (t->at[i].base != QF_LAYER_NONE)
			any = is_base[t->at[i].base] = true;
	if (any && !l->json && !l->style->quiet) {
		printf("\nBacking files, and the images that stand on them:\n");
		for (i = 0; i < t->n; i++) {
			if (!is_base[i] || t->at[i].base != QF_LAYER_NONE)
				continue;
			printf("  ");
			print_branch(t, i, lead, sizeof(lead));
		}
	}
	free(is_base);
	qf_tree_free(&l->tree);
}
