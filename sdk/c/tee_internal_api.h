/* The interface of a Trusted Application (TA) for Tamarack, version 1. docs/ta-abi.md describes it completely.
 *
 * Names, types and return codes follow the GlobalPlatform TEE Internal Core API. Where that API works with handles this
 * one is flat: objects and keys are addressed by name in every call, and nothing has to be opened or closed.
 *
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef TAMARACK_TEE_INTERNAL_API_H
#define TAMARACK_TEE_INTERNAL_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- Results ---- */

typedef uint32_t TEE_Result;

#define TEE_SUCCESS 0x00000000u
#define TEE_ERROR_GENERIC 0xFFFF0000u
#define TEE_ERROR_ACCESS_DENIED 0xFFFF0001u
#define TEE_ERROR_ACCESS_CONFLICT 0xFFFF0003u
#define TEE_ERROR_BAD_PARAMETERS 0xFFFF0006u
#define TEE_ERROR_BAD_STATE 0xFFFF0007u
#define TEE_ERROR_ITEM_NOT_FOUND 0xFFFF0008u
#define TEE_ERROR_NOT_SUPPORTED 0xFFFF000Au
#define TEE_ERROR_OUT_OF_MEMORY 0xFFFF000Cu
#define TEE_ERROR_BUSY 0xFFFF000Du
#define TEE_ERROR_SHORT_BUFFER 0xFFFF0010u
#define TEE_ERROR_STORAGE_NO_SPACE 0xFFFF3041u
#define TEE_ERROR_MAC_INVALID 0xFFFF3071u

/* ---- Parameters of a call ---- */

#define TEE_PARAM_TYPE_NONE 0u
#define TEE_PARAM_TYPE_VALUE_INPUT 1u
#define TEE_PARAM_TYPE_VALUE_OUTPUT 2u
#define TEE_PARAM_TYPE_VALUE_INOUT 3u
#define TEE_PARAM_TYPE_MEMREF_INPUT 5u
#define TEE_PARAM_TYPE_MEMREF_OUTPUT 6u
#define TEE_PARAM_TYPE_MEMREF_INOUT 7u

#define TEE_PARAM_TYPES(t0, t1, t2, t3) ((t0) | ((t1) << 4) | ((t2) << 8) | ((t3) << 12))
#define TEE_PARAM_TYPE_GET(t, i) (((t) >> ((i) * 4)) & 0xFu)

typedef union {
    struct {
        void *buffer;
        uint32_t size; /* input: bytes that are there; output: room before, bytes written after */
    } memref;
    struct {
        uint32_t a;
        uint32_t b;
    } value;
} TEE_Param;

/* Room of the memory parameter `index`; differs from memref.size only for MEMREF_INOUT. */
static inline uint32_t tamarack_param_capacity(const TEE_Param params[4], unsigned index) {
    return ((const uint32_t *)params)[10 + index];
}

/* ---- What a TA implements ---- */

#define TA_EXPORT(name) __attribute__((export_name(name), used, visibility("default")))

TA_EXPORT("TA_CreateEntryPoint") TEE_Result TA_CreateEntryPoint(void);
TA_EXPORT("TA_DestroyEntryPoint") void TA_DestroyEntryPoint(void);
TA_EXPORT("TA_OpenSessionEntryPoint")
TEE_Result TA_OpenSessionEntryPoint(uint32_t param_types, TEE_Param params[4], void **session_context);
TA_EXPORT("TA_CloseSessionEntryPoint") void TA_CloseSessionEntryPoint(void *session_context);
TA_EXPORT("TA_InvokeCommandEntryPoint")
TEE_Result TA_InvokeCommandEntryPoint(void *session_context, uint32_t command, uint32_t param_types,
                                      TEE_Param params[4]);

/* ---- What the TEE offers ---- */

#define TEE_IMPORT(name) __attribute__((import_module("tee"), import_name(name)))

#define TEE_DATA_FLAG_OVERWRITE 0x00000400u

/* Stores `data` under `name` (1 to 64 bytes). ACCESS_CONFLICT if there is one already and flags do not say OVERWRITE;
 * STORAGE_NO_SPACE above the quota. What is stored survives restarts and updates of the TA. */
TEE_IMPORT("TEE_CreatePersistentObject")
TEE_Result TEE_CreatePersistentObject(const void *name, uint32_t name_len, const void *data, uint32_t len,
                                      uint32_t flags);
/* Reads a whole object. *size is room before and length after, also with SHORT_BUFFER. */
TEE_IMPORT("TEE_ReadObjectData")
TEE_Result TEE_ReadObjectData(const void *name, uint32_t name_len, void *buffer, uint32_t *size);
/* Replaces the content of an object that exists. */
TEE_IMPORT("TEE_WriteObjectData")
TEE_Result TEE_WriteObjectData(const void *name, uint32_t name_len, const void *data, uint32_t len);
TEE_IMPORT("TEE_CloseAndDeletePersistentObject")
TEE_Result TEE_CloseAndDeletePersistentObject(const void *name, uint32_t name_len);

#define TEE_TYPE_ECDSA_KEYPAIR 0xA1000041u /* always P-256 */
#define TEE_TYPE_ECDH_KEYPAIR 0xA1000042u  /* always P-256; others encrypt to it, it never signs */
#define TEE_TYPE_ED25519_KEYPAIR 0xA1000043u
#define TEE_ATTR_ECC_PUBLIC_VALUE_X 0xD0000141u
#define TEE_ATTR_ECC_PUBLIC_VALUE_Y 0xD0000241u
#define TEE_ATTR_ED25519_PUBLIC_VALUE 0xD0000743u

