use der::asn1::ObjectIdentifier;

/// What a certified key is for. Each role is an extended key usage (RFC 5280 section 4.2.1.12) of its own, so that a
/// certificate of one role is worth nothing in another.
///
/// The object identifiers lie under 1.3.6.1.4.1.61999.1, an arc that stands in until the project has a private
/// enterprise number of its own; changing it means issuing all certificates again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Signs TEEP messages as a TAM.
    Tam,
    /// Signs Evidence as a TEE's attestation key.
    Tee,
    /// Signs manifests as a Trusted Component Signer.
    Developer,
    /// Signs OTrP messages as a TAM, and has answers encrypted to itself.
    OtrpTam,
    /// Signs OTrP messages as a TEE, and has requests encrypted to itself.
    OtrpTee,
    /// Signs the trusted firmware data of OTrP.
    Firmware,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 6] =
        [Self::Tam, Self::Tee, Self::Developer, Self::OtrpTam, Self::OtrpTee, Self::Firmware];

    /// The arcs of the extended key usage.
    pub fn oid(self) -> &'static [u64] {
        match self {
            Self::Tam => &[1, 3, 6, 1, 4, 1, 61999, 1, 1],
            Self::Tee => &[1, 3, 6, 1, 4, 1, 61999, 1, 2],
            Self::Developer => &[1, 3, 6, 1, 4, 1, 61999, 1, 3],
            Self::OtrpTam => &[1, 3, 6, 1, 4, 1, 61999, 1, 4],
            Self::OtrpTee => &[1, 3, 6, 1, 4, 1, 61999, 1, 5],
            Self::Firmware => &[1, 3, 6, 1, 4, 1, 61999, 1, 6],
        }
    }

    /// The same as an object identifier.
    pub(crate) fn object_identifier(self) -> ObjectIdentifier {
        match self {
            Self::Tam => ObjectIdentifier::new_unwrap("1.3.6.1.4.1.61999.1.1"),
            Self::Tee => ObjectIdentifier::new_unwrap("1.3.6.1.4.1.61999.1.2"),
            Self::Developer => ObjectIdentifier::new_unwrap("1.3.6.1.4.1.61999.1.3"),
            Self::OtrpTam => ObjectIdentifier::new_unwrap("1.3.6.1.4.1.61999.1.4"),
            Self::OtrpTee => ObjectIdentifier::new_unwrap("1.3.6.1.4.1.61999.1.5"),
            Self::Firmware => ObjectIdentifier::new_unwrap("1.3.6.1.4.1.61999.1.6"),
        }
    }
}

impl core::fmt::Display for Role {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Tam => "TAM",
            Self::Tee => "TEE",
            Self::Developer => "developer",
            Self::OtrpTam => "OTrP TAM",
            Self::OtrpTee => "OTrP TEE",
            Self::Firmware => "firmware",
        })
    }
}
