//! Reference values: what may be added, how components are compared with them, and what becomes of devices.

mod add;
mod compare;
mod device;

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use tamarack_corim::{
    AttestKeys, Class, ClassId, Comid, Corim, CryptoKey, Digest, Environment, Id, LinkedTag, MeasuredElement,
    Measurement, MeasurementValues, Profile, Relation, Signer, Svn, Tag, Triple, Validity, sign,
};
use tamarack_cose::{Purpose, VerificationKey};
use tamarack_crypto::Sign;
use tamarack_crypto_rustcrypto::provider;
use tamarack_eat::{Claims, Manifest};
use tamarack_model::{Code, codes};

use super::{Finding, ProviderRole, ReferenceProvider, References, StoredReference};
use crate::tests::{NOW, World, make};
use crate::{Grade, Policy, Tier, assess, claim};

const AGENT: &str = "urn:x-tamarack:agent";
const LAUNCHER: &str = "urn:x-tamarack:launcher";

/// The maker of the devices of [`World`], and a signer of TAs.
struct Sources {
    maker: Box<dyn Sign>,
    signer: Box<dyn Sign>,
}

impl Sources {
    fn new() -> Self {
        Self { maker: make(&provider()), signer: make(&provider()) }
    }

    fn providers(&self) -> Vec<ReferenceProvider> {
        let key = |key: &dyn Sign| {
            vec![VerificationKey::new(key.public_key(), Purpose::ReferenceValues, &provider())]
        };
        vec![
            ReferenceProvider {
                name: "Acme".into(),
                role: ProviderRole::Maker,
                keys: key(&*self.maker),
                scope: vec![environment()],
                elements: None,
                cap: Grade::Hardware,
            },
            ReferenceProvider {
                name: "Bank".into(),
                role: ProviderRole::TaSigner,
                keys: key(&*self.signer),
                scope: vec![environment()],
                elements: Some(vec!["urn:bank".into()]),
                cap: Grade::None,
            },
        ]
    }

    fn references(&self) -> References {
        References::new(self.providers())
    }

    fn signed(&self, corim: &Corim) -> Vec<u8> {
        sign(corim, &Signer::new("Acme"), &*self.maker, None).unwrap()
    }

    /// References with these CoRIMs of the maker.
    #[track_caller]
    fn with(&self, corims: &[Corim]) -> References {
        let mut references = self.references();
        for corim in corims {
            references.add(&self.signed(corim), NOW, &provider()).unwrap();
        }
        references
    }

    #[track_caller]
    fn refused(&self, references: &mut References, corim: &Corim) -> Code {
        self.refused_bytes(references, &self.signed(corim))
    }

    #[track_caller]
    fn refused_bytes(&self, references: &mut References, signed: &[u8]) -> Code {
        let before = (references.entries().to_vec(), references.floors().collect::<Vec<_>>());
        let refusal = references.add(signed, NOW, &provider()).expect_err("refused");
        assert!(!refusal.reason.is_empty());
        let after = (references.entries().to_vec(), references.floors().collect::<Vec<_>>());
        assert_eq!(before, after, "a refusal changes nothing");
        refusal.code
    }
}

/// Devices of the maker, as [`World::claims`] names them.
fn environment() -> Environment {
    Environment::of_class(Class {
        class_id: Some(ClassId::Uuid([2; 16])),
        vendor: Some("02".repeat(16)),
        model: Some("software-tee".into()),
        ..Class::default()
    })
}

fn release(name: &str, digest: [u8; 32], svn: impl Into<Option<u64>>) -> Measurement {
    Measurement {
        element: Some(MeasuredElement::Text(name.into())),
        values: MeasurementValues {
            digests: vec![Digest::sha256(digest)],
            svn: svn.into().map(Svn::Exact),
            ..MeasurementValues::default()
        },
        authorized_by: Vec::new(),
    }
}

fn least(name: &str, svn: u64) -> Measurement {
    let values = MeasurementValues { svn: Some(Svn::AtLeast(svn)), ..MeasurementValues::default() };
    Measurement { values, ..release(name, [0; 32], None) }
}

fn tag(id: &str, version: u64, measurements: Vec<Measurement>) -> Comid {
    let mut tag = Comid::new(Id::Text(id.into()), version);
    tag.reference_values = measurements
        .into_iter()
        .map(|measurement| Triple { environment: environment(), measurements: vec![measurement] })
        .collect();
    tag
}

fn corim(tag: Comid) -> Corim {
    Corim::new(Id::Text("acme/2026".into()), tag)
}

fn values(measurements: Vec<Measurement>) -> Corim {
    corim(tag("firmware", 1, measurements))
}

fn ending(corim: Corim, not_before: Option<u64>, not_after: u64) -> Corim {
    Corim { validity: Some(Validity { not_before, not_after }), ..corim }
}

/// What a device with this Agent is found to be.
fn findings(references: &References, digest: [u8; 32]) -> Vec<Finding> {
    let shown = Triple { environment: environment(), measurements: vec![release(AGENT, digest, None)] };
    references.compare(&shown, NOW).into_iter().map(|found| found.finding).collect()
}

#[track_caller]
fn finding(references: &References, digest: [u8; 32]) -> Finding {
    let found = findings(references, digest);
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

fn matched(svn: impl Into<Option<u64>>, version: u64) -> Finding {
    let by = alloc::format!("Acme in firmware version {version}");
    Finding::Match { by, svn: svn.into() }
}

/// What the maker of [`World`]'s devices released: what they show.
pub(crate) fn released() -> References {
    Sources::new().with(&[values(vec![release(AGENT, [4; 32], 1)])])
}

/// The same with another Agent than the one that they run.
pub(crate) fn other_released() -> References {
    Sources::new().with(&[values(vec![release(AGENT, [9; 32], 1)])])
}

/// [`released`], and the TA `digest` of `environment` under its name by a signer of TAs with the scope `scope`.
pub(crate) fn released_with_ta(
    scope: Environment,
    environment: Environment,
    name: &str,
    digest: [u8; 32],
) -> Result<References, crate::Refusal> {
    let sources = Sources::new();
    let mut providers = sources.providers();
    providers[1].scope = vec![scope];
    providers[1].elements = None;
    let mut references = References::new(providers);
    let firmware = sources.signed(&values(vec![release(AGENT, [4; 32], 1)]));
    references.add(&firmware, NOW, &provider())?;
    let mut tag = Comid::new(Id::Text("tas".into()), 1);
    tag.reference_values = vec![Triple { environment, measurements: vec![release(name, digest, 1)] }];
    let signed = sign(&corim(tag), &Signer::new("Bank"), &*sources.signer, None).unwrap();
    references.add(&signed, NOW, &provider())?;
    Ok(references)
}
