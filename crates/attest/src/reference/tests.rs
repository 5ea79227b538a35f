use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use tamarack_corim::{
    AttestKeys, Class, ClassId, Comid, Corim, CryptoKey, Digest, DigestAlgorithm, Environment, Id, LinkedTag,
    MeasuredElement, Measurement, MeasurementValues, Profile, Relation, Signer, Svn, Tag, Triple, Validity,
    sign,
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

#[test]
fn components_are_found_as_their_providers_say() {
    let sources = Sources::new();
    let agent = |digest: u8, svn: u64| release(AGENT, [digest; 32], svn);
    let past = |corim| ending(corim, None, NOW);
    let cases: Vec<(&str, Vec<Corim>, Finding)> = vec![
        ("released", vec![values(vec![agent(4, 1)])], matched(1, 1)),
        ("released, without svn", vec![values(vec![release(AGENT, [4; 32], None)])], matched(None, 1)),
        ("one of several", vec![values(vec![agent(3, 1), agent(4, 2), agent(5, 3)])], matched(2, 1)),
        ("another", vec![values(vec![agent(5, 1)])], Finding::NoMatch),
        ("nobody says", vec![], Finding::Unknown),
        ("least reached", vec![values(vec![agent(4, 5), least(AGENT, 5)])], matched(5, 1)),
        (
            "too low",
            vec![values(vec![agent(4, 4), least(AGENT, 5)])],
            Finding::Outdated { svn: Some(4), least: 5 },
        ),
        (
            "no svn where one is asked for",
            vec![values(vec![release(AGENT, [4; 32], None), least(AGENT, 5)])],
            Finding::Outdated { svn: None, least: 5 },
        ),
        (
            "the highest least counts",
            vec![values(vec![agent(4, 6), least(AGENT, 5), least(AGENT, 7)])],
            Finding::Outdated { svn: Some(6), least: 7 },
        ),
        ("a least of something else", vec![values(vec![agent(4, 4), least("urn:x", 5)])], matched(4, 1)),
        ("not begun", vec![ending(values(vec![agent(4, 1)]), Some(NOW + 1), NOW + 2)], Finding::Expired),
        ("last second", vec![past(values(vec![agent(4, 1)]))], matched(1, 1)),
        (
            "replaced by a higher version",
            vec![values(vec![agent(4, 1)]), corim(tag("firmware", 2, vec![agent(5, 2)]))],
            Finding::NoMatch,
        ),
        (
            "still in the higher version",
            vec![values(vec![agent(4, 1)]), corim(tag("firmware", 2, vec![agent(4, 1), agent(5, 2)]))],
            matched(1, 2),
        ),
    ];
    for (what, corims, expected) in cases {
        assert_eq!(finding(&sources.with(&corims), [4; 32]), expected, "{what}");
    }
}

#[test]
fn what_permits_ends_and_what_forbids_does_not() {
    let sources = Sources::new();
    let short = ending(corim(tag("least", 1, vec![least(AGENT, 5)])), None, NOW);
    let long = values(vec![release(AGENT, [4; 32], 4)]);
    let references = sources.with(&[short, long]);
    let shown = Triple { environment: environment(), measurements: vec![release(AGENT, [4; 32], None)] };
    for now in [NOW, NOW + 1, NOW + 1_000_000] {
        let found = &references.compare(&shown, now)[0].finding;
        assert_eq!(*found, Finding::Outdated { svn: Some(4), least: 5 }, "{now}");
    }
    let short = sources.with(&[ending(values(vec![release(AGENT, [4; 32], 4)]), None, NOW)]);
    assert_eq!(short.compare(&shown, NOW + 1)[0].finding, Finding::Expired);
}

#[test]
fn a_clock_before_the_validity_trusts_nothing() {
    let sources = Sources::new();
    let references = sources.with(&[ending(values(vec![release(AGENT, [4; 32], 1)]), Some(NOW), NOW + 9)]);
    let shown = Triple { environment: environment(), measurements: vec![release(AGENT, [4; 32], None)] };
    for (now, good) in [(0, false), (NOW - 1, false), (NOW, true), (NOW + 9, true), (NOW + 10, false)] {
        let found = &references.compare(&shown, now)[0].finding;
        assert_eq!(found.code().is_none(), good, "{now}: {found:?}");
        assert!(good || *found == Finding::Expired);
    }
}

#[test]
fn a_signature_ends_too() {
    let sources = Sources::new();
    let signer = Signer { name: "Acme".into(), not_before: None, not_after: Some(NOW) };
    let signed = sign(&values(vec![release(AGENT, [4; 32], 1)]), &signer, &*sources.maker, None).unwrap();
    let mut references = sources.references();
    references.add(&signed, NOW, &provider()).unwrap();
    assert_eq!(references.entries()[0].validity(), (0, NOW));
    let late = sources.references().add(&signed, NOW + 1, &provider()).unwrap_err();
    assert_eq!(late.code, codes::REFERENCE_EXPIRED);
}

#[test]
fn components_of_the_maker_must_be_shown_and_those_of_others_need_not() {
    let sources = Sources::new();
    let both = values(vec![release(AGENT, [4; 32], 1), release(LAUNCHER, [5; 32], 1)]);
    let mut references = sources.with(&[both]);
    assert_eq!(findings(&references, [4; 32]), [matched(1, 1), Finding::NotShown]);

    let ta = corim(tag("wallet", 1, vec![release("urn:bank:wallet", [9; 32], 1)]));
    let signed = sign(&ta, &Signer::new("Bank"), &*sources.signer, None).unwrap();
    references.add(&signed, NOW, &provider()).unwrap();
    assert_eq!(findings(&references, [4; 32]), [matched(1, 1), Finding::NotShown]);
    let shown = Triple {
        environment: environment(),
        measurements: vec![
            release(AGENT, [4; 32], None),
            release(LAUNCHER, [5; 32], None),
            release("urn:bank:wallet", [8; 32], None),
        ],
    };
    let found: Vec<Finding> = references.compare(&shown, NOW).into_iter().map(|f| f.finding).collect();
    assert_eq!(found[2], Finding::NoMatch);
}

#[test]
fn malformed_unsigned_and_foreign_ones_are_refused() {
    let sources = Sources::new();
    let good = values(vec![release(AGENT, [4; 32], 1)]);
    let signed = sources.signed(&good);
    let stranger = sign(&good, &Signer::new("Acme"), &*make(&provider()), None).unwrap();
    let mut changed = signed.clone();
    *changed.last_mut().unwrap() ^= 1;
    let mut references = sources.references();
    let cases: [(&str, Vec<u8>, Code); 6] = [
        ("nothing", Vec::new(), codes::REFERENCE_MALFORMED),
        ("cut", signed[..signed.len() - 1].to_vec(), codes::REFERENCE_MALFORMED),
        ("unsigned", tamarack_cbor::Encode::to_cbor(&good), codes::REFERENCE_UNSIGNED),
        ("another key", stranger, codes::REFERENCE_UNTRUSTED),
        ("changed", changed, codes::REFERENCE_UNTRUSTED),
        ("too long", [&signed[..], &vec![0; 300 << 10]].concat(), codes::CBOR_LIMIT),
    ];
    for (what, bytes, code) in cases {
        assert_eq!(sources.refused_bytes(&mut references, &bytes), code, "{what}");
    }
    let mut none = References::default();
    assert_eq!(sources.refused_bytes(&mut none, &signed), codes::REFERENCE_UNTRUSTED);
}

#[test]
fn providers_keep_to_their_scope() {
    let sources = Sources::new();
    let agent = || release(AGENT, [4; 32], 1);
    let about = |environment: Environment, measurement| {
        let mut tag = tag("x", 1, vec![measurement]);
        tag.reference_values[0].environment = environment;
        corim(tag)
    };
    let other_vendor =
        Environment::of_class(Class { vendor: Some("Bolt".into()), ..environment().class.unwrap() });
    let everyone = Environment::of_class(Class { model: None, vendor: None, ..environment().class.unwrap() });
    let one = Environment { group: Some(tamarack_corim::Group::Uuid([1; 16])), ..environment() };
    let mut references = sources.references();
    for wide in [other_vendor, everyone.clone()] {
        assert_eq!(sources.refused(&mut references, &about(wide.clone(), agent())), codes::REFERENCE_SCOPE);
        let mut endorsed = tag("x", 1, vec![agent()]);
        endorsed.endorsed_values = vec![Triple { environment: wide.clone(), measurements: vec![agent()] }];
        assert_eq!(sources.refused(&mut references, &corim(endorsed)), codes::REFERENCE_SCOPE);
        let mut keys = tag("x", 1, vec![agent()]);
        keys.attest_keys = vec![attest_keys(wide, vec![CryptoKey::new(&sources.maker.public_key())])];
        assert_eq!(sources.refused(&mut references, &corim(keys)), codes::REFERENCE_SCOPE);
    }
    assert!(references.add(&sources.signed(&about(one, agent())), NOW, &provider()).is_ok());

    // The signer of TAs speaks of whole segments below its prefix.
    for (name, fine) in [
        ("urn:bank", true),
        ("urn:bank:wallet", true),
        ("urn:bank/wallet", true),
        ("urn:bank-robber:wallet", false),
        ("urn:ban", false),
        (AGENT, false),
    ] {
        let ta = corim(tag(name, 1, vec![release(name, [1; 32], 1)]));
        let signed = sign(&ta, &Signer::new("Bank"), &*sources.signer, None).unwrap();
        let added = sources.references().add(&signed, NOW, &provider());
        assert_eq!(added.is_ok(), fine, "{name}");
        assert!(fine || added.unwrap_err().code == codes::REFERENCE_SCOPE);
    }
    // Without a scope nobody speaks of anything.
    let mut providers = sources.providers();
    providers.iter_mut().for_each(|provider| provider.scope.clear());
    let mut references = References::new(providers);
    assert_eq!(sources.refused(&mut references, &values(vec![agent()])), codes::REFERENCE_SCOPE);
}

fn attest_keys(environment: Environment, keys: Vec<CryptoKey>) -> AttestKeys {
    AttestKeys { environment, keys, element: None, authorized_by: Vec::new() }
}

#[test]
fn what_is_not_understood_is_refused() {
    let sources = Sources::new();
    let agent = || release(AGENT, [4; 32], 1);
    let with = |change: fn(&mut Measurement)| {
        let mut measurement = agent();
        change(&mut measurement);
        values(vec![measurement])
    };
    let with_tag = |change: fn(&mut Comid)| {
        let mut tag = tag("firmware", 1, vec![agent()]);
        change(&mut tag);
        corim(tag)
    };
    let profile = |uri: &str| Corim { profile: Some(Profile::Uri(uri.into())), ..values(vec![agent()]) };
    let cases = [
        profile("urn:x-tamarack:corim:2"),
        Corim { profile: Some(Profile::Oid(vec![1])), ..values(vec![agent()]) },
        Corim { tags: vec![Tag::Other(508, vec![0xa0])], ..values(vec![agent()]) },
        with(|m| m.authorized_by = vec![CryptoKey::Bytes(vec![1])]),
        with(|m| m.values.other = vec![(8, vec![0x61, b's'])]),
        with(|m| m.values.flags = vec![(1, true)]),
        with(|m| m.values.svn = Some(Svn::AtLeast(1))),
        with(|m| m.values.digests.clear()),
        with_tag(|t| t.tag_version = super::REPLACED),
        with_tag(|t| t.other_triples = vec![(2, vec![0x81, 0x80])]),
        with_tag(|t| {
            t.linked_tags = vec![LinkedTag { tag_id: t.tag_id.clone(), relation: Relation::Replaces }]
        }),
        with_tag(|t| t.attest_keys = vec![attest_keys(environment(), vec![CryptoKey::Bytes(vec![1])])]),
        with_tag(|t| {
            t.attest_keys = vec![AttestKeys {
                element: Some(MeasuredElement::Uint(1)),
                ..attest_keys(environment(), vec![CryptoKey::new(&make(&provider()).public_key())])
            }];
        }),
    ];
    let mut references = sources.references();
    for (index, corim) in cases.iter().enumerate() {
        let code = sources.refused(&mut references, corim);
        assert_eq!(code, codes::REFERENCE_UNSUPPORTED, "case {index}");
    }
    let signed = sources.signed(&profile(super::PROFILE));
    assert!(references.add(&signed, NOW, &provider()).is_ok());
}

#[test]
fn rolled_back_and_contradicting_ones_are_refused() {
    let sources = Sources::new();
    let version =
        |version, digest: u8, svn| corim(tag("firmware", version, vec![release(AGENT, [digest; 32], svn)]));
    let mut references = sources.with(&[version(3, 4, 1)]);
    assert_eq!(sources.refused(&mut references, &version(2, 4, 1)), codes::REFERENCE_ROLLBACK);
    assert_eq!(sources.refused(&mut references, &version(3, 5, 1)), codes::REFERENCE_CONFLICT);
    // The same content in another tag with another security version.
    let other = corim(tag("other", 1, vec![release(AGENT, [4; 32], 2)]));
    assert_eq!(sources.refused(&mut references, &other), codes::REFERENCE_CONFLICT);
    // Two that contradict each other in one CoRIM.
    let two = corim(tag("two", 1, vec![release(AGENT, [7; 32], 1), release(AGENT, [7; 32], 2)]));
    assert_eq!(sources.refused(&mut references, &two), codes::REFERENCE_CONFLICT);
    let twice = Corim {
        tags: vec![
            Tag::Comid(tag("t", 1, vec![release(AGENT, [7; 32], 1)])),
            Tag::Comid(tag("t", 1, vec![least(AGENT, 1)])),
        ],
        ..version(9, 9, 9)
    };
    assert_eq!(sources.refused(&mut references, &twice), codes::REFERENCE_CONFLICT);
    // A correction in the next version is none.
    assert!(references.add(&sources.signed(&version(4, 4, 2)), NOW, &provider()).is_ok());
    assert_eq!(finding(&references, [4; 32]), matched(2, 4));
    let mut longer = version(3, 4, 1);
    longer.validity = Some(Validity { not_before: None, not_after: NOW });
    assert_eq!(sources.refused(&mut references, &longer), codes::REFERENCE_ROLLBACK);
    // What is there already stays what it is: superseded.
    assert!(references.add(&sources.signed(&version(3, 4, 1)), NOW, &provider()).unwrap().known);
    assert_eq!(finding(&references, [4; 32]), matched(2, 4));
}

#[test]
fn adding_the_same_again_changes_nothing() {
    let sources = Sources::new();
    let signed = sources.signed(&values(vec![release(AGENT, [4; 32], 1)]));
    let mut references = sources.references();
    let first = references.add(&signed, NOW, &provider()).unwrap();
    let again = references.add(&signed, NOW, &provider()).unwrap();
    assert!(!first.known && again.known && first.id == again.id);
    assert_eq!(references.entries().len(), 1);
    // The same content signed once more, for longer, is another entry.
    let longer = sources.signed(&ending(values(vec![release(AGENT, [4; 32], 1)]), None, NOW + 9));
    assert!(!references.add(&longer, NOW, &provider()).unwrap().known);
}

#[test]
fn deactivated_ones_do_not_count_and_nothing_older_comes_back() {
    let sources = Sources::new();
    let first = values(vec![release(AGENT, [4; 32], 1)]);
    let second = corim(tag("firmware", 2, vec![release(AGENT, [5; 32], 2)]));
    let mut references = sources.with(&[first.clone(), second]);
    let newest = references.entries()[1].id;
    assert!(references.deactivate(&newest));
    assert!(!references.deactivate(&[0; 32]));
    assert_eq!(finding(&references, [5; 32]), Finding::Unknown);
    assert_eq!(finding(&references, [4; 32]), Finding::Unknown);
    // Adding the first again gives what is there already, out of force.
    assert!(references.add(&sources.signed(&ending(first, None, NOW + 1)), NOW, &provider()).is_err());
}

#[test]
fn replaced_tags_are_dead() {
    let sources = Sources::new();
    let mut replacing = tag("new", 1, vec![release(AGENT, [5; 32], 2)]);
    replacing.linked_tags =
        vec![LinkedTag { tag_id: Id::Text("firmware".into()), relation: Relation::Replaces }];
    let mut references = sources.with(&[values(vec![release(AGENT, [4; 32], 1)]), corim(replacing)]);
    assert_eq!(finding(&references, [4; 32]), Finding::NoMatch);
    let later = corim(tag("firmware", 99, vec![release(AGENT, [4; 32], 1)]));
    assert_eq!(sources.refused(&mut references, &later), codes::REFERENCE_ROLLBACK);
}

#[test]
fn what_is_stored_comes_back_as_far_as_it_is_still_vouched_for() {
    let sources = Sources::new();
    let corims = [
        values(vec![release(AGENT, [4; 32], 1)]),
        corim(tag("firmware", 2, vec![release(AGENT, [5; 32], 2)])),
    ];
    let mut references = sources.with(&corims);
    let id = references.entries()[0].id;
    references.deactivate(&id);
    let stored: Vec<StoredReference> = corims
        .iter()
        .zip(references.entries())
        .map(|(corim, entry)| StoredReference { signed: sources.signed(corim), active: entry.active })
        .collect();
    let floors: Vec<_> = references.floors().collect();
    let restore = |providers, stored: &[StoredReference]| {
        References::restore(providers, stored, floors.clone(), &provider())
    };
    let (again, left_out) = restore(sources.providers(), &stored);
    assert!(left_out.is_empty());
    let states = |r: &References| r.entries().iter().map(|e| (e.corim.clone(), e.active)).collect::<Vec<_>>();
    assert_eq!(states(&again), states(&references));
    assert_eq!(again.floors().collect::<Vec<_>>(), floors);
    // Without the maker, or with a byte changed in the store, nothing is trusted; floors stay.
    let (none, left_out) = restore(Vec::new(), &stored);
    assert_eq!((none.entries().len(), left_out.len()), (0, 2));
    assert_eq!(none.floors().count(), 1);
    let mut altered = stored.clone();
    altered[1].signed[40] ^= 1;
    let (one, left_out) = restore(sources.providers(), &altered);
    assert_eq!((one.entries().len(), left_out.len()), (1, 1));
    assert_eq!(finding(&one, [4; 32]), Finding::Unknown, "the floor holds without the entry that raised it");
}

#[test]
fn digests_are_compared_over_all_common_algorithms() {
    let sources = Sources::new();
    let sha = |id: i64, size: usize, fill: u8| Digest {
        algorithm: DigestAlgorithm::Id(id),
        value: vec![fill; size],
    };
    let named = Digest { algorithm: DigestAlgorithm::Name("sha-256".into()), value: vec![4; 32] };
    let with = |digests: Vec<Digest>| {
        let mut measurement = release(AGENT, [0; 32], 1);
        measurement.values.digests = digests;
        measurement
    };
    let cases: [(Vec<Digest>, Vec<Digest>, bool); 6] = [
        (vec![sha(1, 32, 4)], vec![sha(1, 32, 4)], true),
        (vec![named], vec![sha(1, 32, 4)], true),
        (vec![sha(1, 32, 4), sha(7, 48, 5)], vec![sha(1, 32, 4)], true),
        (vec![sha(1, 32, 4), sha(7, 48, 5)], vec![sha(1, 32, 4), sha(7, 48, 6)], false),
        (vec![sha(7, 48, 4)], vec![sha(1, 32, 4)], false),
        (vec![sha(99, 32, 4)], vec![sha(1, 32, 4)], false),
    ];
    for (said, shown, expected) in cases {
        let references = sources.with(&[values(vec![with(said.clone())])]);
        let shown = Triple { environment: environment(), measurements: vec![with(shown)] };
        let found = &references.compare(&shown, NOW)[0].finding;
        assert_eq!(found.code().is_none(), expected, "{said:?}: {found:?}");
    }
}

#[test]
fn endorsements_are_handed_on_and_their_least_counts() {
    let sources = Sources::new();
    let mut tag = tag("firmware", 1, vec![release(AGENT, [4; 32], 4)]);
    let named = MeasurementValues { name: Some("certified".into()), ..MeasurementValues::default() };
    let note = Measurement { element: None, values: named, authorized_by: Vec::new() };
    tag.endorsed_values =
        vec![Triple { environment: environment(), measurements: vec![note.clone(), least(AGENT, 5)] }];
    let references = sources.with(&[corim(tag)]);
    assert_eq!(finding(&references, [4; 32]), Finding::Outdated { svn: Some(4), least: 5 });
    let endorsed = references.endorsed(&environment(), NOW);
    assert_eq!((endorsed.len(), &*endorsed[0].provider, &endorsed[0].measurement), (2, "Acme", &note));
    let other = Environment::of_class(Class { vendor: Some("Bolt".into()), ..Class::default() });
    assert!(references.endorsed(&other, NOW).is_empty());
}

/// A device of [`World`] whose Evidence shows an Agent and a launcher.
fn device(references: Option<References>) -> (World, Claims) {
    let mut world = World::new(Grade::Software);
    world.policy = Policy { references, ..world.policy };
    let mut claims = world.claims();
    claims.manifests = vec![Manifest::sha256(AGENT, [4; 32]), Manifest::sha256(LAUNCHER, [5; 32])];
    (world, claims)
}

#[test]
fn an_agent_changed_by_one_byte_is_not_attested() {
    let sources = Sources::new();
    let firmware = values(vec![release(AGENT, [4; 32], 1), release(LAUNCHER, [5; 32], 1)]);
    let (world, claims) = device(Some(sources.with(&[firmware])));
    let appraisal = world.appraise(&world.evidence(&claims)).unwrap();
    assert_eq!(appraisal.result.status, Tier::Affirming);
    assert_eq!(appraisal.result.vector.executables, Some(claim::APPROVED_BOOT));
    assert!(appraisal.reasons.iter().any(|reason| reason.starts_with(AGENT)), "{:?}", appraisal.reasons);

    let mut changed = claims.clone();
    let mut digest = [4; 32];
    digest[31] ^= 1;
    changed.manifests[0] = Manifest::sha256(AGENT, digest);
    let refusal = world.appraise(&world.evidence(&changed)).unwrap_err();
    assert_eq!(refusal.code, codes::MEASUREMENT_MISMATCH);
    assert_eq!(refusal.reason, "urn:x-tamarack:agent: not among the released ones");

    let mut hidden = claims.clone();
    hidden.manifests.remove(0);
    let refusal = world.appraise(&world.evidence(&hidden)).unwrap_err();
    assert_eq!(refusal.code, codes::MEASUREMENT_MISMATCH, "{refusal}");
    let mut more = claims;
    more.manifests.push(Manifest::sha256("urn:x:unheard-of", [9; 32]));
    let refusal = world.appraise(&world.evidence(&more)).unwrap_err();
    assert_eq!(refusal.code, codes::MEASUREMENT_UNKNOWN, "{refusal}");
}

#[test]
fn results_say_what_was_found() {
    let sources = Sources::new();
    let agent = |digest: u8, svn| release(AGENT, [digest; 32], svn);
    let launcher = || release(LAUNCHER, [5; 32], 1);
    let with = |measurements| Some(sources.with(&[values(measurements)]));
    let soon = || {
        let corim = ending(values(vec![agent(4, 1), launcher()]), Some(NOW + 1), NOW + 2);
        Some(sources.with(&[corim]))
    };
    type Case = (Option<References>, Tier, Option<i8>, Option<Code>);
    let cases: Vec<Case> = vec![
        (None, Tier::None, None, None),
        (with(vec![agent(4, 1), launcher()]), Tier::Affirming, Some(3), None),
        (Some(sources.references()), Tier::Warning, Some(33), Some(codes::MEASUREMENT_UNKNOWN)),
        (Some(References::default()), Tier::Warning, Some(33), Some(codes::MEASUREMENT_UNKNOWN)),
        (
            with(vec![agent(6, 1), launcher()]),
            Tier::Contraindicated,
            Some(96),
            Some(codes::MEASUREMENT_MISMATCH),
        ),
        (
            with(vec![agent(4, 1), launcher(), least(AGENT, 2)]),
            Tier::Warning,
            Some(32),
            Some(codes::MEASUREMENT_OUTDATED),
        ),
        (soon(), Tier::None, Some(0), Some(codes::REFERENCE_EXPIRED)),
    ];
    for (references, status, executables, code) in cases {
        let (world, claims) = device(references);
        let evidence = world.evidence(&claims);
        let (result, refused) = world.assess(&evidence);
        assert_eq!((result.status, result.vector.executables, refused), (status, executables, code));
        assert_eq!(result.vector.instance_identity, Some(claim::RECOGNIZED_INSTANCE));
        assert!(!result.reasons.is_empty());
        // Evidence under no TEE CA is contraindicated whatever it shows.
        let (stranger, _) = device(None);
        let (result, refused) = world.assess(&stranger.evidence(&claims));
        assert_eq!(result.status, Tier::Contraindicated);
        assert_eq!(refused, Some(codes::EVIDENCE_UNTRUSTED));
    }
}

#[test]
fn results_are_written_as_ear_has_them() {
    let vector = crate::TrustVector {
        instance_identity: Some(2),
        executables: Some(-1),
        ..crate::TrustVector::default()
    };
    let result = crate::TrustResult::new(vector, vec!["p".into()], Vec::new());
    assert_eq!(result.status, Tier::None);
    let hex: String = tamarack_model::Hex(&tamarack_cbor::Encode::to_cbor(&result)).to_string();
    assert_eq!(hex, "a31903e8001903e9a2000202201903eb816170");
    for (claim, tier) in [
        (i8::MIN, Tier::Contraindicated),
        (-97, Tier::Contraindicated),
        (-96, Tier::Warning),
        (-33, Tier::Warning),
        (-32, Tier::Affirming),
        (-2, Tier::Affirming),
        (-1, Tier::None),
        (0, Tier::None),
        (1, Tier::None),
        (2, Tier::Affirming),
        (31, Tier::Affirming),
        (32, Tier::Warning),
        (95, Tier::Warning),
        (96, Tier::Contraindicated),
        (i8::MAX, Tier::Contraindicated),
    ] {
        assert_eq!(Tier::of_claim(claim), tier, "{claim}");
    }
}

impl World {
    fn assess(&self, evidence: &[u8]) -> (crate::TrustResult, Option<Code>) {
        let teep_key = tamarack_cose::thumbprint(&self.teep_key, &self.provider);
        let expected = crate::Expectations { nonce: &crate::tests::NONCE, teep_key, now: NOW };
        let format = Some(tamarack_eat::SOFTWARE_TEE_FORMAT);
        let assessment = assess(format, evidence, &expected, &self.policy, &self.provider);
        let affirming = assessment.result.status == Tier::Affirming;
        assert!(!affirming || assessment.outcome.is_ok(), "affirmed and refused");
        (assessment.result, assessment.outcome.err().map(|refusal| refusal.code))
    }
}

/// A small world of statements: who, which tag, version, digest, svn, least, validity.
fn statement() -> impl Strategy<Value = (bool, u8, u64, u8, Option<u64>, Option<u64>, Option<u64>)> {
    (
        any::<bool>(),
        0..2u8,
        0..3u64,
        0..3u8,
        proptest::option::of(0..3u64),
        proptest::option::of(0..3u64),
        proptest::option::of(NOW..NOW + 2),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever was added, in whatever order, with whatever deactivated: a match means that an active, valid, newest
    /// statement of that digest exists, and no least above its svn.
    #[test]
    fn a_match_always_has_a_reason(
        statements in prop::collection::vec(statement(), 0..6),
        deactivated in 0..8usize,
        digest in 0..3u8,
    ) {
        let sources = Sources::new();
        let mut references = sources.references();
        for (maker, id, version, digest, svn, minimum, end) in statements {
            let name = if maker { AGENT } else { "urn:bank:agent" };
            let mut measurements = vec![release(name, [digest; 32], svn)];
            measurements.extend(minimum.map(|minimum| least(name, minimum)));
            let id = ["a", "b"][usize::from(id)];
            let mut corim = corim(tag(id, version, measurements));
            corim.validity = end.map(|not_after| Validity { not_before: None, not_after });
            let key = if maker { &sources.maker } else { &sources.signer };
            let signed = sign(&corim, &Signer::new("x"), &**key, None).unwrap();
            let floors: Vec<_> = references.floors().collect();
            let _ = references.add(&signed, NOW, &provider());
            for (provider, tag, version) in floors {
                let now = references.floors().find(|f| f.0 == provider && f.1 == tag).unwrap().2;
                prop_assert!(now >= version, "a floor fell");
            }
        }
        if let Some(id) = references.entries().get(deactivated).map(|entry| entry.id) {
            references.deactivate(&id);
        }
        let now = NOW + 1;
        let shown =
            Triple { environment: environment(), measurements: vec![release(AGENT, [digest; 32], None)] };
        let found = references.compare(&shown, now);
        let in_force: Vec<&Measurement> = references
            .entries()
            .iter()
            .filter(|entry| entry.active && entry.provider == "Acme")
            .flat_map(|entry| entry.comids().map(move |tag| (entry, tag)))
            .filter(|(_, tag)| references.floors().all(|f| f.0 != "Acme" || f.1 != tag.tag_id || f.2 <= tag.tag_version))
            .filter(|(entry, tag)| entry.validity().1 >= now || tag.reference_values.is_empty())
            .flat_map(|(_, tag)| tag.reference_values.iter().flat_map(|triple| &triple.measurements))
            .collect();
        let released = in_force.iter().any(|m| m.values.digests == [Digest::sha256([digest; 32])]);
        match &found[0].finding {
            Finding::Match { svn, .. } => {
                prop_assert!(released);
                for value in &in_force {
                    if let Some(Svn::AtLeast(minimum)) = value.values.svn {
                        prop_assert!(svn.is_some_and(|svn| svn >= minimum));
                    }
                }
            }
            Finding::NoMatch | Finding::Unknown | Finding::Expired => prop_assert!(!released),
            Finding::Outdated { .. } | Finding::Conflicting => prop_assert!(released),
            Finding::NotShown => prop_assert!(false, "it is shown"),
        }
    }

    #[test]
    fn random_bytes_are_refused_and_change_nothing(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let sources = Sources::new();
        let mut references = sources.references();
        for head in [&[][..], &[0xd2, 0x84], &[0xd9, 1, 0xf5]] {
            let bytes = [head, &bytes].concat();
            prop_assert!(references.add(&bytes, NOW, &provider()).is_err());
        }
        prop_assert!(references.entries().is_empty());
    }
}
