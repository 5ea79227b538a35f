/* The vault TA; vault.h describes what it does.
 *
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "tee_internal_api.h"
#include "vault.h"

#define RELEASE_KEY TEE_NAME("release")
#define NONCE TEE_NAME("nonce")
#define DATA_KEY TEE_NAME("data-key")
#define STATE TEE_NAME("state")
#define RECORD TEE_NAME("vault record")
#define TOTAL TEE_NAME("vault total")

#define NONCE_SIZE 32u
#define KEY_SIZE 32u

typedef struct {
    uint32_t format; /* 1 */
    uint32_t records;
    uint64_t sum;
} vault_state;

static TEE_Result load(vault_state *state) {
    uint32_t size = sizeof *state;
    TEE_Result result = TEE_ReadObjectData(STATE, state, &size);
    if (result == TEE_ERROR_ITEM_NOT_FOUND) return VAULT_ERROR_LOCKED;
    if (result == TEE_SUCCESS && (size != sizeof *state || state->format != 1)) return TEE_ERROR_BAD_STATE;
    return result;
}

static TEE_Result store(const vault_state *state) {
    return TEE_CreatePersistentObject(STATE, state, sizeof *state, TEE_DATA_FLAG_OVERWRITE);
}

TEE_Result TA_CreateEntryPoint(void) { return TEE_SUCCESS; }

void TA_DestroyEntryPoint(void) {}

TEE_Result TA_OpenSessionEntryPoint(uint32_t param_types, TEE_Param params[4], void **session_context) {
    (void)param_types, (void)params, (void)session_context;
    return TEE_SUCCESS;
}

void TA_CloseSessionEntryPoint(void *session_context) { (void)session_context; }

static TEE_Result attest(uint32_t types, TEE_Param params[4]) {
    if (types != TEE_PARAM_TYPES(TEE_PARAM_TYPE_MEMREF_INPUT, TEE_PARAM_TYPE_MEMREF_OUTPUT, 0, 0) ||
        params[0].memref.size != NONCE_SIZE)
        return TEE_ERROR_BAD_PARAMETERS;
    TEE_Result result = TEE_DeleteKey(RELEASE_KEY);
    if (result != TEE_SUCCESS && result != TEE_ERROR_ITEM_NOT_FOUND) return result;
    result = TEE_GenerateKey(RELEASE_KEY, TEE_TYPE_ECDH_KEYPAIR);
    if (result != TEE_SUCCESS) return result;
    result = TEE_CreatePersistentObject(NONCE, params[0].memref.buffer, NONCE_SIZE, TEE_DATA_FLAG_OVERWRITE);
    if (result != TEE_SUCCESS) return result;
    return TEE_Attest(params[0].memref.buffer, NONCE_SIZE, RELEASE_KEY, params[1].memref.buffer, &params[1].memref.size);
}

static TEE_Result unlock(uint32_t types, TEE_Param params[4]) {
    if (types != TEE_PARAM_TYPES(TEE_PARAM_TYPE_MEMREF_INPUT, 0, 0, 0)) return TEE_ERROR_BAD_PARAMETERS;
    struct {
        uint8_t nonce[NONCE_SIZE];
        uint8_t key[KEY_SIZE];
    } release;
    uint8_t nonce[NONCE_SIZE];
    uint32_t size = sizeof nonce;
    TEE_Result result = TEE_ReadObjectData(NONCE, nonce, &size);
    if (result == TEE_ERROR_ITEM_NOT_FOUND) return VAULT_ERROR_OUT_OF_ORDER;
    if (result != TEE_SUCCESS) return result;
    size = sizeof release;
    result = TEE_AsymmetricDecrypt(RELEASE_KEY, params[0].memref.buffer, params[0].memref.size, &release, &size);
    if (result == TEE_ERROR_SHORT_BUFFER) return TEE_ERROR_BAD_PARAMETERS;
    if (result != TEE_SUCCESS) return result;
    if (size != sizeof release || TEE_MemCompare(release.nonce, nonce, sizeof nonce) != 0)
        result = VAULT_ERROR_OUT_OF_ORDER;
    else
        result = TEE_CreatePersistentObject(DATA_KEY, release.key, sizeof release.key, TEE_DATA_FLAG_OVERWRITE);
    TEE_MemFill(&release, 0, sizeof release);
    if (result != TEE_SUCCESS) return result;
    /* What was added up under another key is not for the holder of this one. */
    vault_state empty = {1, 0, 0};
    result = store(&empty);
    if (result == TEE_SUCCESS) result = TEE_DeleteKey(RELEASE_KEY);
    return result == TEE_SUCCESS ? TEE_CloseAndDeletePersistentObject(NONCE) : result;
}

