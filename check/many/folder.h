/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The qcow2 images in a folder. */
#ifndef QF_FOLDER_H
#define QF_FOLDER_H

#include "check/many/imagelist.h"

/* True if the file NAME begins as a qcow2 image does. */
bool qf_folder_has_magic(const char *name);

/*
 * Puts in the place of each folder in L the images in it, in the order of
 * their names; with DEEP those of the folders below as well, on the same file
 * system. An image is a file, or a link to one, that begins as qcow2 does or
 * is named *.qcow2; one that is found in two places counts once. What cannot
 * be looked into is said on stderr, and so is a folder without images: it may
 * be one where nothing is mounted. False if something was not looked into, or
 * there is no memory.
 */
bool qf_folder_open(struct qf_imagelist *l, bool deep);

#endif
