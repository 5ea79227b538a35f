/* The wallet TA; wallet.h describes what it does. WALLET_VERSION is 1 or 2.
 *
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "tamarack_cbor.h"
#include "tee_internal_api.h"
#include "wallet.h"

#define KEY TEE_NAME("receipt")
#define STATE TEE_NAME("state")
#define LAST TEE_NAME("last")

/* The persistent state, the same in every version. */
typedef struct {
    uint32_t format; /* 1 */
    uint32_t spent;
    uint32_t payments;
} wallet_state;

static TEE_Result load(wallet_state *state) {
    uint32_t size = sizeof *state;
    TEE_Result result = TEE_ReadObjectData(STATE, state, &size);
    if (result == TEE_SUCCESS && (size != sizeof *state || state->format != 1)) return TEE_ERROR_BAD_STATE;
    return result;
}

TEE_Result TA_CreateEntryPoint(void) {
    TEE_Result result = TEE_GenerateKey(KEY, TEE_TYPE_ED25519_KEYPAIR);
    if (result != TEE_SUCCESS && result != TEE_ERROR_ACCESS_CONFLICT) return result;
    wallet_state state = {1, 0, 0};
    result = TEE_CreatePersistentObject(STATE, &state, sizeof state, 0);
    return result == TEE_ERROR_ACCESS_CONFLICT ? load(&state) : result;
}

void TA_DestroyEntryPoint(void) {}

TEE_Result TA_OpenSessionEntryPoint(uint32_t param_types, TEE_Param params[4], void **session_context) {
    (void)param_types, (void)params, (void)session_context;
    return TEE_SUCCESS;
}

void TA_CloseSessionEntryPoint(void *session_context) { (void)session_context; }

static TEE_Result public_key(uint32_t types, TEE_Param params[4]) {
    if (types != TEE_PARAM_TYPES(TEE_PARAM_TYPE_MEMREF_OUTPUT, 0, 0, 0)) return TEE_ERROR_BAD_PARAMETERS;
    return TEE_GetObjectBufferAttribute(KEY, TEE_ATTR_ED25519_PUBLIC_VALUE, params[0].memref.buffer,
                                        &params[0].memref.size);
}

static bool printable(const uint8_t *text, uint32_t len) {
    for (uint32_t i = 0; i < len; i++)
        if (text[i] < 0x20 || text[i] > 0x7e) return false;
    return true;
}

/* The receipt of payment number `state->payments`. */
static TEE_Result write_receipt(const wallet_state *state, uint32_t amount, TEE_Param payee, TEE_Param reference,
                                cbor_writer *receipt) {
    uint8_t uuid[16], buffer[WALLET_RECEIPT_MAX], signature[64];
    uint32_t size = sizeof uuid;
    TEE_Result result = TEE_GetPropertyAsBinaryBlock(TEE_NAME("gpd.ta.appID"), uuid, &size);
    if (result != TEE_SUCCESS) return result;
    TEE_Time now;
    TEE_GetREETime(&now);

    cbor_writer payload = {buffer, sizeof buffer, 0, false};
    cbor_array(&payload, 9);
    cbor_text(&payload, TEE_NAME("tamarack-wallet-receipt"));
    cbor_uint(&payload, 1);
    cbor_bytes(&payload, uuid, sizeof uuid);
    cbor_uint(&payload, state->payments);
    cbor_uint(&payload, amount);
    cbor_text(&payload, payee.memref.buffer, payee.memref.size);
    cbor_bytes(&payload, reference.memref.buffer, reference.memref.size);
    cbor_uint(&payload, state->spent);
    cbor_uint(&payload, now.seconds);
    if (payload.overflow) return TEE_ERROR_GENERIC;

    size = sizeof signature;
    result = TEE_AsymmetricSignMessage(KEY, buffer, payload.length, signature, &size);
    if (result != TEE_SUCCESS) return result;
    cbor_array(receipt, 2);
    cbor_bytes(receipt, buffer, payload.length);
    cbor_bytes(receipt, signature, size);
    return receipt->overflow ? TEE_ERROR_GENERIC : TEE_SUCCESS;
}

