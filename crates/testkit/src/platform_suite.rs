//! What every [`Platform`] must do, as one function that each adapter's tests call.

use tamarack_cbor::Limits;
use tamarack_cose::{Purpose, VerificationKey, Verified};
use tamarack_crypto::{KeyType, Provider, PublicKey};
use tamarack_eat::{Confirmation, Token};
use tamarack_tee::{
    BlobId, Change, Error, EvidenceRequest, NOTES, OtrpIdentity, Persona, Platform, STATE, StateRoot,
};

/// One device under test.
pub struct Subject {
    /// Its platform.
    pub platform: Box<dyn Platform>,
    /// The keys that its Evidence is signed with, one for each persona; there are at least two.
    pub attestation_keys: Vec<PublicKey>,
}

/// Runs every check, those of OTrP if the device has an identity in it. `make` opens one and the same device anew each time it is called, as after a restart; the platform
/// it gave before is gone by then.
///
/// # Panics
/// With what is wrong, if a check fails.
pub fn check_platform(provider: &Provider, make: &mut dyn FnMut() -> Subject) {
    pairs(make);
    atomicity(make);
    state_root(make);
    payloads(make);
    keys(provider, make);
    storage_keys(make);
    for persona in [Persona(0), Persona(1)] {
        evidence(provider, make, persona);
        otrp(provider, make, persona);
    }
}

fn key(first: u8, name: &str) -> Vec<u8> {
    [&[first][..], b"/suite/", name.as_bytes()].concat()
}

fn put(first: u8, name: &str, value: &str) -> Change {
    Change::Put(key(first, name), value.into())
}

fn pairs(make: &mut dyn FnMut() -> Subject) {
    let mut platform = make().platform;
    assert_eq!(platform.get(&key(NOTES, "a")), Ok(None));
    platform.commit(vec![put(NOTES, "b", "2"), put(NOTES, "a", "1"), put(STATE, "a", "3")]).unwrap();
    platform.commit(vec![put(NOTES, "a", "4"), Change::Delete(key(NOTES, "absent"))]).unwrap();
    let check = |platform: Box<dyn Platform>| {
        assert_eq!(platform.get(&key(NOTES, "a")), Ok(Some(b"4".to_vec())));
        let expected = vec![(key(NOTES, "a"), b"4".to_vec()), (key(NOTES, "b"), b"2".to_vec())];
        assert_eq!(platform.scan(&key(NOTES, "")), Ok(expected), "ascending, of this prefix only");
    };
    check(platform);
    check(make().platform);
    make().platform.commit(vec![Change::Delete(key(NOTES, "a")), put(NOTES, "b", "")]).unwrap();
    assert_eq!(make().platform.get(&key(NOTES, "a")), Ok(None));
    assert_eq!(make().platform.get(&key(NOTES, "b")), Ok(Some(Vec::new())), "an empty value is a value");
}

fn atomicity(make: &mut dyn FnMut() -> Subject) {
    let mut platform = make().platform;
    let before = platform.state_root();
    for bad in [
        Change::KeepBlob(BlobId([9; 16])),
        Change::DropBlob(BlobId([9; 16])),
        Change::Put(b"x/not the Agent's".to_vec(), b"1".to_vec()),
        Change::Delete(Vec::new()),
    ] {
        assert!(platform.commit(vec![put(STATE, "half", "1"), bad.clone()]).is_err(), "{bad:?}");
        assert_eq!(platform.get(&key(STATE, "half")), Ok(None), "nothing of a failed commit stays: {bad:?}");
        assert_eq!(platform.state_root(), before);
    }
    drop(platform);
    assert_eq!(make().platform.get(&key(STATE, "half")), Ok(None));
}

fn state_root(make: &mut dyn FnMut() -> Subject) {
    let mut platform = make().platform;
    let first = platform.state_root();
    platform.commit(vec![put(NOTES, "root", "1")]).unwrap();
    assert_eq!(platform.state_root(), first, "notes are outside the state root");
    platform.commit(vec![put(STATE, "root", "1"), put(STATE, "root2", "1")]).unwrap();
    let second = platform.state_root();
    assert_eq!(second.epoch, first.epoch + 1, "one commit, one epoch");
    assert_ne!(second.digest, first.digest);
    drop(platform);
    let mut platform = make().platform;
    assert_eq!(platform.state_root(), second);
    platform.commit(vec![Change::Delete(key(STATE, "root")), Change::Delete(key(STATE, "root2"))]).unwrap();
    let third = platform.state_root();
    assert_eq!((third.epoch, third.digest), (first.epoch + 2, first.digest));
}

