//! Rows for tests: what each table can hold, with every field set.

use tamarack_crypto::PublicKey;
use tamarack_model::{ComponentId, DeviceId, HeldBack, OwnerSays, Sha256Digest, TcEntry, codes};
use tamarack_store::{
    ApiToken, AuditEntry, CatalogueEntry, Device, Domain, DomainSigner, Held, HeldDomain, OtrpDevice,
    PendingUpdate, Personalization, Proof, Provider, ProviderKey, Recorded, Reference, ReferenceFloor,
    ReferenceScope, ReleasePolicy, Role, Session, StateMark, TeepKey, TenantId, TenantReferenceProvider,
    Withheld,
};

/// A component id from its text form.
pub fn id(text: &str) -> ComponentId {
    ComponentId::parse_text(text).expect("a component id")
}

/// A provider that owns one prefix.
pub fn provider(name: &str, prefix: &str) -> Provider {
    Provider {
        tenant: TenantId::default(),
        id: name.into(),
        name: format!("{name} Inc."),
        prefixes: vec![id(prefix)],
        signers: vec![PublicKey::Ed25519([7; 32]), PublicKey::P256 { x: [1; 32], y: [2; 32] }],
        enabled: true,
    }
}

/// A catalogue entry of provider `acme` that installs one component.
pub fn entry(manifest: &str, component: &str, sequence: u64) -> CatalogueEntry {
    let mut digest = [sequence as u8; 32];
    manifest.bytes().enumerate().for_each(|(i, b)| digest[i % 31] ^= b);
    CatalogueEntry {
        tenant: TenantId::default(),
        provider: "acme".into(),
        manifest: id(manifest),
        sequence,
        digest: Sha256Digest(digest),
        components: vec![TcEntry {
            id: id(component),
            digest: Some(Sha256Digest([9; 32])),
            size: Some(1000 + sequence),
        }],
        artifact: Sha256Digest([8; 32]),
        size: 77,
        published: 1_700_000_000,
        withdrawn: None,
    }
}

/// A device with every field set.
pub fn device(number: u8) -> Device {
    let entries =
        vec![TcEntry { id: id("acme/wallet/suit"), digest: Some(Sha256Digest([3; 32])), size: None }];
    Device {
        tenant: TenantId::default(),
        id: DeviceId([number; 32]),
        revision: 0,
        teep: Some(TeepKey { key: PublicKey::Ed25519([number; 32]), id: [number ^ 0x80; 32] }),
        otrp: Some(otrp_device(number)),
        ueid: vec![1, number],
        grade: "software".into(),
        claims: vec![("class".into(), "software-tee".into()), ("dbgstat".into(), "1".into())],
        state: Some(StateMark { epoch: 5, root: [6; 32] }),
        quarantine: Some("because".into()),
        first_seen: 10,
        last_seen: 20,
        reported: Some(Held { entries: entries.clone(), at: 15, proof: Proof::Report }),
        attested: Some(Held { entries, at: 16, proof: Proof::Evidence }),
        held_back: vec![
            HeldBack { id: id("acme/x"), why: OwnerSays::Refused, sequence: None },
            HeldBack { id: id("acme/y"), why: OwnerSays::Deferred, sequence: Some(3) },
        ],
    }
}

pub(super) fn held_domain() -> HeldDomain {
    HeldDomain { name: "acme".into(), provider: "acme".into(), signers: vec![[1; 32], [2; 32]] }
}

pub(super) fn otrp_device(number: u8) -> OtrpDevice {
    let aik = |purpose: Option<&str>| ProviderKey {
        provider: "acme".into(),
        purpose: purpose.map(Into::into),
        key: vec![4, number],
    };
    OtrpDevice {
        certificate: vec![0x30, number],
        did: [number ^ 0x40; 32],
        name: "tee".into(),
        version: "1".into(),
        extended: true,
        wants_status: false,
        aiks: vec![aik(None), aik(Some("enc"))],
        domains: vec![held_domain()],
    }
}

