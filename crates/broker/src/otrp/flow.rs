//! What a normal app does that carries OTrP messages itself (sections 6.5.1 and 6.5.2): it speaks with its own TAM, hands
//! what the TAM says to its Broker, and knows its TA by keys that its TAM has vouched for.

use tamarack_channel::TaState;
use tamarack_crypto::Provider;
use tamarack_jose::jws::{Purpose, VerificationKey};
use tamarack_jose::{Jwk, jwk::KeyUse};
use tamarack_model::{ComponentId, Protocol, UnixTime, codes};
use tamarack_otrp::aik::SignedAiks;
use tamarack_otrp::broker::BrokerError;
use tamarack_otrp::ta_information::{TaInformation, TaQuery};
use tamarack_x509::{Anchor, Name, PathOptions, Role, validate_any};

use super::LIMITS;
use crate::drive::MAX_ROUNDS;
use crate::{AppAnswer, Client, Error, Failure, TamClient};

/// How far the app's clock may be behind the TAM's, in seconds.
const SKEW: u64 = 300;

/// By what an app knows its TAM.
#[derive(Clone, Debug)]
pub struct TamTrust<'a> {
    /// Authorities that certify TAMs.
    pub anchors: &'a [Anchor],
    /// The one name of the TAM.
    pub name: &'a Name,
    /// Whether a TAM of the plain draft is taken: no `x5t#S256`, no extended key usage. Weaker: rule K4.
    pub draft: bool,
    /// Cryptography.
    pub provider: &'a Provider,
}

/// The providers' keys of one TEE that the app's TAM vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aiks {
    signed: SignedAiks,
    /// As they came, to be kept.
    jws: Vec<u8>,
}

impl Aiks {
    /// Verifies what a TAM said at the end of an exchange, or what the app has kept of it: it must be signed by the app's
    /// TAM and not be over. OCSP is not asked for: the app has a clock and its own way to the TAM.
    pub fn verify(jws: &[u8], trust: &TamTrust<'_>, now: UnixTime) -> Result<Self, Error> {
        let unverified = SignedAiks::parse(jws, &LIMITS).map_err(Error::Otrp)?;
        let options = PathOptions { require_role: !trust.draft };
        let chain =
            validate_any(unverified.x5c(), trust.anchors, Role::OtrpTam, now, &options, trust.provider)
                .map_err(|e| {
                    untrusted(format!("the keys are not signed by a TAM that is known here: {e}"))
                })?;
        let name =
            chain.name(trust.name.kind()).map_err(|e| untrusted(format!("the TAM's certificate: {e}")))?;
        if name != trust.name.text() {
            return Err(untrusted(format!(
                "the keys are signed by TAM {name}, expected {}",
                trust.name.text()
            )));
        }
        if !unverified.names_leaf(trust.provider).unwrap_or(trust.draft) {
            return Err(untrusted("the signature does not name the certificate it is made with".into()));
        }
        let key = VerificationKey::new(chain.spki(), Purpose::AttestationKeys)
            .map_err(|e| untrusted(format!("the TAM's key: {e}")))?;
        let tamid = name.to_owned();
        let signed = unverified.verify(&key, trust.provider).map_err(Error::Otrp)?;
        if signed.tamid != tamid {
            return Err(untrusted(format!("TAM {tamid} signed the keys as {}", signed.tamid)));
        }
        if signed.iat > now + SKEW || signed.exp <= now {
            let text = format!("the keys hold from {} to {}, and it is {now}", signed.iat, signed.exp);
            return Err(untrusted(text));
        }
        Ok(Self { signed, jws: jws.to_vec() })
    }

    /// What was signed.
    pub fn signed(&self) -> &SignedAiks {
        &self.signed
    }

    /// The JWS as it came.
    pub fn as_jws(&self) -> &[u8] {
        &self.jws
    }

    /// Verifies what the TEE says of a TA: it must be signed with the provider's key, be of this TAM, and answer this
    /// query.
    pub fn verify_information(
        &self,
        information: &[u8],
        query: &TaQuery,
        provider: &Provider,
    ) -> Result<TaInformation, Error> {
        let for_signing = |key: &Jwk| key.key_use() != Some(KeyUse::Encryption);
        let mut keys = self.signed.aiks.iter().filter(|aik| aik.spid == query.spid && for_signing(&aik.key));
        let aik =
            keys.next().ok_or_else(|| untrusted(format!("the TAM vouches for no key of {}", query.spid)))?;
        let key = VerificationKey::new(&aik.key.to_spki(), Purpose::TaInformation)
            .map_err(|e| untrusted(format!("the key of {}: {e}", query.spid)))?;
        let information = TaInformation::verify(information, &key, &LIMITS, provider).map_err(Error::Otrp)?;
        let TaInformation { taid, spid, tamid, nonce, .. } = &information;
        let answers = (taid, spid, nonce) == (&query.taid, &query.spid, &query.nonce);
        if !answers || *tamid != self.signed.tamid {
            let text = format!("the TEE signed that {spid} has {taid} from {tamid}: not what was asked");
            return Err(untrusted(text));
        }
        Ok(information)
    }
}

fn untrusted(text: String) -> Error {
    Error::Failed(Failure::new(codes::TAM_NOT_TRUSTED, text))
}

/// A TA as an app knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppTa {
    /// Its component id, by which it is asked for and called.
    pub component: ComponentId,
    /// Its provider.
    pub spid: String,
    /// Its name in OTrP.
    pub taid: String,
}

