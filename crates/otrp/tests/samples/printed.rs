use tamarack_crypto::{KeyAgree, KeyType, Sign, SignatureAlgorithm};
use tamarack_jose::json::ErrorKind;
use tamarack_jose::{Jwk, base64, jwe, jws};
use tamarack_otrp::response::{self, Incoming};
use tamarack_otrp::{Command, Error, Limits, Mode, Request, SerializedDsi, SignedRequest};
use tamarack_testkit::specs::otrp_dir;

use super::*;

/// What is done with a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    /// It is a message with its signature: read as it stands.
    Signed,
    /// It is to be signed, and is signed with a key of ours.
    ToBeSigned,
    /// The same, and its content stands in the clear: encrypted first.
    ToBeSealed,
    /// A DSI.
    Dsi,
    /// It is a message, and its payload is signed again with a key of ours.
    Resigned,
}
use How::*;

struct Sides {
    provider: Provider,
    signer: Box<dyn Sign>,
    agree: Box<dyn KeyAgree>,
}

impl Sides {
    fn new() -> Self {
        let provider = tamarack_crypto_rustcrypto::provider();
        let pkcs8 = provider.keys.generate_pkcs8(KeyType::P256).expect("a key");
        Self {
            provider,
            signer: provider.keys.load_pkcs8(pkcs8.expose()).expect("a key"),
            agree: provider.agree.load_pkcs8(pkcs8.expose()).expect("a key"),
        }
    }

    fn key(&self, purpose: jws::Purpose) -> jws::VerificationKey {
        jws::VerificationKey::of(&self.signer.public_key(), purpose).expect("a P-256 key")
    }

    /// Makes a message of something to be signed.
    fn sign(&self, sample: &Json, seal: bool) -> Vec<u8> {
        let (inner, members) = &sample.as_object().unwrap()[0];
        let mut members = members.as_object().unwrap().to_vec();
        if let Some((_, content)) = members.iter_mut().find(|(name, _)| name == "content" && seal) {
            let recipient = jwe::Recipient::from_spki(&self.agree.public_key().to_spki()).unwrap();
            let enc = jwe::Enc::A128CbcHs256;
            *content = jwe::encrypt(&json::to_vec(content), &recipient, enc, &self.provider).unwrap();
        }
        let payload = json::to_vec(&Json::Object(vec![(inner.clone(), Json::Object(members))]));
        let signer = jws::Signer::Es256(&*self.signer);
        let jws = jws::sign(&payload, signer, &jws::SignHeaders::default()).unwrap();
        json::to_vec(&Json::Object(vec![(inner.replace("TBS", ""), jws)]))
    }

    /// Signs the payload of a message, whatever it is.
    fn sign_again(&self, message: &Json) -> Vec<u8> {
        let (outer, jws) = &message.as_object().unwrap()[0];
        let payload = base64::decode_url(text(jws, "payload")).unwrap();
        let jws =
            jws::sign(&payload, jws::Signer::Es256(&*self.signer), &jws::SignHeaders::default()).unwrap();
        json::to_vec(&Json::Object(vec![(outer.clone(), jws)]))
    }

    /// Opens the ciphertext of a vector with its content key wrapped to a key of ours.
    fn open(&self, vector: &Json, aad: &str, cek: &[u8], tag: &str) -> Result<Vec<u8>, tamarack_jose::Error> {
        let ephemeral = self.provider.agree.ephemeral().unwrap();
        let shared = ephemeral.agree(&self.agree.public_key()).unwrap();
        // Concat KDF of RFC 7518 section 4.6.2 for ECDH-ES+A128KW, without party information.
        let algorithm = b"ECDH-ES+A128KW";
        let parts: [&[u8]; 6] =
            [&[0, 0, 0, 1], shared.expose(), &[0, 0, 0, 14], algorithm, &[0; 8], &[0, 0, 0, 128]];
        let kek = self.provider.sha256_parts(&parts);
        let encrypted_key = self.provider.key_wrap.wrap(&kek[..16], cek).unwrap();
        let epk = Jwk::from_public_key(&ephemeral.public_key()).unwrap().to_json();
        let recipient = json::object([
            ("header", json::object([("alg", "ECDH-ES+A128KW".into()), ("epk", epk)])),
            ("encrypted_key", base64::encode_url(&encrypted_key).into()),
        ]);
        let jwe = json::object([
            ("protected", aad.into()),
            ("recipients", json::array([recipient])),
            ("iv", text(vector, "iv").into()),
            ("ciphertext", text(vector, "ciphertext").into()),
            ("tag", tag.into()),
        ]);
        let plaintext =
            jwe::Jwe::parse(&jwe)?.decrypt(jwe::DecryptionKey::Agree(&*self.agree), &self.provider)?;
        Ok(plaintext.expose().clone())
    }

