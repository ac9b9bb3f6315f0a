/* SPDX-License-Identifier: ISC */
/*
 * Frame types between roles.  The bodies are described beside each; encoding
 * is by net/codec.h.  A frame that does not decode closes its channel.
 */
#ifndef PW_HOST_MSG_H
#define PW_HOST_MSG_H

enum pw_msg {
	/* master -> every role */
	PW_MSG_PEER = 1,   /* u8 peer's enum pw_role_id, u16 its number, u16
			    * lane; fd: the channel.  A front process has as
			    * many lanes as loop threads and gets a channel
			    * for each lane to store, resolve and every scan
			    * process (number 0 is kept for envelope work).
			    * A later PEER of the same three replaces the
			    * channel: the peer was started again. */
	PW_MSG_DRAIN,      /* stop accepting, end when the last session ends */
	PW_MSG_STOP,       /* end now, gracefully, within a bounded time */
	PW_MSG_CONFIG,     /* to store: bytes, path of a configuration file that
			    * master has checked; take up its LIVE options */
	/* every role -> master */
	PW_MSG_READY,      /* set-up done, sandbox on; no body */
	PW_MSG_FAILED,     /* set-up failed: bytes, why; the role then ends */
	PW_MSG_STATUS,     /* master asks (no body), the role answers with the
			    * same id: bytes, "name value" lines */
	PW_MSG_KILL,       /* front: u16 number of a scan process that passed a
			    * deadline; master kills and restarts it */
	/* store -> master, on behalf of an admin; answers bear the same id */
	PW_MSG_PEER_LOST,  /* u8 peer, u16 its number, u16 lane: that channel
			    * ended (descriptors ran out), but both may go on;
			    * master makes another, as PEER, unless the peer
			    * was started again meanwhile */
	PW_MSG_RELOAD,     /* answer: u8 ok, bytes text */
	PW_MSG_SHUTDOWN,   /* answer: none */
	PW_MSG_STATUS_ALL, /* answer: bytes, all roles' lines */

	/* front -> scan, store -> scan */
	PW_MSG_SCAN = 32,  /* body: job; fd: message or none */
	PW_MSG_SCANNED,    /* body: results; empty: the message's descriptor
			    * did not arrive, because none is free */
	PW_MSG_PARSE,      /* fd: a stored file */
	PW_MSG_PARSED,     /* body: u8 ok, meta block */

	/* front -> store */
	PW_MSG_DELIVER = 64, /* body: pw_delivery; fd: message (none: spool, or
			      * only the record is to be kept). Larger than
			      * a frame: body empty, pw_delivery in the last
			      * fd, a sealed memfd. Id 0: no answer. Read it
			      * with pw_store_frame_delivery(). */
	PW_MSG_DELIVERED,    /* u8 code, str reason, u32 n, str fate each */
	PW_MSG_PIECE,        /* str spool id, u64 len; fd: memfd */
	PW_MSG_PIECED,       /* u8 code, str reason */
	PW_MSG_SPOOL_OPEN,   /* str spool id; answer: same type, u8 ok; fd */
	PW_MSG_SPOOL_DROP,   /* str spool id; no answer */
	PW_MSG_RECORD,       /* pw_decision of no message; no answer */
	PW_MSG_ASIDE,        /* str why; fd: message that crashed a stage */
	/* store -> front */
	PW_MSG_SNAPSHOT,     /* fd: sealed snapshot of the accounts */
	PW_MSG_STORE_STATE   /* u8 code (0: takes mail), str reason */
};

enum pw_role_id {
	PW_RID_MASTER = 0,
	PW_RID_FRONT,
	PW_RID_SCAN,
	PW_RID_RESOLVE,
	PW_RID_STORE,
	PW_RID_LOG
};

#endif
