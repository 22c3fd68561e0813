// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/views/views.h"

const struct qf_view *const qf_views[QF_VIEWS] = {
	[QF_VIEW_GUEST] = &qf_view_guest,
	[QF_VIEW_MAP] = &qf_view_map,
	[QF_VIEW_SNAPSHOTS] = &qf_view_snapshots,
	[QF_VIEW_FINDINGS] = &qf_view_findings,
	[QF_VIEW_OWNERS] = &qf_view_owners,
	[QF_VIEW_HEX] = &qf_view_hex,
	[QF_VIEW_INFO] = &qf_view_info,
	[QF_VIEW_DIFF] = &qf_view_diff,
	[QF_VIEW_SPACE] = &qf_view_space,
	[QF_VIEW_PLAN] = &qf_view_plan,
};
