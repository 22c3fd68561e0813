// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/page/export.h"
#include "lib/base/text.h"
#include "viz/draw/outfile.h"
#include "viz/page/filehash.h"
#include "viz/page/page.h"

#include <stdio.h>
#include <string.h>

enum format {
	SVG,
	PNG,
	HTML,
	UNKNOWN,
};

static enum format format_of(const char *name)
{
	static const struct {
		const char *suffix;
		enum format format;
	} formats[] = {
		{ ".svg", SVG },
		{ ".png", PNG },
		{ ".html", HTML },
		{ ".htm", HTML },
	};
	const char *dot = strrchr(name, '.');
	size_t i;

	for (i = 0; dot && i < sizeof(formats) / sizeof(formats[0]); i++)
		if (!strcasecmp(dot, formats[i].suffix))
			return formats[i].format;
	return UNKNOWN;
}

bool qf_export_known(const char *to)
{
	return format_of(to) != UNKNOWN;
}

char *qf_export_command(int argc, char **argv, char *buf, size_t room)
{
	size_t used = (size_t)snprintf(buf, room, "qfsck");
	int i;

	for (i = 0; i < argc && used + 2 < room; i++) {
		buf[used++] = ' ';
		qf_text_shell(argv[i], buf + used, room - used);
		used += strlen(buf + used);
	}
	return buf;
}

static enum qf_err make_page(const struct qf_export *x, struct qf_image *img,
			     const struct qf_sheet *sheet,
			     struct qf_guestmap *disk, struct qf_outbuf *out,
			     struct qf_why *why)
{
	struct qf_page page = { .sheet = sheet,
				.disk = disk,
				.command = x->command };
	char sha256[QF_FILEHASH_TEXT];
	struct qf_hits hits = { 0 };
	enum qf_err err = QF_OK;

	if (x->hash) {
		err = qf_filehash_sha256(img->io, sha256, why);
		page.sha256 = sha256;
	}
	if (err)
		return err;
	if (sheet->model->report.lost.n)
		qf_hits_find(img, &sheet->model->report, &hits);
	page.hits = &hits;
	err = qf_page_make(&page, out, why);
	qf_hits_free(&hits);
	return err;
}

static enum qf_err draw(const struct qf_export *x, struct qf_image *img,
			const struct qf_model *m, struct qf_outbuf *out,
			struct qf_why *why)
{
	struct qf_guestmap *disk = NULL;
	struct qf_sheet sheet = { 0 };
	char safe[300];
	enum qf_err err =
		qf_guestmap_make(m, QF_HOLDER_ACTIVE, x->share, &disk, why);

	if (!err)
		err = qf_sheet_make(m, disk,
				    qf_text_safe(x->name, safe, sizeof(safe)),
				    x->hilbert, &sheet, why);
	if (!err)
		switch (format_of(x->to)) {
		case SVG:
			err = qf_picture_svg(&sheet, out, why);
			break;
		case PNG:
			err = qf_picture_png(&sheet, out, why);
			break;
		default:
			err = make_page(x, img, &sheet, disk, out, why);
			break;
		}
	qf_sheet_free(&sheet);
	qf_guestmap_free(disk);
	return err;
}

enum qf_err qf_export_run(const struct qf_export *x, struct qf_image *img,
			  struct qf_why *why)
{
	struct qf_outbuf out = { 0 };
	struct qf_model *m = NULL;
	/* before the work, not behind it */
	enum qf_err err = qf_outfile_is_new(x->to, why);

	if (!err)
		err = qf_model_whole(img, x->share, &m, why);
	if (!err)
		err = draw(x, img, m, &out, why);
	if (!err)
		err = qf_outfile_create(x->to, out.at, out.n, why);
	qf_outbuf_free(&out);
	qf_model_free(m);
	qf_image_close(img);
	return err;
}
