// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The report for a person at 3 a.m.: the verdict first, what is at risk,
 * what to type next; then the findings; then the figures.
 */
#include "check/report/report.h"
#include "check/report/report_hits.h"
#include "check/report/units.h"
#include "lib/walk/describe.h"
#include "lib/base/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Findings of one problem that are shown before "... and N more". */
#define SHOWN 3

/* A name as a word of a command. */
#define WORD_ROOM 1300

static const char *paint(const struct qf_report_style *st, const char *code)
{
	return st->colour ? code : "";
}

static const char *severity_paint(const struct qf_report_style *st,
				  enum qf_severity s)
{
	static const char *const codes[] = { "\033[2m",	   "\033[33m",
					     "\033[1;31m", "\033[36m",
					     "\033[1;31m", "\033[1;31m",
					     "\033[1;31m" };

	return paint(st, codes[s]);
}

static bool has(const struct qf_report *rep, enum qf_problem p)
{
	size_t i;

	for (i = 0; i < rep->findings.n; i++)
		if (rep->findings.at[i].problem == p)
			return true;
	return false;
}

static uint64_t count_severity(const struct qf_report *rep, enum qf_severity s)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < rep->findings.n; i++)
		if (qf_problem_get(rep->findings.at[i].problem)->severity == s)
			n += rep->findings.at[i].collated;
	return n;
}

uint64_t qf_report_errors(const struct qf_report *rep)
{
	return count_severity(rep, QF_SEV_ERROR) +
	       count_severity(rep, QF_SEV_ABSENT) +
	       count_severity(rep, QF_SEV_FATAL);
}

static void verdict_corrupt(FILE *out, const char *name,
			    const struct qf_report *rep)
{
	bool start_wrong = has(rep, QF_P_HEADER_MAGIC) ||
			   has(rep, QF_P_HEADER_VERSION);
	enum qf_risk worst = QF_RISK_NONE;
	char word[WORD_ROOM];
	size_t i;

	for (i = 0; i < rep->findings.n; i++) {
		const struct qf_problem_row *row =
			qf_problem_get(rep->findings.at[i].problem);

		if (row->severity >= QF_SEV_ERROR && row->risk > worst)
			worst = row->risk;
	}
	if (rep->tables != QF_VERDICT_CORRUPT) {
		fprintf(out,
			"  The image's own tables do not contradict each "
			"other, but what they show is not the\n"
			"  disk that the guest left: the findings say where. "
			"Do not start the guest from it,\n"
			"  and do not let fsck write to it.\n"
			"  Next: keep a copy of the file, and compare it with "
			"a snapshot or a backup.\n");
		return;
	}
	if (start_wrong)
		fprintf(out, "  No guest can start from this disk until its "
			     "header is put right. Do not open it\n"
			     "  as raw: a guest that writes then destroys "
			     "it.\n");
	fprintf(out, "  %s\n",
		worst == QF_RISK_DATA
			? "Guest data are lost or in danger; the findings say "
			  "which."
			: "The guest's data can still be read, but writing to "
			  "this image may destroy some.");
	if (has(rep, QF_P_REFCOUNT_ZERO))
		fprintf(out, "  Do not open this image for writing: clusters "
			     "in use count as free.\n");
	fprintf(out,
		"  Next: stop every writer, keep a copy of the file, "
		"then \"qfsck repair -n %s%s\"\n"
		"  shows what a repair would do.\n",
		start_wrong ? "-f qcow2 " : "",
		qf_text_file(name, word, sizeof(word)));
}

