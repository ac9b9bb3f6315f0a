/* SPDX-License-Identifier: ISC */
/*
 * RFC 6376 sections 3.2, 3.5 and 3.6.1, to the letter.  A field or record that
 * strays from the grammar is a permanent error and goes no further.
 */
#include "filters/dkim_sig.h"

#include "base/valid.h"

#define IDENTITY_MAX 254u
#define B_MAX 2048u

static bool
is_wsp(char c)
{
	return c == ' ' || c == '\t';
}

/* Only VALCHAR and FWS: CRLF must be followed by white space. */
static bool
chars_ok(struct pw_bytes in)
{
	for (size_t i = 0; i < in.len; i++) {
		unsigned char c = (unsigned char)in.ptr[i];

		if (c == '\r') {
			if (i + 2 >= in.len || in.ptr[i + 1] != '\n' ||
			    !is_wsp(in.ptr[i + 2]))
				return false;
			i++;
		} else if (c >= 0x7f || (c < 0x20 && c != '\t')) {
			return false;
		}
	}
	return true;
}

static bool
name_ok(struct pw_bytes n)
{
	if (n.len == 0 || !pw_is_alpha(n.ptr[0]))
		return false;
	for (size_t i = 1; i < n.len; i++)
		if (!pw_is_alpha(n.ptr[i]) && !pw_is_digit(n.ptr[i]) &&
		    n.ptr[i] != '_')
			return false;
	return true;
}

int
pw_dkim_tags(struct pw_bytes in, struct pw_dkim_tag tag[PW_DKIM_TAGS_MAX])
{
	unsigned n = 0;

	in = pw_bytes_trim(in);
	if (!chars_ok(in))
		return -1;
	while (in.len > 0) {
		ptrdiff_t end = pw_bytes_chr(in, ';');
		size_t len = end < 0 ? in.len : (size_t)end;
		struct pw_bytes spec = pw_bytes_sub(in, 0, len);
		ptrdiff_t eq = pw_bytes_chr(spec, '=');

		if (eq < 0 || n == PW_DKIM_TAGS_MAX)
			return -1;
		tag[n].name = pw_bytes_trim(pw_bytes_sub(spec, 0, (size_t)eq));
		tag[n].value = pw_bytes_trim(pw_bytes_sub(spec, (size_t)eq + 1,
		    spec.len));
		if (!name_ok(tag[n].name))
			return -1;
		for (unsigned i = 0; i < n; i++)
			if (pw_bytes_eq(tag[i].name, tag[n].name))
				return -1;
		n++;
		in = pw_bytes_trim(pw_bytes_sub(in, end < 0 ? in.len : len + 1,
		    in.len));
	}
	return (int)n;
}

/* ---- parts --------------------------------------------------------------------------- */

struct parsing {
	struct pw_dkim_tag tag[PW_DKIM_TAGS_MAX];
	int n;
	struct pw_pool *pool;
};

static bool
get(const struct parsing *p, const char *name, struct pw_bytes *out)
{
	*out = PW_LIT("");
	for (int i = 0; i < p->n; i++)
		if (pw_bytes_eq(p->tag[i].name, pw_bytes_of(name))) {
			*out = p->tag[i].value;
			return true;
		}
	return false;
}

static const char *
lower(struct pw_pool *pool, struct pw_bytes b)
{
	char *s = pw_pool_cstr(pool, b);

	for (char *q = s; q != NULL && *q != '\0'; q++)
		*q = (char)pw_lower(*q);
	return s != NULL ? s : "";
}

bool
pw_dkim_labels_ok(struct pw_bytes b, bool dotless)
{
	struct pw_bytes out;
	char last = b.len > 0 ? b.ptr[b.len - 1] : '.';

	/* A selector may be all digits, which is no host name. */
	if (dotless && b.len > 0 && b.len <= 63) {
		bool plain = b.ptr[0] != '-' && last != '-';

		for (size_t i = 0; i < b.len && plain; i++)
			plain = pw_is_alpha(b.ptr[i]) ||
			    pw_is_digit(b.ptr[i]) || b.ptr[i] == '-' ||
			    b.ptr[i] == '_';
		if (plain)
			return true;
	}
	if (dotless) {
		/* Judged with a letter behind: its last label may be digits. */
		char buf[260];

		if (b.len > 250 || last == '.')
			return false;
		memcpy(buf, b.ptr, b.len);
		memcpy(buf + b.len, ".x", 2);
		return pw_valid_hostname(pw_peer(pw_bytes(buf, b.len + 2)),
		    true, &out) == 0;
	}
	return pw_valid_hostname(pw_peer(b), false, &out) == 0;
}

