//! The cryptographic [`Provider`] of the Agent: RustCrypto crates only, `no_std` with `alloc`.
//!
//! System randomness comes from `getrandom`; on bare metal whoever integrates the Agent registers a custom backend there.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod jose;
mod keys;
mod symmetric;

use tamarack_crypto::Provider;

/// The provider `rustcrypto`.
pub fn provider() -> Provider {
    Provider {
        name: "rustcrypto",
        sha2: &symmetric::RustCrypto,
        verify: &keys::RustCrypto,
        hmac: &symmetric::RustCrypto,
        hkdf: &symmetric::RustCrypto,
        aead: &symmetric::RustCrypto,
        aead128: &symmetric::RustCrypto,
        certified: &jose::RustCrypto,
        hmac512: &symmetric::RustCrypto,
        cbc: &jose::RustCrypto,
        key_wrap: &jose::RustCrypto,
        agree: &jose::RustCrypto,
        // Every version of the `rsa` crate leaks through timing (RUSTSEC-2023-0071).
        rsa: None,
        random: &keys::RustCrypto,
        keys: &keys::RustCrypto,
    }
}

#[cfg(test)]
mod tests;
