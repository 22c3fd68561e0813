// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a program does with libqfsck: it checks an image, and tells what each
 * state of the disk holds and where.
 *
 *	cc example.c $(pkg-config --cflags --libs qfsck) -o example
 *	./example disk.qcow2
 */
#include <inttypes.h>
#include <qfsck.h>
#include <stdio.h>
#include <stdlib.h>

static int fail(const char *name, const struct qfsck_error *why)
{
	fprintf(stderr, "%s: %s\n", name, why->text);
	if (why->next[0])
		fprintf(stderr, "  %s\n", why->next);
	return 1;
}

static int print_extent(void *ctx, const struct qfsck_extent *e)
{
	static const char *const kinds[] = { "unmapped", "zero", "data",
					     "compressed", "bad" };

	printf("extent %s %" PRIu64 " %" PRIu64 " %s", (const char *)ctx,
	       e->start, e->length, kinds[e->kind]);
	if (e->host_offset != QFSCK_NOWHERE)
		printf(" %" PRIu64, e->host_offset);
	printf("%s\n", e->lost ? " lost" : "");
	return 0;
}

/* The map of one state, and what its first MiB adds up to. */
static int show_state(struct qfsck_image *img, const char *id,
		      struct qfsck_error *why)
{
	static unsigned char buf[1 << 20];
	struct qfsck_state *state;
	uint64_t sum = 0, bad, bytes;
	int err;

	err = qfsck_state_open(img, id, 0, &state, why);
	if (err)
		return err;
	bytes = qfsck_state_bytes(state);
	err = qfsck_state_map(state, 0, bytes, print_extent,
			      id ? (void *)id : (void *)"active", why);
	if (bytes > sizeof(buf))
		bytes = sizeof(buf);
	if (!err)
		err = qfsck_state_read(state, buf, (size_t)bytes, 0, &bad, why);
	for (uint64_t i = 0; !err && i < bytes; i++)
		sum += buf[i];
	if (!err)
		printf("read %s %" PRIu64 " %" PRIu64 "\n", id ? id : "active",
		       sum, bad);
	qfsck_state_close(state);
	return err;
}

static int count_uses(void *ctx, const struct qfsck_reference *r)
{
	uint64_t *bytes = ctx;

	bytes[r->use] += r->length;
	return 0;
}

static int show_walk(struct qfsck_image *img, struct qfsck_error *why)
{
	uint64_t bytes[QFSCK_USE_CRYPTO_HEADER + 1] = { 0 }, unread;
	int err = qfsck_walk(img, count_uses, bytes, &unread, why);

	if (!err)
		printf("walk data %" PRIu64 " l2 %" PRIu64 " unread %" PRIu64
		       "\n",
		       bytes[QFSCK_USE_DATA], bytes[QFSCK_USE_L2], unread);
	return err;
}

static int print_owner(void *ctx, const struct qfsck_reference *r)
{
	(void)ctx;
	printf("owner use %d holder %" PRIu32 " guest %" PRIu64
	       " pointer %" PRIu64 "\n",
	       r->use, r->holder, r->guest_offset, r->pointer_offset);
	return 0;
}

static int show_check(struct qfsck_image *img, struct qfsck_error *why)
{
	static const char *const verdicts[] = { "clean", "leaks", "corrupt",
						"unchecked" };
	struct qfsck_report *report;
	struct qfsck_result result;
	struct qfsck_finding f;
	struct qfsck_lost lost;
	size_t i;
	int err = qfsck_check(img, 0, 0, &report, why);

	if (err)
		return err;
	qfsck_report_result(report, &result, sizeof(result));
	printf("verdict %s corruptions %" PRIu64 " leaks %" PRIu64 "\n",
	       verdicts[result.verdict], result.corruptions, result.leaks);
	for (i = 0; i < result.findings; i++) {
		qfsck_report_finding(report, i, &f, sizeof(f));
		printf("finding %" PRIu32 " %s %" PRIu64 " %s: %s\n", f.id,
		       f.name, f.count, f.what, f.message);
	}
	for (i = 0; i < result.lost; i++) {
		qfsck_report_lost(report, i, &lost, sizeof(lost));
		printf("lost %s %" PRIu64 " %" PRIu64 "\n", lost.id,
		       lost.guest_offset, lost.length);
	}
	qfsck_report_free(report);
	return 0;
}

int main(int argc, char **argv)
{
	struct qfsck_image *img = NULL;
	struct qfsck_snapshot s;
	struct qfsck_error why;
	uint64_t stated = 0;
	uint32_t i;
	int err;

	if (argc < 2) {
		fprintf(stderr, "usage: example IMAGE [HOST_OFFSET]\n");
		return 2;
	}
	err = qfsck_open(argv[1], 0, &img, &why);
	if (!err)
		err = show_check(img, &why);
	if (!err)
		err = show_state(img, NULL, &why);
	for (i = 0; !err && !qfsck_snapshot(img, i, &s, sizeof(s)); i++)
		err = show_state(img, s.id, &why);
	if (!err)
		err = show_walk(img, &why);
	if (!err && argc > 2) {
		err = qfsck_owners(img, strtoull(argv[2], NULL, 0), print_owner,
				   NULL, &stated, &why);
		printf("refcount %" PRIu64 "\n", stated);
	}
	qfsck_close(img);
	return err ? fail(argv[1], &why) : 0;
}
