/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The face of repair/: the commands that put an image right. */
#ifndef QF_REPAIR_H
#define QF_REPAIR_H

int qf_cmd_repair(int argc, char **argv);
int qf_cmd_undo(int argc, char **argv);
int qf_cmd_extract(int argc, char **argv);

#endif