    /// Everything that is done with a message, up to the plaintext of its content.
    fn process(&self, message: &[u8], mode: Mode) -> Result<(), Error> {
        let name = parse(message).as_object().unwrap()[0].0.clone();
        let key = jwe::DecryptionKey::Agree(&*self.agree);
        if name.ends_with("Request") {
            let request = SignedRequest::parse(message, &mode, &Limits::default())?;
            let request = request.verify(&self.key(jws::Purpose::OtrpRequest), &self.provider)?;
            return match request.read()? {
                Request::GetDeviceState { .. } => Ok(()),
                Request::Sealed(mut sealed) => {
                    sealed.open(key, &self.provider)?;
                    if let Some(ta) = sealed.encrypted_ta() {
                        tamarack_otrp::ta_package::open(ta, key, &self.provider)?;
                    }
                    Ok(())
                }
            };
        }
        let response = match response::parse(message, &mode, &Limits::default())? {
            Incoming::DeviceStates(mut states) => states.remove(0)?,
            Incoming::Response(response) => *response,
            Incoming::BrokerError(_) => panic!("no sample is one"),
        };
        if response.command() == Command::GetDeviceState {
            response.open_device_state_unverified(key, &self.provider)?;
        }
        let mut response = response.verify(&self.key(jws::Purpose::OtrpResponse), &self.provider)?;
        response.open(key, &self.provider).map(drop)
    }
}

/// What a sample is refused for; none if it is read.
type Verdict = Option<Error>;

fn mistyped(path: &str) -> Verdict {
    Some(Error::Mistyped(path.into()))
}

fn jose(error: tamarack_jose::Error) -> Verdict {
    Some(Error::Jose(error))
}

fn not_json(at: usize, kind: ErrorKind) -> json::Error {
    json::Error { at, kind }
}

