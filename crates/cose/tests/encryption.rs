//! COSE_Encrypt: what one provider encrypts the other decrypts, and everything else fails in one way.

use tamarack_cbor::{Encoder, Limits};
use tamarack_cose::{
    Encrypted, EncryptionInfo, Error, Opener, Recipient, To, encrypt, encrypt_detached, thumbprint,
};
use tamarack_crypto::{KeyAgree, KeyType, Provider, PublicKey, Secret};

const PLAINTEXT: &[u8] = b"4012 8888 8888 1881";
const USE: &str = "EAT Encryption";

fn providers() -> [Provider; 2] {
    [tamarack_crypto_rustcrypto::provider(), tamarack_crypto_aws_lc::provider()]
}

fn key(provider: &Provider) -> Box<dyn KeyAgree> {
    let pkcs8 = provider.keys.generate_pkcs8(KeyType::P256).unwrap();
    provider.agree.load_pkcs8(pkcs8.expose()).unwrap()
}

fn to(key: &PublicKey) -> Recipient<'_> {
    Recipient { key, kid: None }
}

fn parse(bytes: &[u8]) -> Result<Encrypted, Error> {
    Encrypted::parse(bytes, &Limits::default())
}

fn open(bytes: &[u8], key: &dyn KeyAgree, kid: Option<&[u8]>, provider: &Provider) -> Result<Vec<u8>, Error> {
    parse(bytes)?
        .decrypt(key, kid, USE, provider)
        .map(|plaintext: Secret<Vec<u8>>| plaintext.expose().clone())
}

#[test]
fn each_provider_decrypts_what_the_other_encrypts() {
    for maker in providers() {
        for reader in providers() {
            let key = key(&reader);
            let bytes = encrypt(PLAINTEXT, &[to(&key.public_key())], USE, &[], &maker).unwrap();
            assert_eq!(bytes[..3], [0xd8, 96, 0x84], "a tagged COSE_Encrypt");
            assert_eq!(open(&bytes, &*key, None, &reader).as_deref(), Ok(PLAINTEXT));
            assert!(!bytes.windows(PLAINTEXT.len()).any(|window| window == PLAINTEXT));
        }
    }
}

#[test]
fn each_recipient_decrypts_and_nobody_else() {
    let [provider, _] = providers();
    let (a, b, c) = (key(&provider), key(&provider), key(&provider));
    let (a_public, b_public) = (a.public_key(), b.public_key());
    let kid = thumbprint(&a_public, &provider);
    let recipients = [Recipient { key: &a_public, kid: Some(&kid.0) }, to(&b_public)];
    let bytes = encrypt(PLAINTEXT, &recipients, USE, &[], &provider).unwrap();
    assert_eq!(parse(&bytes).unwrap().kids().collect::<Vec<_>>(), [Some(&kid.0[..]), None]);
    for (key, kid, expected) in [
        (&a, Some(&kid.0[..]), true),
        (&a, None, true),
        (&b, None, true),
        (&b, Some(&b"b"[..]), true),
        // The kid is a hint: a recipient of another name is not tried.
        (&a, Some(&b"a"[..]), false),
        (&c, None, false),
        (&c, Some(&kid.0[..]), false),
    ] {
        let expected = if expected { Ok(PLAINTEXT) } else { Err(&Error::Decrypt) };
        let opened = open(&bytes, &**key, kid, &provider);
        assert_eq!(opened.as_deref(), expected, "{kid:?}");
    }
}

#[test]
fn every_failure_of_decryption_is_the_same() {
    let [provider, _] = providers();
    let key = key(&provider);
    let bytes = encrypt(PLAINTEXT, &[to(&key.public_key())], USE, &[], &provider).unwrap();
    assert_eq!(
        parse(&bytes).unwrap().decrypt(&*key, None, "SUIT Payload Encryption", &provider).err(),
        Some(Error::Decrypt),
        "another use"
    );
    let mut read = 0;
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let Ok(object) = parse(&changed) else { continue };
        read += 1;
        let error = object.decrypt(&*key, None, USE, &provider).err();
        assert_eq!(error, Some(Error::Decrypt), "byte {at}");
    }
    assert!(read > 100, "{read}");
    assert_eq!(Error::Decrypt.code(), tamarack_model::codes::COSE_DECRYPT);
}

