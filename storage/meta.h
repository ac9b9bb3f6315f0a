/* SPDX-License-Identifier: ISC */
/*
 * What the index knows of a message's content.  The struct and its codec
 * (pw_meta_enc, pw_meta_dec) live in server/net/meta.{h,c}, a floor that
 * filters/, which makes the block, and storage/ both may use.
 */
#ifndef PW_STORAGE_META_H
#define PW_STORAGE_META_H

#include "net/meta.h"

#endif
