/* The part of the SDK that lives inside the TA: memory, and the area that parameters are passed in.
 * Compile it together with the TA.
 *
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "tee_internal_api.h"

/* ---- What the compiler expects to find ---- */

void *memcpy(void *restrict to, const void *restrict from, size_t len) {
    uint8_t *t = to;
    const uint8_t *f = from;
    while (len--) *t++ = *f++;
    return to;
}

void *memmove(void *to, const void *from, size_t len) {
    uint8_t *t = to;
    const uint8_t *f = from;
    if (t <= f) return memcpy(to, from, len);
    while (len--) t[len] = f[len];
    return to;
}

void *memset(void *buffer, int value, size_t len) {
    uint8_t *b = buffer;
    while (len--) *b++ = (uint8_t)value;
    return buffer;
}

void TEE_MemMove(void *to, const void *from, uint32_t len) { memmove(to, from, len); }
void TEE_MemFill(void *buffer, uint8_t value, uint32_t len) { memset(buffer, value, len); }

int32_t TEE_MemCompare(const void *a, const void *b, uint32_t len) {
    const uint8_t *x = a, *y = b;
    uint32_t difference = 0;
    while (len--) difference |= (uint32_t)(*x++ ^ *y++);
    return difference != 0;
}

/* ---- Allocator: first fit in one list of blocks, neighbours joined when freed ---- */

#define PAGE 65536u

typedef struct block {
    struct block *next; /* the block behind this one in memory, NULL for the last */
    uint32_t size;      /* bytes after this header, a multiple of 8 */
    uint32_t used;
    uint32_t pad;
} block;

extern uint8_t __heap_base; /* set by the linker */
static block *first;

/* A block of at least `size` bytes at the end of memory. */
static block *grow(block *last, uint32_t size) {
    uint32_t pages = (size + (uint32_t)sizeof(block) + PAGE - 1) / PAGE;
    size_t old = __builtin_wasm_memory_grow(0, pages);
    if (old == (size_t)-1) return NULL;
    block *new = (block *)(old * PAGE);
    new->next = NULL;
    new->size = pages * PAGE - (uint32_t)sizeof(block);
    new->used = 0;
    if (last) last->next = new;
    return new;
}

/* What lies between the program's data and the end of the initial memory. */
static block *initial(void) {
    uintptr_t start = ((uintptr_t)&__heap_base + 7) & ~(uintptr_t)7;
    uintptr_t end = (uintptr_t)__builtin_wasm_memory_size(0) * PAGE;
    if (end < start + 2 * sizeof(block)) return grow(NULL, 0);
    block *new = (block *)start;
    new->next = NULL;
    new->size = (uint32_t)(end - start - sizeof(block)) & ~7u;
    new->used = 0;
    return new;
}

void *TEE_Malloc(uint32_t size) {
    if (size > 0x40000000u) return NULL;
    size = size ? (size + 7) & ~7u : 8;
    if (!first) first = initial();
    block *last = NULL;
    for (block *b = first; b || (b = grow(last, size)); last = b, b = b->next) {
        if (b->used || b->size < size) continue;
        if (b->size >= size + sizeof(block) + 8) {
            block *rest = (block *)((uint8_t *)(b + 1) + size);
            rest->next = b->next;
            rest->size = b->size - size - (uint32_t)sizeof(block);
            rest->used = 0;
            b->next = rest;
            b->size = size;
        }
        b->used = 1;
        memset(b + 1, 0, b->size);
        return b + 1;
    }
    return NULL;
}

void TEE_Free(void *buffer) {
    if (!buffer) return;
    ((block *)buffer - 1)->used = 0;
    for (block *b = first; b; b = b->next)
        while (!b->used && b->next && !b->next->used && (uint8_t *)(b + 1) + b->size == (uint8_t *)b->next) {
            b->size += b->next->size + (uint32_t)sizeof(block);
            b->next = b->next->next;
        }
}

/* ---- The parameter area (version 1 of the interface) ---- */

static void *area;
static uint32_t area_size;

TA_EXPORT("tamarack_params_v1") void *tamarack_params_v1(uint32_t size) {
    if (size > area_size) {
        TEE_Free(area);
        area = TEE_Malloc(size);
        area_size = area ? size : 0;
    }
    return area;
}