#[test]
fn detached_content_opens_with_both_kinds_of_key() {
    let [provider, other] = providers();
    let key = key(&provider);
    let public = key.public_key();
    let kek = [7; 16];
    let to = [To::Key(to(&public)), To::Kek { kek: &kek, kid: Some(b"shared") }];
    let (info, ciphertext) = encrypt_detached(PLAINTEXT, &to, USE, &other).unwrap();
    assert_eq!(ciphertext.len(), PLAINTEXT.len() + 16);
    let info = EncryptionInfo::parse(&info, &Limits::default()).unwrap();
    assert_eq!(info.recipients().collect::<Vec<_>>(), [(None, Some(-29)), (Some(&b"shared"[..]), Some(-3))]);
    for (opener, expected) in
        [(Opener::Key(&*key), true), (Opener::Kek(&kek), true), (Opener::Kek(&[8; 16]), false)]
    {
        let opened = info.decrypt(&ciphertext, opener, None, USE, &provider);
        assert_eq!(opened.is_ok(), expected);
    }
    for length in [0, 15, ciphertext.len() - 1] {
        let opened = info.decrypt(&ciphertext[..length], Opener::Kek(&kek), None, USE, &provider);
        assert_eq!(opened.err(), Some(Error::Decrypt), "{length}");
    }
}

#[test]
fn the_caller_adds_headers_that_everyone_reads() {
    let [provider, _] = providers();
    let key = key(&provider);
    let extra = [(-70030, b"challenge".to_vec())];
    let bytes = encrypt(PLAINTEXT, &[to(&key.public_key())], USE, &extra, &provider).unwrap();
    let object = parse(&bytes).unwrap();
    assert_eq!(object.unprotected(-70030), Some(&b"challenge"[..]));
    assert_eq!(object.unprotected(-70031), None);
}

#[test]
fn keys_that_cannot_agree_are_not_encrypted_to() {
    let [provider, _] = providers();
    for public in [PublicKey::Ed25519([1; 32]), PublicKey::P256 { x: [1; 32], y: [1; 32] }] {
        assert_eq!(encrypt(PLAINTEXT, &[to(&public)], USE, &[], &provider), Err(Error::Recipient));
    }
    assert_eq!(encrypt(PLAINTEXT, &[], USE, &[], &provider), Err(Error::Recipient));
}

/// Protected header, unprotected header, ciphertext and recipients as encoded items.
fn by_hand(protected: &str, unprotected: &str, recipients: &str) -> Result<EncryptionInfo, Error> {
    let unhex = |text: &str| hex::decode(text.replace(' ', "")).unwrap();
    let mut e = Encoder::new();
    e.tag(96).array(4).bytes(&unhex(protected)).raw(&unhex(unprotected)).null().raw(&unhex(recipients));
    EncryptionInfo::parse(&e.into_bytes(), &Limits::default())
}

const GCM: &str = "a1 01 01";
const IV: &str = "a1 05 4c 00 01 02 03 04 05 06 07 08 09 0a 0b";
const KEK: &str = "81 83 40 a1 01 22 40";

