// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/page/poollist.h"
#include "lib/base/mem.h"
#include "viz/show/outbuf.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define META "<meta name='qfsck-image' content='"
#define MOST (1ull << 30) /* bytes of a file that are taken in */

static enum qf_err no_memory(struct qf_why *why)
{
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE, "no memory");
}

static enum qf_err read_all(const char *name, struct qf_outbuf *out,
			    struct qf_why *why)
{
	int fd = strcmp(name, "-") ? open(name, O_RDONLY | O_CLOEXEC)
				   : STDIN_FILENO;
	enum qf_err err = QF_OK;
	char buf[65536];
	ssize_t n = 1;

	while (fd >= 0 && (n = read(fd, buf, sizeof(buf))) > 0 &&
	       out->n < MOST && !out->failed)
		qf_outbuf_add(out, buf, (size_t)n);
	if (fd < 0 || n < 0)
		err = qf_err_set(why, QF_ERR_IO, errno, QF_NOWHERE,
				 "cannot be read");
	else if (n > 0)
		err = no_memory(why);
	if (fd > STDIN_FILENO)
		close(fd);
	return err;
}

static uint64_t number(const json_t *o, const char *key)
{
	json_int_t v = json_integer_value(json_object_get(o, key));

	return v > 0 ? (uint64_t)v : 0;
}

/* How bad a verdict is, 0 the worst; what is not known stands in the middle. */
static unsigned int rank_of(const char *verdict)
{
	static const char *const order[] = { "corrupt", "unchecked", "?",
					     "leaks",	"in-use",    "foreign",
					     "clean" };
	unsigned int i;

	for (i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		if (!strcmp(verdict, order[i]))
			return i;
	return 2;
}

/* Takes REPORT, an object of check's. False: it is none, or no memory. */
static bool add_image(struct qf_poollist *l, json_t *report)
{
	const char *name =
		json_string_value(json_object_get(report, "filename"));
	const char *verdict =
		json_string_value(json_object_get(report, "verdict"));
	struct qf_poollist_image *i;
	json_t *lost;
	size_t k;

	if (!name || !verdict ||
	    !qf_mem_grow((void **)&l->at, l->n, &l->room, sizeof(*l->at))) {
		json_decref(report);
		return false;
	}
	i = &l->at[l->n];
	*i = (struct qf_poollist_image){
		.report = report,
		.name = name,
		.verdict = verdict,
		.rank = rank_of(verdict),
		.corruptions = number(report, "corruptions"),
		.leaks = number(report, "leaks"),
		.errors = number(report, "check-errors"),
		.order = l->n++,
	};
	json_array_foreach(json_object_get(report, "lost"), k, lost)
		i->lost_bytes += number(lost, "length");
	return true;
}

static enum qf_err take_lines(struct qf_poollist *l, const char *text, size_t n,
			      struct qf_why *why)
{
	size_t at = 0;
	json_error_t e;
	json_t *o;

	for (;;) {
		at += strspn(text + at, " \t\r\n");
		if (at >= n)
			return QF_OK;
		o = json_loadb(text + at, n - at, JSON_DISABLE_EOF_CHECK, &e);
		if (!o || !add_image(l, o))
			return qf_err_set(why, QF_ERR_USAGE, 0, QF_NOWHERE,
					  "is no output of \"qfsck check "
					  "--output=json\", and no page of "
					  "\"qfsck viz --export\"");
		at += (size_t)e.position;
	}
}

/* TEXT up to the quote, with what qf_outbuf_xml did to it undone. */
static char *unquote(const char *text)
{
	static const struct {
		const char *as;
		char ch;
	} special[] = { { "&amp;", '&' },
			{ "&lt;", '<' },
			{ "&gt;", '>' },
			{ "&quot;", '"' },
			{ "&#39;", '\'' } };
	size_t n = strcspn(text, "'"), i, k, used = 0;
	char *out = malloc(n + 1);

	for (i = 0; out && i < n; i++) {
		out[used] = text[i];
		for (k = 0; text[i] == '&' && k < 5; k++)
			if (!strncmp(text + i, special[k].as,
				     strlen(special[k].as))) {
				out[used] = special[k].ch;
				i += strlen(special[k].as) - 1;
				break;
			}
		used++;
	}
	if (out)
		out[used] = '\0';
	return out;
}

static enum qf_err take_page(struct qf_poollist *l, const char *name,
			     const char *meta, struct qf_why *why)
{
	struct qf_poollist_page *p;

	if (!qf_mem_grow((void **)&l->page, l->n_pages, &l->pages_room,
			 sizeof(*l->page)))
		return no_memory(why);
	p = &l->page[l->n_pages++];
	p->path = realpath(name, NULL);
	p->image = unquote(meta);
	return p->path && p->image ? QF_OK : no_memory(why);
}

enum qf_err qf_poollist_read(struct qf_poollist *l, const char *name,
			     struct qf_why *why)
{
	struct qf_outbuf text = { 0 };
	enum qf_err err = read_all(name, &text, why);
	const char *meta = text.at ? strstr(text.at, META) : NULL;

	if (!err && text.failed)
		err = no_memory(why);
	if (!err && text.at && text.at[0] == '<' && meta)
		err = take_page(l, name, meta + strlen(META), why);
	else if (!err && text.at)
		err = take_lines(l, text.at, text.n, why);
	qf_outbuf_free(&text);
	return err;
}

static int by_name(const void *a, const void *b)
{
	const struct qf_poollist_image *x = a, *y = b;
	int c = strcmp(x->name, y->name);

	return c ? c : x->order < y->order ? 1 : -1;
}

static int compare(uint64_t x, uint64_t y)
{
	return x > y ? -1 : x < y ? 1 : 0;
}

static int by_harm(const void *a, const void *b)
{
	const struct qf_poollist_image *x = a, *y = b;
	int c = x->rank < y->rank ? -1 : x->rank > y->rank;

	c = c ? c : compare(x->lost_bytes, y->lost_bytes);
	c = c ? c : compare(x->corruptions, y->corruptions);
	c = c ? c : compare(x->leaks, y->leaks);
	return c ? c : strcmp(x->name, y->name);
}

void qf_poollist_sort(struct qf_poollist *l)
{
	size_t i, kept = 0;

	if (l->n)
		qsort(l->at, l->n, sizeof(*l->at), by_name);
	for (i = 0; i < l->n; i++)
		if (kept && !strcmp(l->at[i].name, l->at[kept - 1].name))
			json_decref(l->at[i].report);
		else
			l->at[kept++] = l->at[i];
	l->n = kept;
	if (l->n)
		qsort(l->at, l->n, sizeof(*l->at), by_harm);
}

const char *qf_poollist_page(const struct qf_poollist *l,
			     const struct qf_poollist_image *i)
{
	char path[PATH_MAX];
	bool there = realpath(i->name, path) != NULL;
	size_t k;

	for (k = 0; k < l->n_pages; k++)
		if (!strcmp(l->page[k].image, i->name) ||
		    (there && !strcmp(l->page[k].image, path)))
			return l->page[k].path;
	return NULL;
}

void qf_poollist_free(struct qf_poollist *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		json_decref(l->at[i].report);
	for (i = 0; i < l->n_pages; i++) {
		free(l->page[i].path);
		free(l->page[i].image);
	}
	free(l->at);
	free(l->page);
	memset(l, 0, sizeof(*l));
}
