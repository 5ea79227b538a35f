/* The interface of the wallet TA, for its callers and for merchants.
 *
 * The wallet makes an Ed25519 key when it first starts, approves payments until their sum would exceed WALLET_LIMIT, and
 * signs a receipt for each. Key, sum and count are persistent: they outlive restarts and updates of the TA.
 *
 * A receipt is deterministic CBOR: [payload: bstr, signature: bstr of 64 bytes], the signature being Ed25519 over
 * payload. The payload is deterministic CBOR too:
 *   [ "tamarack-wallet-receipt", 1, ta: bstr (UUID, 16 bytes), number: uint, amount: uint, payee: tstr,
 *     reference: bstr, spent: uint, time: uint ]
 * number counts payments from 1, spent includes this one, reference is what the merchant gave (its own nonce), time is
 * seconds since 1970 by a clock that the wallet does not vouch for.
 *
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WALLET_H
#define WALLET_H

/* Most that may be spent in all, in minor units. */
#define WALLET_LIMIT 10000u

/* Parameter 0: memory out, 32 bytes: the public key. */
#define WALLET_CMD_PUBLIC_KEY 1u
/* Parameter 0: value in, a = amount (at least 1). 1: memory in, payee, 1 to 64 bytes of printable ASCII.
 * 2: memory in, merchant's reference, 8 to 64 bytes. 3: memory out, receipt, WALLET_RECEIPT_MAX bytes of room. */
#define WALLET_CMD_PAY 2u
/* Parameter 0: value out, a = payments made, b = version of the TA. 1: value out, a = spent, b = limit. */
#define WALLET_CMD_STATUS 3u
/* From version 2. Parameter 0: memory out: the last receipt once more; ITEM_NOT_FOUND if version 1 made it. */
#define WALLET_CMD_LAST_RECEIPT 4u

#define WALLET_RECEIPT_MAX 320u

/* The payment would exceed the limit; nothing was spent. */
#define WALLET_ERROR_OVER_LIMIT 0x00010001u

#endif
