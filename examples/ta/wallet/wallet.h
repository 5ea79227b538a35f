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
 * From version 2 it also charges a card, if the bank has put one in: its personalization is deterministic CBOR,
 *   [ "tamarack-wallet-card", 1, pan: tstr of 12 to 19 digits, expiry: tstr of 5 (MM/YY), key: bstr of 32 bytes ]
 * encrypted by the bank to this device (tamarack ta personalize). Neither number nor key ever leave the TEE in the clear.
 * For more than WALLET_CONFIRM_ABOVE since a person last said yes, in one charge or in many, it asks the person at the
 * device, on the device's own panel.
 *
 * A charge is deterministic CBOR: [ card: tstr, number: uint, sealed: bstr ]. card is what people may see, such as
 * "**** 1881"; number counts the charges of this card from 1; sealed is AES-256-GCM under the card's key, with
 * "tamarack-wallet-charge" as additional data: nonce of 12 bytes, ciphertext, tag. Only the bank opens it; inside is
 *   [ "tamarack-wallet-charge", 1, pan, expiry, number, amount: uint, payee: tstr, reference: bstr, confirmed: uint ]
 * confirmed being 1 if a person said yes. The bank takes each number of a card once.
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

/* From version 2. Parameter 0: memory out: what people may see of the card; ITEM_NOT_FOUND without one. */
#define WALLET_CMD_CARD 5u
/* From version 2. Parameters as of WALLET_CMD_PAY, with WALLET_CHARGE_MAX bytes of room; gives a charge. ITEM_NOT_FOUND
 * without a card, NOT_SUPPORTED if a person would have to be asked and there is no panel. */
#define WALLET_CMD_CHARGE 6u

#define WALLET_RECEIPT_MAX 320u
#define WALLET_CHARGE_MAX 320u

/* Most that may be charged without asking a person, in minor units. */
#define WALLET_CONFIRM_ABOVE 2000u
/* Largest charge. */
#define WALLET_CHARGE_LIMIT 100000u

/* The payment would exceed the limit; nothing was spent. */
#define WALLET_ERROR_OVER_LIMIT 0x00010001u
/* The person at the device said no, or nothing; nothing was charged. */
#define WALLET_ERROR_NOT_CONFIRMED 0x00010002u

#endif
