// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/luks.h"
#include "lib/base/mem.h"
#include "lib/base/be.h"

#include <stdio.h>

#define SLOT_ACTIVE 0x00ac71f3u
#define SLOT_FREE 0x0000deadu
#define SECTOR 512u
#define STRIPES 4000u /* of every program there is */
#define MAX_KEY_BYTES 128u
#define HEADER_END 1024u /* the header, in whole sectors */
/* QEMU takes as much for the header, and whole units of it for each slot. */
#define SLOT_UNIT 4096u

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

static void take_slot(const struct wire_slot *w, uint32_t key_bytes,
		      struct qf_luks_slot *s)
{
	uint64_t bytes;

	s->state = qf_be_get32(w->active);
	s->active = s->state == SLOT_ACTIVE;
	s->iterations = qf_be_get32(w->iterations);
	memcpy(s->salt, w->salt, sizeof(s->salt));
	s->key_off = (uint64_t)qf_be_get32(w->key_sector) * SECTOR;
	s->stripes = qf_be_get32(w->stripes);
	/* two 32-bit numbers: this cannot overflow */
	bytes = (uint64_t)s->stripes * key_bytes;
	s->key_bytes = (bytes + SECTOR - 1) / SECTOR * SECTOR;
	if (!s->active && s->state != SLOT_FREE)
		s->odd |= QF_LUKS_SLOT_STATE;
	if (s->active && !s->iterations)
		s->odd |= QF_LUKS_SLOT_ITERATIONS;
	if (s->stripes != STRIPES)
		s->odd |= QF_LUKS_SLOT_STRIPES;
}

/* A word of printable characters, ended by a NUL within its 32 bytes. */
static bool is_name(const char *p)
{
	size_t n = strnlen(p, 32), i;

	for (i = 0; i < n; i++)
		if (p[i] <= 0x20 || p[i] >= 0x7f)
			return false;
	return n && n < 32;
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
	l->key_bytes = qf_be_get32(w.key_bytes);
	memcpy(l->digest, w.digest, sizeof(l->digest));
	memcpy(l->salt, w.salt, sizeof(l->salt));
	l->key_bits = (qf_be_get32(w.key_bytes) & 0xffffff) * 8;
	if (!strcmp(l->mode, "xts"))
		l->key_bits /= 2;
	l->iterations = qf_be_get32(w.iterations);
	l->payload_off = (uint64_t)qf_be_get32(w.payload_sector) * SECTOR;
	for (i = 0; i < QF_LUKS_SLOTS; i++)
		take_slot(&w.slot[i], qf_be_get32(w.key_bytes), &l->slot[i]);
	if (!is_name(w.cipher) || !is_name(w.mode) || !is_name(w.hash))
		l->odd |= QF_LUKS_NAMES;
	if (!qf_be_get32(w.key_bytes) || qf_be_get32(w.key_bytes) % 8 ||
	    qf_be_get32(w.key_bytes) > MAX_KEY_BYTES)
		l->odd |= QF_LUKS_KEY;
	if (!l->iterations)
		l->odd |= QF_LUKS_ITERATIONS;
	if (l->payload_off < HEADER_END)
		l->odd |= QF_LUKS_PAYLOAD;
	return QF_OK;
}

static bool touch(const struct qf_luks_slot *a, const struct qf_luks_slot *b)
{
	return a->key_off < b->key_off
		       ? b->key_off - a->key_off <
				 qf_mem_round_up(a->key_bytes, SLOT_UNIT)
		       : a->key_off - b->key_off <
				 qf_mem_round_up(b->key_bytes, SLOT_UNIT);
}

void qf_luks_examine(struct qf_luks *l, uint64_t room)
{
	unsigned int i, k;

	/* a payload on the header is odd itself and bounds nothing */
	if (!(l->odd & QF_LUKS_PAYLOAD) && l->payload_off < room)
		room = l->payload_off;
	for (i = 0; i < QF_LUKS_SLOTS; i++) {
		struct qf_luks_slot *s = &l->slot[i];

		if (s->key_off < SLOT_UNIT)
			s->odd |= QF_LUKS_SLOT_ON_HEADER;
		if (s->key_off > room || s->key_bytes > room - s->key_off)
			s->odd |= QF_LUKS_SLOT_OUTSIDE;
		for (k = 0; k < QF_LUKS_SLOTS; k++) {
			if (k == i || s->odd & QF_LUKS_SLOT_OVERLAP ||
			    !touch(s, &l->slot[k]))
				continue;
			s->odd |= QF_LUKS_SLOT_OVERLAP;
			s->other = k;
		}
	}
}
