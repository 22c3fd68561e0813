// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/model/open.h"
#include "lib/base/identify.h"
#include "lib/base/text.h"
#include "lib/format/believe.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLE_BYTES (256u << 10)

/* Other images, by their first bytes. */
static const struct {
	const char *magic;
	size_t off, n;
	const char *name;
	const char *format; /* QEMU's word for it */
	bool checked;	    /* qemu-img check knows it */
} images[] = {
	{ "KDMV", 0, 4, "VMDK", "vmdk", true },
	{ "COWD", 0, 4, "VMDK", "vmdk", true },
	{ "# Disk DescriptorFile", 0, 21, "VMDK", "vmdk", true },
	{ "\x7f\x10\xda\xbe", 64, 4, "VDI", "vdi", true },
	{ "vhdxfile", 0, 8, "VHDX", "vhdx", true },
	{ "QED", 0, 4, "QED", "qed", true },
	{ "WithoutFreeSpace", 0, 16, "Parallels", "parallels", true },
	{ "WithouFreSpacExt", 0, 16, "Parallels", "parallels", true },
	{ "conectix", 0, 8, "VHD", "vpc", false },
	{ "QFI\xfb\0\0\0\1", 0, 8, "qcow version 1", "qcow", false },
};

/* How the image is named in a command to type, in BUF: as a word of the shell,
 * where there is room for it in what qf_err_next takes. */
#define WORD_ROOM 80
static const char *in_command(const char *name, char buf[static WORD_ROOM])
{
	const unsigned char *p;
	char word[2 * WORD_ROOM];

	for (p = (const unsigned char *)name; *p; p++)
		if (*p < 0x20 || *p == 0x7f)
			return "IMAGE";
	if (strlen(qf_text_file(name, word, sizeof(word))) >= WORD_ROOM)
		return "IMAGE";
	return strcpy(buf, word);
}

/* True, and said, if the N bytes at BUF begin another kind of image. */
static bool is_other_image(const char *name, const unsigned char *buf, size_t n,
			   struct qf_why *why)
{
	char word[WORD_ROOM];
	size_t i;

	for (i = 0; i < sizeof(images) / sizeof(images[0]); i++)
		if (images[i].off + images[i].n <= n &&
		    !memcmp(buf + images[i].off, images[i].magic, images[i].n))
			break;
	if (i == sizeof(images) / sizeof(images[0]))
		return false;
	qf_err_set(why, QF_ERR_FOREIGN, 0, 0, "is no qcow2 image: %s",
		   images[i].name);
	if (images[i].checked)
		qf_err_next(why, "qemu-img check -f %s %s", images[i].format,
			    in_command(name, word));
	else
		qf_err_next(why,
			    "qemu-img has no check for it; \"qemu-img convert "
			    "-f %s -O qcow2 %s NEW\" makes one of it that can "
			    "be checked",
			    images[i].format, in_command(name, word));
	return true;
}

/* Says what a file that is no qcow2 image is instead. */
static void say_what_it_is(const char *name, struct qf_why *why)
{
	unsigned char *buf;
	struct qf_io *io;
	char what[200];
	int64_t n;

	if (qf_io_open(name, &io, NULL))
		return;
	buf = malloc(SAMPLE_BYTES);
	n = buf ? io->ops->read(io, buf, SAMPLE_BYTES, 0) : 0;
	if (!io->size)
		qf_err_set(why, QF_ERR_IO, 0, QF_NOWHERE, "is empty (0 bytes)");
	else if (n > 0 && !is_other_image(name, buf, (size_t)n, why)) {
		qf_err_set(why, QF_ERR_FOREIGN, 0, 0, "is no qcow2 image: %s",
			   strcmp(qf_identify_bytes(buf, (size_t)n, what,
						    sizeof(what)),
				  "data")
				   ? what
				   : "nothing that is known");
		qf_err_next(why, "nothing if it is a raw disk; if it should be "
				 "qcow2, its header is destroyed");
	}
	if (!io->size)
		qf_err_next(why, "an image that is empty has lost everything; "
				 "look for a backup");
	free(buf);
	qf_io_close(io);
}

static void say_damaged(const char *name, const struct qf_header *h,
			struct qf_why *why)
{
	char word[WORD_ROOM];
	const char *image = in_command(name, word);
	char version[24] = "a qcow2 image";

