/* SPDX-License-Identifier: ISC */
/*
 * Walks GMime's tree and writes JSON.  Bodies are never decoded; sizes come
 * from where parts lie in the message.
 */
#include "filters/mime_json.h"

#include "filters/text.h"

#define STRING_MAX 1000u

static void
json_string(struct pw_mime_json *j, struct pw_strbuf *out, const char *s)
{
	struct pw_bytes t = pw_text_line(j->pool, pw_bytes_of(s != NULL ? s :
	    ""), STRING_MAX);

	pw_strbuf_addc(out, '"');
	for (size_t i = 0; i < t.len; i++) {
		if (t.ptr[i] == '"' || t.ptr[i] == '\\')
			pw_strbuf_addc(out, '\\');
		pw_strbuf_addc(out, t.ptr[i]);
	}
	pw_strbuf_addc(out, '"');
}

static void
member(struct pw_mime_json *j, struct pw_strbuf *out, const char *name,
    const char *value)
{
	if (value == NULL || value[0] == '\0')
		return;
	pw_strbuf_addf(out, ",\"%s\":", name);
	json_string(j, out, value);
}

static void
params(struct pw_mime_json *j, struct pw_strbuf *out, GMimeContentType *ct)
{
	GMimeParamList *list = g_mime_content_type_get_parameters(ct);
	int n = list != NULL ? g_mime_param_list_length(list) : 0;

	if (n > (int)PW_MIME_PARAMS_MAX) {
		j->bound = "a part has more than 100 parameters";
		n = 0;
	}
	pw_strbuf_adds(out, ",\"params\":{");
	for (int i = 0; i < n; i++) {
		GMimeParam *p = g_mime_param_list_get_parameter_at(list, i);

		if (i > 0)
			pw_strbuf_addc(out, ',');
		json_string(j, out, g_mime_param_get_name(p));
		pw_strbuf_addc(out, ':');
		json_string(j, out, g_mime_param_get_value(p));
	}
	pw_strbuf_addc(out, '}');
}

static size_t
count_lines(const char *p, size_t n)
{
	size_t lines = 0;

	while (n > 0) {
		const char *nl = memchr(p, '\n', n);

		if (nl == NULL)
			return lines + 1;
		lines++;
		n -= (size_t)(nl + 1 - p);
		p = nl + 1;
	}
	return lines;
}

/* Octets as IMAP counts them (CRLF ends), and lines. */
static void
extent(const struct pw_mime_json *j, GMimeStream *s, size_t *size,
    size_t *lines)
{
	gint64 len = s != NULL ? g_mime_stream_length(s) : 0;

	*size = *lines = 0;
	if (len <= 0)
		return;
	*size = (size_t)len;
	if (GMIME_IS_STREAM_MEM(s))
		*lines = count_lines(j->base + s->bound_start, *size);
	if (!j->crlf)
		*size += *lines;
}

static void
disposition(struct pw_mime_json *j, struct pw_strbuf *out, GMimeObject *o)
{
	member(j, out, "disposition", g_mime_object_get_disposition(o));
}

static void
leaf(struct pw_mime_json *j, struct pw_strbuf *out, GMimePart *part)
{
	GMimeDataWrapper *dw = g_mime_part_get_content(part);
	GMimeStream *s = dw != NULL ? g_mime_data_wrapper_get_stream(dw) :
	    NULL;
	GMimeContentType *ct = g_mime_object_get_content_type(
	    GMIME_OBJECT(part));
	size_t size, lines;

	extent(j, s, &size, &lines);
	member(j, out, "id", g_mime_object_get_content_id(
	    GMIME_OBJECT(part)));
	member(j, out, "description",
	    g_mime_part_get_content_description(part));
	member(j, out, "encoding", g_mime_content_encoding_to_string(
	    g_mime_part_get_content_encoding(part)));
	pw_strbuf_addf(out, ",\"size\":%zu", size);
	if (g_mime_content_type_is_type(ct, "text", "*"))
		pw_strbuf_addf(out, ",\"lines\":%zu", lines);
	disposition(j, out, GMIME_OBJECT(part));
	member(j, out, "filename", g_mime_part_get_filename(part));
}

/* Recursion is bounded by PW_MIME_DEPTH_MAX. */
static void walk(struct pw_mime_json *j, GMimeObject *o, unsigned depth,
    struct pw_strbuf *out);

static void
multipart(struct pw_mime_json *j, GMimeMultipart *mp, unsigned depth,
    struct pw_strbuf *out)
{
	int n = g_mime_multipart_get_count(mp);

	disposition(j, out, GMIME_OBJECT(mp));
	pw_strbuf_adds(out, ",\"parts\":[");
	for (int i = 0; i < n && j->bound == NULL && !out->overflow; i++) {
		if (i > 0)
			pw_strbuf_addc(out, ',');
		walk(j, g_mime_multipart_get_part(mp, i), depth + 1, out);
	}
	pw_strbuf_addc(out, ']');
}

