// SPDX-License-Identifier: GPL-2.0-or-later
/* qfsck owners. */
#include "cmd.h"
#include "check/check.h"
#include "lib/walk/describe.h"
#include "lib/base/mem.h"
#include "lib/model/open.h"
#include "lib/base/text.h"
#include "viz/show/cmd_args.h"
#include "viz/show/map.h"
#include "viz/files/ownernames.h"
#include "viz/files/places.h"
#include "viz/viz.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
	"Usage: qfsck owners (--host=OFF | --cluster=N | --guest=OFF) [OPTION]...\n"
	"                    IMAGE\n"
	"Tells who owns a place: every disk state and table that points there,\n"
	"and where each pointer stands.\n\n"
	"      --host=OFF         the cluster at this offset of the file\n"
	"      --cluster=N        cluster number N of the file\n"
	"      --guest=OFF        the clusters that this offset of the disk has,\n"
	"                         in every state of the disk\n"
	"  -s, --snapshot=S       with --guest: only in this state\n"
	"      --no-guest         do not look into the guest's file systems for the\n"
	"                         files that have bytes there\n"
	"      --output=FORMAT    human (the default) or json\n"
	"      --jobs=N           threads to use (default: one a processor)\n"
	"  -U, --force-share      read an image that another program writes\n"
	"  -f, --format=FMT       the image's format; with qcow2 it is read also where\n"
	"                         its magic or its version is damaged\n"
	"      --help             this text\n\n"
	"Numbers are decimal, 0x..., or with k, M, G, T behind them.\n";

struct options {
	uint64_t host, cluster, guest; /* UINT64_MAX: not given */
	const char *snapshot;
	uint64_t jobs;
	bool no_guest;
};

/* What is told. */
struct telling {
	const struct qf_image *img;
	const struct qf_places *p;
	const struct qf_ownernames *names;
};

static const char *holder_id(const struct qf_image *img, uint32_t h)
{
	if (h == QF_HOLDER_ACTIVE)
		return "active";
	return h == QF_HOLDER_IMAGE || h > img->snapshots.n
		       ? "image"
		       : img->snapshots.snap[h - 1].id;
}

static bool of_bitmaps(enum qf_ref_kind kind)
{
	return kind == QF_REF_BITMAP_TABLE || kind == QF_REF_BITMAP_DATA;
}

static void set_offset(json_t *o, const char *key, uint64_t off)
{
	if (off == QF_NOWHERE)
		json_object_set_new(o, key, json_null());
	else
		qf_json_int(o, key, off);
}

static bool is_data(const struct qf_owner *w)
{
	return w->kind == QF_REF_DATA || w->kind == QF_REF_COMPRESSED;
}

static json_t *json_owner(const struct telling *t, const struct qf_owner *w)
{
	const struct qf_image *img = t->img;
	json_t *o = json_object();
	char pointer[24];

	if (of_bitmaps(w->kind)) {
		qf_json_text(o, "holder", "image");
		if (w->holder < img->bitmaps.n)
			qf_json_text(o, "bitmap",
				     img->bitmaps.bm[w->holder].name);
	} else {
		qf_json_text(o, "holder", holder_id(img, w->holder));
		if (w->holder && w->holder <= img->snapshots.n)
			qf_json_text(o, "name",
				     img->snapshots.snap[w->holder - 1].name);
	}
	qf_json_text(o, "kind", qf_describe_kind_key(w->kind));
	set_offset(o, "guest-offset", w->guest_off);
	set_offset(o, "pointer-offset", w->pointer_off);
	qf_json_int(o, "host-offset", w->host_off);
	qf_json_int(o, "length", w->bytes);
	if (w->pointer) {
		snprintf(pointer, sizeof(pointer), "0x%016" PRIx64, w->pointer);
		qf_json_text(o, "pointer", pointer);
	}
	if (is_data(w))
		qf_ownernames_json(t->names, w->holder, w->guest_off, o);
	return o;
}