/// All 27, with what is done with each and how it ends in strict and in compat mode. Those that were printed with a
/// signature stand twice: as they are, and with their payload signed by a key of ours, to see what is wrong behind it.
fn table() -> Vec<(&'static str, How, Verdict, Verdict)> {
    use tamarack_jose::Error::{AlgorithmForKey, Json as Header, Member, Rsa1_5Refused};
    let quote = ErrorKind::Expected("a name in double quotes");
    // The payload of 02 has a rid without quotes, that of 05 raw line ends, the headers of 07 and 09 typographic quotes.
    let unquoted = || Some(Error::Json(not_json(59, quote)));
    let control = || Some(Error::Json(not_json(400, ErrorKind::ControlCharacter)));
    let typographic = || jose(Header(not_json(1, quote)));
    let nextdsi = || mistyped("nextdsi");
    let rsa1_5 = || jose(Rsa1_5Refused);
    vec![
        // A string where an array belongs; a member of an older draft.
        (
            "01-GetDeviceStateTBSRequest",
            ToBeSigned,
            mistyped("ocspdat"),
            Some(Error::Undefined("icaocspdat".into())),
        ),
        ("02-GetDeviceStateRequest", Signed, unquoted(), unquoted()),
        ("02-GetDeviceStateRequest", Resigned, unquoted(), unquoted()),
        // A text that says that it would be a key.
        ("03-dsi", Dsi, mistyped("dsi.tee.teeaiklist[0].spaik"), mistyped("dsi.tee.teeaiklist[0].spaik")),
        ("04-GetDeviceTEEStateTBSResponse", ToBeSigned, mistyped("signerreq"), rsa1_5()),
        ("05-GetDeviceStateResponse", Signed, control(), control()),
        ("06-CreateSDTBSRequest", ToBeSealed, nextdsi(), None),
        ("07-CreateSDRequest", Signed, typographic(), typographic()),
        ("07-CreateSDRequest", Resigned, nextdsi(), typographic()),
        // Exponent and modulus one after the other are no public key.
        ("08-CreateSDTBSResponse", ToBeSealed, mistyped("content.teespaik"), mistyped("content.teespaik")),
        ("09-CreateSDResponse", Signed, typographic(), typographic()),
        ("09-CreateSDResponse", Resigned, typographic(), typographic()),
        // A hash that was encoded twice: 54 bytes.
        ("10-UpdateSDTBSRequest", ToBeSealed, nextdsi(), mistyped("dsihash")),
        ("11-UpdateSDTBSResponse", ToBeSealed, mistyped("content.teespaik"), mistyped("content.teespaik")),
        ("12-DeleteSDTBSRequest", ToBeSealed, nextdsi(), None),
        ("13-DeleteSDTBSRequest", ToBeSigned, nextdsi(), rsa1_5()),
        // RS256, and the key here is of P-256: with another key the 16 bytes of text would not verify either.
        ("14-DeleteSDRequest", Signed, jose(AlgorithmForKey), jose(AlgorithmForKey)),
        ("14-DeleteSDRequest", Resigned, nextdsi(), rsa1_5()),
        ("15-DeleteSDTBSResponse", ToBeSealed, None, None),
        ("16-DeleteSDTBSResponse", ToBeSigned, rsa1_5(), rsa1_5()),
        ("17-DeleteSDResponse", Signed, rsa1_5(), rsa1_5()),
        ("18-InstallTATBSRequest", ToBeSealed, nextdsi(), mistyped("dsihash")),
        (
            "19-InstallTATBSResponse",
            ToBeSealed,
            mistyped("content.dsi.tee.teeaiklist[0].spaik"),
            mistyped("content.dsi.tee.teeaiklist[0].spaik"),
        ),
        ("20-UpdateTATBSRequest", ToBeSealed, nextdsi(), mistyped("encrypted_ta.iv")),
        // A blank before the protected header.
        ("21-UpdateTARequest", Signed, jose(Member("protected")), jose(Member("protected"))),
        ("21-UpdateTARequest", Resigned, nextdsi(), rsa1_5()),
        ("22-UpdateTATBSResponse", ToBeSealed, None, None),
        ("23-UpdateTAResponse", Signed, rsa1_5(), rsa1_5()),
        ("23-UpdateTAResponse", Resigned, rsa1_5(), rsa1_5()),
        ("24-DeleteTATBSRequest", ToBeSealed, nextdsi(), None),
        ("25-DeleteTARequest", Signed, jose(AlgorithmForKey), jose(AlgorithmForKey)),
        // The protected header of the JWE is an object.
        ("25-DeleteTARequest", Resigned, nextdsi(), jose(Member("protected"))),
        ("26-DeleteTATBSResponse", ToBeSealed, None, None),
        // A search and replace left octets that are no text.
        (
            "27-DeleteTAResponse",
            Signed,
            Some(Error::Json(not_json(622, ErrorKind::Utf8))),
            Some(Error::Json(not_json(622, ErrorKind::Utf8))),
        ),
        (
            "27-DeleteTAResponse",
            Resigned,
            Some(Error::Json(not_json(622, ErrorKind::Utf8))),
            Some(Error::Json(not_json(622, ErrorKind::Utf8))),
        ),
    ]
}

#[test]
fn all_printed_samples_are_accounted_for() {
    let Some(dir) = otrp_dir() else { return };
    let sides = Sides::new();
    let mut seen = std::collections::BTreeSet::new();
    for (file, how, strict, compat) in table() {
        seen.insert(&file[..2]);
        let bytes = read(dir.join(format!("samples/{file}.json")));
        for (mode, verdict) in [(Mode::Strict, strict), (Mode::Compat, compat)] {
            let outcome = match how {
                Dsi => SerializedDsi::parse(&bytes, &mode, &Limits::default()).map(drop),
                Signed => sides.process(&bytes, mode),
                ToBeSigned => sides.process(&sides.sign(&parse(&bytes), false), mode),
                ToBeSealed => sides.process(&sides.sign(&parse(&bytes), true), mode),
                Resigned => sides.process(&sides.sign_again(&parse(&bytes)), mode),
            };
            assert_eq!(outcome.err(), verdict, "{file} {how:?} {mode:?}");
        }
    }
    assert_eq!(seen.len(), 27);
}

