// SPDX-License-Identifier: GPL-2.0-or-later
/* The active disk and the snapshots, and where in the file each has its
 * clusters. */
#include "viz/page/page.h"
#include "viz/page/pagewords.h"
#include "lib/base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#define PARTS 192  /* of a bar */
#define BARS 64	   /* states with a bar */
#define STATES 300 /* that are listed */
#define TONES 3	   /* that a bar has */

/* The parts of one tone, as a line that is drawn and passed over by turns. */
static void put_tone(struct qf_outbuf *o, const uint8_t *level, int tone)
{
	int x, n, gap = 0;
	bool any = false;

	for (x = 0; x < PARTS; x += n) {
		for (n = 0; x + n < PARTS && level[x + n] &&
			    (level[x + n] - 1) * TONES / 8 == tone;)
			n++;
		if (!n) {
			gap++;
			n = 1;
			continue;
		}
		if (!any)
			qf_outbuf_printf(o, "<path opacity='.%d' d='M0 .5",
					 4 + 3 * tone > 9 ? 99 : 4 + 3 * tone);
		any = true;
		if (gap)
			qf_outbuf_printf(o, "m%d 0", gap);
		qf_outbuf_printf(o, "h%d", n);
		gap = 0;
	}
	if (any)
		qf_outbuf_printf(o, "'/>");
}

static void put_bar(struct qf_outbuf *o, const uint8_t *level, bool snapshot)
{
	int tone;

	qf_outbuf_printf(o,
			 "<tr class='bar%s'><td colspan='5'><svg "
			 "viewBox='0 0 %d 1' preserveAspectRatio='none' "
			 "aria-hidden='true'>",
			 snapshot ? " snap" : "", PARTS);
	for (tone = 0; tone < TONES; tone++)
		put_tone(o, level, tone);
	qf_outbuf_printf(o, "</svg></td></tr>\n");
}

static void put_state(struct qf_outbuf *o, const struct qf_scene *s, uint32_t i,
		      bool bar)
{
	const struct qf_scene_holder *h = &s->holder[i];
	time_t t = (time_t)h->date_sec;
	char date[32] = "";
	struct tm tm;

	if (t && gmtime_r(&t, &tm))
		strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm);
	qf_outbuf_printf(o, "<tr%s><td>", bar ? " class='has'" : "");
	qf_outbuf_xml(o, h->id);
	qf_outbuf_printf(o, "</td><td>");
	qf_outbuf_xml(o, h->name);
	qf_outbuf_printf(o, "</td><td class='d'>%s</td>", date);
	qf_pagewords_size(o, h->referenced << s->cluster_bits);
	qf_pagewords_size(o, h->exclusive << s->cluster_bits);
	qf_outbuf_printf(o, "</tr>\n");
}

void qf_pagestates_put(const struct qf_page *p, struct qf_outbuf *o)
{
	const struct qf_scene *s = &p->sheet->model->scene;
	uint32_t bars = s->n_holders < BARS ? s->n_holders : BARS, i;
	uint8_t *level = qf_mem_zalloc(bars + 1, PARTS);

	if (!level || !qf_scene_bars(s, PARTS, 0, bars, level)) {
		o->failed = true;
		free(level);
		return;
	}
	qf_outbuf_printf(o,
			 "<section><h2 id='states'>The active disk and the "
			 "snapshots</h2>\n<p>The bar below each is the whole "
			 "file, with what it has there.</p>\n"
			 "<table><tr><th scope='col'>Id<th scope='col'>Name"
			 "<th scope='col'>Date (UTC)"
			 "<th scope='col' class='n'>Has"
			 "<th scope='col' class='n'>Alone</tr>\n");
	for (i = 0; i < s->n_holders && i < STATES; i++) {
		put_state(o, s, i, i < bars);
		if (i < bars)
			put_bar(o, level + (size_t)i * PARTS, i > 0);
	}
	if (s->n_holders > STATES)
		qf_outbuf_printf(o,
				 "<tr><td colspan='5'>and %" PRIu32
				 " more</td></tr>\n",
				 s->n_holders - STATES);
	qf_outbuf_printf(o, "</table></section>\n");
	free(level);
}
