//! The exchange in samples/fresh/ec: ES256, ECDH-ES+A128KW, written by another implementation.

use std::path::PathBuf;

use tamarack_crypto::{KeyAgree, PublicKey, Sign, SignatureAlgorithm};
use tamarack_jose::{Jwk, base64, jwe, jws};
use tamarack_otrp::broker::{self, BrokerError};
use tamarack_otrp::request::{self, Content};
use tamarack_otrp::response::{self, Incoming};
use tamarack_otrp::ta_information::{TaInformation, TaQuery};
use tamarack_otrp::ta_package::{self, EncryptedTa, TaPackage};
use tamarack_otrp::{
    AuthenticResponse, Command, Error, ErrorCode, Limits, Mode, Request, ResponseBody, SealedRequest,
    Sealing, SerializedDsi, SignedRequest, SignedResponse, Status, hash_text,
};
use tamarack_testkit::specs::otrp_dir;

use super::*;

/// A key of the exchange, as both of its uses.
struct Key {
    signer: Box<dyn Sign>,
    agree: Box<dyn KeyAgree>,
}

impl Key {
    fn public(&self) -> PublicKey {
        self.signer.public_key()
    }

    fn trusted_for(&self, purpose: jws::Purpose) -> jws::VerificationKey {
        jws::VerificationKey::of(&self.public(), purpose).expect("a P-256 key")
    }

    fn decrypt(&self) -> jwe::DecryptionKey<'_> {
        jwe::DecryptionKey::Agree(&*self.agree)
    }

    fn recipient(&self) -> jwe::Recipient {
        jwe::Recipient::from_spki(&self.public().to_spki()).expect("a P-256 key")
    }
}

struct Exchange {
    dir: PathBuf,
    provider: Provider,
    transcript: Json,
}

impl Exchange {
    fn new(provider: Provider) -> Option<Self> {
        let dir = otrp_dir()?.join("samples/fresh/ec");
        let transcript = parse(&read(dir.join("transcript.json")));
        Some(Self { dir, provider, transcript })
    }

    fn key(&self, name: &str) -> Key {
        let pem = read(self.dir.join(format!("{name}.key.pem")));
        let (_, der) = pem_rfc7468::decode_vec(&pem).expect("PEM");
        Key {
            signer: self.provider.keys.load_pkcs8(&der).expect("PKCS#8"),
            agree: self.provider.agree.load_pkcs8(&der).expect("PKCS#8"),
        }
    }

    fn certificate(&self, name: &str) -> Vec<u8> {
        read(self.dir.join(format!("{name}.cert.der")))
    }

    /// The message of that number, and what the transcript says about it.
    fn message(&self, number: usize) -> (Vec<u8>, &Json) {
        let about = &self.transcript.get("messages").unwrap().as_array().unwrap()[number - 1];
        (read(self.dir.join(text(about, "file"))), about)
    }

    fn request(&self, number: usize) -> SignedRequest {
        let (message, _) = self.message(number);
        let request = SignedRequest::parse(&message, &Mode::Strict, &Limits::default()).unwrap();
        assert_eq!(request.algorithm(), SignatureAlgorithm::Es256);
        assert_eq!(request.x5c()[0], self.certificate("tam"));
        assert_eq!(request.x5c()[1..], [self.certificate("tam_ca"), self.certificate("tam_root")]);
        // The draft's form: nothing binds the certificate.
        assert_eq!(request.names_leaf(&self.provider), None);
        request
    }

    fn sealed(&self, number: usize) -> SealedRequest {
        self.request(number);
        let (message, about) = self.message(number);
        let request = SignedRequest::parse(&message, &Mode::Strict, &Limits::default()).unwrap();
        let key = self.key("tam").trusted_for(jws::Purpose::OtrpRequest);
        let Request::Sealed(sealed) = request.verify(&key, &self.provider).unwrap().read().unwrap() else {
            panic!("{number} is sealed");
        };
        assert_eq!(hash_text(&sealed.common().dsihash), text(about, "dsihash"), "{number}");
        assert_eq!(sealed.common().tid.as_str(), text(&self.transcript, "tid"));
        assert_eq!(sealed.common().tee, "SimTEE-1");
        *sealed
    }

