/* SPDX-License-Identifier: ISC */
/*
 * The parser of SPF records: RFC 7208 section 12, to the letter.  What passes
 * here is all that the rest of the evaluator works with.
 */
#include <arpa/inet.h>
#include <string.h>

#include "filters/spf/macro.h"
#include "filters/spf/record.h"

enum spec_rule { SPEC_NEVER, SPEC_MAY, SPEC_MUST };

static const struct mech_rule {
	struct pw_bytes name;
	enum pw_spf_mech mech;
	enum spec_rule spec;
	bool cidr;
} mech_rules[] = {
    {PW_LIT("all"), PW_SPF_ALL, SPEC_NEVER, false},
    {PW_LIT("include"), PW_SPF_INCLUDE, SPEC_MUST, false},
    {PW_LIT("a"), PW_SPF_A, SPEC_MAY, true},
    {PW_LIT("mx"), PW_SPF_MX, SPEC_MAY, true},
    {PW_LIT("ptr"), PW_SPF_PTR, SPEC_MAY, false},
    {PW_LIT("ip4"), PW_SPF_IP4, SPEC_MUST, false},
    {PW_LIT("ip6"), PW_SPF_IP6, SPEC_MUST, false},
    {PW_LIT("exists"), PW_SPF_EXISTS, SPEC_MUST, false},
};

#define VERSION PW_LIT("v=spf1")

bool
pw_spf_is_record(struct pw_bytes text)
{
	return pw_bytes_has_prefix_ci(text, VERSION) &&
	       (text.len == VERSION.len || text.ptr[VERSION.len] == ' ');
}

/* Terms are printable here, since the whole record was checked. */
static int
bad_term(struct pw_err *err, struct pw_bytes term, const char *what)
{
	return pw_err_set(err, 0, "%s in \"%.*s\"", what,
	    (int)(term.len < 100 ? term.len : 100), term.ptr);
}

/*
 * Takes "/N", or "//N" when SIX, off the end of *s into *bits.  Left where it
 * is when it is no prefix length, the text then fails as a domain-spec.
 */
static void
take_prefix(struct pw_bytes *s, bool six, uint8_t *bits)
{
	size_t i = s->len, slashes = six ? 2 : 1;
	uint64_t n;

	while (i > 0 && pw_is_digit(s->ptr[i - 1]))
		i--;
	if (i < slashes || s->ptr[i - 1] != '/' || s->ptr[i - slashes] != '/')
		return;
	if (pw_bytes_u64(pw_bytes_sub(*s, i, s->len - i), six ? 128 : 32, &n) !=
		0 ||
	    (s->ptr[i] == '0' && s->len - i > 1))
		return;
	*bits = (uint8_t)n;
	s->len = i - slashes;
}

static int
parse_network(struct pw_spf_term *t, struct pw_bytes arg, struct pw_err *err)
{
	bool six = t->mech == PW_SPF_IP6;
	char text[INET6_ADDRSTRLEN];
	ptrdiff_t slash;
	uint8_t *bits = six ? &t->bits6 : &t->bits4;
	uint64_t n;

	slash = pw_bytes_chr(arg, '/');
	if (slash >= 0) {
		struct pw_bytes len =
		    pw_bytes_sub(arg, (size_t)slash + 1, arg.len);

		if (pw_bytes_u64(len, six ? 128 : 32, &n) != 0 ||
		    (len.len > 1 && len.ptr[0] == '0'))
			return bad_term(err, t->text, "bad prefix length");
		*bits = (uint8_t)n;
		arg.len = (size_t)slash;
	}
	if (arg.len >= sizeof(text))
		return bad_term(err, t->text, "bad address");
	memcpy(text, arg.ptr, arg.len);
	text[arg.len] = '\0';
	if (inet_pton(six ? AF_INET6 : AF_INET, text, t->net) != 1)
		return bad_term(err, t->text, "bad address");
	return 0;
}

static int
check_spec(struct pw_bytes term, struct pw_bytes spec, struct pw_err *err)
{
	if (!pw_spf_domain_spec_valid(spec))
		return bad_term(err, term, "bad domain");
	if (pw_spf_macro_count(spec) > PW_SPF_MAX_MACROS)
		return bad_term(err, term, "too many macros");
	return 0;
}

static int
parse_mechanism(struct pw_bytes word, struct pw_bytes term,
    struct pw_spf_term *t, struct pw_err *err)
{
	const struct mech_rule *rule = NULL;
	struct pw_bytes name = word, arg;
	size_t n = 0;

