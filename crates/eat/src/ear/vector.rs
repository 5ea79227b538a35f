use core::fmt;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder, Error, ErrorKind};

/// How trustworthy something is, in the four steps of AR4SI (draft-ietf-rats-ar4si section "Trustworthiness Claims").
/// Ordered from best to worst: what nobody says anything about is worse than what somebody affirms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// The verifier affirms it.
    Affirming,
    /// Nobody says anything about it.
    None,
    /// There is something to look at.
    Warning,
    /// It is explicitly not trustworthy.
    Contraindicated,
}

impl Tier {
    /// The number on the wire (EAR: `ear_status`).
    pub fn number(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Affirming => 2,
            Self::Warning => 32,
            Self::Contraindicated => 96,
        }
    }

    /// The tier of this number.
    pub fn from_number(number: u64) -> Option<Self> {
        [Self::Affirming, Self::None, Self::Warning, Self::Contraindicated]
            .into_iter()
            .find(|tier| tier.number() == number)
    }

    /// The step in which a trustworthiness claim lies.
    pub fn of_claim(claim: i8) -> Self {
        match claim {
            -1..=1 => Self::None,
            -32..=-2 | 2..=31 => Self::Affirming,
            -96..=-33 | 32..=95 => Self::Warning,
            i8::MIN..=-97 | 96..=i8::MAX => Self::Contraindicated,
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Affirming => "affirming",
            Self::None => "none",
            Self::Warning => "warning",
            Self::Contraindicated => "contraindicated",
        })
    }
}

/// Values of trustworthiness claims that appraisal here gives (AR4SI section "Trustworthiness Claims").
pub mod claim {
    /// No assertion.
    pub const NO_ASSERTION: i8 = 0;
    /// instance-identity: the instance is recognized and not known to be compromised.
    pub const RECOGNIZED_INSTANCE: i8 = 2;
    /// instance-identity: not recognized, although it should be.
    pub const UNRECOGNIZED_INSTANCE: i8 = 97;
    /// executables: only approved ones were loaded at boot.
    pub const APPROVED_BOOT: i8 = 3;
    /// executables: genuine ones, with known vulnerabilities.
    pub const VULNERABLE_RUNTIME: i8 = 32;
    /// executables: some are not recognized.
    pub const UNRECOGNIZED_RUNTIME: i8 = 33;
    /// executables: some are contraindicated.
    pub const CONTRAINDICATED_RUNTIME: i8 = 96;
    /// hardware: genuine.
    pub const GENUINE_HARDWARE: i8 = 2;
}

/// AR4SI trustworthiness vector. What is absent was not looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrustVector {
    /// 0: whether the attester is who it says.
    pub instance_identity: Option<i8>,
    /// 1: whether it is configured safely.
    pub configuration: Option<i8>,
    /// 2: what runs.
    pub executables: Option<i8>,
    /// 3: what lies in its file system.
    pub file_system: Option<i8>,
    /// 4: what it runs on.
    pub hardware: Option<i8>,
    /// 5: who can look into its memory.
    pub runtime_opaque: Option<i8>,
    /// 6: who can look into its storage.
    pub storage_opaque: Option<i8>,
    /// 7: where its data come from.
    pub sourced_data: Option<i8>,
}

impl TrustVector {
    /// Every claim with its label and name, in the order of the labels.
    pub fn claims(&self) -> [(i64, &'static str, Option<i8>); 8] {
        [
            (0, "instance-identity", self.instance_identity),
            (1, "configuration", self.configuration),
            (2, "executables", self.executables),
            (3, "file-system", self.file_system),
            (4, "hardware", self.hardware),
            (5, "runtime-opaque", self.runtime_opaque),
            (6, "storage-opaque", self.storage_opaque),
            (7, "sourced-data", self.sourced_data),
        ]
    }

    /// The worst tier of the claims that were made; none if none was made.
    pub fn worst(&self) -> Option<Tier> {
        self.claims().into_iter().filter_map(|(.., claim)| claim.map(Tier::of_claim)).max()
    }

    fn claim_mut(&mut self, label: i64) -> Option<&mut Option<i8>> {
        Some(match label {
            0 => &mut self.instance_identity,
            1 => &mut self.configuration,
            2 => &mut self.executables,
            3 => &mut self.file_system,
            4 => &mut self.hardware,
            5 => &mut self.runtime_opaque,
            6 => &mut self.storage_opaque,
            7 => &mut self.sourced_data,
            _ => return None,
        })
    }
}

impl<'b> Decode<'b> for Tier {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        let unknown = d.error(ErrorKind::Value("a tier: 0, 2, 32 or 96"));
        Self::from_number(d.uint()?).ok_or(unknown)
    }
}

impl Encode for Tier {
    fn encode(&self, e: &mut Encoder) {
        e.uint(self.number());
    }
}

/// The map is closed and not empty: what a claim of another number says about trust, nobody here could tell.
impl<'b> Decode<'b> for TrustVector {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        let empty = d.error(ErrorKind::Value("at least one trustworthiness claim"));
        let mut vector = Self::default();
        let count = d.map()?;
        for _ in 0..count {
            let label = d.int()?;
            let at = d.position();
            let slot = vector.claim_mut(label).ok_or(Error::new(at, ErrorKind::UnknownKey(label)))?;
            let claim = i8::try_from(d.int()?);
            *slot = Some(claim.map_err(|_| Error::new(at, ErrorKind::Value("a claim from -128 to 127")))?);
        }
        if count == 0 { Err(empty) } else { Ok(vector) }
    }
}

impl Encode for TrustVector {
    fn encode(&self, e: &mut Encoder) {
        e.map_with(|map| {
            for (label, _, claim) in self.claims() {
                map.optional(label, claim, |e, claim| e.int(claim.into()));
            }
        });
    }
}