    fn content(&self, number: usize) -> Result<Content, Error> {
        self.sealed(number).open(self.key("tee").decrypt(), &self.provider)
    }

    fn response(&self, number: usize) -> SignedResponse {
        let (message, _) = self.message(number);
        match response::parse(&message, &Mode::Strict, &Limits::default()).unwrap() {
            Incoming::DeviceStates(mut states) => {
                assert_eq!(states.len(), 1);
                states.remove(0).unwrap()
            }
            Incoming::Response(response) => *response,
            Incoming::BrokerError(_) => panic!("{number} is of a TEE"),
        }
    }

    fn authentic(&self, number: usize) -> AuthenticResponse {
        let key = self.key("tee").trusted_for(jws::Purpose::OtrpResponse);
        let response = self.response(number).verify(&key, &self.provider).unwrap();
        assert_eq!(response.tolerances(), []);
        response
    }

    fn answer(&self, number: usize) -> response::Content {
        let content =
            self.authentic(number).open(self.key("tam").decrypt(), &self.provider).unwrap().unwrap();
        assert_eq!(hash_text(&content.did), text(&self.transcript, "did_b64"));
        content
    }

    /// The octets inside the JWE of a message, by the JOSE crate alone.
    fn plaintext(&self, number: usize, member: &str, key: &Key) -> String {
        let (message, _) = self.message(number);
        let outer = parse(&message);
        let mut jws = &outer.as_object().unwrap()[0].1;
        if let Some(parts) = jws.as_array() {
            jws = &parts[0].as_object().unwrap()[0].1;
        }
        let payload = parse(&base64::decode_url(text(jws, "payload")).unwrap());
        let jwe = jwe::Jwe::parse(payload.as_object().unwrap()[0].1.get(member).unwrap()).unwrap();
        let plaintext = jwe.decrypt(key.decrypt(), &self.provider).unwrap();
        String::from_utf8(plaintext.expose().clone()).unwrap()
    }
}

/// Runs a test once with each provider, or not at all.
fn with_each(test: impl Fn(&Exchange)) {
    for provider in providers() {
        let Some(exchange) = Exchange::new(provider) else { return };
        test(&exchange);
    }
}

/// The requests after the first, each with its response.
const COMMANDS: [(usize, Command); 7] = [
    (3, Command::CreateSd),
    (5, Command::InstallTa),
    (7, Command::UpdateTa),
    (11, Command::DeleteTa),
    (13, Command::UpdateSd),
    (15, Command::DeleteSd),
    (17, Command::DeleteSd),
];

#[test]
fn every_request_verifies_and_is_read_strictly() {
    with_each(|exchange| {
        let request = exchange.request(1);
        assert_eq!(request.command(), Command::GetDeviceState);
        let key = exchange.key("tam").trusted_for(jws::Purpose::OtrpRequest);
        let Request::GetDeviceState { request, tolerances } =
            request.verify(&key, &exchange.provider).unwrap().read().unwrap()
        else {
            panic!("a GetDeviceStateRequest")
        };
        assert_eq!(request.tid.as_str(), text(&exchange.transcript, "tid"));
        // One OCSP response for the TAM's certificate, one for its CA's.
        assert_eq!(request.ocspdat.len(), 2);
        assert_eq!(request.supportedsigalgs.as_deref(), Some(&["RS256".into(), "ES256".into()][..]));
        assert_eq!(tolerances, []);
        for (number, command) in COMMANDS {
            let sealed = exchange.sealed(number);
            assert_eq!(sealed.command(), command);
            assert_eq!(sealed.tolerances(), []);
            let plaintext = exchange.plaintext(number, "content", &exchange.key("tee"));
            assert_eq!(plaintext, text(exchange.message(number).1, "content_plaintext"), "{number}");
            // Another TEE than the one it is for reads nothing.
            let other = exchange.key("tfw");
            let opened = exchange.sealed(number).open(other.decrypt(), &exchange.provider);
            assert_eq!(opened, Err(Error::Jose(tamarack_jose::Error::Decryption)));
        }
    });
}