fn payloads(make: &mut dyn FnMut() -> Subject) {
    // Around the sizes at which an implementation may cut.
    for size in [0, 1, 65_535, 65_536, 65_537, 131_072, 200_000] {
        let mut platform = make().platform;
        let data: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
        let blob = platform.stage().unwrap();
        assert_eq!(read(&*platform, blob), Err(Error::Blob), "an unfinished payload cannot be read");
        assert_eq!(platform.commit(vec![Change::KeepBlob(blob)]), Err(Error::Blob));
        for chunk in data.chunks(7000) {
            platform.stage_write(blob, chunk).unwrap();
        }
        assert_eq!(platform.stage_finish(blob), Ok(size));
        assert_eq!(platform.stage_write(blob, b"more"), Err(Error::Blob));
        assert!(read(&*platform, blob).as_ref() == Ok(&data), "a finished payload of {size} bytes");
        let lost = platform.stage().unwrap();
        platform.stage_finish(lost).unwrap();
        platform.commit(vec![Change::KeepBlob(blob)]).unwrap();
        platform.discard(blob);
        drop(platform);

        let mut platform = make().platform;
        assert!(read(&*platform, blob).as_ref() == Ok(&data), "a kept payload of {size} bytes");
        assert_eq!(read(&*platform, lost), Err(Error::Blob), "what no commit keeps is gone after a restart");
        assert_eq!(platform.commit(vec![Change::KeepBlob(blob)]), Err(Error::Blob), "kept already");
        platform.commit(vec![Change::DropBlob(blob)]).unwrap();
        assert_eq!(read(&*platform, blob), Err(Error::Blob));
        drop(platform);
        assert_eq!(read(&*make().platform, blob), Err(Error::Blob));
    }
    let mut platform = make().platform;
    let (one, two) = (platform.stage().unwrap(), platform.stage().unwrap());
    assert_ne!(one, two);
    platform.stage_write(one, b"one").unwrap();
    platform.stage_write(two, b"two").unwrap();
    platform.discard(one);
    assert_eq!(platform.stage_finish(one), Err(Error::Blob));
    platform.stage_finish(two).unwrap();
    assert_eq!(read(&*platform, two), Ok(b"two".to_vec()));
}

fn read(platform: &dyn Platform, blob: BlobId) -> Result<Vec<u8>, Error> {
    let mut data = Vec::new();
    platform.read_blob(blob, &mut |chunk| data.extend_from_slice(chunk))?;
    Ok(data)
}

/// Rules E5 and K6: no key is that of another purpose or of another persona, and a persona that the device does not have
/// has none.
fn keys(provider: &Provider, make: &mut dyn FnMut() -> Subject) {
    let public = |subject: Subject| {
        let platform = subject.platform;
        let mut keys = subject.attestation_keys;
        assert_eq!(platform.personas() as usize, keys.len());
        for persona in (0..platform.personas()).map(Persona) {
            keys.push(platform.teep_key(persona).unwrap().public_key());
            keys.push(platform.report_key(persona).unwrap().public_key());
            let decryption = platform.decryption_key(persona).unwrap();
            let peer = provider.agree.ephemeral().unwrap();
            let (here, there) = (decryption.agree(&peer.public_key()), peer.agree(&decryption.public_key()));
            assert_eq!(here.unwrap().expose(), there.unwrap().expose(), "both ends agree on a secret");
            keys.push(decryption.public_key());
        }
        keys
    };
    let Subject { platform, attestation_keys } = make();
    assert!(attestation_keys.len() >= 2);
    let none = Persona(platform.personas());
    assert_eq!(platform.teep_key(none).err(), Some(Error::NoPersona));
    assert_eq!(platform.report_key(none).err(), Some(Error::NoPersona));
    assert_eq!(platform.decryption_key(none).err(), Some(Error::NoPersona));
    assert_eq!(platform.identity(none).err(), Some(Error::NoPersona));
    assert_eq!(platform.evidence(none, &request(&[1; 32])).err(), Some(Error::NoPersona));
    assert!(platform.otrp(none).is_none());
    assert_eq!(platform.key_type(), platform.teep_key(Persona(0)).unwrap().public_key().key_type());
    let (one, two) = (platform.identity(Persona(0)).unwrap(), platform.identity(Persona(1)).unwrap());
    assert_ne!(one.device_id, two.device_id, "each Owner knows the device by another name");
    drop(platform);

    let keys = public(make());
    assert_eq!(keys, public(make()), "keys survive a restart");
    for (i, one) in keys.iter().enumerate() {
        assert!(!keys[i + 1..].contains(one), "one key, one purpose, one persona");
    }
}

