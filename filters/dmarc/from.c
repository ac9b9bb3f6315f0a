/* SPDX-License-Identifier: ISC */
/*
 * Author domains of a message.  GMime reads the field by the grammar; beside it
 * every "@" outside of quotes and comments is looked at, so that a field which
 * another reader could take otherwise is known as malformed, and each domain
 * that any of them could show is judged.  Scan role.
 */
#include <gmime/gmime.h>

#include "filters/dmarc/dmarc.h"
#include "filters/msgview.h"

#define GROUP_DEPTH 4

static void
add_domain(struct pw_dmarc_from *f, struct pw_bytes name)
{
	char domain[PW_DNS_NAME_SIZE];

	if (pw_dmarc_domain(name, domain) < 0) {
		f->fault = "an address without a valid domain";
		return;
	}
	for (unsigned i = 0; i < f->n; i++)
		if (strcmp(f->domain[i], domain) == 0)
			return;
	if (f->n == PW_DMARC_AUTHORS) {
		f->more = true;
		return;
	}
	memcpy(f->domain[f->n++], domain, sizeof(domain));
}

/* ---- by the grammar ------------------------------------------------------------ */

static unsigned
add_list(struct pw_dmarc_from *f, InternetAddressList *list, unsigned depth)
{
	int n = internet_address_list_length(list);
	unsigned count = 0;

	for (int i = 0; i < n; i++) {
		InternetAddress *a = internet_address_list_get_address(list, i);
		struct pw_bytes addr;
		ptrdiff_t at;

		if (INTERNET_ADDRESS_IS_GROUP(a)) {
			InternetAddressList *members = depth < GROUP_DEPTH ?
			    internet_address_group_get_members(
			    INTERNET_ADDRESS_GROUP(a)) : NULL;

			if (members != NULL)
				count += add_list(f, members, depth + 1);
			continue;
		}
		addr = pw_bytes_of(internet_address_mailbox_get_addr(
		    INTERNET_ADDRESS_MAILBOX(a)));
		at = pw_bytes_rchr(addr, '@');
		count++;
		if (at <= 0)
			f->fault = "an address without a domain";
		else
			add_domain(f, pw_bytes_sub(addr, (size_t)at + 1,
			    addr.len));
	}
	return count;
}

/* One line without NUL; GMime gets no more than the cap. */
static unsigned
by_grammar(struct pw_dmarc_from *f, struct pw_bytes value)
{
	InternetAddressList *list;
	unsigned count = 0;
	char *copy;

	value = pw_bytes_sub(value, 0, PW_FIELD_CAP);
	copy = g_malloc(value.len + 1);
	for (size_t i = 0; i < value.len; i++)
		copy[i] = value.ptr[i] == '\0' || value.ptr[i] == '\r' ||
		    value.ptr[i] == '\n' ? ' ' : value.ptr[i];
	copy[value.len] = '\0';
	/* Without options it is lenient, as readers of mail are; what it lets
	 * pass is seen by the eye.  Being strict it also keeps memory. */
	list = internet_address_list_parse(NULL, copy);
	if (list != NULL) {
		count = add_list(f, list, 0);
		g_object_unref(list);
	}
	g_free(copy);
	return count;
}

/* ---- by the eye ------------------------------------------------------------------ */

struct eye {
	bool quoted;
	unsigned comment, opened, closed; /* opened, closed: angle brackets */
};

/* True when C is shown as a part of an address. */
static bool
see(struct eye *e, char c)
{
	if (e->quoted) {
		e->quoted = c != '"';
		return false;
	}
	if (c == '(')
		e->comment++;
	else if (c == ')' && e->comment > 0)
		e->comment--;
	else if (c == '"' && e->comment == 0)
		e->quoted = true;
	else if (e->comment == 0) {
		e->opened += c == '<';
		e->closed += c == '>';
		return true;
	}
	return false;
}

static bool
is_domain_char(char c)
{
	return pw_is_alpha(c) || pw_is_digit(c) || c == '-' || c == '.' ||
	    c == '_' || (unsigned char)c >= 0x80;
}

/* Each "@" and what follows it; their number.  PLAIN: quotes and comments mean
 * nothing.  *open: one of them, or a bracket, has no end. */
static unsigned
by_eye(struct pw_dmarc_from *f, struct pw_bytes v, bool plain, bool *open)
{
	struct eye e = { 0 };
	unsigned count = 0;

	for (size_t i = 0; i < v.len; i++) {
		size_t n = 0;

		if (v.ptr[i] == '\\' && (e.quoted || e.comment > 0)) {
			i++;
			continue;
		}
		if ((!plain && !see(&e, v.ptr[i])) || v.ptr[i] != '@')
			continue;
		count++;
		while (i + 1 + n < v.len && is_domain_char(v.ptr[i + 1 + n]))
			n++;
		if (n > 0)
			add_domain(f, pw_bytes_sub(v, i + 1, n));
	}
	*open = e.quoted || e.comment > 0 || e.opened != e.closed;
	return count;
}

static bool
has_control(struct pw_bytes v)
{
	for (size_t i = 0; i < v.len; i++) {
		unsigned char c = (unsigned char)v.ptr[i];

		if ((c < 0x20 && c != '\t' && c != '\r' && c != '\n') ||
		    c == 0x7f)
			return true;
	}
	return false;
}

void
pw_dmarc_from_add(struct pw_dmarc_from *f, struct pw_bytes value)
{
	unsigned parsed, seen;
	bool open, large = value.len > PW_FIELD_CAP;

	if (++f->fields > PW_DMARC_FIELDS || value.len > PW_HEADER_CAP) {
		f->more = true;
		return;
	}
	parsed = by_grammar(f, value);
	seen = by_eye(f, value, false, &open);
	if (open) {
		f->fault = "a quote, comment or bracket without end";
		(void)by_eye(f, value, true, &open);
	} else if (large) {
		f->fault = "a field that is too long";
	} else if (has_control(value)) {
		f->fault = "a control character";
	} else if (parsed == 0) {
		f->fault = "no address";
	} else if (parsed != seen) {
		f->fault = "addresses that can be read in several ways";
	}
	f->addresses += parsed > seen ? parsed : seen;
}
