/* SPDX-License-Identifier: GPL-2.0-or-later */
/* JSON: what jansson does not do by itself. */
#ifndef QF_JSON_H
#define QF_JSON_H

#include <jansson.h>
#include <stdint.h>

/* S as a string; what is not UTF-8 is shown as \xNN. NULL without memory. */
json_t *qf_json_string(const char *s);

/* Sets KEY of the object O; text that is NULL is left out. */
void qf_json_int(json_t *o, const char *key, uint64_t v);
void qf_json_text(json_t *o, const char *key, const char *v);
void qf_json_bool(json_t *o, const char *key, int v);

#endif
