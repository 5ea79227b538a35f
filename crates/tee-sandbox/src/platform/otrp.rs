use tamarack_crypto::{KeyAgree, Provider, PublicKey, Sign};
use tamarack_tee::{Change, Error, FirmwareSignature, OtrpIdentity, Persona};

use super::certificates;
use super::face::{AgreementKey, SignatureKey, name};
use crate::enrol::OtrpConfig;
use crate::launcher::Launcher;
use crate::sealed::Store;

pub(super) const OTRP_KEY: &str = "key/otrp";
const OTRP_CHAIN: &str = "otrp-chain";
pub(super) const FIRMWARE_CHAIN: &str = "firmware-chain";

/// What a persona is in OTrP: the TEE's one key, and the firmware that vouches for it.
pub(super) struct Otrp {
    config: OtrpConfig,
    signer: SignatureKey,
    agreement: AgreementKey,
    chain: Vec<Vec<u8>>,
    firmware: Firmware,
}

/// The program that starts the TEE, in the role of the trusted firmware. Its key, which signs transaction ids and the one
/// request for its own certificate, never leaves it (security rule K6).
struct Firmware {
    launcher: Launcher,
    persona: Persona,
    chain: Vec<Vec<u8>>,
    provider: Provider,
}

/// The chains of a persona as they are stored.
pub(super) fn stored(persona: Persona, chain: &[Vec<u8>], firmware_chain: &[Vec<u8>]) -> [Change; 2] {
    let put = |what, chain| Change::Put(name(what, persona), certificates::write_chain(chain));
    [put(OTRP_CHAIN, chain), put(FIRMWARE_CHAIN, firmware_chain)]
}

impl Otrp {
    pub fn open(
        persona: Persona,
        store: &Store,
        config: OtrpConfig,
        launcher: &Launcher,
        provider: Provider,
    ) -> Result<Self, Error> {
        let key = name(OTRP_KEY, persona);
        let chain = |what| {
            let stored = store.get(&name(what, persona));
            stored.map(certificates::read_chain).transpose().map(Option::unwrap_or_default)
        };
        Ok(Self {
            config,
            signer: SignatureKey::new(store, &key, provider)?,
            agreement: AgreementKey::new(store, &key, provider)?,
            chain: chain(OTRP_CHAIN)?,
            firmware: Firmware {
                launcher: launcher.clone(),
                persona,
                chain: chain(FIRMWARE_CHAIN)?,
                provider,
            },
        })
    }

    pub fn public_key(&self) -> Result<PublicKey, Error> {
        Ok(self.signer.get()?.public_key())
    }

    pub fn firmware_public_key(&self) -> Result<PublicKey, Error> {
        self.firmware.launcher.firmware_key(self.firmware.persona)
    }

    /// Whether its keys load.
    pub fn is_usable(&self) -> bool {
        self.signer.get().is_ok() && self.agreement.get().is_ok()
    }

    /// Certificate requests (PKCS #10, PEM) for the TEE's key and the firmware's key.
    pub fn certificate_requests(&self, common_name: &str) -> Result<(String, String), Error> {
        let tee = certificates::request(self.signer.get()?, common_name)?;
        let firmware = self.firmware.launcher.firmware_request(self.firmware.persona, common_name)?;
        Ok((tee, certificates::request_pem(&firmware)?))
    }

    pub fn set_chains(&mut self, chain: Vec<Vec<u8>>, firmware_chain: Vec<Vec<u8>>) {
        (self.chain, self.firmware.chain) = (chain, firmware_chain);
    }
}

impl OtrpIdentity for Otrp {
    fn name(&self) -> &str {
        &self.config.tee_name
    }

    fn version(&self) -> &str {
        &self.config.tee_version
    }

    fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    // Both keys were loaded when [`Otrp::is_usable`] was asked, before this identity was given to anybody.
    fn signer(&self) -> &dyn Sign {
        self.signer.get().expect("loaded before the identity was given out")
    }

    fn agreement(&self) -> &dyn KeyAgree {
        self.agreement.get().expect("loaded before the identity was given out")
    }

    fn firmware_signature(&self, tid: &[u8]) -> Result<Option<FirmwareSignature>, Error> {
        let Firmware { launcher, persona, chain, provider } = &self.firmware;
        let Some(certificate) = chain.first() else { return Ok(None) };
        let signature = launcher.firmware_signature(*persona, tid)?;
        // The TEE's part: what it passes on is of the firmware that the certificate names, and of no other.
        let certified = certificates::certified_key(certificate).ok_or(Error::NotAuthentic)?;
        provider.verify.verify(&certified, tid, &signature).map_err(|_| Error::NotAuthentic)?;
        Ok(Some(FirmwareSignature { certificate: certificate.clone(), signature }))
    }
}
