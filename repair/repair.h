/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The face of repair/: the commands that put an image right. */
#ifndef QF_REPAIR_H
#define QF_REPAIR_H

int qf_cmd_repair(int argc, char **argv);
int qf_cmd_undo(int argc, char **argv);

/* check, and with -r repair in the manner of check. */
int qf_cmd_check_or_repair(int argc, char **argv);

/* The program when it is called fsck.qcow2. */
int qf_cmd_fsck(int argc, char **argv);
int qf_cmd_extract(int argc, char **argv);

/*
 * ARGV[1] is --log, with its file: RUN, with the arguments behind, and a line
 * of JSON about it. Returns the exit code.
 */
int qf_cmd_log(int argc, char **argv, const char *version, const char *commit,
	       int (*run)(int argc, char **argv));

#endif
