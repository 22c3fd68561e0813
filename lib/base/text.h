/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Text for people: hostile names made harmless, sizes with their unit. */
#ifndef QF_TEXT_H
#define QF_TEXT_H

#include <stddef.h>
#include <stdint.h>

/*
 * Copies S to BUF for a terminal or a report: what is not printable ASCII or
 * well-formed UTF-8 becomes \xNN. Cuts at ROOM. Returns BUF.
 */
char *qf_text_safe(const char *s, char *buf, size_t room);

/*
 * S as one word of a POSIX shell, for a command that someone will copy: as it
 * is where that is safe, else in single quotes. What is not printable is made
 * harmless as above; cuts at ROOM, and then never inside a quote's escape.
 * Returns BUF.
 */
char *qf_text_shell(const char *s, char *buf, size_t room);

/* The same for a file's name, which must not be taken for an option: one that
 * begins with a dash is "./-x". */
char *qf_text_file(const char *name, char *buf, size_t room);

/* That in a buffer of the block that says it. */
#define QF_TEXT_WORD_ROOM 1300
#define QF_TEXT_WORD(s) \
	qf_text_file(s, (char[QF_TEXT_WORD_ROOM]){ 0 }, QF_TEXT_WORD_ROOM)

/* An offset in hex and words, "0xc0100000 (3 GiB + 1 MiB)"; in hex alone below
 * 1 KiB. What stands behind the second unit is left out: "(about 3 GiB + 1
 * MiB)". */
char *qf_text_place(uint64_t off, char *buf, size_t room);

/*
 * The text S with words beside each place in it, as qf_text_place has them: a
 * place is a number in hex behind "at", "from", "to", "and" or "offset". What
 * stands in parentheses behind it goes into the same; inside of parentheses it
 * is "0x300000 = 3 MiB". Owned by the caller; NULL without memory.
 */
char *qf_text_places(const char *s);

/* "1.5 GiB", "512 B". */
char *qf_text_bytes(uint64_t bytes, char *buf, size_t room);

#endif