#[test]
fn every_content_says_what_the_transcript_says() {
    with_each(|exchange| {
        for (number, command) in COMMANDS {
            let content = exchange.content(number).unwrap();
            assert_eq!(content.command(), command);
            assert_eq!(content.tamid(), text(&exchange.transcript, "tamid"));
            let expected = parse(text(exchange.message(number).1, "content_plaintext").as_bytes());
            assert_eq!(content.sdname(), text(&expected, "sdname"));
            match content {
                Content::CreateSd(content) => {
                    assert_eq!(content.did, exchange.provider.sha256(&exchange.certificate("tee")));
                    assert_eq!(content.spcert, exchange.certificate("sp"));
                    assert_eq!(content.spid, text(&expected, "spid"));
                }
                Content::UpdateSd(content) => {
                    assert_eq!(content.changes.newsdname.as_deref(), Some("sd2.acmebank.com"));
                    assert!(!content.changes.renewteespaik);
                }
                Content::DeleteSd(content) => assert!(!content.deleteta),
                Content::InstallTa(content) | Content::UpdateTa(content) => {
                    assert_eq!(
                        (&*content.spid, &*content.taid),
                        (text(&expected, "spid"), text(&expected, "taid"))
                    );
                }
                Content::DeleteTa(content) => assert_eq!(content.taid, text(&expected, "taid")),
            }
        }
    });
}

#[test]
fn every_response_verifies_and_decrypts() {
    with_each(|exchange| {
        for (number, command) in COMMANDS.map(|(number, command)| (number + 1, command)) {
            let (request, response) = (exchange.sealed(number - 1), exchange.authentic(number));
            assert_eq!(response.command(), command);
            assert_eq!((response.rid(), response.tid()), (&request.common().rid, &request.common().tid));
            assert_eq!(response.status() == Status::Pass, number != 16, "{number}");
            let plaintext = exchange.plaintext(number, "content", &exchange.key("tam"));
            assert_eq!(plaintext, text(exchange.message(number).1, "content_plaintext"));
            let answer = exchange.answer(number);
            assert_eq!(answer.dsi.is_some(), request.common().nextdsi && number != 16, "{number}");
        }
        let reason = exchange.answer(16).reason.unwrap();
        assert_eq!((reason.code, reason.message.as_deref()), (ErrorCode::DevStateMismatch, Some("dsihash")));
        let created = exchange.answer(4);
        assert_eq!(created.sdname.as_deref(), Some("sd.acmebank.com"));
        let aik = Jwk::from_public_key(&exchange.key("spaik").public()).unwrap();
        assert_eq!(created.teespaik.as_ref(), Some(&aik));
        assert_eq!(created.dsi.unwrap().dsi().tee.teeaiklist[0].key, aik);
    });
}

fn device_state(exchange: &Exchange) -> SerializedDsi {
    let tam = exchange.key("tam");
    let dsi = exchange.response(2).open_device_state_unverified(tam.decrypt(), &exchange.provider);
    dsi.unwrap().expect("a DSI")
}