/// A domain of provider `acme` with two signers, one of them a guest.
pub fn domain(name: &str) -> Domain {
    let signer = |provider: &str| DomainSigner { provider: provider.into(), certificate: vec![0x30, 1] };
    Domain {
        tenant: TenantId::default(),
        name: name.into(),
        provider: "acme".into(),
        signers: vec![signer("acme"), signer("isv")],
        quota: Some(1 << 20),
        created: 30,
        deleted: None,
    }
}

pub(super) fn personalization(set: u64) -> Personalization {
    Personalization {
        tenant: TenantId::default(),
        device: DeviceId([1; 32]),
        manifest: id("acme/w/suit"),
        data: vec![1, 2, 3],
        set,
        delivered: None,
    }
}

/// A pending Update of device `device` whose token hash begins with `number`.
pub fn pending(device: u8, number: u8) -> PendingUpdate {
    PendingUpdate {
        tenant: TenantId::default(),
        token_hash: [number; 32],
        device: DeviceId([device; 32]),
        session: [number; 16],
        manifests: vec![TcEntry {
            id: id("acme/wallet/suit"),
            digest: Some(Sha256Digest([3; 32])),
            size: None,
        }],
        removals: vec![id("acme/old/suit")],
        sent: 100,
        expires: 200,
        command: None,
    }
}

pub(super) fn session(number: u8) -> Session {
    Session {
        tenant: TenantId::default(),
        id: [number; 16],
        device: DeviceId([1; 32]),
        started: 100,
        ended: None,
        outcome: None,
        code: None,
        reason: Some("install acme/wallet/suit 2".into()),
    }
}

pub(super) fn audit(subject: &str) -> AuditEntry {
    AuditEntry {
        tenant: TenantId::default(),
        at: 1,
        actor: "ops".into(),
        action: "component.publish".into(),
        subject: subject.into(),
        detail: "é".into(),
    }
}

pub(super) fn token(number: u8) -> ApiToken {
    ApiToken {
        tenant: TenantId::default(),
        hash: [number; 32],
        role: Role::Provider,
        provider: Some("acme".into()),
        label: "ci".into(),
        created: 5,
        revoked: None,
    }
}

pub(super) fn reference(number: u8) -> Reference {
    Reference {
        tenant: TenantId::default(),
        id: [number; 32],
        provider: "Acme".into(),
        name: format!("acme/{number}"),
        signed: vec![number; 100],
        added: 5,
        deactivated: None,
    }
}

pub(super) fn floor(tag: u8, version: u64) -> ReferenceFloor {
    ReferenceFloor { provider: "Acme".into(), tag: vec![tag], version }
}

pub(super) fn reference_provider(name: &str) -> TenantReferenceProvider {
    TenantReferenceProvider {
        tenant: TenantId::default(),
        name: name.into(),
        maker: true,
        keys: vec![PublicKey::Ed25519([7; 32])],
        scope: vec![
            ReferenceScope { class_id: Some(vec![1; 16]), vendor: Some("acme".into()), model: None },
            ReferenceScope { class_id: None, vendor: None, model: Some("m1".into()) },
        ],
        elements: Some(vec!["urn:acme".into()]),
        set: 8,
    }
}

pub(super) fn release_policy(version: u64, text: Option<&str>) -> ReleasePolicy {
    ReleasePolicy {
        tenant: TenantId::default(),
        version,
        text: text.map(Into::into),
        set: 10 + version,
        by: "operator".into(),
    }
}

pub(super) fn recorded(device: u8, at: u64) -> Recorded {
    Recorded {
        tenant: TenantId::default(),
        device: DeviceId([device; 32]),
        at,
        otrp: true,
        format: Some("application/eat+cwt".into()),
        evidence: vec![1, 2, 3],
        shown: vec![4],
        policy: Some(3),
        withheld: vec![Withheld {
            manifest: id("acme/w/suit"),
            sequence: 9,
            code: codes::RELEASE_DENIED,
            reason: "because".into(),
        }],
    }
}
