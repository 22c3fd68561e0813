// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The LUKS header, as far as it can be judged without a key: its magic and
 * words, and where the key slots keep their key material.
 */
#include "check/passes/pass.h"
#include "lib/format/luks.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SLOT_OFF 208u /* of the first slot, in the header */
#define SLOT_BYTES 48u

static struct qf_finding *add(struct qf_pass_ctx *c, enum qf_problem p,
			      uint64_t at, uint64_t bytes)
{
	struct qf_finding *f =
		qf_pass_at(c, p, c->img->ext.crypto_off + at, bytes);

	qf_finding_unseen(f);
	return f;
}

static void check_header(struct qf_pass_ctx *c, const struct qf_luks *l)
{
	static const struct {
		const char *text;
		uint64_t at, bytes;
	} words[QF_LUKS_ODDITIES] = {
		{ "cipher, mode or hash are no names", 8, 96 },
		{ "no cipher has a key of the length that it states", 108, 4 },
		{ "the master key's digest has no iterations", 164, 4 },
		{ "the data are said to begin within the header", 104, 4 },
	};
	unsigned int k;

	for (k = 0; k < QF_LUKS_ODDITIES; k++)
		if (l->odd >> k & 1)
			qf_finding_say(add(c, QF_P_LUKS_HEADER, words[k].at,
					   words[k].bytes),
				       "%s", words[k].text);
}

/* "slot 3 (in use): its key material lies outside, ..." */
static void check_slot(struct qf_pass_ctx *c, const struct qf_luks *l,
		       unsigned int i)
{
	static const char *const words[QF_LUKS_SLOT_ODDITIES] = {
		"its state is neither in use nor free",
		"it has no iterations",
		"it does not have 4000 stripes",
		"its key material lies on the header",
		"its key material runs past the header's area",
		"its key material lies on another slot's",
	};
	const struct qf_luks_slot *s = &l->slot[i];
	struct qf_finding *f;
	char text[400] = "";
	unsigned int k;
	size_t n = 0;

	if (!s->odd)
		return;
	for (k = 0; k < QF_LUKS_SLOT_ODDITIES; k++)
		if (s->odd >> k & 1 && n < sizeof(text))
			n += (size_t)snprintf(text + n, sizeof(text) - n,
					      "%s%s", n ? ", " : "", words[k]);
	f = add(c, QF_P_LUKS_SLOT, SLOT_OFF + i * SLOT_BYTES, SLOT_BYTES);
	qf_finding_say(f,
		       "slot %u%s: %s (%" PRIu64 " bytes at 0x%" PRIx64
		       " of the header)",
		       i, s->active ? ", in use" : "", text, s->key_bytes,
		       s->key_off);
	if (s->odd & QF_LUKS_SLOT_OVERLAP)
		qf_finding_other(f, "slot %u", s->other);
}

static void check_luks(struct qf_pass_ctx *c, struct qf_luks *l)
{
	unsigned int i, active = 0;

	qf_luks_examine(l, c->img->ext.crypto_bytes);
	check_header(c, l);
	for (i = 0; i < QF_LUKS_SLOTS; i++) {
		check_slot(c, l, i);
		/* a state that is none may have been the one in use */
		active += l->slot[i].active ||
			  l->slot[i].odd & QF_LUKS_SLOT_STATE;
	}
	if (!active)
		qf_finding_say(add(c, QF_P_LUKS_NO_KEY, SLOT_OFF,
				   QF_LUKS_SLOTS * SLOT_BYTES),
			       "all %u slots are free", QF_LUKS_SLOTS);
}

/* What pass_header told of the header's place is not told again. */
enum qf_err qf_pass_luks(struct qf_pass_ctx *c, struct qf_why *why)
{
	const struct qf_image *img = c->img;
	const struct qf_ext_list *e = &img->ext;
	unsigned char buf[QF_LUKS_BYTES];
	struct qf_why what = { 0 };
	struct qf_luks l;

	(void)why;
	if (img->hdr.crypt_method != QF_CRYPT_LUKS || !e->has_crypto ||
	    e->crypto_off & (img->geo.cluster_bytes - 1) ||
	    e->crypto_bytes < sizeof(buf) || e->crypto_off >= img->io->size ||
	    e->crypto_bytes > img->io->size - e->crypto_off)
		return QF_OK;
	if (qf_io_read(img->io, buf, sizeof(buf), e->crypto_off, &what))
		qf_finding_say(qf_pass_at(c, QF_P_HEADER_UNREADABLE,
					  e->crypto_off, sizeof(buf)),
			       "the LUKS header: %s", what.text);
	else if (qf_luks_parse(buf, &l, &what))
		qf_finding_say(add(c, QF_P_LUKS_HEADER, 0, 8), "%s", what.text);
	else
		check_luks(c, &l);
	return QF_OK;
}
