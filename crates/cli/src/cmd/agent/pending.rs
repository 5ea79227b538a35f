//! Trust anchors between `agent init`, which reads them, and `agent certify`, which has them sealed.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tamarack_channel::{Enrolment, NameKind, OtrpSeed, PeripheralSeed, Proof, SignerSeed, TamSeed};
use tamarack_model::{ComponentId, Protocol, codes};
use tamarack_x509::{Anchor as Root, Role};

use crate::fail::{Fail, Outcome};
use crate::keys;

/// Most bytes that the components of one signer may take.
const SIGNER_QUOTA: u64 = 64 << 20;

/// Trust anchors that wait for the certificates. Texts are as the command line gave them, files are copied.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pending {
    pub tams: Vec<Anchor>,
    pub tam_uri: Option<String>,
    pub require_binding: bool,
    /// Each with its `PREFIX[@PROVIDER]`.
    pub signers: Vec<(Anchor, String)>,
    pub peripherals: Vec<(String, String)>,
    /// What is special to OTrP; None for a device that speaks TEEP only.
    #[serde(default)]
    pub otrp: Option<Otrp>,
    /// Public key of the device authority, PEM.
    #[serde(default)]
    pub authority: Option<String>,
    /// Public key of the device's owner, PEM.
    #[serde(default)]
    pub owner: Option<String>,
}

/// The OTrP side of the TAMs. The n-th anchor is the same Owner as the n-th of [`Pending::tams`], if there is one.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Otrp {
    pub anchors: Vec<Anchor>,
    /// Whether the device begins in TEEP with a TAM that speaks both.
    pub teep_first: bool,
    pub draft: bool,
    pub domains: u32,
    pub domain_quota: u64,
}

/// Certificates that a device is enrolled with: a chain for each persona, leaf first, DER.
pub(super) struct Chains {
    pub attestation: Vec<Vec<Vec<u8>>>,
    /// Of the TEE's OTrP keys with the root last; empty without OTrP.
    pub otrp: Vec<Vec<Vec<u8>>>,
    /// Of the firmware's keys with the root last; empty for none.
    pub firmware: Vec<Vec<Vec<u8>>>,
}

impl Pending {
    /// Number of Owners.
    pub fn tams(&self) -> u32 {
        self.tams.len().max(self.otrp.as_ref().map_or(0, |otrp| otrp.anchors.len())) as u32
    }
}

/// A key or certificate, and the name under it if it is a certificate's.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Anchor {
    pem: String,
    uri: Option<String>,
}

impl Anchor {
    /// Reads `FILE` or `FILE=URI`.
    pub fn read(text: &str) -> Outcome<Self> {
        let (file, uri) = match text.split_once('=') {
            Some((file, uri)) => (file, Some(uri.to_owned())),
            None => (text, None),
        };
        let anchor = Self { pem: keys::read_text(Path::new(file))?, uri };
        anchor.proof().map_err(|e| Fail::input(codes::PEM_INVALID, format_args!("{file}: {e}")))?;
        Ok(anchor)
    }

    /// Reads `CA.pem=NAME` with the name of an OTrP TAM.
    pub fn read_otrp(text: &str) -> Outcome<Self> {
        let Some((file, name)) = text.split_once('=') else {
            return Err(super::usage(format_args!("{text}: expected CA.pem=OID-or-URI")));
        };
        let anchor = Self { pem: keys::read_text(Path::new(file))?, uri: Some(name.to_owned()) };
        name_kind(name).map_err(super::usage)?;
        anchor.root().map_err(|e| Fail::input(codes::PEM_INVALID, format_args!("{file}: {e}")))?;
        Ok(anchor)
    }

    fn proof(&self) -> Result<Proof, String> {
        match &self.uri {
            Some(uri) => {
                let mut chain = tamarack_pki::certificates_from_pem(&self.pem)
                    .map_err(|e| format!("{e}; a name needs the CA certificate that it stands under"))?;
                Ok(Proof::Certificate { root: chain.swap_remove(0), uri: uri.clone() })
            }
            None => tamarack_pki::public_key_from_pem(&self.pem)
                .map(|key| Proof::Keys(vec![key.to_spki()]))
                .map_err(|e| {
                    format!("{e}; without a name it must be a public key (FILE=URI names one under a CA)")
                }),
        }
    }

    /// The root under which the name of an OTrP TAM stands.
    fn root(&self) -> Result<Vec<u8>, String> {
        let mut chain = tamarack_pki::certificates_from_pem(&self.pem).map_err(|e| e.to_string())?;
        let root = chain.swap_remove(0);
        Root::from_der(&root).map_err(|e| format!("{e}; it must be the certificate of a CA"))?;
        Ok(root)
    }

