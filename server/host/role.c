/* SPDX-License-Identifier: ISC */
/*
 * A role's line to master: channels to peers, status, stop.  On the role's
 * main loop.
 */
#include "host/role.h"

#include <errno.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/log.h"
#include "base/pool.h"
#include "net/codec.h"

#define STATUS_MAX (128u * 1024)

struct pw_master_link {
	struct pw_loop *loop;
	struct pw_ipc *ipc;
	struct pw_master_link_ops ops;
	void *arg;
};

static const char *const role_names[] = { "master", "front", "scan",
	"resolve", "store", "log" };

const char *
pw_role_name(enum pw_role_id id)
{
	return (size_t)id < PW_COUNT(role_names) ? role_names[id] : "unknown";
}

static void
take_peer(struct pw_master_link *link, struct pw_frame *f)
{
	struct pw_dec d;
	unsigned peer, number, lane;
	int fd;

	pw_dec_init(&d, f->body);
	peer = pw_dec_u8(&d);
	number = pw_dec_u16(&d);
	lane = pw_dec_u16(&d);
	if (pw_dec_end(&d) != 0 || link->ops.on_peer == NULL)
		return;
	if (f->fds_lost) {
		/* Front's side asks for another; it sees the end of this. */
		if (peer != PW_RID_FRONT)
			pw_master_link_lost(link, (enum pw_role_id)peer, number,
			    lane);
		return;
	}
	if (f->nfds != 1)
		return;
	fd = f->fds[0];
	f->fds[0] = -1;
	link->ops.on_peer(link->arg, (enum pw_role_id)peer, number, lane, fd);
}

static void
answer_status(struct pw_master_link *link, uint64_t id)
{
	struct pw_strbuf sb;
	struct pw_enc e;

	pw_strbuf_init(&sb, STATUS_MAX);
	if (link->ops.on_status != NULL)
		link->ops.on_status(link->arg, &sb);
	pw_enc_init(&e, STATUS_MAX + 64);
	pw_enc_bytes(&e, pw_strbuf_bytes(&sb));
	(void)pw_ipc_send(link->ipc, PW_MSG_STATUS, id, pw_enc_done(&e), NULL,
	    0);
	pw_enc_free(&e);
	pw_strbuf_free(&sb);
}

static void
on_frame(struct pw_ipc *ipc, struct pw_frame *f)
{
	struct pw_master_link *link = pw_ipc_arg(ipc);

	switch (f->type) {
	case PW_MSG_PEER:
		take_peer(link, f);
		break;
	case PW_MSG_STATUS:
		answer_status(link, f->id);
		break;
	case PW_MSG_STOP:
		if (link->ops.on_stop != NULL)
			link->ops.on_stop(link->arg);
		break;
	default:
		if (link->ops.on_frame != NULL)
			link->ops.on_frame(link->arg, f);
		break;
	}
}

static void
on_close(struct pw_ipc *ipc)
{
	struct pw_master_link *link = pw_ipc_arg(ipc);

	/* A role never outlives its master. */
	if (link->ops.on_stop != NULL)
		link->ops.on_stop(link->arg);
	else
		_exit(EX_OSERR);
}

struct pw_master_link *
pw_master_link_new(struct pw_loop *loop, int fd,
    const struct pw_master_link_ops *ops, void *arg)
{
	static const struct pw_ipc_ops ipc_ops = { on_frame, on_close };
	struct pw_master_link *link = pw_xcalloc(1, sizeof(*link));

	link->loop = loop;
	link->ops = *ops;
	link->arg = arg;
	link->ipc = pw_ipc_new(loop, fd, &ipc_ops, link);
	/* A role without descriptors goes on with the channels that it has. */
	pw_ipc_bear_loss(link->ipc);
	return link;
}

void
pw_master_link_free(struct pw_master_link **link)
{
	if (*link == NULL)
		return;
	pw_ipc_free(&(*link)->ipc);
	free(*link);
	*link = NULL;
}

int
pw_master_link_send(struct pw_master_link *link, enum pw_msg type, uint64_t id,
    struct pw_bytes body)
{
	return pw_ipc_send(link->ipc, (uint16_t)type, id, body, NULL, 0);
}

void
pw_master_link_lost(struct pw_master_link *link, enum pw_role_id peer,
    unsigned number, unsigned lane)
{
	struct pw_enc e;

	pw_enc_init(&e, 16);
	pw_enc_u8(&e, (uint8_t)peer);
	pw_enc_u16(&e, (uint16_t)number);
	pw_enc_u16(&e, (uint16_t)lane);
	(void)pw_master_link_send(link, PW_MSG_PEER_LOST, 0, pw_enc_done(&e));
	pw_enc_free(&e);
}

void
pw_master_link_ready(struct pw_master_link *link)
{
	(void)pw_ipc_send(link->ipc, PW_MSG_READY, 0, PW_BYTES_NONE, NULL, 0);
}

int
pw_role_failed(int master_fd, const char *role, const struct pw_err *err)
{
	struct pw_enc e;
	struct pw_err ignored;

	pw_logf(PW_LOG_ERROR, "role.failed", "%s: %s", role, err->text);
	pw_enc_init(&e, sizeof(err->text) + 64);
	pw_enc_bytes(&e, pw_bytes_of(err->text));
	(void)pw_ipc_send_wait(master_fd, PW_MSG_FAILED, 0, pw_enc_done(&e),
	    NULL, 0, 1000, &ignored);
	pw_enc_free(&e);
	return err->code == EINVAL ? EX_CONFIG :
	    err->code == EBUSY ? EX_TEMPFAIL : EX_SOFTWARE;
}
