//! The one conformance suite of cryptographic providers: every provider crate runs [`check_provider`] in its tests.
//!
//! Expected values come from the Wycheproof project, FIPS 180-4 and the RFCs that define the primitives.

use tamarack_crypto::{Error, HashAlgorithm, KeyType, Provider, PublicKey, is_strict_ed25519_point};

mod jose;
mod vectors;

pub use jose::{p256_pkcs8, rsa_pkcs8, small_rsa_spki};

/// The public key of RFC 8410 section 10.3.
const RFC8410_PUBLIC: &str = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";

/// How many vectors of each Wycheproof set were run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// ECDSA P-256 with SHA-256, signatures as r || s.
    pub ecdsa: usize,
    /// Ed25519.
    pub eddsa: usize,
    /// AES-128-GCM and AES-256-GCM with 12-byte nonces and 16-byte tags.
    pub aes_gcm: usize,
    /// HMAC-SHA-256.
    pub hmac: usize,
    /// HKDF-SHA-256.
    pub hkdf: usize,
    /// HMAC-SHA-512.
    pub hmac512: usize,
    /// AES-CBC with PKCS#7 padding, keys of 16 and 32 bytes.
    pub aes_cbc: usize,
    /// AES Key Wrap, keys of 16 and 32 bytes.
    pub aes_wrap: usize,
    /// ECDH on P-256.
    pub ecdh: usize,
    /// ECDSA P-384 with SHA-384, RSA signatures and RSA-OAEP; zero if the provider has none of them.
    pub optional: usize,
}

/// Checks everything that a [`Provider`] promises and prints how many vectors were run.
///
/// # Panics
/// At the first difference, naming the vector.
pub fn check_provider(provider: &Provider) {
    check_hashes(provider);
    check_random(provider);
    check_keys(provider);
    check_strict_ed25519(provider);
    check_malformed_signatures(provider);
    check_hkdf_limit(provider);
    check_aead(provider);
    check_aead128(provider);
    jose::check(provider);
    let counts = vectors::check_wycheproof(provider);
    println!("{}: Wycheproof vectors run: {counts:?}", provider.name);
    let Counts { ecdsa, eddsa, aes_gcm, hmac, hkdf, hmac512, aes_cbc, aes_wrap, ecdh, optional } = counts;
    let always = [ecdsa, eddsa, aes_gcm, hmac, hkdf, hmac512, aes_cbc, aes_wrap, ecdh];
    assert!(always.iter().all(|n| *n > 0), "{counts:?}");
    assert_eq!(optional > 0, provider.rsa.is_some(), "{counts:?}");
}

/// Checks that keys made by `maker` work in `checker`: PKCS#8 is read and signatures verify.
///
/// # Panics
/// At the first difference.
pub fn check_pair(maker: &Provider, checker: &Provider) {
    for key_type in [KeyType::P256, KeyType::Ed25519] {
        let pkcs8 = maker.keys.generate_pkcs8(key_type).expect("makes a key");
        let here = maker.keys.load_pkcs8(pkcs8.expose()).expect("loads its own key");
        let there = checker.keys.load_pkcs8(pkcs8.expose()).expect("loads the other's key");
        let public = here.public_key();
        assert_eq!(public, there.public_key());
        for (signer, verifier) in [(&here, checker), (&there, maker)] {
            let signature = signer.sign(b"message").expect("signs");
            assert_eq!(verifier.verify.verify(&public, b"message", &signature), Ok(()));
            assert_eq!(verifier.verify.verify(&public, b"another", &signature), Err(Error::NotAuthentic));
        }
    }
    let (key, nonce) = ([7; 32], [8; 12]);
    let sealed = maker.aead.seal(&key, &nonce, b"aad", b"plaintext").expect("seals");
    assert_eq!(checker.aead.open(&key, &nonce, b"aad", &sealed).expect("opens"), b"plaintext");
    let short = [7; 16];
    let sealed = maker.aead128.seal(&short, &nonce, b"aad", b"plaintext").expect("seals");
    assert_eq!(checker.aead128.open(&short, &nonce, b"aad", &sealed).expect("opens"), b"plaintext");
    assert_eq!(maker.hmac.tag(b"key", &[b"a", b"bc"]), checker.hmac.tag(b"key", &[b"ab", b"c"]));
    jose::check_pair(maker, checker);
}

