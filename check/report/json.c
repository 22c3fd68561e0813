// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/report/json.h"
#include "lib/base/text.h"

#include <stdlib.h>
#include <string.h>

json_t *qf_json_string(const char *s)
{
	size_t room = strlen(s) * 4 + 8;
	json_t *j = json_string(s);
	char *safe;

	if (j)
		return j;
	/* not UTF-8: shown as it would be on a terminal */
	safe = malloc(room);
	if (!safe)
		return NULL;
	j = json_string(qf_text_safe(s, safe, room));
	free(safe);
	return j;
}

void qf_json_int(json_t *o, const char *key, uint64_t v)
{
	/* JSON's integers are signed here; a hostile size is capped */
	json_object_set_new(o, key,
			    json_integer(v > INT64_MAX ? INT64_MAX
						       : (json_int_t)v));
}

void qf_json_text(json_t *o, const char *key, const char *v)
{
	if (v)
		json_object_set_new(o, key, qf_json_string(v));
}

void qf_json_bool(json_t *o, const char *key, int v)
{
	json_object_set_new(o, key, json_boolean(v));
}