/* Header names in h=: at most PW_DKIM_NAMES_MAX, and From among them. */
static const char *
check_names(struct pw_bytes h, bool *from_unsigned)
{
	bool from = false;
	unsigned n = 0;

	for (;;) {
		ptrdiff_t colon = pw_bytes_chr(h, ':');
		struct pw_bytes one = pw_bytes_trim(pw_bytes_sub(h, 0,
		    colon < 0 ? h.len : (size_t)colon));

		if (one.len == 0 || ++n > PW_DKIM_NAMES_MAX)
			return one.len == 0 ? "empty name in h=" :
			    "more than 100 names in h=";
		for (size_t i = 0; i < one.len; i++)
			if (one.ptr[i] < 0x21 || one.ptr[i] > 0x7e)
				return "malformed name in h=";
		from |= pw_bytes_caseeq(one, PW_LIT("from"));
		if (colon < 0)
			break;
		h = pw_bytes_sub(h, (size_t)colon + 1, h.len);
	}
	*from_unsigned = !from;
	return from ? NULL : "From is not signed";
}

static bool
is_hex(char c)
{
	return pw_is_digit(c) || (c >= 'A' && c <= 'F');
}

/* i= must be "[local]@domain", where the domain is d= or lies below it. */
static const char *
check_identity(struct pw_bytes i, struct pw_dkim_sig *sig)
{
	struct pw_bytes d = pw_bytes_of(sig->domain), host;
	ptrdiff_t at = pw_bytes_rchr(i, '@');

	if (at < 0 || i.len > IDENTITY_MAX)
		return "malformed i=";
	for (size_t k = 0; k < i.len; k++) {
		if (i.ptr[k] <= 0x20)
			return "malformed i=";
		if (i.ptr[k] != '=')
			continue;
		if (k + 2 >= i.len || !is_hex(i.ptr[k + 1]) ||
		    !is_hex(i.ptr[k + 2]))
			return "malformed i=";
	}
	host = pw_bytes_sub(i, (size_t)at + 1, i.len);
	if (pw_bytes_caseeq(host, d))
		return NULL;
	if (host.len <= d.len + 1 || host.ptr[host.len - d.len - 1] != '.' ||
	    !pw_bytes_caseeq(pw_bytes_sub(host, host.len - d.len, d.len), d) ||
	    !pw_dkim_labels_ok(host, false))
		return "i= is not within d=";
	sig->subdomain = true;
	return NULL;
}

/* RFC 6376 section 3.5: a body form that is not named is simple. */
bool
pw_dkim_canon(struct pw_bytes c, bool *header_relaxed, bool *body_relaxed)
{
	static const struct {
		const char *name;
		bool header, body;
	} t[] = { { "simple", false, false }, { "relaxed", true, false },
		{ "simple/simple", false, false },
		{ "simple/relaxed", false, true },
		{ "relaxed/simple", true, false },
		{ "relaxed/relaxed", true, true } };

	for (size_t i = 0; i < PW_COUNT(t); i++)
		if (pw_bytes_caseeq(c, pw_bytes_of(t[i].name))) {
			*header_relaxed = t[i].header;
			*body_relaxed = t[i].body;
			return true;
		}
	return false;
}

static bool
has_item(struct pw_bytes list, const char *word)
{
	while (list.len > 0) {
		ptrdiff_t colon = pw_bytes_chr(list, ':');
		size_t n = colon < 0 ? list.len : (size_t)colon;

		if (pw_bytes_caseeq(pw_bytes_trim(pw_bytes_sub(list, 0, n)),
		    pw_bytes_of(word)))
			return true;
		list = pw_bytes_sub(list, n + 1, list.len);
	}
	return false;
}