static void
inner_message(struct pw_mime_json *j, GMimeMessagePart *mp, unsigned depth,
    struct pw_strbuf *out)
{
	GMimeMessage *m = g_mime_message_part_get_message(mp);

	disposition(j, out, GMIME_OBJECT(mp));
	if (m == NULL || g_mime_message_get_mime_part(m) == NULL)
		return;
	pw_strbuf_adds(out, ",\"envelope\":");
	pw_mime_envelope(j, m, out);
	pw_strbuf_adds(out, ",\"body\":");
	walk(j, g_mime_message_get_mime_part(m), depth + 1, out);
}

static void
walk(struct pw_mime_json *j, GMimeObject *o, unsigned depth,
    struct pw_strbuf *out)
{
	GMimeContentType *ct = g_mime_object_get_content_type(o);

	if (++j->parts > PW_MIME_PARTS_MAX)
		j->bound = "there are more than 1000 parts";
	else if (depth > PW_MIME_DEPTH_MAX)
		j->bound = "parts are nested more than 50 deep";
	if (j->bound != NULL)
		return;
	pw_strbuf_adds(out, "{\"type\":");
	json_string(j, out, g_mime_content_type_get_media_type(ct));
	pw_strbuf_adds(out, ",\"subtype\":");
	json_string(j, out, g_mime_content_type_get_media_subtype(ct));
	params(j, out, ct);
	if (GMIME_IS_MULTIPART(o))
		multipart(j, GMIME_MULTIPART(o), depth, out);
	else if (GMIME_IS_MESSAGE_PART(o))
		inner_message(j, GMIME_MESSAGE_PART(o), depth, out);
	else if (GMIME_IS_PART(o))
		leaf(j, out, GMIME_PART(o));
	pw_strbuf_addc(out, '}');
}

void
pw_mime_structure(struct pw_mime_json *j, GMimeObject *root,
    struct pw_strbuf *out)
{
	walk(j, root, 0, out);
}

/* ---- the envelope ------------------------------------------------------------------------- */

/* "[name, mailbox, host]" of each mailbox, groups opened. */
static void
addresses(struct pw_mime_json *j, InternetAddressList *list, unsigned depth,
    unsigned *n, struct pw_strbuf *out)
{
	int count = list != NULL ? internet_address_list_length(list) : 0;

	for (int i = 0; i < count && !out->overflow; i++) {
		InternetAddress *ia = internet_address_list_get_address(list,
		    i);
		const char *addr, *at;
		struct pw_bytes local;

		if (INTERNET_ADDRESS_IS_GROUP(ia)) {
			if (depth < PW_MIME_DEPTH_MAX)
				addresses(j,
				    internet_address_group_get_members(
				    INTERNET_ADDRESS_GROUP(ia)), depth + 1, n,
				    out);
			continue;
		}
		if (*n >= PW_MIME_ADDRESSES_MAX) {
			j->bound = "a field has more than 1000 addresses";
			return;
		}
		addr = internet_address_mailbox_get_addr(
		    INTERNET_ADDRESS_MAILBOX(ia));
		addr = addr != NULL ? addr : "";
		at = strrchr(addr, '@');
		local = pw_bytes(addr, at != NULL ? (size_t)(at - addr) :
		    strlen(addr));
		pw_strbuf_adds(out, (*n)++ > 0 ? ",[" : "[");
		json_string(j, out, internet_address_get_name(ia));
		pw_strbuf_addc(out, ',');
		json_string(j, out, pw_text_line(j->pool, local, STRING_MAX)
		    .ptr);
		pw_strbuf_addc(out, ',');
		json_string(j, out, at != NULL ? at + 1 : "");
		pw_strbuf_addc(out, ']');
	}
}

void
pw_mime_envelope(struct pw_mime_json *j, GMimeMessage *m,
    struct pw_strbuf *out)
{
	static const struct {
		GMimeAddressType type;
		const char *name;
	} kinds[] = { { GMIME_ADDRESS_TYPE_FROM, "from" },
		{ GMIME_ADDRESS_TYPE_TO, "to" },
		{ GMIME_ADDRESS_TYPE_CC, "cc" },
		{ GMIME_ADDRESS_TYPE_BCC, "bcc" },
		{ GMIME_ADDRESS_TYPE_SENDER, "sender" },
		{ GMIME_ADDRESS_TYPE_REPLY_TO, "reply-to" } };

	for (size_t i = 0; i < PW_COUNT(kinds); i++) {
		unsigned n = 0;

		pw_strbuf_addf(out, "%s\"%s\":[", i == 0 ? "{" : ",",
		    kinds[i].name);
		addresses(j, g_mime_message_get_addresses(m, kinds[i].type), 0,
		    &n, out);
		pw_strbuf_addc(out, ']');
	}
	pw_strbuf_addc(out, '}');
}
