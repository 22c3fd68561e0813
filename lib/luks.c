// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/luks.h"
#include "lib/be.h"

#include <stdio.h>

#define SLOT_ACTIVE 0x00ac71f3u
#define SECTOR 512u

struct wire_slot {
	struct qf_be32 active;
	struct qf_be32 iterations;
	uint8_t salt[32];
	struct qf_be32 key_sector;
	struct qf_be32 stripes;
};

struct wire_luks {
	uint8_t magic[6];
	struct qf_be16 version;
	char cipher[32];
	char mode[32];
	char hash[32];
	struct qf_be32 payload_sector;
	struct qf_be32 key_bytes;
	uint8_t digest[20];
	uint8_t salt[32];
	struct qf_be32 iterations;
	char uuid[40];
	struct wire_slot slot[QF_LUKS_SLOTS];
};

_Static_assert(sizeof(struct wire_luks) == QF_LUKS_BYTES, "LUKS header");

/* "cbc-essiv:sha256" to its three parts. */
static void take_mode(const char *mode, struct qf_luks *l)
{
	char text[33];
	char *iv, *hash = NULL;

	snprintf(text, sizeof(text), "%.32s", mode);
	iv = strchr(text, '-');
	if (iv) {
		*iv++ = '\0';
		hash = strchr(iv, ':');
	}
	if (hash)
		*hash++ = '\0';
	snprintf(l->mode, sizeof(l->mode), "%s", text);
	snprintf(l->iv, sizeof(l->iv), "%s", iv ? iv : "");
	snprintf(l->iv_hash, sizeof(l->iv_hash), "%s", hash ? hash : "");
}

static void take_slot(const struct wire_slot *w, struct qf_luks_slot *s)
{
	s->active = qf_be_get32(w->active) == SLOT_ACTIVE;
	s->iterations = qf_be_get32(w->iterations);
	s->key_off = (uint64_t)qf_be_get32(w->key_sector) * SECTOR;
	s->stripes = qf_be_get32(w->stripes);
}

enum qf_err qf_luks_parse(const void *buf, struct qf_luks *l,
			  struct qf_why *why)
{
	struct wire_luks w;
	unsigned int i;

	memcpy(&w, buf, sizeof(w));
	memset(l, 0, sizeof(*l));
	if (memcmp(w.magic, "LUKS\xba\xbe", sizeof(w.magic)))
		return qf_err_set(why, QF_ERR_FORMAT, 0, 0,
				  "the encryption header is no LUKS header");
	if (qf_be_get16(w.version) != 1)
		return qf_err_set(why, QF_ERR_FORMAT, 0, 6,
				  "the LUKS header has version %u",
				  qf_be_get16(w.version));
	snprintf(l->cipher, sizeof(l->cipher), "%.32s", w.cipher);
	snprintf(l->hash, sizeof(l->hash), "%.32s", w.hash);
	snprintf(l->uuid, sizeof(l->uuid), "%.40s", w.uuid);
	take_mode(w.mode, l);
	l->key_bits = (qf_be_get32(w.key_bytes) & 0xffffff) * 8;
	if (!strcmp(l->mode, "xts"))
		l->key_bits /= 2;
	l->iterations = qf_be_get32(w.iterations);
	l->payload_off = (uint64_t)qf_be_get32(w.payload_sector) * SECTOR;
	for (i = 0; i < QF_LUKS_SLOTS; i++)
		take_slot(&w.slot[i], &l->slot[i]);
	return QF_OK;
}