/// The text as the draft prints it, with folded strings and comments: five are JSON, the others are not.
#[test]
fn few_printed_samples_are_json_as_printed() {
    let Some(dir) = otrp_dir() else { return };
    let mut strict: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(dir.join("samples")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".asprinted.txt")
            && json::parse(&read(dir.join("samples").join(&name)), &json::Limits::default()).is_ok()
        {
            strict.push(name[..2].into());
        }
    }
    strict.sort();
    assert_eq!(strict, ["01", "03", "22", "24", "26"]);
}

/// SubjectPublicKeyInfo inside a certificate of an RSA key.
fn rsa_spki(certificate: &[u8]) -> &[u8] {
    let algorithm =
        [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
    // Below 256 bytes: 0x30, 0x81, length.
    let start = find(certificate, &algorithm) - 3;
    &certificate[start..start + 3 + usize::from(certificate[start + 2])]
}

/// The six signatures that are real verify, but only for a library that takes RSA of 1024 bits: none of ours does.
#[test]
fn the_real_signatures_verify_and_their_key_is_too_small() {
    use aws_lc_rs::signature::{RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, UnparsedPublicKey};
    let Some(dir) = otrp_dir() else { return };
    let vectors = parse(&read(dir.join("samples/vectors-jws.json")));
    let signer = read(dir.join("samples/signer.der"));
    let spki = rsa_spki(&signer);
    assert_eq!(
        jws::VerificationKey::new(spki, jws::Purpose::OtrpRequest).err(),
        Some(tamarack_jose::Error::Key)
    );
    // RSAPublicKey, behind the algorithm and the head of the BIT STRING.
    let key = UnparsedPublicKey::new(&RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, &spki[3 + 15 + 4..]);
    let vectors = vectors.as_array().unwrap();
    assert_eq!(vectors.len(), 6);
    for vector in vectors {
        let source = text(vector, "source");
        assert_eq!(base64::decode(text(vector, "signer_cert_b64")).as_ref(), Ok(&signer));
        let input = [text(vector, "protected"), text(vector, "payload")].join(".");
        let signature = base64::decode_url(text(vector, "signature")).unwrap();
        assert_eq!(
            key.verify(input.as_bytes(), &signature).is_ok(),
            vector.get("rs256_valid").unwrap().as_bool().unwrap()
        );
        for provider in providers() {
            let verified =
                provider.certified.verify_spki(SignatureAlgorithm::Rs256, spki, input.as_bytes(), &signature);
            assert!(verified.is_err(), "{source} with {}", provider.name);
        }
        let jws = json::object([
            ("payload", text(vector, "payload").into()),
            ("protected", text(vector, "protected").into()),
            ("signature", text(vector, "signature").into()),
        ]);
        let is_json = vector.get("protected_is_json").unwrap().as_bool().unwrap();
        assert_eq!(jws::Unverified::parse(&jws, Mode::Strict).is_ok(), is_json, "{source}");
        if source != "27" {
            continue;
        }
        // As printed, a search and replace went through the payload.
        let printed = parse(&read(dir.join("samples/27-DeleteTAResponse.json")));
        let payload = text(printed.get("DeleteTAResponse").unwrap(), "payload");
        assert_ne!(payload, text(vector, "payload"));
        let input = [text(vector, "protected"), payload].join(".");
        assert!(key.verify(input.as_bytes(), &signature).is_err());
    }
}

/// The six encryptions that are real open with the published key, once their tags are cut to the 16 bytes that RFC 7518
/// has; with the 32 bytes that were printed they are refused.
#[test]
fn the_real_encryptions_open_with_tags_of_the_right_length_only() {
    let Some(dir) = otrp_dir() else { return };
    let vectors = parse(&read(dir.join("samples/vectors-aead.json")));
    let vectors = vectors.as_array().unwrap();
    assert_eq!(vectors.len(), 6);
    let sides = Sides::new();
    for vector in vectors {
        let source = text(vector, "source");
        let bytes = |name| base64::decode_url(text(vector, name)).unwrap();
        let (cek, aad, iv, ciphertext) =
            (bytes("cek_b64u"), text(vector, "aad_ascii"), bytes("iv"), bytes("ciphertext"));
        for provider in providers() {
            // RFC 7518 section 5.2.2, by hand.
            let bits = (aad.len() as u64 * 8).to_be_bytes();
            let tag = provider.hmac.tag(&cek[..16], &[aad.as_bytes(), &iv, &ciphertext, &bits]);
            assert_eq!(&tag[..16], bytes("tag_rfc7518_16"), "{source}");
            assert_eq!(&tag[..], bytes("tag_as_sent_32"), "{source}");
            let iv = iv.as_slice().try_into().unwrap();
            let plaintext = provider.cbc.decrypt(&cek[16..], iv, &ciphertext).unwrap();
            assert_eq!(plaintext, text(vector, "plaintext_utf8").as_bytes());
        }
        // With the key wrapped to a key of ours the whole JWE can be opened, where its header is JSON.
        let header_is_json = json::parse(&base64::decode_url(aad).unwrap(), &json::Limits::default()).is_ok();
        let opened = |tag: &str| sides.open(vector, aad, &cek, text(vector, tag));
        match header_is_json {
            true => {
                assert_eq!(opened("tag_rfc7518_16").unwrap(), text(vector, "plaintext_utf8").as_bytes());
                assert_eq!(opened("tag_as_sent_32"), Err(tamarack_jose::Error::Member("tag")));
            }
            false => assert!(matches!(opened("tag_rfc7518_16"), Err(tamarack_jose::Error::Json(_)))),
        }
    }
}

/// 21 carries a TA, under the key of its content and with the same IV: what a package of ours never does.
#[test]
fn the_ta_of_sample_21_is_under_the_key_of_the_content() {
    let Some(dir) = otrp_dir() else { return };
    let payload = parse(&read(dir.join("samples/21-UpdateTARequest.payload.json")));
    let tbs = payload.get("UpdateTATBSRequest").unwrap();
    let ta = tbs.get("encrypted_ta").unwrap();
    let content = tbs.get("content").unwrap();
    let recipient = &content.get("recipients").unwrap().as_array().unwrap()[0];
    assert_eq!(text(ta, "key"), text(recipient, "encrypted_key"));
    assert_eq!(text(ta, "iv"), text(content, "iv"));
    let vectors = parse(&read(dir.join("samples/vectors-aead.json")));
    let cek = base64::decode_url(text(&vectors.as_array().unwrap()[2], "cek_b64u")).unwrap();
    let iv = base64::decode_url(text(ta, "iv")).unwrap();
    let ciphertext = base64::decode_any(text(ta, "ciphernewtadata")).unwrap();
    let provider = tamarack_crypto_rustcrypto::provider();
    let plaintext = provider.cbc.decrypt(&cek[16..], iv.as_slice().try_into().unwrap(), &ciphertext).unwrap();
    assert_eq!(plaintext, read(dir.join("samples/21-ta.plaintext.txt")));
}

/// A did of 32 bytes that are 32 hexadecimal digits: it has the size of a hash, and is none of anything.
#[test]
fn the_did_of_sample_15_is_the_hash_of_no_certificate() {
    let Some(dir) = otrp_dir() else { return };
    let sample = parse(&read(dir.join("samples/15-DeleteSDTBSResponse.json")));
    let did = base64::decode(text(sample.get("DeleteSDTBSResponse").unwrap().get("content").unwrap(), "did"))
        .unwrap();
    assert!(did.len() == 32 && did.iter().all(u8::is_ascii_hexdigit));
    let provider = tamarack_crypto_rustcrypto::provider();
    for certificate in ["signer.der", "spcert-repaired.der"] {
        assert_ne!(&provider.sha256(&read(dir.join("samples").join(certificate)))[..], did);
    }
}
