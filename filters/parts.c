/* SPDX-License-Identifier: ISC */
/*
 * Walks GMime's tree of a message and decodes its leaves.  What keeps GMime
 * from a message for the index keeps it from it here, too; number and depth of
 * parts have the same bounds, and decoding never makes a part larger.
 */
#include "filters/parts.h"

#include <gmime/gmime.h>

#include "filters/eval.h"
#include "filters/mime_json.h"
#include "filters/scanner.h"
#include "filters/text.h"

#define ROOM 32u

struct walking {
	struct pw_parts *p;
	struct pw_pool *pool;
	size_t room;
	unsigned seen; /* parts of any kind */
};

static struct pw_slice
keep(struct pw_pool *pool, const char *s)
{
	struct pw_bytes b = pw_text_line(pool, pw_bytes_of(s != NULL ? s : ""),
	    PW_FACT_TEXT_MAX);

	return (struct pw_slice){ b.ptr != NULL ? b.ptr : "", b.len };
}

/* The content without its transfer encoding; less than all of it is marked. */
static void
decode(struct walking *w, GMimePart *part, struct pw_part *out)
{
	GMimeDataWrapper *dw = g_mime_part_get_content(part);
	GMimeStream *mem = g_mime_stream_mem_new();
	GByteArray *array = g_mime_stream_mem_get_byte_array(
	    GMIME_STREAM_MEM(mem));
	struct pw_bytes copy = PW_LIT("");

	if (dw != NULL && g_mime_data_wrapper_write_to_stream(dw, mem) < 0)
		out->flags |= PW_PART_CLIPPED;
	if (array->len > 0) {
		if (w->p->bytes + array->len <= PW_PARTS_BYTES_MAX)
			copy = pw_pool_copy(w->pool, pw_bytes(array->data,
			    array->len));
		else
			copy = PW_BYTES_NONE;
		if (copy.ptr == NULL)
			out->flags |= PW_PART_CLIPPED;
	}
	out->content = (struct pw_slice){ copy.ptr != NULL ? copy.ptr : "",
		copy.len };
	w->p->bytes += copy.len;
	g_object_unref(mem);
}

static bool
make_room(struct walking *w)
{
	struct pw_part *more;

	if (w->p->n < w->room)
		return true;
	more = pw_pool_array(w->pool, w->room * 2 + ROOM, sizeof(*more));
	if (more == NULL)
		return false;
	if (w->p->n > 0)
		memcpy(more, w->p->v, w->p->n * sizeof(*more));
	w->p->v = more;
	w->room = w->room * 2 + ROOM;
	return true;
}

static void
leaf(struct walking *w, GMimePart *part, unsigned depth)
{
	GMimeObject *o = GMIME_OBJECT(part);
	GMimeContentType *ct = g_mime_object_get_content_type(o);
	struct pw_part *out;

	if (!make_room(w))
		return;
	out = &w->p->v[w->p->n++];
	*out = (struct pw_part){ .depth = (uint16_t)depth };
	out->type = keep(w->pool, g_mime_content_type_get_media_type(ct));
	out->subtype = keep(w->pool,
	    g_mime_content_type_get_media_subtype(ct));
	out->charset = keep(w->pool, g_mime_object_get_content_type_parameter(
	    o, "charset"));
	out->name = keep(w->pool, g_mime_part_get_filename(part));
	out->disposition = keep(w->pool, g_mime_object_get_disposition(o));
	decode(w, part, out);
}

/* Recursion is bounded by PW_MIME_DEPTH_MAX. */
static void
walk(struct walking *w, GMimeObject *o, unsigned depth)
{
	if (o == NULL || ++w->seen > PW_MIME_PARTS_MAX ||
	    depth > PW_MIME_DEPTH_MAX)
		return;
	if (GMIME_IS_MULTIPART(o)) {
		int n = g_mime_multipart_get_count(GMIME_MULTIPART(o));

		for (int i = 0; i < n; i++)
			walk(w, g_mime_multipart_get_part(GMIME_MULTIPART(o),
			    i), depth + 1);
	} else if (GMIME_IS_MESSAGE_PART(o)) {
		GMimeMessage *m = g_mime_message_part_get_message(
		    GMIME_MESSAGE_PART(o));

		if (m != NULL)
			walk(w, g_mime_message_get_mime_part(m), depth + 1);
	} else if (GMIME_IS_PART(o)) {
		leaf(w, GMIME_PART(o), depth);
	}
}

static void
make(struct pw_parts *p, const struct pw_msgview *v, struct pw_pool *pool)
{
	struct walking w = { .p = p, .pool = pool };
	/* GMime only reads it, and where it lies. */
	GByteArray array = { .data = (guint8 *)(uintptr_t)v->all.ptr,
		.len = (guint)v->all.len };
	GMimeStream *stream;
	GMimeParser *parser;
	GMimeMessage *message;

	if (v->all.len == 0 || pw_structure_bound(v) != NULL)
		return;
	stream = g_mime_stream_mem_new_with_byte_array(&array);
	g_mime_stream_mem_set_owner(GMIME_STREAM_MEM(stream), FALSE);
	parser = g_mime_parser_new_with_stream(stream);
	message = g_mime_parser_construct_message(parser, NULL);
	if (message != NULL) {
		walk(&w, g_mime_message_get_mime_part(message), 0);
		g_object_unref(message);
	}
	g_object_unref(parser);
	g_object_unref(stream);
}

int
pw_parts_get(struct pw_parts *p, const struct pw_msgview *v,
    struct pw_pool *pool, size_t i, struct pw_part *out)
{
	if (!p->made) {
		p->made = true;
		make(p, v, pool);
	}
	*out = (struct pw_part){ 0 };
	if (i >= p->n)
		return -1;
	*out = p->v[i];
	return 0;
}
