/* SPDX-License-Identifier: ISC */
/*
 * Which addresses an account may have, and where its mailbox lies: the template
 * store.mailbox-path.  The result is a relative path whose components can
 * neither climb up nor hide, whatever the address is.  Same callers as
 * accounts.c.
 */
#include <errno.h>
#include <stdio.h>

#include "base/valid.h"
#include "storage/accounts_private.h"

#define COMPONENT_MAX 255 /* of most file systems */

/* No component is empty, begins with a dot or is too long. */
static bool
is_safe_path(const char *p)
{
	size_t n = 0;

	if (*p == '\0')
		return false;
	for (;; p++) {
		if (*p == '/' || *p == '\0') {
			if (n == 0 || n > COMPONENT_MAX)
				return false;
			if (*p == '\0')
				return true;
			n = 0;
		} else if ((*p == '.' && n == 0) || (unsigned char)*p < ' ' ||
		    *p == 0x7f)
			return false;
		else
			n++;
	}
}

/* The first two characters of a local part. */
static size_t
two_characters(struct pw_bytes local)
{
	uint32_t cp;
	size_t n = 0;

	for (int i = 0; i < 2 && n < local.len; i++) {
		size_t one = pw_utf8_next(pw_bytes_sub(local, n, 4), &cp);
		n += one > 0 ? one : 1;
	}
	return n;
}

int
pw_accounts_expand(const char *text, const char *address, char *out,
    size_t size)
{
	struct pw_bytes whole = pw_bytes_of(address);
	ptrdiff_t at = pw_bytes_rchr(whole, '@');
	size_t n = 0;

	if (at < 0)
		return -1;
	struct pw_bytes local = pw_bytes_sub(whole, 0, (size_t)at);
	struct pw_bytes domain =
	    pw_bytes_sub(whole, (size_t)at + 1, whole.len);
	for (const char *p = text; *p != '\0'; p++) {
		struct pw_bytes part = pw_bytes(p, 1);
		if (*p == '%') {
			switch (*++p) {
			case 'd':
				part = domain;
				break;
			case 'u':
				part = local;
				break;
			case 'n':
				part = pw_bytes_sub(local, 0,
				    two_characters(local));
				break;
			case '%':
				break;
			default:
				return -1;
			}
		}
		if (part.len >= size - n)
			return -1;
		memcpy(out + n, part.ptr, part.len);
		n += part.len;
	}
	out[n] = '\0';
	return is_safe_path(out) ? 0 : -1;
}

int
pw_accounts_template_ok(const char *text, struct pw_err *err)
{
	char out[512];

	if (strstr(text, "%u") == NULL)
		return pw_err_set(err, EINVAL,
		    "\"%s\" has no %%u: all mailboxes would lie in one place",
		    text);
	if (pw_accounts_expand(text, "ab@example.org", out, sizeof(out)) != 0)
		return pw_err_set(err, EINVAL,
		    "\"%s\" is no relative path made of %%d, %%u, %%n, %%%% "
		    "and names that do not begin with a dot",
		    text);
	return 0;
}

/* ---- addresses ----------------------------------------------------------- */

int
pw_accounts_canon_domain(const char *domain, char *out, struct pw_err *err)
{
	char form[PW_ADDR_DOMAIN_SIZE];
	ssize_t n = pw_addr_domain(pw_bytes_of(domain), form);

	if (n < 0)
		return pw_err_set(err, EINVAL,
		    "\"%.200s\" is not a domain name; write it like "
		    "example.org",
		    domain);
	memcpy(out, form, (size_t)n + 1);
	return 0;
}

int
pw_accounts_canon(const char *address, char *out, struct pw_err *err)
{
	struct pw_bytes in = pw_bytes_of(address);
	ptrdiff_t at = pw_bytes_rchr(in, '@');
	char local[PW_ADDR_LOCAL_SIZE];

	if (at < 0)
		return pw_accounts_canon_domain(address, out, err);
	ssize_t n = pw_addr_local(pw_bytes_sub(in, 0, (size_t)at), local);
	if (n < 0 || n > 64)
		return pw_err_set(err, EINVAL,
		    "\"%.200s\": the part before the @ must be 1 to 64 bytes "
		    "of UTF-8",
		    address);
	memcpy(out, local, (size_t)n);
	out[n] = '@';
	return pw_accounts_canon_domain(address + at + 1, out + n + 1, err);
}

/* RFC 5321's dot-string and RFC 6531's addition to it, without '/', which no
 * file name can hold, and without what only deceives. */
static bool
is_own_local(struct pw_bytes b)
{
	bool dot = true;

	for (size_t i = 0; i < b.len;) {
		uint32_t cp;
		size_t n = pw_utf8_next(pw_bytes_sub(b, i, 4), &cp);
		if (n == 0 || (cp == '.' && dot))
			return false;
		dot = cp == '.';
		if (cp < 0x80 && !pw_is_alpha((int)cp) &&
		    !pw_is_digit((int)cp) &&
		    (cp <= ' ' ||
			strchr(".!#$%&'*+-=?^_`{|}~", (int)cp) == NULL))
			return false;
		if (cp >= 0x80 && pw_is_deceptive(cp))
			return false;
		i += n;
	}
	return !dot;
}

int
pw_accounts_canon_own(const char *address, char *out, struct pw_err *err)
{
	char *at;

	if (strchr(address, '@') == NULL)
		return pw_err_set(err, EINVAL,
		    "\"%.200s\" is not an address; write it like "
		    "user@example.org",
		    address);
	if (pw_accounts_canon(address, out, err) != 0)
		return -1;
	at = strrchr(out, '@');
	if (!is_own_local(pw_bytes(out, (size_t)(at - out))))
		return pw_err_set(err, EINVAL,
		    "\"%.200s\": before the @ there may be letters, digits, "
		    "single dots between them and any of !#$%%&'*+-=?^_`{|}~",
		    address);
	return 0;
}