impl AppTa {
    /// From the component id `[domain, TA, ..]` and the provider; none if the id has no name in OTrP.
    pub fn new(component: &ComponentId, spid: &str) -> Option<Self> {
        let taid = match component.segments() {
            [_, ta, ..] => tamarack_otrp::taid::from_segment(ta)?,
            _ => return None,
        };
        Some(Self { component: component.clone(), spid: spid.into(), taid })
    }
}

/// An app between its TAM and its device.
#[derive(Debug)]
pub struct AppFlow<'a> {
    /// The app's connection to its Broker.
    pub client: &'a mut Client,
    /// How the app reaches its TAM.
    pub http: &'a TamClient,
    /// Where its TAM is; empty for an app that asks its TEE alone.
    pub tam_uri: &'a str,
    /// By what it knows its TAM.
    pub trust: TamTrust<'a>,
}

/// What an app has at the end of an exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Talked {
    /// The providers' keys, if the TAM gave them.
    pub aiks: Option<Aiks>,
    /// How many HTTP requests went to the TAM.
    pub rounds: usize,
}

/// An app's TA that is there and proven to be.
#[derive(Clone, Debug)]
pub struct Proven {
    /// What the TEE says of it.
    pub information: TaInformation,
    /// The keys by which that holds, to be kept.
    pub aiks: Aiks,
    /// Whether the TAM had to be asked.
    pub asked: bool,
}

impl AppFlow<'_> {
    /// Lets TAM and TEE talk until the TAM has no more to say.
    pub fn talk(&mut self, now: UnixTime) -> Result<Talked, Error> {
        let mut talked = Talked::default();
        let (mut response, mut failure): (Option<Vec<u8>>, Option<Failure>) = (None, None);
        loop {
            talked.rounds += 1;
            if talked.rounds > MAX_ROUNDS {
                return Err(Error::endless());
            }
            let message = match self.http.app(self.tam_uri, response.as_deref())? {
                AppAnswer::Message(message) => message,
                AppAnswer::SignedAiks(jws) => {
                    talked.aiks = Some(Aiks::verify(&jws, &self.trust, now)?);
                    break;
                }
                AppAnswer::Nothing => break,
            };
            let processed = self.client.process_otrp_message(&message)?;
            // What fails and is put right later has not failed.
            failure = processed.failure.or_else(|| broker_failure(&processed.response));
            response = Some(processed.response);
        }
        match failure {
            Some(failure) => Err(Error::Failed(failure)),
            None => Ok(talked),
        }
    }

    /// Case 1: an app that was just installed asks for its TA (section 6.5.1). Gives how far it is, and the keys.
    pub fn install(&mut self, ta: &AppTa, now: UnixTime) -> Result<(TaState, Talked), Error> {
        let announced = self.client.announce_ta(&ta.component, Some(self.tam_uri))?;
        if announced.connect.as_ref().is_some_and(|(_, protocol)| *protocol == Protocol::Teep) {
            let text = "the device speaks TEEP with this TAM; ask the Broker for the TA instead";
            return Err(Error::Failed(Failure::new(codes::USAGE, text)));
        }
        let talked = self.talk(now)?;
        let installed = self.client.status()?.installed.iter().any(|one| one.component == ta.component);
        Ok((if installed { TaState::Installed } else { TaState::Pending }, talked))
    }

    /// Asks the TEE about a TA, with a nonce of its own, and verifies the answer with the keys that the app has.
    pub fn information(&mut self, ta: &AppTa, aiks: &Aiks) -> Result<TaInformation, Error> {
        let mut nonce = [0; 16];
        let random = self.trust.provider.random.fill(&mut nonce);
        random.map_err(|e| Error::Failed(Failure::new(codes::INTERNAL, e.to_string())))?;
        let nonce = Some(tamarack_jose::base64::encode_url(&nonce));
        let query = TaQuery { spid: ta.spid.clone(), taid: ta.taid.clone(), nonce };
        let tam_uri = (!self.tam_uri.is_empty()).then_some(self.tam_uri);
        let information = self.client.ta_information(&query, tam_uri)?;
        aiks.verify_information(&information, &query, self.trust.provider)
    }

    /// Case 2: an installed app sees to it that its TA is there and the one it trusts (section 6.5.2). Keys that it does
    /// not have, or that do not fit, it gets from its TAM; a TA that is missing as well. A TA that its TAM does not vouch
    /// for is an error.
    pub fn ensure(&mut self, ta: &AppTa, known: Option<&Aiks>, now: UnixTime) -> Result<Proven, Error> {
        if let Some(aiks) = known
            && let Ok(information) = self.information(ta, aiks)
        {
            return Ok(Proven { information, aiks: aiks.clone(), asked: false });
        }
        let (_, talked) = self.install(ta, now)?;
        let none = || untrusted("the TAM gave no keys of its providers".into());
        let aiks = talked.aiks.ok_or_else(none)?;
        let information = self.information(ta, &aiks)?;
        Ok(Proven { information, aiks, asked: true })
    }
}

/// What the Broker itself says went wrong.
fn broker_failure(response: &[u8]) -> Option<Failure> {
    let error = BrokerError::parse(response, &LIMITS).ok()?;
    Some(Failure::new(error.code.code(), format!("the Broker says {}", error.code)))
}
