use tamarack_crypto::KeyType;

/// The signature and MAC algorithms that can be named in a protected header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// ESP256, -9: ECDSA with P-256 and SHA-256 (RFC 9864).
    Esp256,
    /// Ed25519, -19 (RFC 9864).
    Ed25519,
    /// ES256, -7, deprecated: accepted on P-256 keys by opt-in, never written.
    LegacyEs256,
    /// EdDSA, -8, deprecated: accepted on Ed25519 keys by opt-in, never written.
    LegacyEdDsa,
    /// HMAC 256/256, 5: HMAC-SHA-256 with the full 32-byte tag.
    HmacSha256,
}

impl Algorithm {
    /// The algorithm of this label in the IANA COSE Algorithms registry, if Tamarack implements it.
    pub fn from_label(label: i64) -> Option<Self> {
        Some(match label {
            -9 => Self::Esp256,
            -19 => Self::Ed25519,
            -7 => Self::LegacyEs256,
            -8 => Self::LegacyEdDsa,
            5 => Self::HmacSha256,
            _ => return None,
        })
    }

    /// Its label in the IANA COSE Algorithms registry.
    pub fn label(self) -> i64 {
        match self {
            Self::Esp256 => -9,
            Self::Ed25519 => -19,
            Self::LegacyEs256 => -7,
            Self::LegacyEdDsa => -8,
            Self::HmacSha256 => 5,
        }
    }

    /// The fully specified algorithm of a key of this type.
    pub fn of(key_type: KeyType) -> Self {
        match key_type {
            KeyType::P256 => Self::Esp256,
            KeyType::Ed25519 => Self::Ed25519,
        }
    }

    /// Whether this is a deprecated polymorphic id.
    pub fn is_legacy(self) -> bool {
        matches!(self, Self::LegacyEs256 | Self::LegacyEdDsa)
    }

    /// The type of public key that it needs; none for MACs.
    pub fn key_type(self) -> Option<KeyType> {
        match self {
            Self::Esp256 | Self::LegacyEs256 => Some(KeyType::P256),
            Self::Ed25519 | Self::LegacyEdDsa => Some(KeyType::Ed25519),
            Self::HmacSha256 => None,
        }
    }
}