static void verdict_leaks(FILE *out, const struct qf_image *img,
			  const char *name, const struct qf_report *rep,
			  const struct qf_report_style *st)
{
	char bytes[32], word[WORD_ROOM];

	qf_text_bytes(rep->leaks << img->geo.cluster_bits, bytes,
		      sizeof(bytes));
	qf_text_file(name, word, sizeof(word));
	fprintf(out, "%s: %sleaks%s: ", name, paint(st, "\033[36m"),
		paint(st, "\033[0m"));
	if (has(rep, QF_P_GUEST_UNCLEAN))
		fprintf(out,
			"%s of the file look unused; they may be what the "
			"guest's file system misses.\n"
			"  Next: keep a copy of the file. If the guest starts "
			"and misses nothing, \"qfsck repair %s\"\n"
			"  frees them.\n",
			bytes, word);
	else if (has(rep, QF_P_GAVE_UP))
		fprintf(out,
			"%s of the file look unused; they may be what a repair "
			"could not find a way to.\n"
			"  Next: look at the guest. If nothing is missed, "
			"\"qfsck repair --forget %s\" frees them.\n",
			bytes, word);
	else
		fprintf(out,
			"no data are lost. Up to %s of the file are wasted.\n"
			"  Next: \"qfsck repair %s\" frees them, when it "
			"suits you.\n",
			bytes, word);
}

/* The tables may be in order, but no guest gets at the disk. */
static void verdict_absent(FILE *out, const char *name,
			   const struct qf_report *rep,
			   const struct qf_report_style *st)
{
	static const char *const tables[] = {
		[QF_VERDICT_CLEAN] = "are in order",
		[QF_VERDICT_LEAKS] = "have leaks: no data are lost by that",
		[QF_VERDICT_UNCHECKED] = "could not be read in full",
	};

	fprintf(out,
		"%s: %sunchecked%s: no guest can start from this disk: a file "
		"that it needs is not\n"
		"  there, or is not what it should be. The findings say which, "
		"and what to do.\n"
		"  The image's own tables were checked all the same, and %s.\n",
		name, paint(st, "\033[1;31m"), paint(st, "\033[0m"),
		tables[rep->tables]);
}

void qf_report_verdict(FILE *out, const struct qf_image *img, const char *name,
		       const struct qf_report *rep,
		       const struct qf_report_style *st)
{
	uint64_t n;

	switch (rep->verdict) {
	case QF_VERDICT_CLEAN:
		fprintf(out, "%s: %sclean%s%s\n", name, paint(st, "\033[32m"),
			paint(st, "\033[0m"),
			rep->warnings ? ", with warnings" : "");
		break;
	case QF_VERDICT_LEAKS:
		verdict_leaks(out, img, name, rep, st);
		break;
	case QF_VERDICT_CORRUPT:
		n = qf_report_errors(rep);
		fprintf(out, "%s: %scorrupt%s: %" PRIu64 " error%s\n", name,
			paint(st, "\033[1;31m"), paint(st, "\033[0m"), n,
			n == 1 ? "" : "s");
		verdict_corrupt(out, name, rep);
		if (rep->absent)
			fprintf(out, "  Besides, no guest can start from this "
				     "disk: a file that it needs is not\n"
				     "  there, or is not what it should be.\n");
		break;
	case QF_VERDICT_UNCHECKED:
		if (rep->absent) {
			verdict_absent(out, name, rep, st);
			break;
		}
		fprintf(out,
			"%s: %snot checked in full%s: a part of the file could "
			"not be read.\n"
			"  What could be read is in order. Next: look into the "
			"kernel's log for disk\n"
			"  errors, and copy the file to a sound disk "
			"(ddrescue) before anything else.\n",
			name, paint(st, "\033[1;31m"), paint(st, "\033[0m"));
		break;
	}
}

static const char *name_holder(const struct qf_image *img,
			       const struct qf_lost_range *r, char *buf,
			       size_t room)
{
	if (!r->id[0])
		return qf_describe_holder(img, r->holder, buf, room);
	snprintf(buf, room, "snapshot %s", r->id);
	return buf;
}