#[test]
fn the_device_state_verifies_with_the_certificate_inside() {
    with_each(|exchange| {
        let serialized = device_state(exchange);
        let (_, about) = exchange.message(2);
        assert_eq!(exchange.plaintext(2, "edsi", &exchange.key("tam")), text(about, "edsi_plaintext"));
        assert_eq!(serialized.octets(), text(about, "edsi_plaintext").as_bytes());
        let dsi = serialized.dsi();
        assert_eq!(dsi.tee.cert, exchange.certificate("tee"));
        assert_eq!(dsi.tee.cacert, [exchange.certificate("tee_ca"), exchange.certificate("tee_root")]);
        assert_eq!((dsi.tee.sdlist.len(), dsi.tee.teeaiklist.len()), (0, 0));
        let response = exchange.authentic(2);
        assert!(matches!(response.body(), ResponseBody::DeviceState { signerreq: false, .. }));
        // The firmware signed the text of tid (section 9.1.3).
        let tfw = dsi.tfwdata.as_ref().unwrap();
        assert_eq!(tfw.tbs, text(&exchange.transcript, "tid").as_bytes());
        assert_eq!(tfw.cert, exchange.certificate("tfw"));
        let algorithm = SignatureAlgorithm::from_name(&tfw.sigalg).unwrap();
        let spki = exchange.key("tfw").public().to_spki();
        let verified = exchange.provider.certified.verify_spki(algorithm, &spki, &tfw.tbs, &tfw.sig);
        assert_eq!(verified, Ok(()));
    });
}

#[test]
fn the_chain_of_hashes_is_reproduced() {
    with_each(|exchange| {
        // Of the octets of an edsi, and of the canonical form of a dsi inside a response.
        let mut told = device_state(exchange);
        for (number, _) in COMMANDS {
            let dsihash = exchange.sealed(number).common().dsihash;
            let current = told.hash(&exchange.provider) == dsihash;
            assert_eq!(current, number != 15, "15 is the one that comes too late");
            assert_eq!(told.hashes(&exchange.provider).matches(&dsihash), current);
            let (_, about) = exchange.message(number + 1);
            if let Some(dsi) = exchange.answer(number + 1).dsi {
                assert_eq!(hash_text(&dsi.hash(&exchange.provider)), text(about, "next_dsihash"));
                told = dsi;
            }
        }
    });
}

#[test]
fn the_ta_packages_decrypt_with_the_aik() {
    with_each(|exchange| {
        let keys = exchange.transcript.get("ta_keys_in_order").unwrap().as_array().unwrap();
        let aik = exchange.key("spaik");
        for (number, about) in [5, 7].into_iter().zip(keys) {
            let sealed = exchange.sealed(number);
            let encrypted: &EncryptedTa = sealed.encrypted_ta().unwrap();
            let data = |name| about.get(name).and_then(Json::as_str).map(|text| text.as_bytes().to_vec());
            let expected = TaPackage { ta: data("ta_plaintext"), pdata: data("pdata_plaintext") };
            assert_eq!(ta_package::open(encrypted, aik.decrypt(), &exchange.provider), Ok(expected));
            // Not to the key of the TEE.
            let tee = exchange.key("tee");
            let opened = ta_package::open(encrypted, tee.decrypt(), &exchange.provider);
            assert_eq!(opened, Err(Error::TaPackage));
        }
    });
}

#[test]
fn the_application_gets_what_it_asks_for() {
    with_each(|exchange| {
        let (message, _) = exchange.message(9);
        let query = TaQuery::parse(&message, &Limits::default()).unwrap();
        assert_eq!(query.to_vec(), message);
        let (message, _) = exchange.message(10);
        let key = exchange.key("spaik");
        let trusted = key.trusted_for(jws::Purpose::TaInformation);
        let verify =
            |message: &[u8]| TaInformation::verify(message, &trusted, &Limits::default(), &exchange.provider);
        let information = verify(&message).unwrap();
        assert_eq!((&information.spid, &information.taid), (&query.spid, &query.taid));
        assert_eq!(information.tamid, text(&exchange.transcript, "tamid"));
        assert_eq!(information.signercert, Some(exchange.certificate("sp")));
        assert_eq!(information.tamcert, Some(exchange.certificate("tam")));
        assert_eq!(information.tamcacerts.len(), 2);
        assert_eq!((information.version, information.digest, &information.nonce), (None, None, &None));
        let jwk = Jwk::from_public_key(&key.public()).unwrap();
        let again = information.sign(jws::Signer::Es256(&*key.signer), &jwk).unwrap();
        assert_eq!(verify(&again), Ok(information));
    });
}

