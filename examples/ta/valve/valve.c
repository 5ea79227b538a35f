/* The valve TA; valve.h describes what it does.
 *
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "tee_internal_api.h"
#include "valve.h"

#define MOVEMENTS TEE_NAME("movements")

static TEE_Result load(uint32_t *movements) {
    uint32_t size = sizeof *movements;
    TEE_Result result = TEE_ReadObjectData(MOVEMENTS, movements, &size);
    return result == TEE_SUCCESS && size != sizeof *movements ? TEE_ERROR_BAD_STATE : result;
}

TEE_Result TA_CreateEntryPoint(void) {
    uint32_t movements = 0;
    TEE_Result result = TEE_CreatePersistentObject(MOVEMENTS, &movements, sizeof movements, 0);
    return result == TEE_ERROR_ACCESS_CONFLICT ? TEE_SUCCESS : result;
}

void TA_DestroyEntryPoint(void) {}

TEE_Result TA_OpenSessionEntryPoint(uint32_t param_types, TEE_Param params[4], void **session_context) {
    (void)param_types, (void)params, (void)session_context;
    return TEE_SUCCESS;
}

void TA_CloseSessionEntryPoint(void *session_context) { (void)session_context; }

/* Sends a command and reads the position from the answer. */
static TEE_Result drive(const char *command, uint32_t len, bool *open) {
    char answer[16];
    uint32_t size = sizeof answer;
    TEE_Result result = TEE_PeripheralCommand(TEE_NAME("valve"), command, len, answer, &size);
    if (result != TEE_SUCCESS) return result;
    *open = size == 4 && TEE_MemCompare(answer, "open", 4) == 0;
    bool closed = size == 6 && TEE_MemCompare(answer, "closed", 6) == 0;
    return *open || closed ? TEE_SUCCESS : TEE_ERROR_BAD_STATE;
}

TEE_Result TA_InvokeCommandEntryPoint(void *session_context, uint32_t command, uint32_t param_types,
                                      TEE_Param params[4]) {
    (void)session_context;
    if (command < VALVE_CMD_OPEN || command > VALVE_CMD_STATUS) return TEE_ERROR_NOT_SUPPORTED;
    if (param_types != TEE_PARAM_TYPES(TEE_PARAM_TYPE_VALUE_OUTPUT, 0, 0, 0)) return TEE_ERROR_BAD_PARAMETERS;

    bool was_open, open;
    uint32_t movements;
    TEE_Result result = load(&movements);
    if (result == TEE_SUCCESS) result = drive(TEE_NAME("status"), &was_open);
    if (result != TEE_SUCCESS) return result;
    open = was_open;
    if (command == VALVE_CMD_OPEN) result = drive(TEE_NAME("open"), &open);
    if (command == VALVE_CMD_CLOSE) result = drive(TEE_NAME("close"), &open);
    if (result != TEE_SUCCESS) return result;
    if (command != VALVE_CMD_STATUS && open != (command == VALVE_CMD_OPEN)) return TEE_ERROR_BAD_STATE;
    if (open != was_open) {
        movements += 1;
        result = TEE_WriteObjectData(MOVEMENTS, &movements, sizeof movements);
        if (result != TEE_SUCCESS) return result;
    }
    params[0].value.a = open;
    params[0].value.b = movements;
    return TEE_SUCCESS;
}
