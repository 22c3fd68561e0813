/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The model that the pictures and the browser show: the file as runs of host
 * clusters of one kind with one set of holders, and what becomes of it at a
 * zoom. No toolkit in it, no reading.
 *
 * A picture's cell stands for a number of consecutive clusters. It shows the
 * kind that most of them have, but what is wrong in it always shows, the
 * gravest first: damaged, lost, unowned, doubtful, leaked.
 */
#ifndef QF_SCENE_H
#define QF_SCENE_H

#include "viz/draw/palette.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct qf_scene_run {
	uint64_t first; /* it reaches to the next one's first */
	uint32_t set;	/* of holders */
	uint8_t kind;	/* enum qf_kind */
};

/* Clusters that something is wrong with, whatever they are. */
struct qf_scene_range {
	uint64_t first, end;
	uint8_t kind; /* DOUBTFUL or DAMAGED */
};

/* How a set of holders stands to the marked holders. */
enum qf_scene_mark {
	QF_MARK_NONE,
	QF_MARK_SHARED,	   /* marked and others hold it */
	QF_MARK_EXCLUSIVE, /* only marked ones hold it */
};

/* Holders with consecutive numbers. */
struct qf_scene_span {
	uint32_t first, n;
};

struct qf_scene_set {
	size_t first;  /* its spans in qf_scene.span, ascending */
	uint32_t n;    /* spans */
	uint32_t size; /* holders */
	uint64_t clusters;
	uint8_t mark; /* enum qf_scene_mark */
};

struct qf_scene_holder {
	char *id, *name;     /* owned, harmless text; name may be empty */
	uint64_t referenced; /* clusters, data and its own L1 and L2 tables */
	uint64_t exclusive;
	uint64_t disk_bytes, vm_state_bytes;
	uint64_t date_sec; /* 0: none */
	bool marked;
};

struct qf_scene {
	uint64_t clusters, file_bytes;
	uint32_t cluster_bits;
	struct qf_scene_run *run;
	size_t n, room;
	struct qf_scene_set *set; /* 0 is the empty set */
	size_t n_sets, sets_room;
	struct qf_scene_span *span;
	size_t n_spans, spans_room;
	struct qf_scene_holder *holder; /* 0: the active disk */
	uint32_t n_holders;
	struct qf_scene_range *wrong; /* ascending, disjoint after finish */
	size_t n_wrong, wrong_room;
	uint64_t total[QF_KINDS]; /* clusters, each as what is worst */
	bool whole;		  /* the file has been walked */
	bool failed;		  /* memory ran out while it was built */
};

/*
 * Building. The runs come in ascending order; what is left out between them
 * becomes GAP (FREE or UNKNOWN). Without memory, FAILED is set.
 */
void qf_scene_init(struct qf_scene *s, uint64_t file_bytes,
		   uint32_t cluster_bits, uint32_t holders);
uint32_t qf_scene_add_set(struct qf_scene *s, const struct qf_scene_span *span,
			  uint32_t n);
void qf_scene_add_run(struct qf_scene *s, uint64_t first, uint64_t n,
		      enum qf_kind kind, uint32_t set, enum qf_kind gap);
/* The same for the bytes from FROM to TO, without holders: of a cluster that
 * two share the graver shows, or else the first. */
void qf_scene_add_bytes(struct qf_scene *s, uint64_t from, uint64_t to,
			enum qf_kind kind, enum qf_kind gap);
/* Twice the bytes a cluster, for a scene that has too many runs. */
void qf_scene_coarsen(struct qf_scene *s);
void qf_scene_add_wrong(struct qf_scene *s, uint64_t first, uint64_t n,
			enum qf_kind kind);
void qf_scene_finish(struct qf_scene *s, enum qf_kind gap);
/* After what is wrong was added to a finished scene. */
void qf_scene_refinish(struct qf_scene *s);
/* All runs of the kind OLD are of the kind NEW; to be followed by that. */
void qf_scene_rename(struct qf_scene *s, enum qf_kind old, enum qf_kind new);
void qf_scene_free(struct qf_scene *s);

/* The run that holds CLUSTER (below s->clusters), and where a run ends. */
size_t qf_scene_find(const struct qf_scene *s, uint64_t cluster);
uint64_t qf_scene_end(const struct qf_scene *s, size_t run);

/* The first range of what is wrong that ends behind CLUSTER, or NULL. */
const struct qf_scene_range *qf_scene_wrong_from(const struct qf_scene *s,
						 uint64_t cluster);

/* The kind of one cluster, and its set; below what is wrong, too. */
enum qf_kind qf_scene_under(const struct qf_scene *s, uint64_t cluster,
			    uint32_t *set);
enum qf_kind qf_scene_at(const struct qf_scene *s, uint64_t cluster,
			 uint32_t *set);
bool qf_scene_holds(const struct qf_scene *s, uint32_t set, uint32_t holder);

struct qf_scene_cell {
	uint8_t kind;  /* QF_KINDS: past the end of the file */
	uint8_t minor; /* what would vanish behind it, or the same */
	uint8_t mark;  /* the strongest in it */
	bool mostly;   /* most of it has that mark */
};

/* The cell of the clusters from FIRST up to END. */
void qf_scene_cell(const struct qf_scene *s, uint64_t first, uint64_t end,
		   struct qf_scene_cell *out);

/* N cells of PER_CELL clusters each, from cluster FIRST on. */
void qf_scene_cells(const struct qf_scene *s, uint64_t first, uint64_t per_cell,
		    size_t n, struct qf_scene_cell *out);

/*
 * The bars of the N holders from FROM on: the whole file in WIDTH parts, each
 * with the share of it that the holder holds, 0 to 8, never 0 if it holds
 * any. LEVEL has N rows of WIDTH. Returns false without memory.
 */
bool qf_scene_bars(const struct qf_scene *s, size_t width, uint32_t from,
		   uint32_t n, uint8_t *level);

/* After a change of the holders' marks: sets the sets' marks. Returns the
 * clusters that deleting the marked holders would free. */
uint64_t qf_scene_mark(struct qf_scene *s);

/* "L2 table", ... and who holds it, as one line. */
char *qf_scene_describe(const struct qf_scene *s, uint64_t cluster, char *buf,
			size_t room);

/* The order in which a grid of W x H is filled: which cell stands where. */
struct qf_order {
	int w, h;
	bool hilbert;
	uint32_t *place;  /* by number: y * w + x */
	uint32_t *number; /* by place */
};

/* Returns false without memory. */
bool qf_order_make(struct qf_order *o, int w, int h, bool hilbert);
void qf_order_free(struct qf_order *o);

#endif
