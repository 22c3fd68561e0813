// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/browse/list.h"

bool qf_list_act(struct qf_list *l, size_t n, enum qf_action act)
{
	size_t page = l->rows > 1 ? l->rows - 1 : 1;

	switch (act) {
	case QF_ACT_UP:
		l->at -= l->at > 0;
		break;
	case QF_ACT_DOWN:
		l->at++;
		break;
	case QF_ACT_PAGE_UP:
		l->at -= l->at > page ? page : l->at;
		break;
	case QF_ACT_PAGE_DOWN:
		l->at += page;
		break;
	case QF_ACT_FIRST:
		l->at = 0;
		break;
	case QF_ACT_LAST:
		l->at = n;
		break;
	default:
		return false;
	}
	if (l->at >= n)
		l->at = n ? n - 1 : 0;
	return true;
}

void qf_list_show(struct qf_list *l, size_t n, int y, int rows)
{
	l->rows = rows > 0 ? (size_t)rows : 0;
	l->y = y;
	if (l->at >= n)
		l->at = n ? n - 1 : 0;
	if (l->at < l->top)
		l->top = l->at;
	if (l->rows && l->at >= l->top + l->rows)
		l->top = l->at - l->rows + 1;
	if (l->top + l->rows > n)
		l->top = n > l->rows ? n - l->rows : 0;
}

bool qf_list_click(struct qf_list *l, size_t n, int y)
{
	size_t row;

	if (y < l->y || (size_t)(y - l->y) >= l->rows)
		return false;
	row = l->top + (size_t)(y - l->y);
	if (row >= n)
		return false;
	l->at = row;
	return true;
}
