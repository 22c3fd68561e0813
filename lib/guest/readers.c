// SPDX-License-Identifier: LGPL-2.1-or-later
/* The table of readers: readers.def. */
#include "lib/guest/reader.h"

#define QF_READER(name) extern const struct qf_reader qf_fs_##name##_reader;
#include "lib/guest/readers.def"
#undef QF_READER

const struct qf_reader *const qf_reader_table[] = {
#define QF_READER(name) &qf_fs_##name##_reader,
#include "lib/guest/readers.def"
#undef QF_READER
};

const uint32_t qf_reader_count =
	sizeof(qf_reader_table) / sizeof(qf_reader_table[0]);
