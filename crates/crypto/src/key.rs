use alloc::vec::Vec;

use crate::Error;

/// The kinds of signature key that Tamarack uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyType {
    /// NIST P-256, for ECDSA with SHA-256 (COSE ESP256, -9).
    P256,
    /// Ed25519 (COSE Ed25519, -19).
    Ed25519,
}

/// A public signature key. The bytes are as they arrived; whether a P-256 point is on its curve is checked when the key
/// is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PublicKey {
    /// Affine coordinates, 32 bytes each, big-endian.
    P256 {
        /// The x coordinate.
        x: [u8; 32],
        /// The y coordinate.
        y: [u8; 32],
    },
    /// The encoded point of RFC 8032, 32 bytes.
    Ed25519([u8; 32]),
}

/// SubjectPublicKeyInfo of a P-256 key up to and including the 0x04 of the uncompressed point (RFC 5480).
const SPKI_P256: [u8; 27] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];
/// SubjectPublicKeyInfo of an Ed25519 key up to the point (RFC 8410).
const SPKI_ED25519: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

impl PublicKey {
    /// What kind of key it is.
    pub fn key_type(&self) -> KeyType {
        match self {
            Self::P256 { .. } => KeyType::P256,
            Self::Ed25519(_) => KeyType::Ed25519,
        }
    }

    /// The point as the primitives take it: 65 bytes uncompressed SEC 1 for P-256, 32 bytes for Ed25519.
    pub fn to_point(&self) -> Vec<u8> {
        match self {
            Self::P256 { x, y } => [&[4u8][..], x, y].concat(),
            Self::Ed25519(point) => point.to_vec(),
        }
    }

    /// Reads what [`PublicKey::to_point`] writes; the length tells the kind.
    pub fn from_point(point: &[u8]) -> Result<Self, Error> {
        match point {
            [4, xy @ ..] if xy.len() == 64 => {
                let (x, y) = xy.split_at(32);
                Ok(Self::P256 { x: array(x)?, y: array(y)? })
            }
            _ => Ok(Self::Ed25519(array(point)?)),
        }
    }

    /// DER SubjectPublicKeyInfo (RFC 5280): 91 bytes for P-256, 44 for Ed25519.
    pub fn to_spki(&self) -> Vec<u8> {
        match self {
            Self::P256 { x, y } => [&SPKI_P256[..], x, y].concat(),
            Self::Ed25519(point) => [&SPKI_ED25519[..], point].concat(),
        }
    }

    /// Reads a DER SubjectPublicKeyInfo of either kind; a P-256 point must be uncompressed.
    pub fn from_spki(der: &[u8]) -> Result<Self, Error> {
        if let Some(point) = der.strip_prefix(&SPKI_ED25519) {
            return Ok(Self::Ed25519(array(point)?));
        }
        match der.strip_prefix(&SPKI_P256) {
            Some(xy) if xy.len() == 64 => Ok(Self::P256 { x: array(&xy[..32])?, y: array(&xy[32..])? }),
            _ => Err(Error::InvalidKey),
        }
    }
}

/// Whether an encoded Ed25519 point may stand as a public key or as the R of a signature: its y coordinate is below the
/// field prime (RFC 8032 section 5.1.3) and the point is none of the eight of small order, for which one signature fits
/// many messages. Both providers ask this, so that they agree on every signature.
pub fn is_strict_ed25519_point(point: &[u8; 32]) -> bool {
    let mut y = *point;
    y[31] &= 0x7f;
    let above_prime = y[31] == 0x7f && y[1..31].iter().all(|b| *b == 0xff) && y[0] >= 0xed;
    !above_prime && !SMALL_ORDER_Y.contains(&y)
}

/// The y coordinates of the points of order 1, 2, 4 and 8, little-endian: 1, -1, 0 and the two of order 8.
const SMALL_ORDER_Y: [[u8; 32]; 5] = {
    let mut one = [0; 32];
    one[0] = 1;
    let mut minus_one = [0xff; 32];
    minus_one[0] = 0xec;
    minus_one[31] = 0x7f;
    [
        one,
        minus_one,
        [0; 32],
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
            0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
            0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
        ],
    ]
};

fn array(bytes: &[u8]) -> Result<[u8; 32], Error> {
    bytes.try_into().map_err(|_| Error::InvalidKey)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_read_back() {
        let keys = [PublicKey::P256 { x: [1; 32], y: [2; 32] }, PublicKey::Ed25519([3; 32])];
        for key in keys {
            assert_eq!(PublicKey::from_spki(&key.to_spki()), Ok(key));
            assert_eq!(PublicKey::from_point(&key.to_point()), Ok(key));
            assert_eq!(PublicKey::from_spki(&key.to_spki()[1..]), Err(Error::InvalidKey));
        }
    }
}
