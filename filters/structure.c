/* SPDX-License-Identifier: ISC */
/*
 * Stage structure: what the index is to know of a message, and the header
 * fields that claim to be ours and are not.  GMime parses only what lies within
 * the caps; of a message beyond them the plain header fields are indexed and
 * the rest is marked complex.
 */
#include <gmime/gmime.h>

#include "filters/authres.h"
#include "filters/eval.h"
#include "filters/mime_json.h"
#include "filters/registry.h"
#include "filters/scanner.h"
#include "filters/text.h"

#define BOUNDARY_LINES_MAX 5000u
/* A message up to this size is parsed without the fields that say nothing of
 * its structure: the parser's work grows with their number. */
#define COPY_MAX ((size_t)256 << 10)

static const char *const needs[] = { "host.authserv_id?", NULL };
static const char *const provides[] = { "structure.from", NULL };
static const struct pw_symbol symbols[] = {
	{ "AUTHRES_FORGED", 1.0, "Authentication-Results in our name" },
	{ "AUTHRES_FLOOD", 5.0, "more of them than can be taken out" },
	{ "MIME_COMPLEX", 1.0, "a bound on the header, parts or depth was met" },
	{ NULL, 0, NULL }
};

void
pw_structure_init(void)
{
	static const char *const warm[] = { "iso-8859-1", "iso-8859-15",
		"windows-1252", "windows-1251", "koi8-r", "gb18030", "big5",
		"shift_jis", "iso-2022-jp", "euc-kr", "utf-16" };

	g_mime_init();
	/* iconv opens its tables at first use: now is the time for it. */
	for (size_t i = 0; i < PW_COUNT(warm); i++) {
		iconv_t cd = g_mime_iconv_open("UTF-8", warm[i]);

		if (cd != (iconv_t)-1)
			g_mime_iconv_close(cd);
	}
}

/* ---- is it fit for GMime? ------------------------------------------------------------------ */

/* Names of fields that GMime parses into parts as it meets them, in the
 * message or in any part of it. */
static bool
is_parsed_name(struct pw_bytes name)
{
	static const char *const names[] = { "from", "to", "cc", "bcc",
		"sender", "reply-to", "content-type", "content-disposition",
		"references", "message-id", "in-reply-to", "subject", "date" };

	for (size_t i = 0; i < PW_COUNT(names); i++)
		if (pw_bytes_caseeq(name, pw_bytes_of(names[i])))
			return true;
	return false;
}

static bool
is_parsed_field(struct pw_bytes line)
{
	ptrdiff_t colon = pw_bytes_chr(pw_bytes_sub(line, 0, 40), ':');

	return colon > 0 && is_parsed_name(pw_bytes_trim(
	    pw_bytes_sub(line, 0, (size_t)colon)));
}

/* Bodies may hold messages and parts with fields of their own: none of those
 * may pass the cap either, and lines that could be boundaries are counted. */
static bool
body_is_tame(struct pw_bytes all, size_t pos)
{
	size_t dashes = 0, field = 0, field_start = 0;

	while (pos < all.len) {
		const char *p = all.ptr + pos;
		const char *nl = memchr(p, '\n', all.len - pos);
		size_t n = nl != NULL ? (size_t)(nl - p) + 1 : all.len - pos;

		if (*p == '-' && n > 1 && p[1] == '-' &&
		    ++dashes > BOUNDARY_LINES_MAX)
			return false;
		if (*p == ' ' || *p == '\t') {
			field += field > 0 ? n : 0;
		} else {
			field = n;
			field_start = pos;
		}
		if (field > PW_FIELD_CAP &&
		    is_parsed_field(pw_bytes_sub(all, field_start, 64)))
			return false;
		pos += n;
	}
	return true;
}

/* ---- plain fields --------------------------------------------------------------------------- */

