/* The vault TA: a tenant's data on a machine of somebody else. It gets the tenant's data key only after it has proven what it
 * is, and adds up records that nobody outside can read.
 *
 * VAULT_ATTEST  in: memory input, a nonce of 32 bytes; memory output, room for Evidence (about 2 KiB)
 *               A new ECDH key is made; Evidence names it and the nonce. A key that was attested before is gone.
 * VAULT_UNLOCK  in: memory input, a COSE_Encrypt to the attested key of the nonce (32 bytes) and the data key (32 bytes)
 *               Takes the data key; the sum begins at 0. The ECDH key and the nonce are used up.
 * VAULT_ADD     in: memory input, a record sealed with the data key, context "vault record"; value output: its number
 *               A record is its number (from 1, one after the other) and an amount, u32 little-endian each.
 * VAULT_TOTAL   in: memory output, room for 40 bytes
 *               The number of records and their sum, u32 and u64 little-endian, sealed with the data key, context "vault total".
 * VAULT_STATUS  value output: whether there is a data key (0 or 1), and the number of records
 *
 * Sealed is AES-256-GCM: a nonce of 12 bytes, the ciphertext, a tag of 16 bytes.
 *
 * Whoever hands in a data key of his own finds nothing: the sum begins at 0 then, and the tenant's records do not open.
 *
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef VAULT_H
#define VAULT_H

#define VAULT_ATTEST 0
#define VAULT_UNLOCK 1
#define VAULT_ADD 2
#define VAULT_TOTAL 3
#define VAULT_STATUS 4

/* A record has another number than the next one, or a release another nonce than the last that was attested. */
#define VAULT_ERROR_OUT_OF_ORDER 0x00000001u
/* There is no data key yet. */
#define VAULT_ERROR_LOCKED 0x00000002u

#endif
