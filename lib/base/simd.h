/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * QF_CLONES before a function asks the compiler for a second version of it
 * for processors with AVX2, chosen when the program starts: a distribution's
 * build is as fast as one made for the machine. Elsewhere it is plain C.
 */
#ifndef QF_SIMD_H
#define QF_SIMD_H

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
	!defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define QF_CLONES __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define QF_CLONES
#endif

#endif
