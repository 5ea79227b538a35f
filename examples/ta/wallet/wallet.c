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

static TEE_Result pay(uint32_t types, TEE_Param params[4]) {
    if (types != TEE_PARAM_TYPES(TEE_PARAM_TYPE_VALUE_INPUT, TEE_PARAM_TYPE_MEMREF_INPUT,
                                 TEE_PARAM_TYPE_MEMREF_INPUT, TEE_PARAM_TYPE_MEMREF_OUTPUT))
        return TEE_ERROR_BAD_PARAMETERS;
    uint32_t amount = params[0].value.a;
    TEE_Param payee = params[1], reference = params[2];
    if (amount == 0 || payee.memref.size < 1 || payee.memref.size > 64 || reference.memref.size < 8 ||
        reference.memref.size > 64 || !printable(payee.memref.buffer, payee.memref.size))
        return TEE_ERROR_BAD_PARAMETERS;
    if (params[3].memref.size < WALLET_RECEIPT_MAX) {
        params[3].memref.size = WALLET_RECEIPT_MAX;
        return TEE_ERROR_SHORT_BUFFER;
    }
    cbor_writer receipt = {params[3].memref.buffer, params[3].memref.size, 0, false};
    params[3].memref.size = 0;

    wallet_state state;
    TEE_Result result = load(&state);
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

TEE_Result TA_InvokeCommandEntryPoint(void *session_context, uint32_t command, uint32_t param_types,
                                      TEE_Param params[4]) {
    (void)session_context;
    switch (command) {
    case WALLET_CMD_PUBLIC_KEY: return public_key(param_types, params);
    case WALLET_CMD_PAY: return pay(param_types, params);
    case WALLET_CMD_STATUS: return status(param_types, params);
#if WALLET_VERSION >= 2
    case WALLET_CMD_LAST_RECEIPT: return last_receipt(param_types, params);
#endif
    default: return TEE_ERROR_NOT_SUPPORTED;
    }
}
