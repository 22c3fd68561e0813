// SPDX-License-Identifier: GPL-2.0-or-later
/* Which image this is, in numbers and names; and who made the page, when. */
#include "viz/page/page.h"
#include "lib/base/text.h"
#include "viz/show/info.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The commit that was built; "" in a release. */
#ifndef QFSCK_COMMIT
#define QFSCK_COMMIT ""
#endif

#define BITMAPS 100 /* that are listed */

static void put(struct qf_outbuf *o, const char *key, const char *value)
{
	qf_outbuf_printf(o, "<dt>%s</dt><dd>", key);
	qf_outbuf_xml(o, value);
	qf_outbuf_printf(o, "</dd>\n");
}

static void put_number(struct qf_outbuf *o, const char *key, uint64_t v)
{
	qf_outbuf_printf(o, "<dt>%s</dt><dd>%" PRIu64 "</dd>\n", key, v);
}

static void put_bytes(struct qf_outbuf *o, const char *key, uint64_t v)
{
	char size[32];

	qf_outbuf_printf(o, "<dt>%s</dt><dd>%s (%" PRIu64 " bytes)</dd>\n", key,
			 qf_text_bytes(v, size, sizeof(size)), v);
}

static void put_time(struct qf_outbuf *o, const char *key, time_t t)
{
	char text[40] = "";
	struct tm tm;

	if (gmtime_r(&t, &tm))
		strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm);
	put(o, key, text);
}

/* The name as it was given, harmless, and where that leads. */
static void put_path(struct qf_outbuf *o, const struct qf_io *io)
{
	char path[PATH_MAX], safe[PATH_MAX];

	if (io->fd >= 0 && realpath(io->name, path))
		put(o, "Path", qf_text_safe(path, safe, sizeof(safe)));
	else
		put(o, "Name", qf_text_safe(io->name, safe, sizeof(safe)));
}

static void put_file(const struct qf_page *p, struct qf_outbuf *o)
{
	const struct qf_io *io = p->sheet->model->img->io;

	put_path(o, io);
	put_bytes(o, "File", io->size);
	put_bytes(o, "On disk", io->disk_bytes);
	if (io->id[1]) {
		put_number(o, "Device", io->id[0]);
		put_number(o, "Inode", io->id[1]);
	}
	if (io->mtime_ns)
		put_time(o, "Last written",
			 (time_t)(io->mtime_ns / 1000000000));
	put(o, "SHA-256", p->sha256 ? p->sha256 : "not asked for (viz --hash)");
}

static void put_features(struct qf_outbuf *o, const struct qf_image *img)
{
	unsigned int type, bit, n = 0;
	char name[64], safe[260];

	qf_outbuf_printf(o, "<dt>Features</dt><dd>");
	for (type = 0; type < 3; type++)
		for (bit = 0; bit < 64; bit++) {
			if (!(qf_info_features(img, type) >> bit & 1))
				continue;
			qf_outbuf_printf(o, "%s", n++ ? ", " : "");
			qf_outbuf_xml(
				o, qf_text_safe(qf_info_feature(img, type, bit,
								name,
								sizeof(name)),
						safe, sizeof(safe)));
			qf_outbuf_printf(o, " (%s)",
					 qf_info_feature_type[type]);
		}
	qf_outbuf_printf(o, "%s</dd>\n", n ? "" : "none");
}

static void put_header(struct qf_outbuf *o, const struct qf_image *img)
{
	static const char *const crypt[] = { "none", "AES (old)", "LUKS" };
	const struct qf_header *h = &img->hdr;

	put_bytes(o, "Virtual disk", h->disk_bytes);
	put_number(o, "qcow2 version", h->version);
	put_bytes(o, "Cluster size", img->geo.cluster_bytes);
	put_number(o, "Refcount bits", img->geo.refcount_bits);
	put(o, "Compression",
	    h->compression == QF_COMPRESSION_ZSTD ? "zstd" : "zlib");
	put(o, "Encryption",
	    h->crypt_method < 3 ? crypt[h->crypt_method] : "unknown");
	put_features(o, img);
}

