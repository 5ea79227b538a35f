//! What JOSE needs of a provider, beside the Wycheproof sets.

use tamarack_crypto::{Error, KeyType, Provider, PublicKey, SignatureAlgorithm};

use super::{array, bytes};

/// RSA keys for tests.
mod rsa_key;

/// The private key of RFC 7520 section 3.4 as DER PKCS#8, 2,048 bits: published there, worth nothing.
pub fn rsa_pkcs8() -> Vec<u8> {
    bytes(&rsa_key::PKCS8.concat())
}

/// DER SubjectPublicKeyInfo of an RSA key of 1,024 bits, which everything refuses.
pub fn small_rsa_spki() -> Vec<u8> {
    bytes(&rsa_key::SMALL_SPKI.concat())
}

pub(super) fn check(provider: &Provider) {
    check_key_wrap(provider);
    check_cbc(provider);
    check_agreement(provider);
    check_certified(provider);
    check_rsa(provider);
}

/// What one provider makes, the other reads.
pub(super) fn check_pair(maker: &Provider, checker: &Provider) {
    let pkcs8 = maker.keys.generate_pkcs8(KeyType::P256).expect("makes a key");
    let there = checker.agree.load_pkcs8(pkcs8.expose()).expect("loads the other's key");
    let ephemeral = maker.agree.ephemeral().expect("makes a key");
    let ours = ephemeral.agree(&there.public_key()).expect("agrees");
    let theirs = there.agree(&ephemeral.public_key()).expect("agrees");
    assert_eq!(ours.expose(), theirs.expose());
    for kek in [&[7; 16][..], &[8; 32]] {
        let wrapped = maker.key_wrap.wrap(kek, &[9; 64]).expect("wraps");
        assert_eq!(checker.key_wrap.unwrap(kek, &wrapped).expect("unwraps").expose(), &[9; 64]);
        let encrypted = maker.cbc.encrypt(kek, &[1; 16], b"data").expect("encrypts");
        assert_eq!(checker.cbc.decrypt(kek, &[1; 16], &encrypted).as_deref(), Ok(&b"data"[..]));
    }
    assert_eq!(maker.hmac512.tag(b"key", &[b"a", b"bc"]), checker.hmac512.tag(b"key", &[b"ab", b"c"]));
}

/// DER PKCS#8 of a P-256 key, without its public half.
pub fn p256_pkcs8(private: &[u8; 32]) -> Vec<u8> {
    let head = bytes("3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420");
    [&head[..], private].concat()
}

fn check_key_wrap(provider: &Provider) {
    // RFC 3394 sections 4.1 and 4.6.
    let cases = [
        (
            "000102030405060708090a0b0c0d0e0f",
            "00112233445566778899aabbccddeeff",
            "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5",
        ),
        (
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
            "00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f",
            "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21",
        ),
    ];
    for (kek, key, expected) in cases {
        let (kek, key, expected) = (bytes(kek), bytes(key), bytes(expected));
        assert_eq!(provider.key_wrap.wrap(&kek, &key), Ok(expected.clone()));
        assert_eq!(provider.key_wrap.unwrap(&kek, &expected).expect("unwraps").expose(), &key);
        for at in 0..expected.len() {
            let mut bad = expected.clone();
            bad[at] ^= 1;
            assert_eq!(provider.key_wrap.unwrap(&kek, &bad).err(), Some(Error::NotAuthentic), "byte {at}");
        }
    }
    let kek = [1; 16];
    for length in [0, 1, 8, 15, 17, 4104] {
        assert_eq!(provider.key_wrap.wrap(&kek, &vec![0; length]), Err(Error::InvalidKey), "{length}");
        let unwrapped = provider.key_wrap.unwrap(&kek, &vec![0; length + 8]);
        assert_eq!(unwrapped.err(), Some(Error::NotAuthentic), "{length}");
    }
    assert_eq!(provider.key_wrap.unwrap(&kek, &[]).err(), Some(Error::NotAuthentic));
    for length in [0, 15, 24, 33] {
        assert_eq!(provider.key_wrap.wrap(&vec![1; length], &[0; 16]), Err(Error::InvalidKey));
        assert_eq!(provider.key_wrap.unwrap(&vec![1; length], &[0; 24]).err(), Some(Error::InvalidKey));
    }
}

fn check_cbc(provider: &Provider) {
    // NIST SP 800-38A sections F.2.1 and F.2.5, first blocks; the padding is a block of its own.
    let cases = [
        ("2b7e151628aed2a6abf7158809cf4f3c", "7649abac8119b246cee98e9b12e9197d"),
        (
            "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
            "f58c4c04d6e5f1ba779eabfb5f7bfbd6",
        ),
    ];
    let iv = std::array::from_fn(|i| i as u8);
    let block = bytes("6bc1bee22e409f96e93d7e117393172a");
    for (key, expected) in cases {
        let key = bytes(key);
        let encrypted = provider.cbc.encrypt(&key, &iv, &block).expect("encrypts");
        assert_eq!((encrypted.len(), &encrypted[..16]), (32, &bytes(expected)[..]));
        assert_eq!(provider.cbc.decrypt(&key, &iv, &encrypted), Ok(block.clone()));
        // A whole block without its padding block, and lengths that are no blocks.
        for length in [0, 1, 15, 16, 17, 31] {
            let decrypted = provider.cbc.decrypt(&key, &iv, &encrypted[..length]);
            assert_eq!(decrypted, Err(Error::NotAuthentic), "{length} bytes");
        }
    }
    for length in [0, 15, 24, 33] {
        assert_eq!(provider.cbc.encrypt(&vec![0; length], &iv, &block), Err(Error::InvalidKey));
        assert_eq!(provider.cbc.decrypt(&vec![0; length], &iv, &block), Err(Error::InvalidKey));
    }
}

