/* {{name}}: a Trusted Application that echoes what it is given and counts how often it was asked.
 *
 * Command 1: parameter 0 memory in, 1 memory out: the same bytes.
 * Command 2: parameter 0 value out: a = how often command 1 has succeeded, across restarts and updates. */
#include "tee_internal_api.h"

#define COUNT TEE_NAME("count")

static TEE_Result load(uint32_t *count) {
    uint32_t size = sizeof *count;
    return TEE_ReadObjectData(COUNT, count, &size);
}

TEE_Result TA_CreateEntryPoint(void) {
    uint32_t count = 0;
    TEE_Result result = TEE_CreatePersistentObject(COUNT, &count, sizeof count, 0);
    return result == TEE_ERROR_ACCESS_CONFLICT ? TEE_SUCCESS : result; /* it is there from an earlier start */
}

void TA_DestroyEntryPoint(void) {}

TEE_Result TA_OpenSessionEntryPoint(uint32_t param_types, TEE_Param params[4], void **session_context) {
    (void)param_types, (void)params, (void)session_context;
    return TEE_SUCCESS;
}

void TA_CloseSessionEntryPoint(void *session_context) { (void)session_context; }

static TEE_Result echo(uint32_t types, TEE_Param params[4]) {
    if (types != TEE_PARAM_TYPES(TEE_PARAM_TYPE_MEMREF_INPUT, TEE_PARAM_TYPE_MEMREF_OUTPUT, 0, 0))
        return TEE_ERROR_BAD_PARAMETERS;
    uint32_t room = params[1].memref.size, count;
    params[1].memref.size = params[0].memref.size;
    if (room < params[0].memref.size) return TEE_ERROR_SHORT_BUFFER;
    TEE_MemMove(params[1].memref.buffer, params[0].memref.buffer, params[0].memref.size);
    TEE_Result result = load(&count);
    if (result != TEE_SUCCESS) return result;
    count += 1;
    return TEE_WriteObjectData(COUNT, &count, sizeof count);
}

TEE_Result TA_InvokeCommandEntryPoint(void *session_context, uint32_t command, uint32_t param_types,
                                      TEE_Param params[4]) {
    (void)session_context;
    switch (command) {
    case 1: return echo(param_types, params);
    case 2:
        if (param_types != TEE_PARAM_TYPES(TEE_PARAM_TYPE_VALUE_OUTPUT, 0, 0, 0)) return TEE_ERROR_BAD_PARAMETERS;
        return load(&params[0].value.a);
    default: return TEE_ERROR_NOT_SUPPORTED;
    }
}
