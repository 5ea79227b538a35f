//! TAInformation: what an application may know of a TA, signed with the key of the TA's provider (section 6.4.2).

use alloc::vec::Vec;

use tamarack_cose::{Purpose, VerificationKey};
use tamarack_jose::jws::Signer;
use tamarack_model::ComponentId;
use tamarack_otrp::ta_information::{TaInformation, TaQuery};
use tamarack_suit::{Envelope, TrustedKeys};
use tamarack_tee::Platform;

use super::dsi::{jwk, manifest_of};
use crate::agent::Agent;
use crate::domains::{self, Domain};
use crate::journal::Journal;
use crate::slots::{self, Manifest};
use crate::trust::{AnchorState, Principal, TamAnchor, TrustStore};
use crate::{Error, aik, views};

impl<P: Platform> Agent<P> {
    /// GetTAInformation: answers a TAQuery with a TAInformation. `tam_uri` is the TAM that the application is bound to; it
    /// decides if several Owners have such a TA. Says [`Error::NoTa`] if there is none, whatever the reason, and
    /// [`Error::Query`] to what is no TAQuery.
    pub fn ta_information(&self, query: &[u8], tam_uri: Option<&str>) -> Result<Vec<u8>, Error> {
        let query = TaQuery::parse(query, &self.config.otrp).map_err(|e| Error::Query(e.code()))?;
        let store = crate::owner::store(&self.platform)?;
        let mut found = Vec::new();
        for tam in store.tams.iter().filter(|tam| tam.state == AnchorState::Active) {
            if tam_uri.is_some() && tam.uri.as_deref() != tam_uri {
                continue;
            }
            found.extend(self.find_by_query(tam, &query)?);
        }
        let [(tam, domain, id, manifest)] = &found[..] else { return Err(Error::NoTa) };
        self.inform(&store, tam, domain, id, manifest, query)
    }

    fn find_by_query<'t>(
        &self,
        tam: &'t TamAnchor,
        query: &TaQuery,
    ) -> Result<Vec<(&'t TamAnchor, Domain, ComponentId, Manifest)>, Error> {
        let journal = Journal::default();
        let mut found = Vec::new();
        for domain in domains::all(&journal, &self.platform, &tam.owner)? {
            if domain.provider != query.spid {
                continue;
            }
            let Ok(id) = manifest_of(&domain, &query.taid) else { continue };
            if let Some(manifest) = slots::manifest(&journal, &self.platform, &tam.owner, &id)? {
                found.push((tam, domain, id, manifest));
            }
        }
        Ok(found)
    }

    fn inform(
        &self,
        store: &TrustStore,
        tam: &TamAnchor,
        domain: &Domain,
        id: &ComponentId,
        manifest: &Manifest,
        query: TaQuery,
    ) -> Result<Vec<u8>, Error> {
        let journal = Journal::default();
        // Only what may run is vouched for (security rule L1).
        let judged = domains::with_signers(&journal, &self.platform, store, &tam.owner)?;
        let limits = &self.config.manifest;
        let authentic = crate::authority::authenticate(
            &manifest.envelope,
            &judged,
            crate::authority::Use::Load,
            manifest.accepted,
            limits,
            &self.provider,
        );
        if !authentic.is_ok_and(|authorised| authorised.id == *id && authorised.digest == manifest.digest) {
            return Err(Error::NoTa);
        }
        let keys = aik::get(&journal, &self.platform, &tam.owner, &domain.provider)?.ok_or(Error::NoTa)?;
        let key = keys.signer(&self.provider)?;
        let view = views::get(&journal, &self.platform, &tam.owner)?.unwrap_or_default();
        let (tamcert, tamcacerts) = match &view.chain[..] {
            [leaf, above @ ..] => (Some(leaf.clone()), above.to_vec()),
            [] => (None, Vec::new()),
        };
        let tamid = match (&tam.otrp, &tam.principal) {
            (Some(otrp), _) => super::receive::tamid(otrp),
            (None, Principal::Certificate { uri, .. }) => uri.clone(),
            (None, Principal::Keys(_)) => tam.uri.clone().unwrap_or_default(),
        };
        let information = TaInformation {
            taid: query.taid,
            tamid,
            spid: query.spid,
            signercert: self.signer_of(domain, manifest),
            signercacerts: Vec::new(),
            tamcert,
            tamcacerts,
            version: Some(manifest.sequence),
            digest: Some(manifest.digest.0),
            nonce: query.nonce,
        };
        let aik = jwk(&keys.sig_public)?;
        information.sign(Signer::Es256(&*key), &aik).map_err(|_| Error::Signing)
    }

    /// The certificate of the domain's signer that signed the manifest.
    fn signer_of(&self, domain: &Domain, manifest: &Manifest) -> Option<Vec<u8>> {
        let signed = |certificate: &[u8]| {
            let key = domains::signer_key(certificate).ok()?;
            let key = VerificationKey::new(key, Purpose::SuitManifest, &self.provider);
            let keys = TrustedKeys { signatures: &[key], macs: &[] };
            let envelope = Envelope::parse(&manifest.envelope, &self.config.manifest).ok()?;
            envelope.authenticate(&keys, &self.provider).ok()
        };
        let signer = domain.signers.iter().find(|signer| signed(&signer.certificate).is_some());
        signer.map(|signer| signer.certificate.clone())
    }
}