    fn otrp(&self, draft: bool) -> Result<OtrpSeed, String> {
        let name = self.uri.clone().unwrap_or_default();
        let (root, kind) = (self.root()?, name_kind(&name)?);
        let made_for_it = Root::from_der(&root).is_ok_and(|root| root.has_role(Role::OtrpTam));
        if !draft && !made_for_it {
            return Err(format!(
                "the CA of {name} does not certify TAMs for OTrP (extended key usage); --otrp-draft takes one without"
            ));
        }
        Ok(OtrpSeed { root, name, kind, draft })
    }
}

/// An object identifier in dotted decimals, or a URI.
fn name_kind(name: &str) -> Result<NameKind, String> {
    let is_number = |arc: &str| !arc.is_empty() && arc.bytes().all(|b| b.is_ascii_digit());
    if name.contains('.') && name.split('.').all(is_number) {
        return Ok(NameKind::RegisteredId);
    }
    match name.split_once(':') {
        Some((scheme, rest)) if !scheme.is_empty() && !rest.is_empty() => Ok(NameKind::Uri),
        _ => Err(format!("{name}: expected an object identifier (1.3.6.1.4.1.99999.1) or a URI")),
    }
}

/// `PREFIX[@PROVIDER]`: a prefix alone is the provider's name too.
pub(super) fn prefix_and_provider(scope: &str) -> (&str, &str) {
    match scope.rsplit_once('@') {
        Some((prefix, provider)) if !provider.is_empty() => (prefix, provider),
        _ => (scope, scope),
    }
}

/// What goes wrong with the anchors and could be said before a device is made.
pub(super) fn check(pending: &Pending) -> Outcome {
    for anchor in pending.otrp.iter().flat_map(|otrp| &otrp.anchors) {
        anchor.otrp(pending.otrp.as_ref().is_some_and(|otrp| otrp.draft)).map_err(super::usage)?;
    }
    Ok(())
}

pub(super) fn enrolment(pending: &Pending, chains: Chains) -> Result<Enrolment, String> {
    let id = |text: &str| ComponentId::parse_text(text).map_err(|e| format!("{text}: {e}"));
    let otrp_anchors = pending.otrp.as_ref().map_or(&[][..], |otrp| &otrp.anchors);
    let mut tams = Vec::new();
    for i in 0..pending.tams() as usize {
        tams.push(tam(pending, i, pending.tams.get(i), otrp_anchors.get(i))?);
    }
    let mut signers = Vec::new();
    for (anchor, scope) in &pending.signers {
        let (prefix, provider) = prefix_and_provider(scope);
        signers.push(SignerSeed {
            provider: provider.into(),
            proof: anchor.proof()?,
            prefixes: vec![id(prefix)?.segments().to_vec()],
            quota: SIGNER_QUOTA,
        });
    }
    let mut peripherals = Vec::new();
    for (name, manifest) in &pending.peripherals {
        peripherals.push(PeripheralSeed { name: name.clone(), tam: 0, manifest: id(manifest)? });
    }
    let Chains { attestation: chains, otrp: otrp_chains, firmware: firmware_chains } = chains;
    let authority = pending.authority.as_deref().map(tamarack_pki::public_key_from_pem).transpose();
    let authority =
        authority.map_err(|e| format!("the device authority's key: {e}"))?.map(|key| key.to_spki());
    let owner = pending.owner.as_deref().map(tamarack_pki::public_key_from_pem).transpose();
    let owner = owner.map_err(|e| format!("the owner's key: {e}"))?.map(|key| key.to_spki());
    Ok(Enrolment { chains, otrp_chains, firmware_chains, tams, signers, peripherals, authority, owner })
}

/// One Owner, by what it is in each protocol.
fn tam(
    pending: &Pending,
    number: usize,
    teep: Option<&Anchor>,
    otrp: Option<&Anchor>,
) -> Result<TamSeed, String> {
    let settings = pending.otrp.as_ref().filter(|_| otrp.is_some());
    let seed = otrp.map(|anchor| anchor.otrp(settings.is_some_and(|s| s.draft))).transpose()?;
    let default = if number == 0 { pending.tam_uri.clone() } else { None };
    let name = || match &seed {
        Some(seed) if seed.kind == NameKind::Uri => Some(seed.name.clone()),
        _ => None,
    };
    let uri = default.or_else(|| teep.and_then(|anchor| anchor.uri.clone())).or_else(name);
    let teep_first = settings.is_none_or(|settings| settings.teep_first);
    Ok(TamSeed {
        proof: teep.map(Anchor::proof).transpose()?,
        protocol: if teep.is_some() && teep_first { Protocol::Teep } else { Protocol::Otrp },
        domains: settings.map_or(0, |settings| settings.domains),
        domain_quota: settings.map_or(0, |settings| settings.domain_quota),
        otrp: seed,
        uri,
        scopes: vec![Vec::new()],
        require_binding: pending.require_binding,
    })
}
