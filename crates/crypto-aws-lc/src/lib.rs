//! The cryptographic [`Provider`] of servers and tools: AWS-LC through `aws-lc-rs`.
#![forbid(unsafe_code)]

mod jose;
mod keys;
mod rsa;
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
        aead128: &symmetric::AwsLc,
        certified: &jose::AwsLc,
        hmac512: &symmetric::AwsLc,
        cbc: &jose::AwsLc,
        key_wrap: &jose::AwsLc,
        agree: &jose::AwsLc,
        rsa: Some(&rsa::AwsLc),
        random: &keys::AwsLc,
        keys: &keys::AwsLc,
    }
}

#[cfg(test)]
mod tests;