fn request(nonce: &[u8]) -> EvidenceRequest<'_> {
    EvidenceRequest {
        nonce,
        ueid: &[1; 17],
        trust_store_sequence: 3,
        confirm: None,
        state: StateRoot { epoch: 77, digest: [7; 32] },
        components: &[],
        ta: None,
    }
}

fn storage_keys(make: &mut dyn FnMut() -> Subject) {
    let derive = |platform: &dyn Platform, context: &[u8]| *platform.storage_key(context).unwrap().expose();
    let platform = make().platform;
    let keys = [derive(&*platform, b""), derive(&*platform, b"a"), derive(&*platform, b"ab")];
    assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2], "contexts are separate");
    drop(platform);
    assert_eq!(derive(&*make().platform, b"ab"), keys[2], "and stable");
}

fn evidence(provider: &Provider, make: &mut dyn FnMut() -> Subject, persona: Persona) {
    let Subject { platform, attestation_keys } = make();
    let attestation_key = attestation_keys[persona.0 as usize];
    let teep_key = platform.teep_key(persona).unwrap().public_key();
    let ask = |nonce: &[u8]| platform.evidence(persona, &request(nonce)).unwrap();
    let evidence = ask(&[7; 32]);
    assert!(!evidence.format.is_empty(), "an absent format means an Attestation Result");
    let token = Token::parse(&evidence.payload, &Limits::default()).unwrap();
    let verify = |key: PublicKey| {
        let keys = [VerificationKey::new(key, Purpose::Evidence, provider)];
        token.verify(&keys, Purpose::Evidence, provider).map(Verified::into_value)
    };
    verify(teep_key).expect_err("only the attestation key signs Evidence");
    let claims = verify(attestation_key).expect("the attestation key signs Evidence");
    // Security rule E2, claim by claim.
    assert_eq!(claims.eat_nonce, [vec![7; 32]]);
    assert_eq!(claims.ueid.as_deref(), Some(&[1; 17][..]));
    assert_eq!(claims.cnf, Some(Confirmation::Key(teep_key)));
    for other in attestation_keys.into_iter().filter(|key| *key != attestation_key) {
        verify(other).expect_err("nor does that of another persona");
    }
    assert!(claims.oemid.is_some() && claims.hwmodel.is_some() && claims.hwversion.is_some());
    assert!(claims.eat_profile.is_some() && claims.dbgstat.is_some() && !claims.manifests.is_empty());
    let stated = claims.platform.expect("the private claim about the platform");
    assert_eq!((stated.state_epoch, stated.state_root), (77, [7; 32]), "as this Owner is told");
    assert_eq!(stated.trust_store_sequence, 3);
    assert_ne!(ask(&[8; 32]).payload, evidence.payload, "Evidence depends on the nonce");
}

