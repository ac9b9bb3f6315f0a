/* SPDX-License-Identifier: ISC */
/*
 * Facts: named values about a session or a message, and the list of those that
 * the host itself provides.  Any role.
 */
#include "filters/eval.h"

int
pw_facts_set(struct pw_facts *f, struct pw_pool *pool, const char *name,
    size_t index, const struct pw_fact *value)
{
	struct pw_factrow *row;
	struct pw_bytes text = pw_bytes(value->text.ptr, value->text.len);

	if (index > PW_FACT_INDEX_MAX || text.len > PW_FACT_TEXT_MAX)
		return -1;
	text = pw_pool_copy(pool, text);
	if (text.ptr == NULL)
		return -1;
	for (row = f->first; row != NULL; row = row->next)
		if (row->index == index && strcmp(row->name, name) == 0)
			break;
	if (row == NULL) {
		row = pw_pool_alloc(pool, sizeof(*row));
		if (row == NULL)
			return -1;
		row->name = pw_pool_cstr(pool, pw_bytes_of(name));
		row->index = (uint32_t)index;
		if (row->name == NULL)
			return -1;
		if (f->last != NULL)
			f->last->next = row;
		else
			f->first = row;
		f->last = row;
		f->count++;
	}
	row->value = *value;
	row->value.text = (struct pw_slice){ text.ptr, text.len };
	return 0;
}

const struct pw_fact *
pw_facts_get(const struct pw_facts *f, const char *name, size_t index)
{
	if (f == NULL)
		return NULL;
	for (const struct pw_factrow *r = f->first; r != NULL; r = r->next)
		if (r->index == index && strcmp(r->name, name) == 0)
			return &r->value;
	return NULL;
}

bool
pw_host_has_fact(const char *name)
{
	static const char *const names[] = { "peer.ip", "peer.port",
		"listener", "tls.version", "tls.cipher", "trusted",
		"session.early_text", "helo.name", "helo.esmtp", "mail.address", "mail.local",
		"mail.domain", "mail.size", "mail.smtputf8", "rcpt.address",
		"message.size", "message.header_len", "message.hops",
		"message.long_line", "host.name", "host.authserv_id", "time" };

	for (size_t i = 0; i < PW_COUNT(names); i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}