static const char *
check_numbers(const struct parsing *p, struct pw_dkim_sig *sig)
{
	struct pw_bytes v;
	uint64_t n;

	if (get(p, "t", &v)) {
		if (pw_bytes_u64(v, UINT64_C(999999999999), &n) < 0)
			return "malformed t=";
		sig->t = (int64_t)n;
	}
	if (get(p, "x", &v)) {
		if (pw_bytes_u64(v, UINT64_C(999999999999), &n) < 0)
			return "malformed x=";
		sig->x = (int64_t)n;
	}
	if (sig->t >= 0 && sig->x >= 0 && sig->x < sig->t)
		return "x= before t=";
	sig->has_length = get(p, "l", &v);
	if (sig->has_length && pw_bytes_u64(v, UINT64_C(999999999999),
	    &sig->length) < 0)
		return "malformed l=";
	return NULL;
}

static const char *
check_alg(const struct parsing *p, struct pw_dkim_sig *sig)
{
	struct pw_bytes a, bh;
	size_t want = 44;

	get(p, "a", &a);
	sig->alg_name = lower(p->pool, a);
	if (strcmp(sig->alg_name, "rsa-sha256") == 0) {
		sig->alg = PW_DKIM_RSA_SHA256;
	} else if (strcmp(sig->alg_name, "ed25519-sha256") == 0) {
		sig->alg = PW_DKIM_ED25519;
	} else if (strcmp(sig->alg_name, "rsa-sha1") == 0) {
		sig->alg = PW_DKIM_RSA_SHA1;
		want = 28;
	} else {
		sig->alg_name = "";
		return "unknown algorithm in a=";
	}
	get(p, "bh", &bh);
	return pw_dkim_base64_len(bh) == want ? NULL : "malformed bh=";
}

static const char *
check_all(const struct parsing *p, struct pw_dkim_sig *sig)
{
	struct pw_bytes v;
	const char *fault;
	bool header;

	if (!get(p, "v", &v) || !pw_bytes_eq(v, PW_LIT("1")))
		return "v= is not 1";
	if (!get(p, "d", &v) || !pw_dkim_labels_ok(v, false))
		return "d= missing or malformed";
	sig->domain = lower(p->pool, v);
	if (!get(p, "s", &v) || !pw_dkim_labels_ok(v, true))
		return "s= missing or malformed";
	sig->selector = lower(p->pool, v);
	if ((fault = check_alg(p, sig)) != NULL)
		return fault;
	if (!get(p, "b", &v) || v.len > B_MAX || pw_dkim_base64_len(v) < 32)
		return "b= missing or malformed";
	sig->b = v;
	sig->b_start = pw_pool_cstr(p->pool, pw_bytes_sub(v, 0, 8));
	if (sig->b_start == NULL || strpbrk(sig->b_start, " \t\r\n") != NULL)
		sig->b_start = "";
	if (!get(p, "h", &v))
		return "h= missing";
	if ((fault = check_names(v, &sig->from_unsigned)) != NULL)
		return fault;
	if (get(p, "c", &v) && !pw_dkim_canon(v, &header, &sig->relaxed))
		return "unknown canonicalization in c=";
	if (get(p, "q", &v) && !has_item(v, "dns/txt"))
		return "unknown query method in q=";
	if (get(p, "i", &v) && (fault = check_identity(v, sig)) != NULL)
		return fault;
	return check_numbers(p, sig);
}

int
pw_dkim_sig_parse(struct pw_bytes value, struct pw_pool *pool,
    struct pw_dkim_sig *out)
{
	struct parsing p = { .pool = pool };

	*out = (struct pw_dkim_sig){ .domain = "", .selector = "",
		.alg_name = "", .b_start = "", .t = -1, .x = -1 };
	if (value.len > PW_DKIM_FIELD_MAX)
		out->fault = "field too long";
	else if ((p.n = pw_dkim_tags(value, p.tag)) < 0)
		out->fault = "malformed tag list";
	else
		out->fault = check_all(&p, out);
	return out->fault == NULL ? 0 : -1;
}