static TEE_Result add(uint32_t types, TEE_Param params[4]) {
    if (types != TEE_PARAM_TYPES(TEE_PARAM_TYPE_MEMREF_INPUT, TEE_PARAM_TYPE_VALUE_OUTPUT, 0, 0))
        return TEE_ERROR_BAD_PARAMETERS;
    vault_state state;
    TEE_Result result = load(&state);
    if (result != TEE_SUCCESS) return result;
    struct {
        uint32_t number;
        uint32_t amount;
    } record;
    uint32_t size = sizeof record;
    result =
        TEE_AEDecrypt(DATA_KEY, RECORD, params[0].memref.buffer, params[0].memref.size, &record, &size);
    if (result == TEE_ERROR_SHORT_BUFFER) return TEE_ERROR_BAD_PARAMETERS;
    if (result != TEE_SUCCESS) return result;
    if (size != sizeof record) return TEE_ERROR_BAD_PARAMETERS;
    if (record.number != state.records + 1) return VAULT_ERROR_OUT_OF_ORDER;
    state.records = record.number;
    state.sum += record.amount;
    TEE_MemFill(&record, 0, sizeof record);
    params[1].value.a = state.records;
    params[1].value.b = 0;
    return store(&state);
}

static TEE_Result total(uint32_t types, TEE_Param params[4]) {
    if (types != TEE_PARAM_TYPES(TEE_PARAM_TYPE_MEMREF_OUTPUT, 0, 0, 0)) return TEE_ERROR_BAD_PARAMETERS;
    vault_state state;
    TEE_Result result = load(&state);
    if (result != TEE_SUCCESS) return result;
    uint8_t plain[sizeof state.records + sizeof state.sum];
    TEE_MemMove(plain, &state.records, sizeof state.records);
    TEE_MemMove(plain + sizeof state.records, &state.sum, sizeof state.sum);
    return TEE_AEEncrypt(DATA_KEY, TOTAL, plain, sizeof plain, params[0].memref.buffer, &params[0].memref.size);
}

static TEE_Result status(uint32_t types, TEE_Param params[4]) {
    if (types != TEE_PARAM_TYPES(TEE_PARAM_TYPE_VALUE_OUTPUT, 0, 0, 0)) return TEE_ERROR_BAD_PARAMETERS;
    vault_state state = {1, 0, 0};
    TEE_Result result = load(&state);
    if (result != TEE_SUCCESS && result != VAULT_ERROR_LOCKED) return result;
    params[0].value.a = result == TEE_SUCCESS;
    params[0].value.b = state.records;
    return TEE_SUCCESS;
}

TEE_Result TA_InvokeCommandEntryPoint(void *session_context, uint32_t command, uint32_t param_types,
                                      TEE_Param params[4]) {
    (void)session_context;
    switch (command) {
    case VAULT_ATTEST:
        return attest(param_types, params);
    case VAULT_UNLOCK:
        return unlock(param_types, params);
    case VAULT_ADD:
        return add(param_types, params);
    case VAULT_TOTAL:
        return total(param_types, params);
    case VAULT_STATUS:
        return status(param_types, params);
    default:
        return TEE_ERROR_NOT_SUPPORTED;
    }
}
