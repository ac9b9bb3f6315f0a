/* SPDX-License-Identifier: ISC */
/* The harness of the connection tests; see conn_help.h. */
#include "conn_help.h"

#include <check.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/listen.h"

struct pw_loop *cl_loop;
struct pw_conn *cl_conn;
struct owner cl_owner;
int cl_peer = -1;

static size_t
first_line(struct pw_bytes in)
{
	ptrdiff_t lf = pw_bytes_chr(in, '\n');

	return lf < 0 ? 0 : (size_t)lf + 1;
}

static size_t
to_consume(struct pw_bytes in)
{
	ptrdiff_t lf = pw_bytes_rchr(in, '\n');

	switch (cl_owner.consume) {
	case CONSUME_ALL:
		return in.len;
	case CONSUME_LINES:
		return lf < 0 ? 0 : (size_t)lf + 1;
	case CONSUME_ONE_LINE:
		return first_line(in);
	default:
		return 0;
	}
}

static size_t
on_data(struct pw_conn *c, struct pw_bytes in)
{
	struct pw_bytes line = pw_bytes_sub(in, 0, first_line(in));

	ck_assert_ptr_eq(c, cl_conn);
	ck_assert_ptr_eq(pw_conn_arg(c), &cl_owner);
	cl_owner.calls++;
	cl_owner.last_in = in.len;
	if (cl_owner.starttls != NULL && pw_conn_ssl(c) == NULL &&
	    pw_bytes_eq(line, PW_LIT("STARTTLS\r\n"))) {
		pw_conn_write(c, PW_LIT("220 go\r\n"));
		if (cl_owner.starttls_on_drained) {
			pw_conn_pause(c);
			pw_conn_want_drained(c);
		} else {
			ck_assert_int_eq(
			    pw_conn_starttls(c, cl_owner.starttls), 0);
			/* Not sent before the handshake. */
			pw_conn_write(c, PW_LIT("late\r\n"));
		}
		return line.len;
	}
	size_t n = to_consume(in);
	pw_strbuf_add(&cl_owner.data, pw_bytes_sub(in, 0, n));
	if (cl_owner.echo)
		pw_conn_write(c, pw_bytes_sub(in, 0, n));
	if (cl_owner.pause_after && n > 0)
		pw_conn_pause(c);
	if (cl_owner.free_on_data)
		pw_conn_free(&cl_conn);
	return n;
}

static void
on_tls(struct pw_conn *c)
{
	ck_assert_ptr_eq(c, cl_conn);
	pw_strbuf_addc(&cl_owner.ends, 'H');
}

static void
on_end(struct pw_conn *c, enum pw_conn_end why)
{
	ck_assert_ptr_eq(c, cl_conn);
	pw_strbuf_addc(&cl_owner.ends, "ERTO"[why]);
	if (cl_owner.free_on_end)
		pw_conn_free(&cl_conn);
}

static void
on_drained(struct pw_conn *c)
{
	ck_assert_ptr_eq(c, cl_conn);
	pw_strbuf_addc(&cl_owner.ends, 'D');
	if (cl_owner.starttls_on_drained) {
		ck_assert_int_eq(pw_conn_starttls(c, cl_owner.starttls), 0);
		pw_conn_resume(c);
	}
	if (cl_owner.free_on_drained)
		pw_conn_free(&cl_conn);
}

static const struct pw_conn_ops ops = { on_data, on_tls, on_end, on_drained };

static void
tcp_pair(int fds[2])
{
	struct pw_listen_opts o = { .address = "127.0.0.1" };
	struct sockaddr_in in4 = { .sin_family = AF_INET };
	struct pw_err err;
	int ls = pw_listen_open(&o, &err);

	ck_assert_msg(ls >= 0, "%s", err.text);
	in4.sin_port = htons(pw_listen_port(ls));
	in4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* Otherwise small pieces wait for the other side's slow ACK. */
	int one = 1;
	(void)setsockopt(fds[1], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	ck_assert_int_eq(connect(fds[1], (struct sockaddr *)&in4, sizeof(in4)),
	    0);
	fds[0] = accept(ls, NULL, NULL);
	ck_assert_int_ge(fds[0], 0);
	close(ls);
}

void
cl_open_sized(bool tcp, size_t keep, size_t out)
{
	struct pw_err err;
	int fds[2];

	cl_owner = (struct owner){ 0 };
	pw_strbuf_init(&cl_owner.data, 16 << 20);
	pw_strbuf_init(&cl_owner.ends, 1000);
	cl_loop = pw_loop_new(&err);
	ck_assert_int_eq(pw_conn_thread_init(cl_loop, 65536), 0);
	ck_assert_int_eq(pw_conn_thread_init(cl_loop, 65536), -1);
	if (tcp)
		tcp_pair(fds);
	else
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	cl_peer = fds[1];
	ck_assert_int_eq(fcntl(cl_peer, F_SETFL, O_NONBLOCK), 0);
	cl_conn = pw_conn_new(cl_loop, fds[0], &ops, &cl_owner, keep, out);
	ck_assert_ptr_nonnull(cl_conn);
	ck_assert_int_eq(pw_conn_fd(cl_conn), fds[0]);
}

void
cl_open(bool tcp)
{
	cl_open_sized(tcp, CL_KEEP, CL_OUT);
}

void
cl_close(void)
{
	if (cl_peer >= 0)
		close(cl_peer);
	cl_peer = -1;
	pw_conn_free(&cl_conn);
	pw_conn_thread_fini(cl_loop);
	pw_loop_free(&cl_loop);
	pw_strbuf_free(&cl_owner.data);
	pw_strbuf_free(&cl_owner.ends);
}

void
cl_rounds(int n)
{
	while (n-- > 0)
		pw_loop_step(cl_loop, 2);
}

void
cl_until_ends(size_t n)
{
	uint64_t deadline = pw_clock_mono_ms() + 1000;

	while (cl_owner.ends.len < n && pw_clock_mono_ms() < deadline)
		pw_loop_step(cl_loop, 10);
}

void
cl_send(const char *text)
{
	ck_assert_int_eq(send(cl_peer, text, strlen(text), MSG_NOSIGNAL),
	    (ssize_t)strlen(text));
}

const char *
cl_received(void)
{
	static char buf[65536];

	cl_rounds(3);
	ssize_t n = recv(cl_peer, buf, sizeof(buf) - 1, MSG_DONTWAIT);
	buf[n > 0 ? n : 0] = '\0';
	return buf;
}

const char *
cl_data(void)
{
	return pw_strbuf_cstr(&cl_owner.data);
}

const char *
cl_ends(void)
{
	return pw_strbuf_cstr(&cl_owner.ends);
}

SSL_CTX *
cl_server_ctx(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	X509 *cert = X509_new();

	ck_assert(key != NULL && ctx != NULL && cert != NULL);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), 0);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_set_pubkey(cert, key);
	X509_NAME *name = X509_get_subject_name(cert);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
	    (const unsigned char *)"mx.example.test", -1, -1, 0);
	X509_set_issuer_name(cert, name);
	ck_assert_int_gt(X509_sign(cert, key, EVP_sha256()), 0);
	ck_assert_int_eq(SSL_CTX_use_certificate(ctx, cert), 1);
	ck_assert_int_eq(SSL_CTX_use_PrivateKey(ctx, key), 1);
	X509_free(cert);
	EVP_PKEY_free(key);
	return ctx;
}
