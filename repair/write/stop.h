/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SIGINT and SIGTERM: noted, and heeded where it is safe to stop. */
#ifndef QF_STOP_H
#define QF_STOP_H

#include <stdbool.h>

void qf_stop_catch(void);
bool qf_stop_asked(void);

#endif