/* The files that the disk is made of, below the image itself. */
static void put_chain(const struct qf_page *p, struct qf_outbuf *o)
{
	const struct qf_chain *c = &p->disk->chain;
	const struct qf_image *img = p->sheet->model->img;
	char safe[PATH_MAX], size[32];
	uint32_t i;

	qf_outbuf_printf(o, "<dt>Backing files</dt><dd>");
	for (i = 1; i < c->n; i++) {
		qf_outbuf_printf(o, "%s", i > 1 ? "<br>" : "");
		qf_outbuf_xml(o, qf_text_safe(c->node[i].path, safe,
					      sizeof(safe)));
		qf_outbuf_printf(o, " (%s, %s)", qf_chain_format(&c->node[i]),
				 qf_text_bytes(c->node[i].disk_bytes, size,
					       sizeof(size)));
	}
	if (c->broken.err) {
		qf_outbuf_printf(o, "%s<span class='error'>",
				 c->n > 1 ? "<br>" : "");
		qf_outbuf_xml(o, c->broken.text);
		qf_outbuf_printf(o, "</span>");
	}
	qf_outbuf_printf(o, "%s</dd>\n",
			 c->n > 1 || c->broken.err ? "" : "none");
	if (img->data_file_name)
		put(o, "Data file",
		    qf_text_safe(img->data_file_name, safe, sizeof(safe)));
}

static void put_bitmaps(struct qf_outbuf *o, const struct qf_image *img)
{
	char safe[400], size[32];
	uint32_t i;

	qf_outbuf_printf(o, "<dt>Bitmaps</dt><dd>");
	for (i = 0; i < img->bitmaps.n && i < BITMAPS; i++) {
		const struct qf_bitmap *b = &img->bitmaps.bm[i];

		qf_outbuf_printf(o, "%s", i ? "<br>" : "");
		qf_outbuf_xml(o, qf_text_safe(b->name, safe, sizeof(safe)));
		qf_outbuf_printf(
			o, " (granularity %s%s%s)",
			qf_text_bytes(1ull << (b->granularity_bits & 63), size,
				      sizeof(size)),
			b->flags & 1 ? ", in use" : "",
			img->bitmaps_valid ? "" : ", not vouched for");
	}
	if (img->bitmaps.n > BITMAPS)
		qf_outbuf_printf(o, "<br>and %" PRIu32 " more",
				 img->bitmaps.n - BITMAPS);
	qf_outbuf_printf(o, "%s</dd>\n", img->bitmaps.n ? "" : "none");
}

static void put_figures(struct qf_outbuf *o, const struct qf_report *r)
{
	const struct {
		const char *name;
		uint64_t value;
	} rows[] = {
		{ "Check errors", r->errors },
		{ "Corruptions", r->corruptions },
		{ "Leaks", r->leaks },
		{ "Clusters of the disk", r->fig.total },
		{ "Allocated", r->fig.allocated },
		{ "Fragmented", r->fig.fragmented },
		{ "Compressed", r->fig.compressed },
		{ "Free in the file", r->fig.free },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		put_number(o, rows[i].name, rows[i].value);
	put_bytes(o, "Image end offset", r->fig.image_end_bytes);
}

/* When this is: SOURCE_DATE_EPOCH, where a page must be the same every day. */
static time_t now(void)
{
	const char *set = getenv("SOURCE_DATE_EPOCH");
	char *end;
	long long t = set ? strtoll(set, &end, 10) : 0;

	return set && *set && !*end ? (time_t)t : time(NULL);
}

static void put_maker(const struct qf_page *p, struct qf_outbuf *o)
{
	char host[256] = "", safe[1000];

	put_time(o, "Made", now());
	if (!gethostname(host, sizeof(host) - 1))
		put(o, "Host", qf_text_safe(host, safe, sizeof(safe)));
	if (*p->command)
		put(o, "Command", p->command);
	put(o, "Version",
	    *QFSCK_COMMIT ? "qfsck " QFSCK_VERSION " (commit " QFSCK_COMMIT ")"
			  : "qfsck " QFSCK_VERSION);
}

void qf_pagefacts_put(const struct qf_page *p, struct qf_outbuf *o)
{
	const struct qf_image *img = p->sheet->model->img;

	qf_outbuf_printf(o, "<section><h2 id='image'>The image</h2>\n<dl>\n");
	put_file(p, o);
	put_header(o, img);
	put_chain(p, o);
	put_bitmaps(o, img);
	put_figures(o, &p->sheet->model->report);
	qf_outbuf_printf(o, "</dl>\n<h3>This page</h3>\n<dl>\n");
	put_maker(p, o);
	qf_outbuf_printf(o, "</dl></section>\n");
}