static struct pw_bytes
decoded(const struct pw_fieldref *f, struct pw_pool *pool)
{
	struct pw_bytes value = pw_bytes_trim(pw_msgview_value(f)), out;
	char *raw, *text;

	value = pw_bytes_sub(value, 0, PW_FIELD_CAP);
	if (pw_is_utf8(value) &&
	    memmem(value.ptr, value.len, "=?", 2) == NULL)
		return pw_text_line(pool, value, PW_META_TEXT_MAX);
	for (size_t i = 0; i < value.len; i++)
		if (value.ptr[i] == '\0')
			return pw_text_line(pool, value, PW_META_TEXT_MAX);
	raw = pw_pool_cstr(pool, value);
	text = raw != NULL ? g_mime_utils_header_decode_text(NULL, raw) : NULL;
	out = pw_text_line(pool, pw_bytes_of(text != NULL ? text : ""),
	    PW_META_TEXT_MAX);
	g_free(text);
	return out;
}

static int64_t
read_date(const struct pw_fieldref *f, struct pw_pool *pool)
{
	const char *s = pw_text_ascii(pool, pw_bytes_trim(
	    pw_msgview_value(f)), 200).ptr;
	GDateTime *dt = g_mime_utils_header_decode_date(s);
	int64_t t = dt != NULL ? g_date_time_to_unix(dt) : 0;

	if (dt != NULL)
		g_date_time_unref(dt);
	return t;
}

/* The first field of each name counts. */
static void
plain_fields(struct pw_meta *m, const struct pw_msgview *v,
    struct pw_pool *pool)
{
	struct {
		const char *name;
		struct pw_bytes *to;
	} want[] = { { "Message-ID", &m->message_id },
		{ "In-Reply-To", &m->in_reply_to },
		{ "References", &m->references }, { "From", &m->from },
		{ "To", &m->to }, { "Cc", &m->cc },
		{ "Subject", &m->subject } };
	bool date = false;

	for (size_t i = 0; i < v->nfield; i++) {
		const struct pw_fieldref *f = &v->field[i];

		if (!date && pw_bytes_caseeq(f->name, PW_LIT("Date"))) {
			m->date = read_date(f, pool);
			date = true;
		}
		for (size_t k = 0; k < PW_COUNT(want); k++)
			if (want[k].to->ptr == NULL && pw_bytes_caseeq(f->name,
			    pw_bytes_of(want[k].name)))
				*want[k].to = decoded(f, pool);
	}
}

/* ---- GMime -------------------------------------------------------------------------------------- */

static struct pw_bytes
keep(struct pw_strbuf *sb, struct pw_pool *pool)
{
	struct pw_bytes b = sb->overflow ? PW_BYTES_NONE :
	    pw_pool_copy(pool, pw_strbuf_bytes(sb));

	pw_strbuf_free(sb);
	return b;
}

/* The addresses in From, for the allow and block lists. */
#define SENDERS_MAX 16u
struct senders {
	size_t n;
	const char *addr[SENDERS_MAX];
};

static void
find_senders(struct senders *s, GMimeMessage *message, struct pw_pool *pool)
{
	InternetAddressList *list = g_mime_message_get_from(message);
	int n = list != NULL ? internet_address_list_length(list) : 0;

	for (int i = 0; i < n && s->n < SENDERS_MAX; i++) {
		InternetAddress *a = internet_address_list_get_address(list,
		    i);
		const char *text = INTERNET_ADDRESS_IS_MAILBOX(a) ?
		    internet_address_mailbox_get_addr(
		    INTERNET_ADDRESS_MAILBOX(a)) : NULL;

		if (text == NULL || strlen(text) > PW_FACT_TEXT_MAX)
			continue;
		s->addr[s->n] = pw_pool_cstr(pool, pw_bytes_of(text));
		s->n += s->addr[s->n] != NULL;
	}
}

static void
describe(struct pw_meta *m, struct pw_bytes all, GMimeMessage *message,
    struct pw_pool *pool, const char **bound)
{
	struct pw_mime_json j = { .pool = pool, .base = all.ptr };
	const char *nl = memchr(all.ptr, '\n', all.len);
	GMimeObject *root = g_mime_message_get_mime_part(message);
	struct pw_strbuf sb;

	j.crlf = nl != NULL && nl > all.ptr && nl[-1] == '\r';
	pw_strbuf_init(&sb, PW_MIME_ENVELOPE_MAX);
	pw_mime_envelope(&j, message, &sb);
	m->envelope = keep(&sb, pool);
	pw_strbuf_init(&sb, PW_MIME_STRUCTURE_MAX);
	if (root != NULL)
		pw_mime_structure(&j, root, &sb);
	m->structure = keep(&sb, pool);
	if (j.bound != NULL)
		m->structure = PW_BYTES_NONE;
	else if (m->structure.ptr == NULL)
		j.bound = "its structure takes more than 48 KB to tell";
	else if (m->envelope.ptr == NULL)
		j.bound = "its addresses take more than 24 KB to tell";
	*bound = j.bound;
}

