// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/many/logline.h"
#include "check/many/summary.h"
#include "lib/base/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET "/run/systemd/journal/socket"
#define INFO 6
/* The journal's users find our lines by it. */
#define MESSAGE_ID "6b0f4fcbb6e94e0fa3b2d6c2f15d8a37"

/* syslog's priorities. */
static int priority(enum qf_result_kind kind)
{
	static const int priorities[] = {
		[QF_RESULT_CORRUPT] = 3,   [QF_RESULT_UNCHECKED] = 4,
		[QF_RESULT_LEAKS] = 5,	   [QF_RESULT_FOREIGN] = 5,
		[QF_RESULT_IN_USE] = INFO, [QF_RESULT_GONE] = INFO,
		[QF_RESULT_CLEAN] = INFO,
	};

	return priorities[kind];
}

/* As systemd says of a service's output: JOURNAL_STREAM=DEVICE:INODE. */
static bool leads_to_journal(int fd)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uint64_t dev, ino;
	struct stat st;

	return stream &&
	       sscanf(stream, "%" SCNu64 ":%" SCNu64, &dev, &ino) == 2 &&
	       !fstat(fd, &st) && st.st_dev == dev && st.st_ino == ino;
}

void qf_logline_open(struct qf_logline *l, bool quiet)
{
	const char *path = getenv("QFSCK_JOURNAL_SOCKET");
	struct sockaddr_un to = { .sun_family = AF_UNIX };

	l->fd = -1;
	l->quiet = quiet;
	if (!path && leads_to_journal(STDOUT_FILENO))
		path = SOCKET;
	if (!path || strlen(path) >= sizeof(to.sun_path))
		return;
	strcpy(to.sun_path, path);
	l->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (l->fd >= 0 && connect(l->fd, (struct sockaddr *)&to, sizeof(to))) {
		close(l->fd);
		l->fd = -1;
	}
}

void qf_logline_close(struct qf_logline *l)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}

/* One field, as the journal's native protocol has it. */
static void put_text(FILE *f, const char *key, const char *value)
{
	uint64_t n = strlen(value);
	int i;

	if (!strchr(value, '\n')) {
		fprintf(f, "%s=%s\n", key, value);
		return;
	}
	fprintf(f, "%s\n", key);
	for (i = 0; i < 8; i++)
		fputc((int)(n >> 8 * i & 0xff), f);
	fprintf(f, "%s\n", value);
}

static void put_number(FILE *f, const char *key, uint64_t value)
{
	fprintf(f, "%s=%" PRIu64 "\n", key, value);
}

static void put_result(FILE *f, const char *name, const struct qf_result *r)
{
	put_text(f, "QFSCK_IMAGE", name);
	put_text(f, "QFSCK_VERDICT", qf_result_key(r->kind));
	put_number(f, "QFSCK_ERRORS", r->errors);
	put_number(f, "QFSCK_LOST_BYTES", r->lost_bytes);
	put_number(f, "QFSCK_LEAKED_BYTES", r->leaked_bytes);
	if (r->note && *r->note)
		put_text(f, "QFSCK_NOTE", r->note);
	if (r->unchanged)
		put_number(f, "QFSCK_UNCHANGED", 1);
}

/* False: the journal did not take it. R may be NULL: of no one image. */
static bool send_fields(const struct qf_logline *l, const char *text, int level,
			const char *name, const struct qf_result *r)
{
	char *buf = NULL;
	size_t n = 0;
	FILE *f = l->fd >= 0 ? open_memstream(&buf, &n) : NULL;
	bool sent = false;

	if (!f)
		return false;
	put_text(f, "MESSAGE", text);
	put_number(f, "PRIORITY", (uint64_t)level);
	put_text(f, "SYSLOG_IDENTIFIER", "qfsck");
	put_text(f, "MESSAGE_ID", MESSAGE_ID);
	if (r)
		put_result(f, name, r);
	if (!fclose(f))
		sent = send(l->fd, buf, n, MSG_NOSIGNAL) == (ssize_t)n;
	free(buf);
	return sent;
}

static void tell(const struct qf_logline *l, const char *text, int level,
		 const char *name, const struct qf_result *r, FILE *out)
{
	if (!send_fields(l, text, level, name, r))
		fprintf(out, "<%d>%s\n", level, text);
}

void qf_logline_image(const struct qf_logline *l, const char *name,
		      const struct qf_result *r, FILE *out)
{
	size_t room = strlen(name) * 4 + 8;
	char *safe = malloc(room), *text;

	if (safe && !(l->quiet && r->kind == QF_RESULT_CLEAN) &&
	    asprintf(&text, "%s: %s%s%s%s", qf_text_safe(name, safe, room),
		     qf_result_word(r->kind), r->note && *r->note ? ": " : "",
		     r->note ? r->note : "",
		     r->unchanged ? " (unchanged since it was checked)" : "") >=
		    0) {
		tell(l, text, priority(r->kind), name, r, out);
		free(text);
	}
	free(safe);
}

void qf_logline_totals(const struct qf_logline *l, const struct qf_result *r,
		       size_t n)
{
	char *text = NULL, *end;
	size_t bytes;
	FILE *f = open_memstream(&text, &bytes);

	if (!f)
		return;
	qf_summary_totals(f, r, n);
	if (!fclose(f)) {
		end = strchr(text, '\n');
		if (end)
			*end = '\0';
		tell(l, text, INFO, NULL, NULL, stdout);
	}
	free(text);
}
