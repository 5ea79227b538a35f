use tamarack_cbor::{Encode, Encoder};
use tamarack_crypto::{KeyType, Provider};

/// The launch configuration: what the launcher was told that changes what the TEE is. It is measured, so that a maker can say
/// which ones are released; therefore nothing in it is of one device, neither names of files nor numbers.
///
/// Its digest is SHA-256 over a deterministic CBOR map:
///
/// | key | type | meaning |
/// |---|---|---|
/// | 1 | uint | version, 1 |
/// | 2 | tstr | root of trust: `file` or `tpm` |
/// | 3 | int | kind of the attestation keys, as a COSE algorithm: -9 or -19 |
/// | 4 | bool | whether there is a panel |
/// | 5 | bool | whether a missing sandbox layer is an error |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// The root of trust.
    pub root: RootKind,
    /// Kind of the attestation keys.
    pub key_type: KeyType,
    /// Whether there is a panel.
    pub panel: bool,
    /// Whether a missing sandbox layer is an error.
    pub require_sandbox: bool,
}

/// The kinds of root of trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootKind {
    /// In files.
    File,
    /// In a TPM 2.0.
    Tpm,
}

impl RootKind {
    const ALL: [Self; 2] = [Self::File, Self::Tpm];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Tpm => "tpm",
        }
    }

    /// The kind of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl Configuration {
    /// What is measured of it.
    pub fn digest(&self, provider: &Provider) -> [u8; 32] {
        provider.sha256(&self.to_cbor())
    }
}

impl Encode for Configuration {
    fn encode(&self, e: &mut Encoder) {
        let key_type = match self.key_type {
            KeyType::P256 => -9,
            KeyType::Ed25519 => -19,
        };
        e.map_with(|map| {
            map.int(1, |e| e.uint(1))
                .int(2, |e| e.text(self.root.name()))
                .int(3, |e| e.int(key_type))
                .int(4, |e| e.bool(self.panel))
                .int(5, |e| e.bool(self.require_sandbox));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_measured() {
        let provider = tamarack_crypto_rustcrypto::provider();
        let one = Configuration {
            root: RootKind::File,
            key_type: KeyType::Ed25519,
            panel: false,
            require_sandbox: false,
        };
        let all = [
            one,
            Configuration { root: RootKind::Tpm, ..one },
            Configuration { key_type: KeyType::P256, ..one },
            Configuration { panel: true, ..one },
            Configuration { require_sandbox: true, ..one },
        ];
        let digests = all.map(|configuration| configuration.digest(&provider));
        for (i, digest) in digests.iter().enumerate() {
            assert!(!digests[i + 1..].contains(digest), "{:?}", all[i]);
        }
        // Its form is fixed: makers release it.
        assert_eq!(one.to_cbor(), [0xa5, 1, 1, 2, 0x64, b'f', b'i', b'l', b'e', 3, 0x32, 4, 0xf4, 5, 0xf4]);
    }
}