static bool
tells_structure(struct pw_bytes name)
{
	return is_parsed_name(name) ||
	    (name.len > 8 && pw_bytes_caseeq(pw_bytes_sub(name, 0, 8),
		PW_LIT("content-"))) ||
	    pw_bytes_caseeq(name, PW_LIT("mime-version"));
}

/* The message without fields that GMime need not see; all of it when it is
 * large, or has lines in its header section that are no fields. */
static struct pw_bytes
essence(const struct pw_msgview *v, struct pw_pool *pool)
{
	struct pw_bytes body = pw_bytes_sub(v->all, v->header_len, SIZE_MAX);
	char *copy, *to;

	if (v->all.len > COPY_MAX || body.len == 0)
		return v->all;
	for (size_t i = 0; i < v->nfield; i++)
		if (v->field[i].name.len == 0)
			return v->all;
	copy = to = pw_pool_alloc(pool, v->all.len);
	if (copy == NULL)
		return v->all;
	for (size_t i = 0; i < v->nfield; i++) {
		const struct pw_fieldref *f = &v->field[i];

		if (tells_structure(f->name))
			to = (char *)mempcpy(to, f->raw.ptr, f->raw.len);
	}
	to = (char *)mempcpy(to, body.ptr, body.len);
	return pw_bytes(copy, (size_t)(to - copy));
}

static void
parse(struct pw_meta *m, const struct pw_msgview *v, struct senders *from,
    struct pw_pool *pool, const char **bound)
{
	struct pw_bytes all = essence(v, pool);
	/* GMime only reads it, and where it lies. */
	GByteArray array = { .data = (guint8 *)(uintptr_t)all.ptr,
		.len = (guint)all.len };
	GMimeStream *stream = g_mime_stream_mem_new_with_byte_array(&array);
	GMimeParser *parser;
	GMimeMessage *message;

	g_mime_stream_mem_set_owner(GMIME_STREAM_MEM(stream), FALSE);
	parser = g_mime_parser_new_with_stream(stream);
	message = g_mime_parser_construct_message(parser, NULL);
	if (message != NULL) {
		describe(m, all, message, pool, bound);
		if (from != NULL)
			find_senders(from, message, pool);
		g_object_unref(message);
	} else {
		*bound = "it cannot be read as a message";
	}
	g_object_unref(parser);
	g_object_unref(stream);
}

const char *
pw_structure_bound(const struct pw_msgview *v)
{
	if (v->capped && v->unread > 0)
		return "there are more than 4096 header fields";
	if (v->capped)
		return v->header_len > PW_HEADER_CAP ?
		    "the header section has more than 256 KB" :
		    "a header field has more than 16 KB";
	if (v->all.len > INT32_MAX)
		return "the message has more than 2 GB";
	if (!body_is_tame(v->all, v->body))
		return "a part has a header field of more than 16 KB, or the "
		    "body more than 5000 lines that could part it";
	return NULL;
}

static struct pw_meta *
read_message(const struct pw_msgview *v, struct senders *from,
    struct pw_pool *pool, const char **bound)
{
	struct pw_meta *m = pw_pool_alloc(pool, sizeof(*m));

	if (m == NULL)
		return NULL;
	m->header_len = v->header_len;
	plain_fields(m, v, pool);
	*bound = pw_structure_bound(v);
	if (*bound == NULL && v->all.len > 0)
		parse(m, v, from, pool, bound);
	m->complex = *bound != NULL;
	return m;
}

struct pw_meta *
pw_structure_meta(const struct pw_msgview *v, struct pw_pool *pool)
{
	const char *bound;

	return read_message(v, NULL, pool, &bound);
}

/* ---- forged fields and the run -------------------------------------------------------------------- */

/* Fields that were not split any more are not known: then their name may not
 * stand there at all. */
