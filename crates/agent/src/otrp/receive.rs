use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use tamarack_crypto::{ConstantTimeEq, Provider, SignatureAlgorithm};
use tamarack_jose::jws::{Purpose, VerificationKey};
use tamarack_model::{OwnerId, UnixTime, codes};
use tamarack_otrp::{AuthenticRequest, Command, ErrorCode, Mode, SignedRequest};
use tamarack_tee::Platform;
use tamarack_x509::{Anchor, PathOptions, Role, ocsp};

use super::refusal::Refusal;
use super::state::Otrp;
use crate::trust::{AnchorState, OtrpPrincipal, TamAnchor, TrustStore};
use crate::{AgentConfig, notes};

/// The JWS algorithms that this Agent verifies. A TAM's one key also decrypts, and that is P-256.
pub(crate) const ALGORITHMS: [SignatureAlgorithm; 1] = [SignatureAlgorithm::Es256];

/// A TAM that speaks OTrP, as its certificates show it.
#[derive(Clone)]
pub(crate) struct Speaker {
    pub owner: OwnerId,
    /// Its key, DER SubjectPublicKeyInfo: P-256.
    pub spki: Vec<u8>,
    /// SHA-256 of its certificate.
    pub leaf: [u8; 32],
    /// Its certificate and those above it, the root last, DER.
    pub path: Vec<Vec<u8>>,
    /// Until when they are valid.
    pub not_after: UnixTime,
}

/// A request that a TAM of the trust store signed.
pub(crate) struct Received<'s> {
    pub tam: &'s TamAnchor,
    pub otrp: &'s OtrpPrincipal,
    pub speaker: Speaker,
    pub request: AuthenticRequest,
    /// SHA-256 of the JWS signing input.
    pub hash: [u8; 32],
    /// Whether the session vouches for the certificate. If not, its statuses must be looked at before anything else.
    pub in_session: bool,
}

/// Why a message got no further, and what may be said to a sender whom nothing vouches for.
pub(crate) enum Unreceived {
    /// Nothing at all (security rule E5).
    Silent(Refusal),
    /// That its algorithm is none of ours, so that a TAM can use another one: command, rid and tid as nobody vouches for
    /// them.
    Algorithm(Box<SignedRequest>),
}

impl From<Refusal> for Unreceived {
    fn from(refusal: Refusal) -> Self {
        Self::Silent(refusal)
    }
}

/// From bytes to a request of a known Owner: form, algorithm, chain and name, signature, in this order. Whether the
/// certificate was revoked is asked next, of [`statuses`]. Nothing inside the request is acted on before.
pub(crate) fn receive<'s>(
    platform: &dyn Platform,
    provider: &Provider,
    config: &AgentConfig,
    otrp: &Otrp,
    store: &'s TrustStore,
    now: UnixTime,
    message: &[u8],
) -> Result<Received<'s>, Unreceived> {
    let strict = SignedRequest::parse(message, &Mode::Strict, &config.otrp);
    let (signed, mode) = match strict {
        Ok(signed) => (signed, Mode::Strict),
        Err(e) if !store.has_draft() => return Err(Refusal::from(e).into()),
        Err(_) => {
            let compat = SignedRequest::parse(message, &Mode::Compat, &config.otrp);
            (compat.map_err(Refusal::from)?, Mode::Compat)
        }
    };
    if !ALGORITHMS.contains(&signed.algorithm()) {
        return Err(Unreceived::Algorithm(Box::new(signed)));
    }
    let (tam, principal, speaker, in_session) = find(platform, provider, otrp, store, now, &signed)?;
    // What only the draft's plain form allows is for anchors that allow it.
    let signed = match (principal.draft, mode) {
        (true, Mode::Strict) => {
            SignedRequest::parse(message, &Mode::Compat, &config.otrp).map_err(Refusal::from)?
        }
        (false, Mode::Compat) => {
            let strict = SignedRequest::parse(message, &Mode::Strict, &config.otrp);
            strict.map_err(Refusal::from)?
        }
        _ => signed,
    };
    let hash = signed.signing_input_hash(provider);
    let key = VerificationKey::new(&speaker.spki, Purpose::OtrpRequest)
        .map_err(|e| Refusal::untrusted(e.code(), e))?;
    let request = signed.verify(&key, provider).map_err(Refusal::from)?;
    Ok(Received { tam, otrp: principal, speaker, request, hash, in_session })
}

type Found<'s> = (&'s TamAnchor, &'s OtrpPrincipal, Speaker, bool);

