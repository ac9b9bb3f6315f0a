/* SPDX-License-Identifier: ISC */
/*
 * The texts of postward.conf(5) that are written by hand, as man(7) source:
 * what stands before and behind the list of options that gendoc.c makes.
 */
#ifndef PW_CONFIG_GENDOC_H
#define PW_CONFIG_GENDOC_H

extern const char pw_man_head[];
extern const char pw_man_tail[];

#endif
