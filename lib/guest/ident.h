/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Labels and identities as they lie on a disk, as text. All write at most
 * ROOM bytes to OUT, the ending zero included. Internal to lib/guest. */
#ifndef QF_IDENT_H
#define QF_IDENT_H

#include <stddef.h>
#include <stdint.h>

/* The 16 bytes at ID in their order; all zero: "". */
void qf_ident_uuid(const unsigned char *id, char *out, size_t room);

/* The same for a GUID of Microsoft's, whose first parts are swapped. */
void qf_ident_guid(const unsigned char *id, char *out, size_t room);

/* N bytes, or up to a zero, without the spaces behind. */
void qf_ident_text(const void *text, size_t n, char *out, size_t room);

/* N units of little-endian UTF-16, or up to a zero, as UTF-8. Returns its
 * length. */
size_t qf_ident_utf16(const void *text, size_t n, char *out, size_t room);

/* The time that DOS writes as a date and a time of day, as if it were UTC;
 * QF_GUEST_NO_TIME: none. */
int64_t qf_ident_dos_time(uint32_t date, uint32_t time);

/* The time of the broken-down parts, in UTC; QF_GUEST_NO_TIME: no such. */
int64_t qf_ident_time(int year, int month, int day, int hour, int minute,
		      int second);

#endif
