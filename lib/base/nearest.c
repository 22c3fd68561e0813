// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/base/nearest.h"

#include <string.h>

#define ROOM 32u

static unsigned int least(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

/* The optimal string alignment distance, by its table. */
unsigned int qf_nearest_distance(const char *a, const char *b)
{
	unsigned int d[ROOM][ROOM];
	size_t n = strnlen(a, ROOM - 1), m = strnlen(b, ROOM - 1), i, k;

	for (i = 0; i <= n; i++)
		d[i][0] = (unsigned int)i;
	for (k = 0; k <= m; k++)
		d[0][k] = (unsigned int)k;
	for (i = 1; i <= n; i++)
		for (k = 1; k <= m; k++) {
			d[i][k] =
				least(least(d[i - 1][k], d[i][k - 1]) + 1,
				      d[i - 1][k - 1] + (a[i - 1] != b[k - 1]));
			if (i > 1 && k > 1 && a[i - 1] == b[k - 2] &&
			    a[i - 2] == b[k - 1])
				d[i][k] = least(d[i][k], d[i - 2][k - 2] + 1);
		}
	return d[n][m];
}