fn check_agreement(provider: &Provider) {
    // RFC 5903 section 8.1.
    let private = "c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433";
    let peer = PublicKey::P256 {
        x: array(&bytes("d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf63")),
        y: array(&bytes("56fbf3ca366cc23e8157854c13c58d6aac23f046ada30f8353e74f33039872ab")),
    };
    let shared = "d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de";
    let key = provider.agree.load_pkcs8(&p256_pkcs8(&array(&bytes(private)))).expect("loads");
    assert_eq!(key.agree(&peer).expect("agrees").expose()[..], bytes(shared)[..]);
    let refused = [
        ("off the curve", PublicKey::P256 { x: [1; 32], y: [1; 32] }),
        ("beyond the field", PublicKey::P256 { x: [0xff; 32], y: [0xff; 32] }),
        ("the zero point", PublicKey::P256 { x: [0; 32], y: [0; 32] }),
        ("another curve", PublicKey::Ed25519([9; 32])),
    ];
    for (name, peer) in refused {
        assert_eq!(key.agree(&peer).err(), Some(Error::InvalidKey), "{name}");
    }
    let (a, b) = (provider.agree.ephemeral().expect("makes"), provider.agree.ephemeral().expect("makes"));
    assert_ne!(a.public_key(), b.public_key());
}

fn check_certified(provider: &Provider) {
    let verify = |algorithm, spki: &[u8], signature: &[u8]| {
        provider.certified.verify_spki(algorithm, spki, b"message", signature)
    };
    let key = |key_type| {
        let pkcs8 = provider.keys.generate_pkcs8(key_type).expect("makes a key");
        provider.keys.load_pkcs8(pkcs8.expose()).expect("loads it")
    };
    let p256 = key(KeyType::P256);
    let (spki, signature) = (p256.public_key().to_spki(), p256.sign(b"message").expect("signs"));
    assert_eq!(verify(SignatureAlgorithm::Es256, &spki, &signature), Ok(()));
    assert_eq!(verify(SignatureAlgorithm::Es256, &spki, &signature[..63]), Err(Error::NotAuthentic));
    let ed25519 = key(KeyType::Ed25519);
    let (other, not_ours) = (ed25519.public_key().to_spki(), ed25519.sign(b"message").expect("signs"));
    assert_eq!(verify(SignatureAlgorithm::Es256, &other, &not_ours), Err(Error::InvalidKey));
    let has_them = provider.rsa.is_some();
    for algorithm in [SignatureAlgorithm::Es384, SignatureAlgorithm::Rs256, SignatureAlgorithm::Ps256] {
        let expected = if has_them { Error::InvalidKey } else { Error::Unsupported };
        assert_eq!(verify(algorithm, &spki, &signature), Err(expected), "{algorithm:?} with P-256");
    }
}

fn check_rsa(provider: &Provider) {
    let Some(rsa) = provider.rsa else {
        return;
    };
    let key = rsa.load_pkcs8(&rsa_pkcs8()).expect("loads");
    let verify = |algorithm, spki: &[u8], message: &[u8], signature: &[u8]| {
        provider.certified.verify_spki(algorithm, spki, message, signature)
    };
    for algorithm in [SignatureAlgorithm::Rs256, SignatureAlgorithm::Ps256] {
        let signature = key.sign(algorithm, b"message").expect("signs");
        assert_eq!(signature.len(), 256);
        assert_eq!(verify(algorithm, key.spki(), b"message", &signature), Ok(()));
        assert_eq!(verify(algorithm, key.spki(), b"another", &signature), Err(Error::NotAuthentic));
        let longer = [key.spki(), &[0]].concat();
        assert_eq!(verify(algorithm, &longer, b"message", &signature), Err(Error::InvalidKey));
    }
    assert_eq!(key.sign(SignatureAlgorithm::Es256, b"message"), Err(Error::Unsupported));
    let encrypted = rsa.oaep_encrypt(key.spki(), b"plaintext").expect("encrypts");
    assert_eq!(key.oaep_decrypt(&encrypted).expect("decrypts").expose(), b"plaintext");
    for bad in [&[][..], &encrypted[1..], &[0; 256], &[0xff; 256], &[&encrypted[..], &[0]].concat()] {
        assert_eq!(key.oaep_decrypt(bad).err(), Some(Error::NotAuthentic));
    }
    // 256 bytes less twice SHA-256 and two.
    assert!(rsa.oaep_encrypt(key.spki(), &[0; 190]).is_ok());
    assert_eq!(rsa.oaep_encrypt(key.spki(), &[0; 191]), Err(Error::OutputLength));
    let small = small_rsa_spki();
    assert_eq!(rsa.oaep_encrypt(&small, b"x"), Err(Error::InvalidKey), "1,024 bits");
    let refused = verify(SignatureAlgorithm::Rs256, &small, b"x", &[0; 128]);
    assert_eq!(refused, Err(Error::InvalidKey), "1,024 bits");
    let p256 = provider.keys.generate_pkcs8(KeyType::P256).expect("makes a key");
    assert_eq!(rsa.load_pkcs8(p256.expose()).err(), Some(Error::InvalidKey));
}