static bool
hidden_fields(const struct pw_msgview *v)
{
	struct pw_bytes name = PW_LIT("authentication-results");

	if (v->unread == 0)
		return false;
	for (size_t i = v->unread; i + name.len <= v->header_len; i++)
		if (pw_lower(v->all.ptr[i]) == 'a' && pw_bytes_caseeq(
		    pw_bytes_sub(v->all, i, name.len), name))
			return true;
	return false;
}

static void
cut_forged(struct pw_ctx *ctx, const struct pw_msgview *v, const char *id)
{
	const struct pw_host *h = pw_host_table();
	bool forged = false, flood = hidden_fields(v);

	for (size_t i = 0; i < v->nfield; i++) {
		const struct pw_fieldref *f = &v->field[i];

		if (!pw_bytes_caseeq(f->name,
		    PW_LIT("Authentication-Results")) ||
		    !pw_authres_is_ours(pw_msgview_value(f), id))
			continue;
		forged = true;
		if (h->cut(ctx, (uint64_t)(f->raw.ptr - v->all.ptr),
		    (uint32_t)f->raw.len, "bears our name") < 0)
			flood = true;
	}
	if (forged)
		h->evidence(ctx, "AUTHRES_FORGED", 1,
		    "removed: Authentication-Results in our name");
	if (flood)
		h->evidence(ctx, "AUTHRES_FLOOD", 1, "");
}

static int
init(const struct pw_host *host, const struct pw_stage_conf *conf,
    void **instance, char *err, size_t errlen)
{
	(void)host;
	(void)conf;
	(void)err;
	(void)errlen;
	*instance = pw_pool_new(64u << 20);
	return 0;
}

static void
fini(void *instance)
{
	struct pw_pool *pool = instance;

	pw_pool_free(&pool);
}

static enum pw_run
run(void *instance, struct pw_ctx *ctx, enum pw_phase phase)
{
	const struct pw_host *h = pw_host_table();
	struct pw_pool *pool = instance; /* rewound after each run */
	const struct pw_msgview *v = pw_eval_view(ctx);
	struct pw_fact f;
	struct senders from = { 0 };
	struct pw_meta *m = NULL;
	const char *bound = NULL;
	struct pw_bytes block;
	struct pw_enc e;

	(void)phase;
	if (v == NULL ||
	    (m = read_message(v, &from, pool, &bound)) == NULL) {
		pw_pool_rewind(pool);
		h->fail(ctx, "the message could not be read");
		return PW_RUN_ERROR;
	}
	if (h->fact(ctx, "host.authserv_id", 0, &f) == 0) {
		const char *id = pw_pool_cstr(pool, pw_bytes(f.text.ptr,
		    f.text.len));

		if (id != NULL)
			cut_forged(ctx, v, id);
	}
	if (bound != NULL)
		h->evidence(ctx, "MIME_COMPLEX", 1, bound);
	for (size_t i = 0; i < from.n; i++) {
		f = (struct pw_fact){ .type = PW_FACT_TEXT,
			.text = { from.addr[i], strlen(from.addr[i]) } };
		(void)h->provide(ctx, "structure.from", i, &f);
	}
	m->cut = pw_eval_cuts(ctx, &m->ncut);
	pw_enc_init(&e, 256u << 10);
	pw_meta_enc(&e, m);
	block = pw_enc_done(&e);
	if (block.ptr != NULL)
		h->meta(ctx, (struct pw_slice){ block.ptr, block.len });
	pw_enc_free(&e);
	pw_pool_rewind(pool);
	return PW_RUN_NEXT;
}

const struct pw_stage pw_stage_structure = {
	.size = sizeof(struct pw_stage),
	.abi = PW_STAGE_ABI,
	.features = PW_STAGE_FEATURES,
	.name = "structure",
	.version = "1",
	.help = "what the index knows of a message; forged results removed",
	.phases = PW_PHASE_BIT(PW_PHASE_BODY),
	.needs = needs,
	.provides = provides,
	.symbols = symbols,
	.roles = PW_ROLE_SCAN,
	.role = PW_ROLE_SCAN,
	.cost = PW_COST_CHEAP,
	.scope = PW_SCOPE_MESSAGE,
	.on_error = PW_ERR_HOLD,
	.flags = PW_FLAG_TRUSTED,
	.timeout_ms = 30000,
	.init = init,
	.fini = fini,
	.run = run,
};