/// Who may have signed: by the certificates that came along (rules K2 and K4), or without any by the session.
fn find<'s>(
    platform: &dyn Platform,
    provider: &Provider,
    otrp: &Otrp,
    store: &'s TrustStore,
    now: UnixTime,
    signed: &SignedRequest,
) -> Result<Found<'s>, Refusal> {
    let active = || {
        let active = store.tams.iter().filter(|tam| tam.state == AnchorState::Active);
        active.filter_map(|tam| Some((tam, tam.otrp.as_ref()?)))
    };
    let mut known = Vec::new();
    for session in otrp.sessions(signed.tid_unverified()) {
        if notes::time(platform, &session.speaker.owner, now)? <= session.ends {
            known.push(session.speaker.clone());
        }
    }
    if signed.x5c().is_empty() {
        for speaker in known {
            let of_speaker = active().find(|(tam, _)| tam.owner == speaker.owner);
            let Some((tam, principal)) = of_speaker else { continue };
            if names_leaf(signed, &speaker.leaf, principal) {
                return Ok((tam, principal, speaker, true));
            }
        }
        let detail = "no certificate came along, and this transaction knows none";
        return Err(Refusal::new(ErrorCode::TamNotTrusted, detail));
    }
    let mut fault = None;
    for (tam, principal) in active() {
        let now = notes::time(platform, &tam.owner, now)?;
        match speaker(provider, tam, principal, signed, now) {
            Ok(speaker) => {
                let of_leaf =
                    known.iter().any(|known| known.owner == tam.owner && known.leaf == speaker.leaf);
                let in_session = signed.command() != Command::GetDeviceState && of_leaf;
                return Ok((tam, principal, speaker, in_session));
            }
            // Why the root that its chain leads to does not do says more than that other roots know nothing of it.
            Err(refusal) if refusal.code == codes::X509_PATH => drop(fault.get_or_insert(refusal)),
            Err(refusal) => fault = Some(refusal),
        }
    }
    let nobody = || Refusal::new(ErrorCode::TamNotTrusted, "no TAM of this device speaks OTrP");
    Err(fault.unwrap_or_else(nobody))
}

fn speaker(
    provider: &Provider,
    tam: &TamAnchor,
    principal: &OtrpPrincipal,
    signed: &SignedRequest,
    now: UnixTime,
) -> Result<Speaker, Refusal> {
    let untrusted = |e: tamarack_x509::Error| Refusal::untrusted(e.code(), e);
    let anchors = [Anchor::from_der(&principal.anchor).map_err(untrusted)?];
    let options = PathOptions { require_role: !principal.draft };
    let valid = tamarack_x509::validate_any(signed.x5c(), &anchors, Role::OtrpTam, now, &options, provider);
    let valid = valid.map_err(untrusted)?;
    // Another name under the same root is another Owner, here one that is not known.
    let name = valid.name(principal.name.kind()).map_err(untrusted)?;
    if name != principal.name.text() {
        let detail = alloc::format!("{name} is no TAM of this device");
        return Err(Refusal::untrusted(codes::TAM_NOT_TRUSTED, detail));
    }
    let spki = valid.encryption_spki().map_err(untrusted)?.to_vec();
    let leaf = provider.sha256(valid.leaf_der());
    if !names_leaf(signed, &leaf, principal) {
        let detail = "the protected header does not name the certificate (x5t#S256)";
        return Err(Refusal::untrusted(codes::JOSE_HEADER, detail));
    }
    let path = valid.path().into_iter().map(<[u8]>::to_vec).collect();
    Ok(Speaker { owner: tam.owner, spki, leaf, path, not_after: valid.not_after() })
}

/// Rule K4: what identifies an Owner is protected. The draft's plain form leaves it out; what is there must fit.
fn names_leaf(signed: &SignedRequest, leaf: &[u8; 32], principal: &OtrpPrincipal) -> bool {
    match signed.x5t_s256() {
        Some(named) => named.ct_eq(leaf).into(),
        None => principal.draft,
    }
}

/// Checks that no certificate of the path is revoked, by what the TAM stapled; gives the new time floor and when the
/// first status ends. Statuses are judged by the later of clock and floor (security rule S3).
pub(crate) fn statuses(
    platform: &dyn Platform,
    provider: &Provider,
    speaker: &Speaker,
    stapled: &[Vec<u8>],
    now: UnixTime,
) -> Result<ocsp::Checked, Refusal> {
    let floor = notes::time(platform, &speaker.owner, 0)?;
    let path: Vec<&[u8]> = speaker.path.iter().map(Vec::as_slice).collect();
    let freshness = ocsp::Freshness::new(now, floor);
    ocsp::check(&path, stapled, &freshness, provider).map_err(|e| Refusal::untrusted(e.code(), e))
}

/// What the TAM is called, as requests claim it.
pub(crate) fn tamid(principal: &OtrpPrincipal) -> String {
    principal.name.text().into()
}