static json_t *json_place(const struct telling *t, const struct qf_place *p)
{
	const struct qf_image *img = t->img;
	json_t *o = json_object(), *list = json_array();
	size_t i;

	qf_json_int(o, "host-offset", p->cluster << img->geo.cluster_bits);
	qf_json_int(o, "cluster", p->cluster);
	if (p->refcount_known)
		qf_json_int(o, "refcount", p->refcount);
	else
		json_object_set_new(o, "refcount", json_null());
	qf_json_text(o, "state", qf_places_state(p));
	for (i = 0; i < p->owners.n; i++)
		json_array_append_new(list, json_owner(t, &p->owners.at[i]));
	json_object_set_new(o, "owners", list);
	if (p->owners.total > p->owners.n)
		qf_json_int(o, "owners-total", p->owners.total);
	return o;
}

static json_t *json_view(const struct telling *t, const struct qf_view *v)
{
	const struct qf_image *img = t->img;
	json_t *o = json_object();

	qf_json_text(o, "holder", holder_id(img, v->holder));
	if (v->holder)
		qf_json_text(o, "name",
			     img->snapshots.snap[v->holder - 1].name);
	qf_json_text(o, "kind", qf_places_kind(v));
	qf_json_int(o, "depth", v->e.depth);
	set_offset(o, "host-offset", v->e.host_off);
	set_offset(o, "pointer-offset", v->e.pointer_off);
	if (v->e.bad)
		qf_json_text(o, "error", v->e.bad);
	if (!v->beyond)
		qf_ownernames_json(t->names, v->holder, t->p->guest_off, o);
	return o;
}

static int show_json(const struct telling *t)
{
	const struct qf_places *p = t->p;
	json_t *o, *views, *places;
	size_t i;

	if (p->guest_off == QF_NOWHERE)
		return qf_args_print(json_place(t, &p->place[0]));
	o = json_object();
	views = json_array();
	places = json_array();
	for (i = 0; i < p->n_views; i++)
		json_array_append_new(views, json_view(t, &p->view[i]));
	for (i = 0; i < p->n_places; i++)
		json_array_append_new(places, json_place(t, &p->place[i]));
	qf_json_int(o, "guest-offset", p->guest_off);
	json_object_set_new(o, "mappings", views);
	json_object_set_new(o, "places", places);
	return qf_args_print(o);
}

static void print_offset(const char *before, uint64_t off)
{
	if (off != QF_NOWHERE)
		printf("%s0x%" PRIx64, before, off);
}

/* The file of a view is told with the view. */
static bool is_viewed(const struct telling *t, const struct qf_owner *w)
{
	uint64_t mask = ~(t->img->geo.cluster_bytes - 1);
	size_t i;

	for (i = 0; i < t->p->n_views; i++)
		if (t->p->view[i].holder == w->holder &&
		    (t->p->guest_off & mask) == (w->guest_off & mask))
			return true;
	return false;
}

static void print_owner(const struct telling *t, const struct qf_owner *w)
{
	const struct qf_image *img = t->img;
	char name[300];

	if (of_bitmaps(w->kind) && w->holder < img->bitmaps.n)
		printf("  bitmap \"%s\"",
		       qf_text_safe(img->bitmaps.bm[w->holder].name, name,
				    sizeof(name)));
	else
		printf("  %s",
		       qf_describe_holder(img, w->holder, name, sizeof(name)));
	printf(": %s", qf_describe_kind(w->kind));
	print_offset(w->kind == QF_REF_L2 ? " for guest offsets from "
					  : " of guest offset ",
		     w->guest_off);
	print_offset(", pointer at ", w->pointer_off);
	if (w->pointer)
		printf(" (0x%016" PRIx64 ")", w->pointer);
	putchar('\n');
	if (is_data(w) && !is_viewed(t, w))
		qf_ownernames_print(t->names, w->holder, w->guest_off,
				    "    has ");
}

static void print_place(const struct telling *t, const struct qf_place *p)
{
	size_t i;

	printf("Cluster %" PRIu64 " at 0x%" PRIx64 " of the file: %s, ",
	       p->cluster, p->cluster << t->img->geo.cluster_bits,
	       qf_places_state(p));
	if (p->refcount_known)
		printf("refcount %" PRIu64 "\n", p->refcount);
	else
		printf("its refcount cannot be read\n");
	for (i = 0; i < p->owners.n; i++)
		print_owner(t, &p->owners.at[i]);
	if (p->owners.total > p->owners.n)
		printf("  ... and %" PRIu64 " more\n",
		       p->owners.total - p->owners.n);
}