#[test]
fn the_broker_understands_all_of_it() {
    with_each(|exchange| {
        let limits = Limits::default();
        for (number, command) in COMMANDS.into_iter().chain([(1, Command::GetDeviceState)]) {
            let target = broker::target_of(&exchange.message(number).0, &limits).unwrap();
            assert_eq!(target.command, command);
            assert_eq!(target.tee.as_deref(), (number != 1).then_some("SimTEE-1"));
            assert_eq!(target.tid.as_deref(), Some(text(&exchange.transcript, "tid")));
        }
        let (message, _) = exchange.message(19);
        let error = BrokerError::parse(&message, &limits).unwrap();
        assert_eq!(error, BrokerError::new(ErrorCode::AgentTeeBusy));
        assert_eq!(error.to_vec(), message);
        let (message, _) = exchange.message(2);
        let part =
            json::to_vec(&parse(&message).get("GetDeviceStateResponse").unwrap().as_array().unwrap()[0]);
        assert_eq!(broker::assemble(&[part], &limits), Ok(message));
    });
}

#[test]
fn what_is_read_is_written_again_and_reads_back_equal() {
    with_each(|exchange| {
        let (tam, tee) = (exchange.key("tam"), exchange.key("tee"));
        let (to_tee, to_tam) = (tee.recipient(), tam.recipient());
        let chain = exchange.request(1).x5c().to_vec();
        for (number, command) in COMMANDS {
            let sealed = exchange.sealed(number);
            let content = exchange.content(number).unwrap();
            let tam_seals = Sealing {
                signer: jws::Signer::Es256(&*tam.signer),
                headers: jws::SignHeaders::chain(&chain, &exchange.provider),
                recipient: &to_tee,
                enc: jwe::Enc::A128CbcHs256,
                provider: &exchange.provider,
            };
            let again =
                request::seal(sealed.common(), &content, sealed.ocspdat(), sealed.encrypted_ta(), &tam_seals)
                    .unwrap();
            let again = SignedRequest::parse(&again, &Mode::Strict, &Limits::default()).unwrap();
            assert_eq!(again.names_leaf(&exchange.provider), Some(true));
            let again =
                again.verify(&tam.trusted_for(jws::Purpose::OtrpRequest), &exchange.provider).unwrap();
            let Request::Sealed(mut again) = again.read().unwrap() else { panic!("{number}") };
            assert_eq!(again.common(), sealed.common());
            assert_eq!(again.encrypted_ta(), sealed.encrypted_ta());
            assert_eq!(again.open(tee.decrypt(), &exchange.provider), Ok(content));

            let answer = exchange.answer(number + 1);
            let tee_seals = Sealing {
                signer: jws::Signer::Es256(&*tee.signer),
                headers: jws::SignHeaders::default(),
                recipient: &to_tam,
                ..tam_seals
            };
            let (rid, tid) = (&sealed.common().rid, &sealed.common().tid);
            let again = response::seal(command, rid, tid, &answer, &tee_seals).unwrap();
            let Ok(Incoming::Response(again)) = response::parse(&again, &Mode::Strict, &Limits::default())
            else {
                panic!("{number}")
            };
            let key = tee.trusted_for(jws::Purpose::OtrpResponse);
            let mut again = again.verify(&key, &exchange.provider).unwrap();
            assert_eq!(again.open(tam.decrypt(), &exchange.provider), Ok(Some(answer)));
        }
        let told = device_state(exchange);
        assert_eq!(told.dsi().serialize().octets(), told.octets());
    });
}