/* Makes a key pair under `name`, in a name space apart from objects; the private half never enters the TA.
 * ACCESS_CONFLICT if there is one already. */
TEE_IMPORT("TEE_GenerateKey")
TEE_Result TEE_GenerateKey(const void *name, uint32_t name_len, uint32_t type);
/* Gives a public attribute of a key, 32 bytes. */
TEE_IMPORT("TEE_GetObjectBufferAttribute")
TEE_Result TEE_GetObjectBufferAttribute(const void *name, uint32_t name_len, uint32_t attribute, void *buffer,
                                        uint32_t *size);
/* Signs the message itself, not a digest: ECDSA with SHA-256 as r || s, or Ed25519; 64 bytes. */
TEE_IMPORT("TEE_AsymmetricSignMessage")
TEE_Result TEE_AsymmetricSignMessage(const void *name, uint32_t name_len, const void *message, uint32_t len,
                                     void *signature, uint32_t *size);
/* Decrypts a COSE_Encrypt (A128GCM, ECDH-ES+A128KW, "TA Encryption" as its context) to the ECDH key `name`. MAC_INVALID if
 * it is not for this key or was changed. It says nothing about who encrypted: anybody can. */
TEE_IMPORT("TEE_AsymmetricDecrypt")
TEE_Result TEE_AsymmetricDecrypt(const void *name, uint32_t name_len, const void *message, uint32_t len, void *buffer,
                                 uint32_t *size);
TEE_IMPORT("TEE_DeleteKey") TEE_Result TEE_DeleteKey(const void *name, uint32_t name_len);

/* AES-256-GCM with the persistent object `name`, 32 bytes, as its key. `context` is authenticated but not encrypted. The
 * result is a random nonce of 12 bytes, the ciphertext, and a tag of 16 bytes; MAC_INVALID if that was changed, has another
 * context or another key. */
TEE_IMPORT("TEE_AEEncrypt")
TEE_Result TEE_AEEncrypt(const void *name, uint32_t name_len, const void *context, uint32_t context_len, const void *data,
                         uint32_t len, void *buffer, uint32_t *size);
TEE_IMPORT("TEE_AEDecrypt")
TEE_Result TEE_AEDecrypt(const void *name, uint32_t name_len, const void *context, uint32_t context_len, const void *data,
                         uint32_t len, void *buffer, uint32_t *size);

/* Evidence of this TA (an Entity Attestation Token): its manifest id, digest and sequence number, `nonce` (8 to 64 bytes)
 * and the public half of the key `key` (of any type; key_len 0 for none), with what the platform says of itself. About
 * 1.5 KiB with one certificate. docs/ta-attestation.md says how to check it. */
TEE_IMPORT("TEE_Attest")
TEE_Result TEE_Attest(const void *nonce, uint32_t nonce_len, const void *key, uint32_t key_len, void *buffer,
                      uint32_t *size);

/* Shows `text` (at most 512 bytes of UTF-8, one line) with the name of this TA on the device's own panel, which the rich OS
 * cannot see or answer, and waits for a person at most one minute: *answer is 1 for yes. NOT_SUPPORTED without a panel. */
TEE_IMPORT("TEE_TUIConfirm") TEE_Result TEE_TUIConfirm(const char *text, uint32_t len, uint32_t *answer);

TEE_IMPORT("TEE_GenerateRandom") void TEE_GenerateRandom(void *buffer, uint32_t len);

typedef struct {
    uint32_t seconds;
    uint32_t millis;
} TEE_Time;

/* Seconds since 1970. In the software TEE both are the host's clock, which a TA must not trust. */
TEE_IMPORT("TEE_GetSystemTime") void TEE_GetSystemTime(TEE_Time *time);
TEE_IMPORT("TEE_GetREETime") void TEE_GetREETime(TEE_Time *time);

/* "gpd.ta.appID": the UUID of this TA, 16 bytes. "tamarack.ta.manifestId": its manifest component id as text. */
TEE_IMPORT("TEE_GetPropertyAsBinaryBlock")
TEE_Result TEE_GetPropertyAsBinaryBlock(const void *name, uint32_t name_len, void *buffer, uint32_t *size);

/* Sends a command (at most 4096 bytes) to a peripheral that the device binds to this TA; ACCESS_DENIED otherwise. */
TEE_IMPORT("TEE_PeripheralCommand")
TEE_Result TEE_PeripheralCommand(const void *name, uint32_t name_len, const void *command, uint32_t len,
                                 void *buffer, uint32_t *size);

/* A line for the TA's log, UTF-8, at most 1024 bytes. Never log secrets. */
TEE_IMPORT("TEE_LogMessage") void TEE_LogMessage(const char *line, uint32_t len);
/* Ends the TA at once; nothing of the current call is kept. */
TEE_IMPORT("TEE_Panic") _Noreturn void TEE_Panic(TEE_Result code);

/* ---- Runtime of the SDK (runtime.c), inside the TA ---- */

/* Zeroed memory at a multiple of 8, or NULL. */
void *TEE_Malloc(uint32_t size);
void TEE_Free(void *buffer);
void TEE_MemMove(void *to, const void *from, uint32_t len);
void TEE_MemFill(void *buffer, uint8_t value, uint32_t len);
/* 0 if equal; takes the same time wherever the first difference is. */
int32_t TEE_MemCompare(const void *a, const void *b, uint32_t len);

/* A string constant as the pair (pointer, length) that names are given as. */
#define TEE_NAME(literal) (literal), (uint32_t)(sizeof(literal) - 1)

#endif
