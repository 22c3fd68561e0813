// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/page/poolpage.h"
#include "lib/base/text.h"
#include "viz/page/pagelook.h"
#include "viz/page/pagewords.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SHOWN 3	    /* findings of an image */
#define IMAGES 2000 /* that are listed */

static void put_safe(struct qf_outbuf *o, const char *text)
{
	char safe[2000];

	qf_outbuf_xml(o, qf_text_safe(text ? text : "", safe, sizeof(safe)));
}

/* The way from FOLDER to PATH, as an address; both are absolute. */
static void put_address(struct qf_outbuf *o, const char *folder,
			const char *path)
{
	size_t i = 0, same = 0;

	/* what both begin with, in whole names */
	while (folder[i] && folder[i] == path[i]) {
		if (path[i] == '/')
			same = i + 1;
		i++;
	}
	if (!folder[i] && path[i] == '/')
		same = i + 1;
	for (i = same; same <= strlen(folder) && folder[i];) {
		i += strcspn(folder + i, "/");
		i += folder[i] == '/';
		qf_outbuf_printf(o, "../");
	}
	/* in front of it, or a name with a colon would be a protocol */
	qf_outbuf_printf(o, "./");
	for (path += same; *path; path++)
		if ((*path >= 'a' && *path <= 'z') ||
		    (*path >= 'A' && *path <= 'Z') ||
		    (*path >= '0' && *path <= '9') || strchr("/._-", *path))
			qf_outbuf_add(o, path, 1);
		else
			qf_outbuf_printf(o, "%%%02X", (unsigned char)*path);
}

static void put_finding(struct qf_outbuf *o, const json_t *f)
{
	const char *severity =
		json_string_value(json_object_get(f, "severity"));
	const json_t *id = json_object_get(f, "id");

	qf_outbuf_printf(o, "<li><b>");
	put_safe(o, severity);
	qf_outbuf_printf(o, "</b> %" JSON_INTEGER_FORMAT " ",
			 json_integer_value(id));
	put_safe(o, json_string_value(json_object_get(f, "message")));
	qf_outbuf_printf(o, "</li>\n");
}

/* True if L holds one that is as bad as an error. */
static size_t worst_first(const json_t *l, size_t *order, size_t n)
{
	static const char *const severities[] = { "fatal",  "error", "unread",
						  "absent", "leak",  "warning",
						  "note" };
	size_t s, i, used = 0;

	for (s = 0; s < sizeof(severities) / sizeof(severities[0]); s++)
		for (i = 0; i < json_array_size(l) && used < n; i++) {
			const char *its = json_string_value(json_object_get(
				json_array_get(l, i), "severity"));

			if (its && !strcmp(its, severities[s]))
				order[used++] = i;
		}
	return used;
}

static void put_findings(struct qf_outbuf *o, const struct qf_poollist_image *i)
{
	const json_t *l = json_object_get(i->report, "findings");
	const char *error =
		json_string_value(json_object_get(i->report, "error"));
	size_t order[SHOWN], n = worst_first(l, order, SHOWN), k;

	if (error) {
		qf_outbuf_printf(o, "<br><small>");
		put_safe(o, error);
		qf_outbuf_printf(o, "</small>");
	}
	if (!n)
		return;
	qf_outbuf_printf(o, "<details><summary>%zu finding%s</summary><ul>\n",
			 json_array_size(l),
			 json_array_size(l) == 1 ? "" : "s");
	for (k = 0; k < n; k++)
		put_finding(o, json_array_get(l, order[k]));
	if (n < json_array_size(l))
		qf_outbuf_printf(o, "<li>and %zu more</li>\n",
				 json_array_size(l) - n);
	qf_outbuf_printf(o, "</ul></details>");
}

static void put_image(struct qf_outbuf *o, const struct qf_poollist *l,
		      const struct qf_poollist_image *i, const char *folder)
{
	const char *page = qf_poollist_page(l, i);

	qf_outbuf_printf(o, "<tr><td><b class='");
	put_safe(o, i->verdict);
	qf_outbuf_printf(o, "'>");
	put_safe(o, i->verdict);
	qf_outbuf_printf(o, "</b></td><td>");
	if (page) {
		qf_outbuf_printf(o, "<a href='");
		put_address(o, folder, page);
		qf_outbuf_printf(o, "'>");
	}
	put_safe(o, i->name);
	qf_outbuf_printf(o, "%s", page ? "</a>" : "");
	put_findings(o, i);
	qf_outbuf_printf(o, "</td>");
	if (i->lost_bytes)
		qf_pagewords_size(o, i->lost_bytes);
	else
		qf_outbuf_printf(o, "<td class='n'>0</td>");
	qf_outbuf_printf(o,
			 "<td class='n'>%" PRIu64 "</td><td class='n'>%" PRIu64
			 "</td></tr>\n",
			 i->corruptions, i->leaks);
}

/* "2 corrupt, 1 leaks, 30 clean": in the order of the list. */
static void put_counts(struct qf_outbuf *o, const struct qf_poollist *l)
{
	size_t i, k;

	qf_outbuf_printf(o, "<p>");
	for (i = 0; i < l->n; i = k) {
		for (k = i; k < l->n && l->at[k].rank == l->at[i].rank; k++)
			;
		qf_outbuf_printf(o, "%s%zu <span class='", i ? ", " : "",
				 k - i);
		put_safe(o, l->at[i].verdict);
		qf_outbuf_printf(o, "'>");
		put_safe(o, l->at[i].verdict);
		qf_outbuf_printf(o, "</span>");
	}
	qf_outbuf_printf(o, "</p>\n");
}

enum qf_err qf_poolpage_make(const struct qf_poollist *l, const char *folder,
			     struct qf_outbuf *o, struct qf_why *why)
{
	char title[64];
	size_t i;

	snprintf(title, sizeof(title), "%zu image%s", l->n,
		 l->n == 1 ? "" : "s");
	qf_pagelook_head(o, title, false, NULL);
	qf_outbuf_printf(o, "<header><h1>%s</h1>\n", title);
	put_counts(o, l);
	qf_outbuf_printf(o, "</header><main>\n<table><tr>"
			    "<th scope='col'>Verdict<th scope='col'>Image"
			    "<th scope='col' class='n'>Lost"
			    "<th scope='col' class='n'>Corruptions"
			    "<th scope='col' class='n'>Leaks</tr>\n");
	for (i = 0; i < l->n && i < IMAGES; i++)
		put_image(o, l, &l->at[i], folder);
	if (l->n > IMAGES)
		qf_outbuf_printf(o,
				 "<tr><td colspan='5'>and %zu more, none of "
				 "them worse</td></tr>\n",
				 l->n - IMAGES);
	qf_outbuf_printf(o, "</table>\n</main>\n");
	qf_pagelook_foot(o, false);
	if (!o->failed)
		return QF_OK;
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
			  "no memory for the page");
}
