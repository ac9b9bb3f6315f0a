/* SPDX-License-Identifier: ISC */
/*
 * Records of what never became a stored message: connections that only came,
 * transactions that ended or were refused before their end of data, messages
 * that the store did not take.  Role front, on the session's loop.
 */
#ifndef PW_SMTP_NOTE_H
#define PW_SMTP_NOTE_H

#include "smtp/session.h"

/* The session's transaction is about to be dropped. */
void pw_note_transaction(struct pw_session *s);
/* Its message was answered with REPLY for the reason STEP, and no record of it
 * has gone to the store. */
void pw_note_message(struct pw_session *s, const char *reply,
    const char *step);
/* The session ends; when nothing of it was recorded, it is now. */
void pw_note_connection(struct pw_session *s);
/* A pw_merge_send(): ARG is the struct pw_smtp_env. */
struct pw_decision;
void pw_note_send(void *arg, const struct pw_decision *d);

#endif