	while (n < word.len && word.ptr[n] != ':' && word.ptr[n] != '/')
		n++;
	name.len = n;
	for (size_t i = 0; i < PW_COUNT(mech_rules); i++)
		if (pw_bytes_caseeq(name, mech_rules[i].name))
			rule = &mech_rules[i];
	if (rule == NULL)
		return bad_term(err, term, "unknown mechanism");
	arg = pw_bytes_sub(word, n, word.len - n);
	t->mech = rule->mech;
	t->text = term;
	t->bits4 = 32;
	t->bits6 = 128;
	if (rule->cidr) {
		take_prefix(&arg, true, &t->bits6);
		take_prefix(&arg, false, &t->bits4);
	}
	if (arg.len == 0) {
		if (rule->spec == SPEC_MUST)
			return bad_term(err, term, "missing argument");
		return 0;
	}
	if (rule->spec == SPEC_NEVER || arg.ptr[0] != ':')
		return bad_term(err, term, "unexpected argument");
	arg = pw_bytes_sub(arg, 1, arg.len - 1);
	if (t->mech == PW_SPF_IP4 || t->mech == PW_SPF_IP6)
		return parse_network(t, arg, err);
	t->spec = arg;
	return check_spec(term, arg, err);
}

static int
parse_modifier(struct pw_bytes name, struct pw_bytes value,
    struct pw_bytes term, struct pw_spf_record *out, struct pw_err *err)
{
	if (pw_bytes_caseeq(name, PW_LIT("redirect"))) {
		if (out->has_redirect)
			return bad_term(err, term, "second redirect");
		out->has_redirect = true;
		out->redirect.mech = PW_SPF_REDIRECT;
		out->redirect.text = term;
		out->redirect.spec = value;
		return check_spec(term, value, err);
	}
	if (pw_bytes_caseeq(name, PW_LIT("exp"))) {
		if (out->exp.ptr != NULL)
			return bad_term(err, term, "second exp");
		out->exp = value;
		return check_spec(term, value, err);
	}
	if (!pw_spf_macro_valid(value, 0))
		return bad_term(err, term, "bad macro");
	return 0;
}

/* Length of the name when WORD is a modifier, else 0. */
static size_t
modifier_name(struct pw_bytes word)
{
	size_t n = 0;

	if (word.len == 0 || !pw_is_alpha(word.ptr[0]))
		return 0;
	while (
	    n < word.len &&
	    (pw_is_alpha(word.ptr[n]) || pw_is_digit(word.ptr[n]) ||
		word.ptr[n] == '-' || word.ptr[n] == '_' || word.ptr[n] == '.'))
		n++;
	return n < word.len && word.ptr[n] == '=' ? n : 0;
}

static int
parse_term(struct pw_bytes term, struct pw_spf_record *out, struct pw_err *err)
{
	static const enum pw_spf_result meaning[] = {
	    PW_SPF_PASS, PW_SPF_FAIL, PW_SPF_SOFTFAIL, PW_SPF_NEUTRAL};
	static const struct pw_bytes signs = PW_LIT("+-~?");
	struct pw_spf_term *t = &out->terms[out->nterms];
	struct pw_bytes word = term;
	ptrdiff_t sign = pw_bytes_chr(signs, term.ptr[0]);
	size_t n;

	n = modifier_name(term);
	if (n > 0)
		return parse_modifier(pw_bytes_sub(term, 0, n),
		    pw_bytes_sub(term, n + 1, term.len - n - 1), term, out,
		    err);
	t->qualifier = PW_SPF_PASS;
	if (sign >= 0) {
		t->qualifier = meaning[sign];
		word = pw_bytes_sub(term, 1, term.len - 1);
	}
	if (parse_mechanism(word, term, t, err) != 0)
		return -1;
	out->nterms++;
	return 0;
}

int
pw_spf_record_parse(struct pw_bytes text, struct pw_pool *pool,
    struct pw_spf_record *out, struct pw_err *err)
{
	size_t i, n = 0;

	*out = (struct pw_spf_record){.nterms = 0};
	if (!pw_spf_is_record(text))
		return pw_err_set(err, 0, "not a v=spf1 record");
	if (text.len > PW_SPF_MAX_RECORD)
		return pw_err_set(
		    err, 0, "record longer than %d bytes", PW_SPF_MAX_RECORD);
	for (i = 0; i < text.len; i++) {
		if (text.ptr[i] < ' ' || text.ptr[i] > '~')
			return pw_err_set(err, 0,
			    "character 0x%02x in the record",
			    (unsigned char)text.ptr[i]);
		if (text.ptr[i] == ' ')
			n++;
	}
	out->terms = pw_pool_array(pool, n + 1, sizeof(*out->terms));
	if (out->terms == NULL)
		return pw_err_set(err, 0, "records too large to evaluate");
	for (i = VERSION.len; i < text.len;) {
		struct pw_bytes term = pw_bytes_sub(text, i, text.len - i);
		ptrdiff_t space = pw_bytes_chr(term, ' ');

		if (space >= 0)
			term.len = (size_t)space;
		i += term.len + 1;
		if (term.len > 0 && parse_term(term, out, err) != 0)
			return -1;
	}
	return 0;
}
