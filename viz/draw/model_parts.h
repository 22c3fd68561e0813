/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The steps that make a model; internal to model and job. */
#ifndef QF_MODEL_PARTS_H
#define QF_MODEL_PARTS_H

#include "viz/draw/model.h"

enum qf_err qf_model_scene(struct qf_image *img, struct qf_model **out,
			   struct qf_why *why);
enum qf_err qf_model_check(struct qf_image *img, bool shared,
			   struct qf_report *rep, struct qf_why *why);

#endif
