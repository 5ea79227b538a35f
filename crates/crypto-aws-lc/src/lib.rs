//! The cryptographic [`Provider`] of servers and tools: AWS-LC through `aws-lc-rs`.
#![forbid(unsafe_code)]

mod keys;
mod symmetric;

use tamarack_crypto::Provider;

/// The provider `aws-lc`.
pub fn provider() -> Provider {
    Provider {
        name: "aws-lc",
        sha2: &symmetric::AwsLc,
        verify: &keys::AwsLc,
        hmac: &symmetric::AwsLc,
        hkdf: &symmetric::AwsLc,
        aead: &symmetric::AwsLc,
        random: &keys::AwsLc,
        keys: &keys::AwsLc,
    }
}

#[cfg(test)]
mod tests;