/// The encodings of Ed25519 points of small order: the eight canonical ones.
pub fn small_order_points() -> Vec<[u8; 32]> {
    const Y: [&str; 5] = [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    ];
    let mut points: Vec<[u8; 32]> = Y.iter().map(|y| array(&bytes(y))).collect();
    // x = 0 has no negative; the others have one, told by the top bit.
    for at in 2..5 {
        let mut negative = points[at];
        negative[31] |= 0x80;
        points.push(negative);
    }
    points
}

fn check_hashes(provider: &Provider) {
    // FIPS 180-4 examples: one block, the empty message, and a message given in parts.
    let cases = [
        (HashAlgorithm::Sha256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (HashAlgorithm::Sha256, "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (
            HashAlgorithm::Sha384,
            "abc",
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
        ),
        (
            HashAlgorithm::Sha512,
            "abc",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        ),
    ];
    for (algorithm, message, expected) in cases {
        let mut whole = provider.sha2.start(algorithm);
        whole.update(message.as_bytes());
        let mut split = provider.sha2.start(algorithm);
        message.as_bytes().chunks(1).for_each(|byte| split.update(byte));
        let digest = whole.finish();
        assert_eq!(digest, bytes(expected), "{algorithm:?} of {message:?}");
        assert_eq!(digest, split.finish(), "{algorithm:?} of {message:?} in parts");
        assert_eq!(digest.len(), algorithm.digest_length());
    }
    assert_eq!(provider.sha256_parts(&[b"a", b"", b"bc"]), provider.sha256(b"abc"));
}

fn check_random(provider: &Provider) {
    let (mut a, mut b) = ([0; 32], [0; 32]);
    provider.random.fill(&mut a).expect("gives random bytes");
    provider.random.fill(&mut b).expect("gives random bytes");
    assert!(a != b && a != [0; 32], "random bytes repeat");
}

/// Keys in the encodings that other programs write, PKCS#8 version 1 and 2: the Ed25519 key of RFC 8410 section 10.3 and
/// the P-256 key of RFC 6979 appendix A.2.5.
fn check_keys(provider: &Provider) {
    check_pair(provider, provider);

    let rfc8410_v1 =
        "302e020100300506032b657004220420d4ee72dbf913584ad5b6d8f1f769f8ad3afe7c28cbf1d4fbe097a88f44755842";
    let rfc8410_v2 = "3072020101300506032b657004220420d4ee72dbf913584ad5b6d8f1f769f8ad3afe7c28cbf1d4fbe097a88f44755842\
        a01f301d060a2a864886f70d01090914310f0c0d437572646c65204368616972738121\
        0019bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";
    let expected = PublicKey::Ed25519(array(&bytes(RFC8410_PUBLIC)));
    let v2_plain = format!("3051020101{}812100{RFC8410_PUBLIC}", &rfc8410_v1[10..]);
    for (name, der) in
        [("version 1", rfc8410_v1), ("version 2", &*v2_plain), ("version 2 with attributes", rfc8410_v2)]
    {
        let key = provider.keys.load_pkcs8(&bytes(der)).unwrap_or_else(|e| panic!("Ed25519 {name}: {e}"));
        assert_eq!(key.public_key(), expected, "Ed25519 {name}");
    }

    let private = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721";
    let x = "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6";
    let y = "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";
    let expected = PublicKey::P256 { x: array(&bytes(x)), y: array(&bytes(y)) };
    let agrees = |der: &[u8]| provider.agree.load_pkcs8(der).map(|key| key.public_key());
    assert_eq!(agrees(&bytes(rfc8410_v1)), Err(Error::InvalidKey), "Ed25519 does not agree on keys");
    let ids = "301306072a8648ce3d020106082a8648ce3d030107";
    let ec = format!("306b0201010420{private}a14403420004{x}{y}");
    let ec_without_public = format!("30250201010420{private}");
    let p256 = [
        ("version 1", format!("308187020100{ids}046d{ec}")),
        ("version 1 without public key", format!("3041020100{ids}0427{ec_without_public}")),
        ("version 2", format!("3081cb020101{ids}046d{ec}81420004{x}{y}")),
    ];
    for (name, der) in &p256 {
        match provider.keys.load_pkcs8(&bytes(der)) {
            Ok(key) => assert_eq!(key.public_key(), expected, "P-256 {name}"),
            Err(error) => panic!("P-256 {name}: {error}"),
        }
        assert_eq!(agrees(&bytes(der)), Ok(expected), "P-256 {name} for key agreement");
    }

    let mismatched = format!("3051020101{}812100{}", &rfc8410_v1[10..], "58".repeat(32));
    let other_v2 = format!("3081cb020101{ids}046d{ec}81420004{y}{x}");
    let good = bytes(rfc8410_v1);
    let refused = [
        ("empty", Vec::new()),
        ("truncated", good[..good.len() - 1].to_vec()),
        ("trailing byte", [&good[..], &[0]].concat()),
        ("public key of another key", bytes(&mismatched)),
        ("P-256 version 2 with another public key", bytes(&other_v2)),
        ("P-256 of zero", bytes(&p256[1].1.replace(private, &"00".repeat(32)))),
        ("P-256 above the order", bytes(&p256[1].1.replace(private, &"ff".repeat(32)))),
    ];
    for (name, der) in refused {
        assert_eq!(provider.keys.load_pkcs8(&der).err(), Some(Error::InvalidKey), "{name}");
        assert_eq!(agrees(&der), Err(Error::InvalidKey), "{name} for key agreement");
    }
}

fn check_strict_ed25519(provider: &Provider) {
    // With a key of small order the all-zero S and the neutral R fit many messages.
    let mut neutral = [0; 64];
    neutral[0] = 1;
    for point in small_order_points() {
        assert!(!is_strict_ed25519_point(&point), "{point:02x?}");
        let key = PublicKey::Ed25519(point);
        for message in [&b"a"[..], b"b", b"c", b"d"] {
            assert!(provider.verify.verify(&key, message, &neutral).is_err(), "{point:02x?}");
        }
    }
    // Made with the private key of RFC 8410 section 10.3 as S = k * a for the neutral R: the equation holds, yet no honest
    // signer makes it.
    let key = PublicKey::Ed25519(array(&bytes(RFC8410_PUBLIC)));
    let with_neutral_r = bytes(
        "0100000000000000000000000000000000000000000000000000000000000000\
         655eaba20e9de6b49405554814f9cdb3d8753873be252c29d0fb8494ffc6cf06",
    );
    assert_eq!(provider.verify.verify(&key, b"message", &with_neutral_r), Err(Error::NotAuthentic));
    // y = p + 3 is the same point as y = 3, in an encoding that RFC 8032 section 5.1.3 refuses.
    let mut above = [0xff; 32];
    (above[0], above[31]) = (0xf0, 0x7f);
    assert_eq!(provider.verify.verify(&PublicKey::Ed25519(above), b"a", &[0; 64]), Err(Error::InvalidKey));
}

fn check_malformed_signatures(provider: &Provider) {
    for key_type in [KeyType::P256, KeyType::Ed25519] {
        let pkcs8 = provider.keys.generate_pkcs8(key_type).expect("makes a key");
        let key = provider.keys.load_pkcs8(pkcs8.expose()).expect("loads it");
        let public = key.public_key();
        let good = key.sign(b"message").expect("signs");
        let verify = |signature: &[u8]| provider.verify.verify(&public, b"message", signature);
        assert_eq!(verify(&good), Ok(()));
        for bad in [&[][..], &good[..63], &[&good[..], &[0]].concat(), &[0; 64], &[0xff; 64]] {
            assert_eq!(verify(bad), Err(Error::NotAuthentic), "{key_type:?} {bad:02x?}");
        }
        for bit in (0..512).step_by(37) {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(verify(&bad), Err(Error::NotAuthentic), "{key_type:?} bit {bit}");
        }
    }
    let off_curve = PublicKey::P256 { x: [1; 32], y: [1; 32] };
    assert_eq!(provider.verify.verify(&off_curve, b"message", &[1; 64]), Err(Error::InvalidKey));
    check_both_halves_of_s(provider);
}

/// ECDSA signatures (r, s) and (r, n - s) are both valid; X.509 and COSE forbid neither.
fn check_both_halves_of_s(provider: &Provider) {
    const ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let pkcs8 = provider.keys.generate_pkcs8(KeyType::P256).expect("makes a key");
    let key = provider.keys.load_pkcs8(pkcs8.expose()).expect("loads it");
    let mut signature = key.sign(b"message").expect("signs");
    assert_eq!(provider.verify.verify(&key.public_key(), b"message", &signature), Ok(()));
    let mut borrow = 0;
    for (digit, order) in signature[32..].iter_mut().zip(bytes(ORDER)).rev() {
        let difference = i16::from(order) - i16::from(*digit) - borrow;
        borrow = i16::from(difference < 0);
        *digit = difference.rem_euclid(256) as u8;
    }
    assert_eq!(provider.verify.verify(&key.public_key(), b"message", &signature), Ok(()));
}

fn check_hkdf_limit(provider: &Provider) {
    let mut longest = vec![0; 8160];
    assert_eq!(provider.hkdf.derive(b"", b"secret", b"", &mut longest), Ok(()));
    assert_eq!(provider.hkdf.derive(b"", b"secret", b"", &mut vec![0; 8161]), Err(Error::OutputLength));
    let mut short = [0; 16];
    assert_eq!(provider.hkdf.derive(b"", b"secret", b"", &mut short), Ok(()));
    assert_eq!(short[..], longest[..16]);
}

fn check_aead(provider: &Provider) {
    let (key, nonce) = ([1; 32], [2; 12]);
    let sealed = provider.aead.seal(&key, &nonce, b"aad", b"plaintext").expect("seals");
    let open = |key: &[u8; 32], nonce: &[u8; 12], aad: &[u8], sealed: &[u8]| {
        provider.aead.open(key, nonce, aad, sealed)
    };
    assert_eq!(sealed.len(), 9 + 16);
    assert_eq!(open(&key, &nonce, b"aad", &sealed).expect("opens"), b"plaintext");
    assert_eq!(open(&[0; 32], &nonce, b"aad", &sealed), Err(Error::NotAuthentic));
    assert_eq!(open(&key, &[0; 12], b"aad", &sealed), Err(Error::NotAuthentic));
    assert_eq!(open(&key, &nonce, b"", &sealed), Err(Error::NotAuthentic));
    for length in [0, 15, sealed.len() - 1] {
        assert_eq!(open(&key, &nonce, b"aad", &sealed[..length]), Err(Error::NotAuthentic));
    }
    for at in 0..sealed.len() {
        let mut bad = sealed.clone();
        bad[at] ^= 1;
        assert_eq!(open(&key, &nonce, b"aad", &bad), Err(Error::NotAuthentic), "byte {at}");
    }
}

fn check_aead128(provider: &Provider) {
    let (key, nonce) = ([1; 16], [2; 12]);
    let sealed = provider.aead128.seal(&key, &nonce, b"aad", b"plaintext").expect("seals");
    let open = |key: &[u8; 16], nonce: &[u8; 12], aad: &[u8], sealed: &[u8]| {
        provider.aead128.open(key, nonce, aad, sealed)
    };
    assert_eq!(sealed.len(), 9 + 16);
    assert_eq!(open(&key, &nonce, b"aad", &sealed).expect("opens"), b"plaintext");
    assert_eq!(open(&[0; 16], &nonce, b"aad", &sealed), Err(Error::NotAuthentic));
    assert_eq!(open(&key, &[0; 12], b"aad", &sealed), Err(Error::NotAuthentic));
    assert_eq!(open(&key, &nonce, b"", &sealed), Err(Error::NotAuthentic));
    for length in [0, 15, sealed.len() - 1] {
        assert_eq!(open(&key, &nonce, b"aad", &sealed[..length]), Err(Error::NotAuthentic));
    }
    for at in 0..sealed.len() {
        let mut bad = sealed.clone();
        bad[at] ^= 1;
        assert_eq!(open(&key, &nonce, b"aad", &bad), Err(Error::NotAuthentic), "byte {at}");
    }
}

fn bytes(hexadecimal: &str) -> Vec<u8> {
    hex::decode(hexadecimal).expect("test data is hexadecimal")
}

fn array(bytes: &[u8]) -> [u8; 32] {
    bytes.try_into().expect("test data has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::check_pair;

    #[test]
    fn providers_read_each_others_keys_and_signatures() {
        let (a, b) = (tamarack_crypto_aws_lc::provider(), tamarack_crypto_rustcrypto::provider());
        check_pair(&a, &b);
        check_pair(&b, &a);
    }
}