static void print_view(const struct telling *t, const struct qf_view *v)
{
	char name[300];

	printf("  %s: %s",
	       qf_describe_holder(t->img, v->holder, name, sizeof(name)),
	       qf_places_kind(v));
	print_offset(" at ", v->e.host_off);
	if (v->e.depth)
		printf(" of backing file number %" PRIu32, v->e.depth);
	print_offset(", pointer at ", v->e.pointer_off);
	printf("%s%s\n", v->e.bad ? ": " : "", v->e.bad ? v->e.bad : "");
	if (!v->beyond)
		qf_ownernames_print(t->names, v->holder, t->p->guest_off,
				    "    has ");
}

static int show_human(const struct telling *t)
{
	const struct qf_places *p = t->p;
	size_t i;

	if (p->guest_off != QF_NOWHERE) {
		printf("Guest offset 0x%" PRIx64 ":\n", p->guest_off);
		for (i = 0; i < p->n_views; i++)
			print_view(t, &p->view[i]);
	}
	for (i = 0; i < p->n_places; i++) {
		if (p->guest_off != QF_NOWHERE)
			putchar('\n');
		print_place(t, &p->place[i]);
	}
	return qf_args_flush();
}

static enum qf_err look(struct qf_image *img, const struct options *o,
			bool shared, struct qf_places *p, struct qf_why *why)
{
	unsigned int jobs = (unsigned int)o->jobs;
	uint32_t holder = QF_HOLDER_IMAGE;
	enum qf_err err = QF_OK;

	if (o->cluster != UINT64_MAX)
		return qf_places_at(img, o->cluster, shared, jobs, p, why);
	if (o->host != UINT64_MAX)
		return qf_places_at(img, o->host >> img->geo.cluster_bits,
				    shared, jobs, p, why);
	if (o->snapshot)
		err = qf_map_holder(img, o->snapshot, &holder, why);
	return err ? err
		   : qf_places_of(img, o->guest, holder, shared, jobs, p, why);
}

static int show(struct qf_image *img, const struct qf_args *a,
		const struct options *o)
{
	struct qf_places places = { 0 };
	struct qf_ownernames names = { 0 };
	const struct telling t = { img, &places, &names };
	struct qf_why why = { 0 };
	int code;

	if (look(img, o, a->share, &places, &why)) {
		code = qf_args_failed(a->arg[0], &why);
	} else {
		if (!o->no_guest)
			qf_ownernames_find(img, &places, &names);
		qf_ownernames_troubles(&names);
		code = a->json ? show_json(&t) : show_human(&t);
	}
	qf_ownernames_free(&names);
	qf_places_free(&places);
	return code;
}

int qf_cmd_owners(int argc, char **argv)
{
	struct options o = { .host = UINT64_MAX,
			     .cluster = UINT64_MAX,
			     .guest = UINT64_MAX };
	const struct qf_args_option options[] = {
		{ "host", 0, QF_ARGS_NUMBER, &o.host },
		{ "cluster", 0, QF_ARGS_NUMBER, &o.cluster },
		{ "guest", 0, QF_ARGS_NUMBER, &o.guest },
		{ "snapshot", 's', QF_ARGS_TEXT, &o.snapshot },
		{ "no-guest", 0, QF_ARGS_FLAG, &o.no_guest },
		{ "jobs", 0, QF_ARGS_NUMBER, &o.jobs },
		{ 0 }
	};
	struct qf_args a = { .command = "owners",
			     .help = help,
			     .option = options };
	struct qf_image *img;
	int code = qf_args_parse(&a, argc, argv);

	if (code >= 0)
		return code;
	if ((o.host != UINT64_MAX) + (o.cluster != UINT64_MAX) +
		    (o.guest != UINT64_MAX) !=
	    1)
		return qf_args_wrong(
			"owners", "give one of --host, --cluster and --guest",
			NULL);
	if (o.snapshot && o.guest == UINT64_MAX)
		return qf_args_wrong("owners", "-s goes with --guest", NULL);
	if (o.jobs > 256)
		return qf_args_wrong("owners", "too many jobs", NULL);
	code = qf_args_open(&a, &img);
	if (code >= 0)
		return code;
	code = show(img, &a, &o);
	qf_image_close(img);
	return code;
}