/// The OTrP identity, if there is one: its keys, and what firmware and Evidence say of them.
fn otrp(provider: &Provider, make: &mut dyn FnMut() -> Subject, persona: Persona) {
    let Subject { platform, attestation_keys } = make();
    let attestation_key = attestation_keys[persona.0 as usize];
    let ask = |confirm: Option<PublicKey>| {
        platform.evidence(persona, &EvidenceRequest { confirm, ..request(b"a transaction") })
    };
    let other = platform.teep_key(Persona(1 - persona.0)).unwrap().public_key();
    assert_eq!(ask(Some(other)), Err(Error::NotOwnKey), "nor one of another persona");
    assert_eq!(ask(Some(attestation_key)), Err(Error::NotOwnKey), "not even its own attestation key");
    let teep_key = platform.teep_key(persona).unwrap().public_key();
    let confirmed = |confirm: Option<PublicKey>| {
        let token = Token::parse(&ask(confirm).unwrap().payload, &Limits::default()).unwrap();
        let keys = [VerificationKey::new(attestation_key, Purpose::Evidence, provider)];
        token.verify(&keys, Purpose::Evidence, provider).unwrap().into_value().cnf
    };
    assert_eq!(confirmed(Some(teep_key)), Some(Confirmation::Key(teep_key)));
    let Some(identity) = platform.otrp(persona) else { return };
    let others = platform.otrp(Persona(1 - persona.0)).expect("every persona speaks it");
    assert_ne!(others.signer().public_key(), identity.signer().public_key());

    let key = identity.signer().public_key();
    assert_eq!(confirmed(None), Some(Confirmation::Key(teep_key)), "unless asked for the other one");
    assert_eq!(confirmed(Some(key)), Some(Confirmation::Key(key)));
    assert_eq!(key.key_type(), KeyType::P256);
    assert_eq!(identity.agreement().public_key(), key, "one certificate, one key");
    assert!(!identity.name().is_empty() && !identity.version().is_empty());
    let peer = provider.agree.ephemeral().unwrap();
    let (here, there) = (identity.agreement().agree(&peer.public_key()), peer.agree(&key));
    assert_eq!(here.unwrap().expose(), there.unwrap().expose(), "both ends agree on a secret");
    assert!(
        identity.agreement().agree(&PublicKey::P256 { x: [1; 32], y: [1; 32] }).is_err(),
        "no such point"
    );
    provider.verify.verify(&key, b"m", &identity.signer().sign(b"m").unwrap()).expect("it signs");

    let mut keys = vec![key, teep_key, platform.report_key(persona).unwrap().public_key(), attestation_key];
    if let Some(leaf) = identity.chain().first() {
        assert_eq!(tamarack_x509::unvalidated_key(leaf), Ok(key), "the certificate is of this key");
    }
    let said = |identity: &dyn OtrpIdentity| identity.firmware_signature(b"a transaction").unwrap();
    if let Some(said) = said(identity) {
        let firmware = tamarack_x509::unvalidated_key(&said.certificate).unwrap();
        provider
            .verify
            .verify(&firmware, b"a transaction", &said.signature)
            .expect("the firmware signs the tid");
        provider.verify.verify(&firmware, b"another", &said.signature).expect_err("and no other");
        keys.push(firmware);
    }
    // Security rule K6, but for the one key that OTrP both signs with and encrypts to.
    for (i, one) in keys.iter().enumerate() {
        assert!(!keys[i + 1..].contains(one), "one key, one purpose");
    }
    let before = (identity.name().to_owned(), identity.chain().to_vec(), key);
    let certificate = said(identity).map(|said| said.certificate);
    drop(platform);
    let platform = make().platform;
    let identity = platform.otrp(persona).expect("the identity survives a restart");
    assert_eq!(
        before,
        (identity.name().to_owned(), identity.chain().to_vec(), identity.signer().public_key())
    );
    assert_eq!(certificate, said(identity).map(|said| said.certificate));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(platform: MemoryPlatform) -> Subject {
        let personas = (0..platform.personas()).map(Persona);
        let attestation_keys = personas.map(|persona| platform.attestation_public_key(persona)).collect();
        Subject { attestation_keys, platform: Box::new(platform) }
    }
    use crate::memory_platform::{MemoryPlatform, MemoryStorage};
    use crate::otrp_pki::OtrpPki;

    #[test]
    fn memory_platform_speaks_otrp() {
        let provider = tamarack_crypto_rustcrypto::provider();
        let storage = MemoryStorage::default();
        let device = OtrpPki::new(&provider, 1).device(&provider, 1);
        check_platform(&provider, &mut || {
            let platform = MemoryPlatform::open(provider, 1, storage.clone()).with_otrp(1, device.clone());
            assert!(platform.otrp(Persona(1)).is_some());
            subject(platform)
        });
    }

    #[test]
    fn memory_platform_is_a_platform() {
        let provider = tamarack_crypto_rustcrypto::provider();
        let storage = MemoryStorage::default();
        check_platform(&provider, &mut || {
            let platform = MemoryPlatform::open(provider, 1, storage.clone());
            subject(platform)
        });
    }
}