/* Checks amount, payee and the merchant's reference, and makes ready to write what comes of them. */
static TEE_Result take_order(uint32_t types, TEE_Param params[4], uint32_t room, cbor_writer *out) {
    if (types != TEE_PARAM_TYPES(TEE_PARAM_TYPE_VALUE_INPUT, TEE_PARAM_TYPE_MEMREF_INPUT,
                                 TEE_PARAM_TYPE_MEMREF_INPUT, TEE_PARAM_TYPE_MEMREF_OUTPUT))
        return TEE_ERROR_BAD_PARAMETERS;
    TEE_Param payee = params[1], reference = params[2];
    if (params[0].value.a == 0 || payee.memref.size < 1 || payee.memref.size > 64 ||
        reference.memref.size < 8 || reference.memref.size > 64 ||
        !printable(payee.memref.buffer, payee.memref.size))
        return TEE_ERROR_BAD_PARAMETERS;
    if (params[3].memref.size < room) {
        params[3].memref.size = room;
        return TEE_ERROR_SHORT_BUFFER;
    }
    *out = (cbor_writer){params[3].memref.buffer, params[3].memref.size, 0, false};
    params[3].memref.size = 0;
    return TEE_SUCCESS;
}

static TEE_Result pay(uint32_t types, TEE_Param params[4]) {
    cbor_writer receipt;
    TEE_Result result = take_order(types, params, WALLET_RECEIPT_MAX, &receipt);
    if (result != TEE_SUCCESS) return result;
    uint32_t amount = params[0].value.a;
    TEE_Param payee = params[1], reference = params[2];

    wallet_state state;
    result = load(&state);
    if (result != TEE_SUCCESS) return result;
    if (state.spent > WALLET_LIMIT || amount > WALLET_LIMIT - state.spent) return WALLET_ERROR_OVER_LIMIT;
    state.spent += amount;
    state.payments += 1;
    result = write_receipt(&state, amount, payee, reference, &receipt);
    if (result != TEE_SUCCESS) return result;
#if WALLET_VERSION >= 2
    result = TEE_CreatePersistentObject(LAST, receipt.buffer, receipt.length, TEE_DATA_FLAG_OVERWRITE);
    if (result != TEE_SUCCESS) return result;
#endif
    result = TEE_WriteObjectData(STATE, &state, sizeof state);
    if (result != TEE_SUCCESS) return result;
    params[3].memref.size = receipt.length;
    return TEE_SUCCESS;
}

static TEE_Result status(uint32_t types, TEE_Param params[4]) {
    if (types != TEE_PARAM_TYPES(TEE_PARAM_TYPE_VALUE_OUTPUT, TEE_PARAM_TYPE_VALUE_OUTPUT, 0, 0))
        return TEE_ERROR_BAD_PARAMETERS;
    wallet_state state;
    TEE_Result result = load(&state);
    if (result != TEE_SUCCESS) return result;
    params[0].value.a = state.payments;
    params[0].value.b = WALLET_VERSION;
    params[1].value.a = state.spent;
    params[1].value.b = WALLET_LIMIT;
    return TEE_SUCCESS;
}

#if WALLET_VERSION >= 2
static TEE_Result last_receipt(uint32_t types, TEE_Param params[4]) {
    if (types != TEE_PARAM_TYPES(TEE_PARAM_TYPE_MEMREF_OUTPUT, 0, 0, 0)) return TEE_ERROR_BAD_PARAMETERS;
    wallet_state state;
    TEE_Result result = load(&state);
    if (result != TEE_SUCCESS) return result;
    return TEE_ReadObjectData(LAST, params[0].memref.buffer, &params[0].memref.size);
}
#endif

#if WALLET_VERSION >= 2
#define PERSONALIZATION TEE_NAME("personalization")
#define CARD_KEY TEE_NAME("card key")
#define CHARGES TEE_NAME("charges")
#define CHARGE TEE_NAME("tamarack-wallet-charge")

typedef struct {
    uint8_t buffer[160];
    const uint8_t *pan, *expiry, *key;
    uint32_t pan_length;
} wallet_card;

/* What was charged to the card that is in. */
typedef struct {
    uint32_t number;
    uint32_t unconfirmed; /* since a person last said yes; at most WALLET_CONFIRM_ABOVE */
} wallet_charges;

