/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The face of viz/: shows the same image, and changes nothing. */
#ifndef QF_VIZ_H
#define QF_VIZ_H

/* The commands, for the front door. */
int qf_cmd_info(int argc, char **argv);
int qf_cmd_du(int argc, char **argv);
int qf_cmd_owners(int argc, char **argv);
int qf_cmd_diff(int argc, char **argv);
int qf_cmd_map(int argc, char **argv);
int qf_cmd_guest(int argc, char **argv);
int qf_cmd_viz(int argc, char **argv);
int qf_cmd_report(int argc, char **argv);

#endif