#[test]
fn only_what_is_implemented_and_well_formed_is_read() {
    let check = |parts: [&str; 3], expected: fn(Result<EncryptionInfo, Error>) -> bool| {
        let result = by_hand(parts[0], parts[1], parts[2]);
        assert!(expected(result), "{parts:?}");
    };
    check([GCM, IV, KEK], |r| r.is_ok());
    // A256GCM; A128CTR, which names itself unprotected; nothing.
    check(["a1 01 03", IV, KEK], |r| r.err() == Some(Error::Algorithm(3)));
    check(["", "a2 01 39 fffd 05 4c 000102030405060708090a0b", KEK], |r| {
        r.err() == Some(Error::Algorithm(-65534))
    });
    check(["", IV, KEK], |r| r.err() == Some(Error::AlgorithmMissing));
    // IVs of 16 and of no bytes, none, and a partial one.
    check([GCM, "a1 05 50 000102030405060708090a0b0c0d0e0f", KEK], |r| matches!(r, Err(Error::Cbor(_))));
    check([GCM, "a1 05 40", KEK], |r| matches!(r, Err(Error::Cbor(_))));
    check([GCM, "a0", KEK], |r| matches!(r, Err(Error::Cbor(_))));
    check([GCM, "a2 05 4c 000102030405060708090a0b 06 41 00", KEK], |r| matches!(r, Err(Error::Cbor(_))));
    // No recipients; one that has a method of its own; one with and one without.
    check([GCM, IV, "80"], |r| matches!(r, Err(Error::Cbor(_))));
    check([GCM, IV, "81 83 40 a1 01 24 40"], |r| r.err() == Some(Error::Algorithm(-5)));
    check([GCM, IV, "82 83 40 a1 01 24 40 83 40 a1 01 22 40"], |r| r.is_ok());
    check([GCM, IV, "81 83 40 a0 40"], |r| r.err() == Some(Error::AlgorithmMissing));
    // AES key wrap has no protected header; key agreement names itself there and brings its key.
    check([GCM, IV, "81 83 43 a1 01 22 a0 40"], |r| r.err() == Some(Error::Algorithm(-3)));
    check([GCM, IV, "81 83 44 a1 01 38 1c a0 40"], |r| matches!(r, Err(Error::Cbor(_))));
    check([GCM, IV, "81 83 40 a1 01 38 1c 40"], |r| r.err() == Some(Error::Algorithm(-29)));
    // Recipients of recipients are a method that is not ours.
    check([GCM, IV, "81 84 40 a1 01 22 40 80"], |r| r.is_err());
    // Attached and detached ciphertexts are not taken for each other.
    let [provider, _] = providers();
    let key = key(&provider);
    let attached = encrypt(PLAINTEXT, &[to(&key.public_key())], USE, &[], &provider).unwrap();
    assert_eq!(EncryptionInfo::parse(&attached, &Limits::default()).err(), Some(Error::Payload));
    let to = [To::Kek { kek: &[1; 16], kid: None }];
    let (info, _) = encrypt_detached(PLAINTEXT, &to, USE, &provider).unwrap();
    assert_eq!(parse(&info).err(), Some(Error::Payload));
}

#[test]
fn every_payload_has_keys_of_its_own() {
    let [provider, _] = providers();
    let (key, kek) = (key(&provider), [7; 16]);
    let public = key.public_key();
    let to = [To::Key(to(&public)), To::Kek { kek: &kek, kid: None }];
    let made: Vec<_> = (0..4).map(|_| encrypt_detached(PLAINTEXT, &to, USE, &provider).unwrap()).collect();
    for (at, (info, ciphertext)) in made.iter().enumerate() {
        for (other_info, other) in &made[at + 1..] {
            assert!(info != other_info && ciphertext != other);
            // Neither opens with the other's key.
            let info = EncryptionInfo::parse(info, &Limits::default()).unwrap();
            assert!(info.decrypt(other, Opener::Kek(&kek), None, USE, &provider).is_err());
        }
    }
}