	if (h->version_wrong && !h->version_open)
		snprintf(version, sizeof(version), "version %" PRIu32,
			 h->version);
	if (h->magic_wrong)
		qf_err_set(why, why->err, 0, 0,
			   "begins with 0x%08" PRIx32 "%s instead of "
			   "qcow2's 0x%08x, and the rest of its header is that "
			   "of %s",
			   h->stated_magic,
			   h->version_wrong ? " and a wrong version" : "",
			   QF_MAGIC, version);
	else
		qf_err_set(why, why->err, 0, 4,
			   "states qcow version %" PRIu32 ", and the rest of "
			   "its header is that of %s",
			   h->stated_version, version);
	qf_err_next(why,
		    "if it is a qcow2 image: qfsck check -f qcow2 %s (and "
		    "qfsck repair -f qcow2 %s mends it)",
		    image, image);
}

/* True, and said, if only magic or version are wrong: -f qcow2 reads it. */
static bool is_only_damaged(const char *name, struct qf_why *why)
{
	struct qf_wire_header w;
	struct qf_header h;
	struct qf_io *io;
	bool damaged;
	int64_t n;

	if (qf_io_open(name, &io, NULL))
		return false;
	io->believed = true;
	n = io->ops->read(io, &w, sizeof(w), 0);
	damaged = n > 0 && !qf_believe_parse(io, &w, (uint64_t)n, &h, NULL) &&
		  (h.magic_wrong || h.version_wrong);
	if (damaged)
		say_damaged(name, &h, why);
	qf_io_close(io);
	return damaged;
}

static void advise(const char *name, enum qf_err err, bool write,
		   struct qf_why *why)
{
	if (!why)
		return;
	if ((err == QF_ERR_FOREIGN || err == QF_ERR_FORMAT ||
	     err == QF_ERR_UNSUPPORTED) &&
	    is_only_damaged(name, why))
		return;
	switch (err) {
	case QF_ERR_BUSY:
		qf_err_next(why, write ? "stop that program first"
				       : "stop that program first, or read "
					 "beside it with -U (--force-share): "
					 "what it writes meanwhile can look "
					 "like damage");
		break;
	case QF_ERR_UNSUPPORTED:
		if (why->off == QF_NOWHERE)
			qf_err_next(why, write ? "copy the image to another "
						 "file system"
					       : "if nobody uses the image, "
						 "add -U (--force-share)");
		break;
	case QF_ERR_FORMAT:
		qf_err_next(why, "the header is damaged beyond reading; keep "
				 "a copy of the file before trying anything");
		break;
	case QF_ERR_FOREIGN:
		say_what_it_is(name, why);
		break;
	default:
		break;
	}
}

/* What a repair is journaled by is a file beside the image, and its lock. */
static enum qf_err refuse_remote(struct qf_why *why)
{
	qf_err_set(why, QF_ERR_USAGE, 0, QF_NOWHERE,
		   "is behind a server, and only files are repaired");
	qf_err_next(why, "copy it first: nbdcopy URI FILE");
	return QF_ERR_USAGE;
}

enum qf_err qf_open_image(const char *name, const char *format,
			  enum qf_lock_mode mode, bool share,
			  struct qf_image **out, struct qf_why *why)
{
	struct qf_io *io;
	enum qf_err err;

	if (format && strcmp(format, "qcow2"))
		return qf_err_set(why, QF_ERR_FOREIGN, 0, QF_NOWHERE,
				  "the format \"%.32s\" is not one that is "
				  "checked",
				  format);
	err = qf_io_open(name, &io, why);
	if (err)
		return err;
	io->believed = format != NULL;
	if (mode == QF_LOCK_WRITE && qf_io_is_remote(name))
		err = refuse_remote(why);
	else if (!share && !qf_io_is_remote(name))
		err = qf_lock_take(io->fd, mode, why);
	if (err)
		qf_io_close(io);
	else
		err = qf_image_open(io, out, why);
	advise(name, err, mode == QF_LOCK_WRITE, why);
	return err && why && why->err ? why->err : err;
}

const char *qf_open_format(const struct qf_image *img)
{
	return img->io->believed ? "qcow2" : NULL;
}