/* The line without its end: its octets in relaxed form. */
static uint64_t
relaxed_len(const char *p, size_t n)
{
	uint64_t len = 0;

	while (n > 0 && is_wsp(p[n - 1]))
		n--;
	for (size_t i = 0; i < n; i++)
		len += !is_wsp(p[i]) || !is_wsp(p[i + 1]);
	return len;
}

uint64_t
pw_dkim_body_len(struct pw_bytes body, bool relaxed)
{
	uint64_t total = 0, upto = relaxed ? 0 : 2;

	for (size_t pos = 0; pos < body.len;) {
		const char *p = body.ptr + pos;
		const char *nl = memchr(p, '\n', body.len - pos);
		size_t n = nl != NULL ? (size_t)(nl - p) : body.len - pos;
		uint64_t len;

		pos += n + (nl != NULL);
		if (nl != NULL && n > 0 && p[n - 1] == '\r')
			n--;
		len = relaxed ? relaxed_len(p, n) : n;
		total += len + 2;
		if (len > 0)
			upto = total;
	}
	return upto;
}

/* ---- key records ------------------------------------------------------------------------ */

static const char *
check_key(const struct parsing *p, const struct pw_dkim_sig *sig,
    struct pw_dkim_key *key, struct pw_bytes *data)
{
	bool ed = sig->alg == PW_DKIM_ED25519;
	struct pw_bytes v;
	size_t n;

	if (get(p, "v", &v) && (!pw_bytes_eq(v, PW_LIT("DKIM1")) ||
	    !pw_bytes_eq(p->tag[0].name, PW_LIT("v"))))
		return "key record has another version";
	if (!get(p, "k", &v))
		v = PW_LIT("rsa");
	if (!pw_bytes_caseeq(v, ed ? PW_LIT("ed25519") : PW_LIT("rsa")))
		return "key is of another type";
	if (get(p, "h", &v) && !has_item(v, "sha256"))
		return "key does not allow SHA-256";
	if (get(p, "s", &v) && !has_item(v, "*") && !has_item(v, "email"))
		return "key is not for mail";
	if (get(p, "t", &v)) {
		key->testing = has_item(v, "y");
		if (has_item(v, "s") && sig->subdomain)
			return "key does not allow subdomains in i=";
	}
	if (!get(p, "p", data))
		return "key record has no p=";
	if (data->len == 0)
		return "key revoked";
	n = pw_dkim_base64_len(*data);
	if (n == 0 || (ed && n != 44))
		return "key data malformed";
	return NULL;
}

/* Only what verifying needs, without folds. */
static const char *
write_key(struct pw_pool *pool, bool ed, struct pw_bytes data)
{
	char *out = pw_pool_alloc(pool, PW_DKIM_KEY_MAX + 1);
	const char *head = ed ? "v=DKIM1; k=ed25519; p=" : "v=DKIM1; k=rsa; p=";
	size_t n = strlen(head);

	if (out == NULL)
		return NULL;
	memcpy(out, head, n);
	for (size_t i = 0; i < data.len; i++) {
		if (is_wsp(data.ptr[i]) || data.ptr[i] == '\r' ||
		    data.ptr[i] == '\n')
			continue;
		if (n == PW_DKIM_KEY_MAX)
			return NULL;
		out[n++] = data.ptr[i];
	}
	return out;
}

int
pw_dkim_key_parse(struct pw_bytes record, const struct pw_dkim_sig *sig,
    struct pw_pool *pool, struct pw_dkim_key *out)
{
	struct parsing p = { .pool = pool };
	struct pw_bytes data = PW_LIT("");

	*out = (struct pw_dkim_key){ 0 };
	p.n = pw_dkim_tags(record, p.tag);
	if (p.n < 0) {
		out->fault = "key record malformed";
		return -1;
	}
	out->fault = check_key(&p, sig, out, &data);
	if (out->fault != NULL)
		return -1;
	out->record = write_key(pool, sig->alg == PW_DKIM_ED25519, data);
	if (out->record == NULL)
		out->fault = "key too large";
	else
		out->data = strstr(out->record, "p=") + 2;
	return out->fault == NULL ? 0 : -1;
}
