/* SPDX-License-Identifier: ISC */
/*
 * Domain names in text: one spelling for each name, so that names can be
 * compared, filed and logged as strings.  Pure functions, any role, any thread.
 */
#include "dns/wire.h"

#include <stdio.h>

#define LABEL_MAX 63
/* Labels with their length bytes, without the root's: 255 on the wire. */
#define LABELS_MAX 254

/* The text of one byte of a label: 1 or 4 characters. */
static size_t
byte_text(int c, char out[5])
{
	if (c > 0x20 && c < 0x7f && c != '.' && c != '\\') {
		out[0] = (char)pw_lower(c);
		return 1;
	}
	return (size_t)snprintf(out, 5, "\\%03d", c);
}

/* The byte that the text at *POS, not a dot, stands for; moves *POS behind it.
 * -1 for a broken escape. */
static int
byte_at(struct pw_bytes in, size_t *pos)
{
	int c = (unsigned char)in.ptr[(*pos)++];
	int value = 0;

	if (c != '\\')
		return c;
	if (*pos == in.len)
		return -1;
	if (!pw_is_digit(in.ptr[*pos]))
		return (unsigned char)in.ptr[(*pos)++];
	for (int i = 0; i < 3; i++, (*pos)++) {
		if (*pos == in.len || !pw_is_digit(in.ptr[*pos]))
			return -1;
		value = value * 10 + (in.ptr[*pos] - '0');
	}
	return value <= 255 ? value : -1;
}

/* Appends to OUT, which stays NUL-terminated; false when it does not fit. */
static bool
append(char *out, size_t size, size_t *n, const char *text, size_t len)
{
	if (len >= size - *n)
		return false;
	memcpy(out + *n, text, len);
	*n += len;
	out[*n] = '\0';
	return true;
}

static int
to_canonical(struct pw_bytes in, char *out)
{
	size_t pos = 0, n = 0, label = 0, labels = 0;
	char text[5];

	out[0] = '\0';
	while (pos < in.len) {
		if (in.ptr[pos] == '.') {
			if (label == 0)
				return -1;
			label = 0;
			if (++pos < in.len &&
			    !append(out, PW_DNS_NAME_SIZE, &n, ".", 1))
				return -1;
			continue;
		}

		int c = byte_at(in, &pos);
		if (label == 0)
			labels++; /* the length byte */
		if (c < 0 || ++label > LABEL_MAX || ++labels > LABELS_MAX ||
		    !append(
			out, PW_DNS_NAME_SIZE, &n, text, byte_text(c, text)))
			return -1;
	}
	return labels > 0 ? 0 : -1;
}

int
pw_dns_name(struct pw_bytes in, char out[PW_DNS_NAME_SIZE])
{
	if (to_canonical(in, out) == 0)
		return 0;
	out[0] = '\0';
	return -1;
}

int
pw_dns_key(const char *name, char out[PW_DNS_KEY_SIZE])
{
	size_t i;

	if (pw_dns_name(pw_bytes_of(name), out) == 0)
		return 0;
	for (i = 0; i < PW_DNS_KEY_SIZE - 1 && name[i] != '\0'; i++)
		out[i] = (char)pw_lower(name[i]);
	out[i] = '\0';
	return -1;
}

int
pw_dns_name_text(const uint8_t *wire, size_t len, char out[PW_DNS_NAME_TEXT])
{
	size_t pos = 0, n = 0;
	char text[5];

	out[0] = '\0';
	while (pos < len && wire[pos] != 0) {
		size_t label = wire[pos++];

		if (label > LABEL_MAX || label >= len - pos ||
		    pos + label > LABELS_MAX)
			return -1;
		if (n > 0 && !append(out, PW_DNS_NAME_TEXT, &n, ".", 1))
			return -1;
		for (; label > 0; label--, pos++) {
			if (!append(out, PW_DNS_NAME_TEXT, &n, text,
				byte_text(wire[pos], text)))
				return -1;
		}
	}
	return pos + 1 == len ? (int)n : -1;
}