#[test]
fn a_salt_counts() {
    // A message by hand: ECDH-ES+A128KW with a salt of three bytes in the recipient's header.
    let [provider, _] = providers();
    let (key, ephemeral) = (key(&provider), provider.agree.ephemeral().unwrap());
    let shared = ephemeral.agree(&key.public_key()).unwrap();
    let protected = hex::decode("a101381c").unwrap();
    let mut context = Encoder::new();
    context.array(4).int(-3);
    for _ in 0..2 {
        context.array(3).null().null().null();
    }
    context.array(3).uint(128).bytes(&protected).bytes(USE.as_bytes());
    let context = context.into_bytes();
    let message = |used: &[u8], written: &[u8]| {
        let mut kek = [0; 16];
        provider.hkdf.derive(used, shared.expose(), &context, &mut kek).unwrap();
        let mut aad = Encoder::new();
        aad.array(3).text("Encrypt").bytes(&[0xa1, 1, 1]).bytes(b"");
        let sealed = provider.aead128.seal(&[5; 16], &[6; 12], &aad.into_bytes(), PLAINTEXT).unwrap();
        let mut e = Encoder::new();
        e.tag(96).array(4).bytes(&[0xa1, 1, 1]);
        e.map_with(|map| {
            map.int(5, |e| e.bytes(&[6; 12]));
        });
        e.bytes(&sealed).array(1).array(3).bytes(&protected);
        e.map_with(|map| {
            map.int(-1, |e| e.item(&tamarack_cose::CoseKey(ephemeral.public_key())))
                .int(-20, |e| e.bytes(written));
        });
        e.bytes(&provider.key_wrap.wrap(&kek, &[5; 16]).unwrap());
        e.into_bytes()
    };
    assert_eq!(open(&message(b"abc", b"abc"), &*key, None, &provider).as_deref(), Ok(PLAINTEXT));
    assert_eq!(open(&message(b"abc", b"abd"), &*key, None, &provider), Err(Error::Decrypt));
    assert_eq!(open(&message(b"", b"abc"), &*key, None, &provider), Err(Error::Decrypt));
}

#[test]
fn recipients_are_bounded() {
    let [provider, _] = providers();
    let (ours, other) = ([7; 16], [8; 16]);
    let to = |others: usize| {
        let mut to = vec![To::Kek { kek: &other, kid: None }; others];
        to.push(To::Kek { kek: &ours, kid: None });
        to
    };
    // Eight that name nobody are tried (rule K5).
    for (others, expected) in [(7, Ok(PLAINTEXT)), (8, Err(&Error::Decrypt))] {
        let (info, sealed) = encrypt_detached(PLAINTEXT, &to(others), USE, &provider).unwrap();
        let info = EncryptionInfo::parse(&info, &Limits::default()).unwrap();
        let opened = info.decrypt(&sealed, Opener::Kek(&ours), None, USE, &provider);
        let opened = opened.as_ref().map(|plaintext| &plaintext.expose()[..]);
        assert_eq!(opened, expected, "behind {others} others");
    }
    assert!(encrypt_detached(PLAINTEXT, &to(63), USE, &provider).is_ok());
    assert_eq!(encrypt_detached(PLAINTEXT, &to(64), USE, &provider).err(), Some(Error::Recipient));
    for (count, head, fits) in [(64, "98 40", true), (65, "98 41", false)] {
        let read = by_hand(GCM, IV, &format!("{head} {}", "83 40 a1 01 22 40".repeat(count)));
        assert_eq!(read.is_ok(), fits, "{count}");
    }
}

#[test]
fn a_content_key_of_another_length_opens_nothing() {
    let [provider, _] = providers();
    let kek = [7; 16];
    for key in [&[5; 16][..], &[5; 24], &[5; 32]] {
        let wrapped = hex::encode(provider.key_wrap.wrap(&kek, key).unwrap());
        let recipients = format!("81 83 40 a1 01 22 58 {:02x} {wrapped}", key.len() + 8);
        let info = by_hand(GCM, IV, &recipients).unwrap();
        let mut aad = Encoder::new();
        aad.array(3).text("Encrypt").bytes(&[0xa1, 1, 1]).bytes(b"");
        let iv = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
        let sealed = provider.aead128.seal(&[5; 16], &iv, &aad.into_bytes(), PLAINTEXT).unwrap();
        let opened = info.decrypt(&sealed, Opener::Kek(&kek), None, USE, &provider);
        assert_eq!(opened.is_ok(), key.len() == 16, "{}", key.len());
    }
}
