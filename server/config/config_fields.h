/* SPDX-License-Identifier: ISC */
/*
 * The structs of the sections, generated from options.def: struct
 * pw_config_server and so on, with one field for each row.  Included by
 * config.h only.
 */
#ifndef PW_CONFIG_CONFIG_FIELDS_H
#define PW_CONFIG_CONFIG_FIELDS_H

/* What each TYPE is in C. */
#define PW_CTYPE_BOOL bool
#define PW_CTYPE_INT int64_t
#define PW_CTYPE_SIZE uint64_t
#define PW_CTYPE_TIME uint64_t
#define PW_CTYPE_STR const char *
#define PW_CTYPE_PATH const char *
#define PW_CTYPE_ENUM int
#define PW_CTYPE_LIST struct pw_strlist
#define PW_CTYPE_NETS struct pw_netlist

#define PW_SECTION(section, kind, help) struct pw_config_##section {
#define PW_OPT(section, field, type, def, min, max, reload, help)            \
	PW_CTYPE_##type field;
#define PW_SECTION_END(section, kind)                                        \
	}                                                                    \
	;
#include "config/options.def"
#undef PW_SECTION
#undef PW_OPT
#undef PW_SECTION_END

#endif