/* Which parts of which disk are out of reach. */
static void lost(FILE *out, const struct qf_image *img,
		 const struct qf_report *rep, const struct qf_report_style *st)
{
	const struct qf_lost_range *r = rep->lost.at;
	size_t i, n = 0, shown = st->all ? rep->lost.n : SHOWN;
	uint64_t room = qf_lost_free_bytes(&rep->lost);
	char who[400], bytes[32], from[64], to[64];

	if (!rep->lost.n)
		return;
	fprintf(out, "\n  Lost, or out of reach until repaired:\n");
	for (i = 0; i < rep->lost.n; i++, r++)
		if (!r->free && n++ < shown)
			fprintf(out,
				"    %s: up to %s from guest offset %s to %s\n",
				name_holder(img, r, who, sizeof(who)),
				qf_text_bytes(r->bytes, bytes, sizeof(bytes)),
				qf_text_place(r->guest_off, from, sizeof(from)),
				qf_text_place(r->guest_off + r->bytes, to,
					      sizeof(to)));
	if (n > shown)
		fprintf(out, "    ... and %zu more ranges; --all lists them\n",
			n - shown);
	if (room)
		fprintf(out,
			"    %s%s beside that: free room, as the guest's file "
			"system has it, which\n"
			"    is no loss\n",
			n ? "" : "nothing; ",
			qf_text_bytes(room, bytes, sizeof(bytes)));
	if (rep->lost.coarse)
		fprintf(out, "    (so many that these cover what lies between, "
			     "too)\n");
	if (rep->lost.cut)
		fprintf(out, "    (so many that not every snapshot is "
			     "named)\n");
}

/* TEXT in lines of at most 76 columns, each after INDENT spaces. */
static void wrap(FILE *out, const char *text, int indent)
{
	size_t room = (size_t)(76 - indent), n;

	while (*text) {
		n = strlen(text);
		if (n > room) {
			for (n = room; n && text[n] != ' '; n--)
				;
			if (!n)
				n = room;
		}
		fprintf(out, "%*s%.*s\n", indent, "", (int)n, text);
		text += n;
		while (*text == ' ')
			text++;
	}
}

static void diagnoses(FILE *out, const struct qf_report *rep)
{
	const struct qf_diagnosis *d;
	unsigned int i, k;

	for (i = 0; i < rep->n_diagnoses; i++) {
		d = &rep->diagnosis[i];
		fprintf(out, "\n  %s (%s; see", qf_diagnose_heading(d->cause),
			qf_diagnose_name(d->cause));
		for (k = 0; k < d->n; k++)
			fprintf(out, "%s %u", k ? "," : "",
				qf_problem_get(d->evidence[k])->id);
		fprintf(out, " below):\n");
		wrap(out, qf_diagnose_story(d->cause), 4);
		wrap(out, qf_diagnose_advice(d->cause), 4);
	}
}

/* A line of TEXT behind WHAT, its places in words, too. */
static void say(FILE *out, const char *what, const char *text)
{
	char *words = qf_text_places(text ? text : "(no memory)");

	fprintf(out, "%s%s\n", what, words ? words : "(no memory)");
	free(words);
}

static void one_finding(FILE *out, const struct qf_finding *f)
{
	say(out, "    ", f->text);
	if (f->owner)
		say(out,
		    f->other ? "      one owner: " : "      owner: ", f->owner);
	if (f->other)
		say(out, "      another: ", f->other);
}

/* All findings of one problem, which stand together. Returns how many. */
static size_t one_problem(FILE *out, const struct qf_finding *f, size_t n,
			  const struct qf_report_style *st)
{
	const struct qf_problem_row *row = qf_problem_get(f->problem);
	uint64_t rest = 0, count = 0;
	size_t same, i;

	for (same = 0; same < n && f[same].problem == f->problem; same++)
		;
	fprintf(out, "\n  %s%s%s %u %s: %s\n",
		severity_paint(st, row->severity),
		qf_problem_severity(row->severity), paint(st, "\033[0m"),
		row->id, row->name, row->message);
	for (i = 0; i < same; i++) {
		if (i < SHOWN || st->all || same <= SHOWN + 1) {
			one_finding(out, &f[i]);
			continue;
		}
		rest += f[i].collated;
		count += f[i].count;
	}
	if (rest)
		fprintf(out,
			"    ... and %" PRIu64 " more places, %" PRIu64
			" together; --all lists them\n",
			rest, count);
	return same;
}

static size_t kinds(const struct qf_report *rep)
{
	size_t i, n = 0;

	for (i = 0; i < rep->findings.n; i++)
		n += !i || rep->findings.at[i].problem !=
				   rep->findings.at[i - 1].problem;
	return n;
}

