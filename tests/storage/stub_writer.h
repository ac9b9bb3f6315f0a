/* SPDX-License-Identifier: ISC */
/* The SQLite writer without SQLite: takes every row at once. */
#ifndef TESTS_STORAGE_STUB_WRITER_H
#define TESTS_STORAGE_STUB_WRITER_H

#include <stdatomic.h>

/* So many deliveries are refused a ticket. */
extern _Atomic int stub_writer_refuse;
/* Files that rows were given for. */
extern _Atomic unsigned long stub_writer_files;

#endif
