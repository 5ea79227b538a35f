/* Writes deterministic CBOR (RFC 8949 section 4.2.1) into a buffer: just what receipts and reports need.
 *
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef TAMARACK_CBOR_H
#define TAMARACK_CBOR_H

#include "tee_internal_api.h"

typedef struct {
    uint8_t *buffer;
    uint32_t capacity;
    uint32_t length;
    bool overflow; /* something did not fit; what is in the buffer is then not to be used */
} cbor_writer;

static inline void cbor_raw(cbor_writer *w, const void *bytes, uint32_t len) {
    if (len > w->capacity - w->length) {
        w->overflow = true;
        return;
    }
    TEE_MemMove(w->buffer + w->length, bytes, len);
    w->length += len;
}

static inline void cbor_head(cbor_writer *w, uint8_t major, uint32_t value) {
    uint8_t head[5] = {(uint8_t)(major << 5)};
    uint32_t extra = value < 24 ? 0 : value < 0x100 ? 1 : value < 0x10000 ? 2 : 4;
    head[0] |= extra == 0 ? (uint8_t)value : extra == 1 ? 24 : extra == 2 ? 25 : 26;
    for (uint32_t i = 0; i < extra; i++) head[1 + i] = (uint8_t)(value >> (8 * (extra - 1 - i)));
    cbor_raw(w, head, 1 + extra);
}

static inline void cbor_uint(cbor_writer *w, uint32_t value) { cbor_head(w, 0, value); }
static inline void cbor_array(cbor_writer *w, uint32_t count) { cbor_head(w, 4, count); }

static inline void cbor_bytes(cbor_writer *w, const void *bytes, uint32_t len) {
    cbor_head(w, 2, len);
    cbor_raw(w, bytes, len);
}

/* The caller answers for `text` being UTF-8. */
static inline void cbor_text(cbor_writer *w, const void *text, uint32_t len) {
    cbor_head(w, 3, len);
    cbor_raw(w, text, len);
}

#endif
