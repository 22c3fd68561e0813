// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/files/guesttext.h"
#include "check/check.h"
#include "lib/guest/guest.h"

#include <stdio.h>
#include <time.h>

char *qf_guesttext_time(int64_t t, char *buf, size_t room)
{
	time_t when = (time_t)t;
	struct tm parts;

	if (t == QF_GUEST_NO_TIME || !gmtime_r(&when, &parts) ||
	    !strftime(buf, room, "%Y-%m-%d %H:%M:%S UTC", &parts))
		snprintf(buf, room, "never");
	return buf;
}

void qf_guesttext_json(json_t *o, const char *key, const char *text)
{
	if (*text)
		qf_json_text(o, key, text);
}

void qf_guesttext_json_time(json_t *o, const char *key, int64_t t)
{
	if (t != QF_GUEST_NO_TIME)
		json_object_set_new(o, key, json_integer(t));
}