/* Takes a byte or text string of a CBOR item off `*at`; its length must lie between least and most. */
static const uint8_t *take(const uint8_t **at, const uint8_t *end, uint8_t major, uint32_t least, uint32_t most,
                           uint32_t *length) {
    if (*at == end || **at >> 5 != major) return 0;
    uint32_t info = *(*at)++ & 31, n = info;
    if (info == 24) {
        if (*at == end || **at < 24) return 0;
        n = *(*at)++;
    } else if (info > 24)
        return 0;
    if (n < least || n > most || n > (uint32_t)(end - *at)) return 0;
    const uint8_t *found = *at;
    *at += n;
    *length = n;
    return found;
}

static bool digits(const uint8_t *text, uint32_t len) {
    for (uint32_t i = 0; i < len; i++)
        if (text[i] < '0' || text[i] > '9') return false;
    return true;
}

/* Reads what the bank put in. */
static TEE_Result load_card(wallet_card *card) {
    static const uint8_t head[] = "\x85\x74" "tamarack-wallet-card" "\x01";
    uint32_t size = sizeof card->buffer, length;
    TEE_Result result = TEE_ReadObjectData(PERSONALIZATION, card->buffer, &size);
    if (result == TEE_ERROR_SHORT_BUFFER) return TEE_ERROR_BAD_STATE;
    if (result != TEE_SUCCESS) return result;
    const uint8_t *at = card->buffer, *end = at + size;
    if (size < sizeof head - 1) return TEE_ERROR_BAD_STATE;
    for (uint32_t i = 0; i < sizeof head - 1; i++)
        if (*at++ != head[i]) return TEE_ERROR_BAD_STATE;
    card->pan = take(&at, end, 3, 12, 19, &card->pan_length);
    if (!card->pan || !digits(card->pan, card->pan_length)) return TEE_ERROR_BAD_STATE;
    card->expiry = take(&at, end, 3, 5, 5, &length);
    if (!card->expiry || !printable(card->expiry, 5)) return TEE_ERROR_BAD_STATE;
    card->key = take(&at, end, 2, 32, 32, &length);
    return card->key && at == end ? TEE_SUCCESS : TEE_ERROR_BAD_STATE;
}

/* What people may see of a card, 9 bytes. */
static void mask(const wallet_card *card, char masked[9]) {
    for (uint32_t i = 0; i < 5; i++) masked[i] = "**** "[i];
    for (uint32_t i = 0; i < 4; i++) masked[5 + i] = (char)card->pan[card->pan_length - 4 + i];
}

static TEE_Result show_card(uint32_t types, TEE_Param params[4]) {
    if (types != TEE_PARAM_TYPES(TEE_PARAM_TYPE_MEMREF_OUTPUT, 0, 0, 0)) return TEE_ERROR_BAD_PARAMETERS;
    wallet_card card;
    TEE_Result result = load_card(&card);
    if (result != TEE_SUCCESS) return result;
    uint32_t room = params[0].memref.size;
    params[0].memref.size = 9;
    if (room < 9) return TEE_ERROR_SHORT_BUFFER;
    mask(&card, params[0].memref.buffer);
    return TEE_SUCCESS;
}

static void say(char *text, uint32_t *at, const void *more, uint32_t len) {
    for (uint32_t i = 0; i < len; i++) text[(*at)++] = ((const char *)more)[i];
}

/* Asks the person at the device. What is asked is made of what is charged, so that it cannot say anything else. */
static TEE_Result confirm(uint32_t amount, TEE_Param payee, const char masked[9]) {
    char text[128], number[10];
    uint32_t at = 0, first = sizeof number, answer = 0;
    do number[--first] = (char)('0' + amount % 10);
    while ((amount /= 10) || first > sizeof number - 3);
    say(text, &at, "Pay ", 4);
    say(text, &at, number + first, sizeof number - 2 - first);
    say(text, &at, ".", 1);
    say(text, &at, number + sizeof number - 2, 2);
    say(text, &at, " to ", 4);
    say(text, &at, payee.memref.buffer, payee.memref.size);
    say(text, &at, " with card ", 11);
    say(text, &at, masked, 9);
    say(text, &at, "?", 1);
    TEE_Result result = TEE_TUIConfirm(text, at, &answer);
    if (result != TEE_SUCCESS) return result;
    return answer == 1 ? TEE_SUCCESS : WALLET_ERROR_NOT_CONFIRMED;
}

