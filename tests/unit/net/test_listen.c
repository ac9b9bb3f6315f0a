/* SPDX-License-Identifier: ISC */
/* Unit tests of server/net/listen. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "net/listen.h"

Suite *pw_suite_net_listen(void);

static struct pw_err err;

static int
connect_to(uint32_t address, uint16_t port)
{
	struct sockaddr_in in4 = { .sin_family = AF_INET,
		.sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	in4.sin_addr.s_addr = htonl(address);
	int rc = connect(fd, (struct sockaddr *)&in4, sizeof(in4));
	close(fd);
	return rc;
}

START_TEST(listens)
{
	struct pw_listen_opts o = { .address = "127.0.0.1" };
	int fd = pw_listen_open(&o, &err);

	ck_assert_msg(fd >= 0, "%s", err.text);
	uint16_t port = pw_listen_port(fd);
	ck_assert_uint_ne(port, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	ck_assert_int_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	ck_assert_int_eq(connect_to(INADDR_LOOPBACK, port), 0);
	/* The same again: says what, where and why. */
	struct pw_listen_opts again = { .address = "127.0.0.1", .port = port };
	ck_assert_int_eq(pw_listen_open(&again, &err), -1);
	ck_assert_int_eq(err.code, EADDRINUSE);
	ck_assert_ptr_nonnull(strstr(err.text, "127.0.0.1 port"));
	ck_assert_ptr_nonnull(strstr(err.text, "another program"));
	int accepted = accept(fd, NULL, NULL);
	ck_assert_int_ge(accepted, 0);
	/* With a connection that was open at the end, the port is free at
	 * once. */
	close(accepted);
	close(fd);
	fd = pw_listen_open(&again, &err);
	ck_assert_msg(fd >= 0, "%s", err.text);
	ck_assert_uint_eq(pw_listen_port(fd), port);
	close(fd);
}
END_TEST

START_TEST(v6_takes_v6_only)
{
	struct pw_listen_opts six = { .address = "::", .backlog = 5 };
	int fd = pw_listen_open(&six, &err);

	if (fd < 0 && err.code == EAFNOSUPPORT)
		return;
	ck_assert_msg(fd >= 0, "%s", err.text);
	uint16_t port = pw_listen_port(fd);
	ck_assert_int_eq(connect_to(INADDR_LOOPBACK, port), -1);
	struct pw_listen_opts four = { .address = "0.0.0.0", .port = port };
	int fd4 = pw_listen_open(&four, &err);
	ck_assert_msg(fd4 >= 0, "%s", err.text);
	ck_assert_int_eq(connect_to(INADDR_LOOPBACK, port), 0);
	close(fd4);
	close(fd);
}
END_TEST

static const char *const not_addresses[] = { "", "localhost", "127.0.0.1:25",
	"[::1]", "1.2.3", NULL };

START_TEST(refuses_what_is_no_address)
{
	struct pw_listen_opts o = { .address = not_addresses[_i] };

	ck_assert_int_eq(pw_listen_open(&o, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "is not an IPv4 or IPv6"));
}
END_TEST

START_TEST(an_address_may_come_later)
{
	/* TEST-NET-1: nobody's. */
	struct pw_listen_opts o = { .address = "192.0.2.77" };

	ck_assert_int_eq(pw_listen_open(&o, &err), -1);
	ck_assert_int_eq(err.code, EADDRNOTAVAIL);
	ck_assert_ptr_nonnull(strstr(err.text, "no interface"));
	o.freebind = true;
	int fd = pw_listen_open(&o, &err);
	ck_assert_msg(fd >= 0, "%s", err.text);
	close(fd);
	ck_assert_uint_eq(pw_listen_port(-1), 0);
}
END_TEST

Suite *
pw_suite_net_listen(void)
{
	Suite *s = suite_create("net/listen");
	TCase *tc = tcase_create("listen");

	tcase_add_test(tc, listens);
	tcase_add_test(tc, v6_takes_v6_only);
	tcase_add_loop_test(tc, refuses_what_is_no_address, 0,
	    PW_COUNT(not_addresses));
	tcase_add_test(tc, an_address_may_come_later);
	suite_add_tcase(s, tc);
	return s;
}