/* True if what the tables say is not what they said once. */
static bool is_misread(const struct qf_report *rep)
{
	return has(rep, QF_P_L2_GARBAGE) || has(rep, QF_P_L1_GARBAGE) ||
	       has(rep, QF_P_HEADER_L1_OFFSET) ||
	       has(rep, QF_P_HEADER_L1_SMALL) || has(rep, QF_P_BEYOND_DISK);
}

/* What a check does only if it is asked for. */
static void not_looked_at(FILE *out, const struct qf_image *img,
			  const struct qf_report *rep,
			  const struct qf_report_style *st)
{
	const char *between = "  Not looked at: ";

	if (rep->fig.compressed && !st->data && !is_misread(rep)) {
		fprintf(out,
			"%sthe content of %" PRIu64
			" compressed cluster%s (--data)",
			between, rep->fig.compressed,
			rep->fig.compressed == 1 ? "" : "s");
		between = "; ";
	}
	if (img->backing_name && !st->chain && !rep->absent) {
		fprintf(out,
			"%sthe tables of the backing file "
			"(--backing-chain)",
			between);
		between = "; ";
	}
	if (between[0] == ';')
		fputc('\n', out);
}

/* All else that was found is a consequence of that. */
static void wrong_units(FILE *out, const struct qf_image *img,
			const struct qf_report *rep, uint32_t bits)
{
	fprintf(out,
		"\n  The header states a wrong size of clusters: cluster_bits is "
		"%" PRIu32 ", and only with %" PRIu32 "\n"
		"  the file is an image that is in order. A repair sets that. "
		"The %zu kinds of trouble\n"
		"  that were found are what follows from it; --all lists "
		"them.\n",
		img->geo.cluster_bits, bits, kinds(rep));
}

static void figures(FILE *out, const struct qf_image *img,
		    const struct qf_report *rep)
{
	const struct qf_report_figures *fig = &rep->fig;
	uint64_t all = fig->total ? fig->total : 1;
	uint64_t some = fig->allocated ? fig->allocated : 1;
	char disk[32], file[32], cl[32];

	fprintf(out,
		"\n  disk %s, %" PRIu64 "/%" PRIu64
		" clusters allocated (%.2f%%)",
		qf_text_bytes(img->hdr.disk_bytes, disk, sizeof(disk)),
		fig->allocated, fig->total,
		(double)fig->allocated * 100 / (double)all);
	/* of tables that hold something else these tell nothing */
	if (fig->allocated > 1 && !is_misread(rep)) {
		fprintf(out, ", %.2f%% fragmented",
			(double)fig->fragmented * 100 / (double)some);
		if (fig->compressed)
			fprintf(out, ", %.2f%% compressed",
				(double)fig->compressed * 100 / (double)some);
	}
	fputc('\n', out);
	fprintf(out,
		"  file %s in clusters of %s, %" PRIu64 " in use, %" PRIu64
		" free inside; image end offset %" PRIu64 "\n",
		qf_text_bytes(img->io->size, file, sizeof(file)),
		qf_text_bytes(img->geo.cluster_bytes, cl, sizeof(cl)),
		fig->used, fig->free, fig->image_end_bytes);
}

void qf_report_human(FILE *out, const struct qf_image *img, const char *name,
		     const struct qf_report *rep, const struct qf_hits *hits,
		     const struct qf_report_style *st)
{
	const struct qf_finding *f = rep->findings.at;
	size_t n = rep->findings.n, same;
	uint32_t bits;

	if (st->quiet && rep->verdict == QF_VERDICT_CLEAN)
		return;
	qf_report_verdict(out, img, name, rep, st);
	bits = qf_units_cluster_bits(img, rep);
	if (bits)
		wrong_units(out, img, rep, bits);
	if (bits && !st->all)
		return;
	diagnoses(out, rep);
	lost(out, img, rep, st);
	qf_report_hits(out, img, hits, st->all);
	while (n) {
		same = one_problem(out, f, n, st);
		f += same;
		n -= same;
	}
	if (st->why)
		qf_report_why(out, name, &rep->questions, st->all);
	if (!st->quiet) {
		figures(out, img, rep);
		not_looked_at(out, img, rep, st);
	}
	if (rep->findings.n && !st->quiet)
		fprintf(out, "  \"qfsck explain NUMBER\" tells more about a "
			     "finding.\n");
}