/* What was charged to this card; another card than the last one charged, by its key, counts from 1 again. */
static TEE_Result load_charges(const wallet_card *card, wallet_charges *charges, bool *same) {
    uint8_t key[32];
    uint32_t size = sizeof key;
    TEE_Result result = TEE_ReadObjectData(CARD_KEY, key, &size);
    if (result != TEE_SUCCESS && result != TEE_ERROR_ITEM_NOT_FOUND) return result;
    *same = result == TEE_SUCCESS && size == sizeof key && TEE_MemCompare(key, card->key, sizeof key) == 0;
    *charges = (wallet_charges){0, 0};
    if (!*same) return TEE_SUCCESS;
    size = sizeof *charges;
    result = TEE_ReadObjectData(CHARGES, charges, &size);
    if (result != TEE_SUCCESS || size != sizeof *charges || charges->unconfirmed > WALLET_CONFIRM_ABOVE)
        return TEE_ERROR_BAD_STATE;
    return TEE_SUCCESS;
}

static TEE_Result charge(uint32_t types, TEE_Param params[4]) {
    cbor_writer out;
    TEE_Result result = take_order(types, params, WALLET_CHARGE_MAX, &out);
    if (result != TEE_SUCCESS) return result;
    uint32_t amount = params[0].value.a;
    TEE_Param payee = params[1], reference = params[2];
    if (amount > WALLET_CHARGE_LIMIT) return WALLET_ERROR_OVER_LIMIT;

    wallet_card card;
    char masked[9];
    result = load_card(&card);
    if (result != TEE_SUCCESS) return result;
    mask(&card, masked);
    wallet_charges charges;
    bool same;
    result = load_charges(&card, &charges, &same);
    if (result != TEE_SUCCESS) return result;
    /* Many small charges are one large one. */
    uint32_t confirmed = amount > WALLET_CONFIRM_ABOVE - charges.unconfirmed;
    if (confirmed && (result = confirm(amount, payee, masked)) != TEE_SUCCESS) return result;

    if (!same) {
        result = TEE_CreatePersistentObject(CARD_KEY, card.key, 32, TEE_DATA_FLAG_OVERWRITE);
        if (result != TEE_SUCCESS) return result;
    }
    charges.number += 1;
    charges.unconfirmed = confirmed ? 0 : charges.unconfirmed + amount;
    result = TEE_CreatePersistentObject(CHARGES, &charges, sizeof charges, TEE_DATA_FLAG_OVERWRITE);
    if (result != TEE_SUCCESS) return result;

    uint8_t inside[256], sealed[288];
    cbor_writer plain = {inside, sizeof inside, 0, false};
    cbor_array(&plain, 9);
    cbor_text(&plain, CHARGE);
    cbor_uint(&plain, 1);
    cbor_text(&plain, card.pan, card.pan_length);
    cbor_text(&plain, card.expiry, 5);
    cbor_uint(&plain, charges.number);
    cbor_uint(&plain, amount);
    cbor_text(&plain, payee.memref.buffer, payee.memref.size);
    cbor_bytes(&plain, reference.memref.buffer, reference.memref.size);
    cbor_uint(&plain, confirmed);
    if (plain.overflow) return TEE_ERROR_GENERIC;
    uint32_t size = sizeof sealed;
    result = TEE_AEEncrypt(CARD_KEY, CHARGE, inside, plain.length, sealed, &size);
    if (result != TEE_SUCCESS) return result;
    cbor_array(&out, 3);
    cbor_text(&out, masked, 9);
    cbor_uint(&out, charges.number);
    cbor_bytes(&out, sealed, size);
    if (out.overflow) return TEE_ERROR_GENERIC;
    params[3].memref.size = out.length;
    return TEE_SUCCESS;
}
#endif

TEE_Result TA_InvokeCommandEntryPoint(void *session_context, uint32_t command, uint32_t param_types,
                                      TEE_Param params[4]) {
    (void)session_context;
    switch (command) {
    case WALLET_CMD_PUBLIC_KEY: return public_key(param_types, params);
    case WALLET_CMD_PAY: return pay(param_types, params);
    case WALLET_CMD_STATUS: return status(param_types, params);
#if WALLET_VERSION >= 2
    case WALLET_CMD_LAST_RECEIPT: return last_receipt(param_types, params);
    case WALLET_CMD_CARD: return show_card(param_types, params);
    case WALLET_CMD_CHARGE: return charge(param_types, params);
#endif
    default: return TEE_ERROR_NOT_SUPPORTED;
    }
}
