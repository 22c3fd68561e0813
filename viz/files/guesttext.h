/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Texts and times of a guest's file systems, for people and as JSON. */
#ifndef QF_GUESTTEXT_H
#define QF_GUESTTEXT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* "2025-11-26 22:13:20 UTC"; "never" for QF_GUEST_NO_TIME. Returns BUF. */
char *qf_guesttext_time(int64_t t, char *buf, size_t room);

/* Sets KEY of O, if there is anything to say. */
void qf_guesttext_json(json_t *o, const char *key, const char *text);
void qf_guesttext_json_time(json_t *o, const char *key, int64_t t);

#endif
