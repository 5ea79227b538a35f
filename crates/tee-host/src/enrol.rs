//! From what an enrolment says to what the Agent seals.

use tamarack_agent::{
    AnchorState, Operations, OtrpPrincipal, Peripheral, Principal, Seed, SignerAnchor, TamAnchor,
};
use tamarack_channel::{Enrolment, Failure, NameKind, OtrpSeed, Profile, Proof};
use tamarack_crypto::{Provider, PublicKey};
use tamarack_model::{OwnerId, codes};
use tamarack_tee::Persona;
use tamarack_tee_sandbox::enrol::{DeviceConfig, OtrpConfig};
use tamarack_x509::Name;

/// What the device is made as.
pub(crate) fn config(profile: &Profile) -> DeviceConfig {
    DeviceConfig {
        personas: profile.personas,
        oemid: profile.oemid,
        hwmodel: profile.hwmodel.clone(),
        hwversion: profile.hwversion.clone(),
        key_type: profile.key_type,
        otrp: profile.otrp.as_ref().map(|otrp| OtrpConfig {
            tee_name: otrp.tee_name.clone(),
            tee_version: otrp.tee_version.clone(),
        }),
        ..DeviceConfig::new(profile.vendor_id, profile.class_id, "")
    }
}

/// What the Agent seals: each TAM gets a random Owner id (security rule K1), and the next persona (E5).
pub(crate) fn seed(enrolment: &Enrolment, provider: &Provider) -> Result<Seed, Failure> {
    let mut tams = Vec::new();
    for (tam, persona) in enrolment.tams.iter().zip(0..) {
        let mut owner = [0; 16];
        provider.random.fill(&mut owner).map_err(|e| Failure::new(codes::INTERNAL, e.to_string()))?;
        tams.push(TamAnchor {
            owner: OwnerId(owner),
            principal: tam.proof.as_ref().map_or(Ok(Principal::Keys(Vec::new())), principal)?,
            uri: tam.uri.clone(),
            otrp: tam.otrp.as_ref().map(otrp_principal),
            protocol: tam.protocol,
            scopes: tam.scopes.clone(),
            require_binding: tam.require_binding,
            domains: tam.domains,
            domain_quota: tam.domain_quota,
            persona: Persona(persona),
            state: AnchorState::Active,
        });
    }
    let mut signers = Vec::new();
    for signer in &enrolment.signers {
        signers.push(SignerAnchor {
            provider: signer.provider.clone(),
            principal: principal(&signer.proof)?,
            prefixes: signer.prefixes.clone(),
            operations: Operations::ALL,
            quota: signer.quota,
            epoch: 0,
            state: AnchorState::Active,
        });
    }
    let mut peripherals = Vec::new();
    for peripheral in &enrolment.peripherals {
        let tam: Option<&TamAnchor> = tams.get(peripheral.tam as usize);
        let tam = tam.ok_or_else(|| invalid(format!("peripheral {} names no TAM", peripheral.name)))?;
        peripherals.push(Peripheral {
            name: peripheral.name.clone(),
            owner: tam.owner,
            manifest: peripheral.manifest.clone(),
        });
    }
    let device_authority = enrolment.authority.as_deref().map(public_key).transpose()?;
    let device_owner = enrolment.owner.as_deref().map(public_key).transpose()?;
    Ok(Seed { tams, signers, peripherals, device_authority, device_owner })
}

fn otrp_principal(seed: &OtrpSeed) -> OtrpPrincipal {
    let name = match seed.kind {
        NameKind::RegisteredId => Name::RegisteredId(seed.name.clone()),
        NameKind::Uri => Name::Uri(seed.name.clone()),
    };
    OtrpPrincipal { anchor: seed.root.clone(), name, draft: seed.draft }
}

fn principal(proof: &Proof) -> Result<Principal, Failure> {
    Ok(match proof {
        Proof::Keys(keys) => {
            Principal::Keys(keys.iter().map(|key| public_key(key)).collect::<Result<_, _>>()?)
        }
        Proof::Certificate { root, uri } => Principal::Certificate { anchor: root.clone(), uri: uri.clone() },
    })
}

fn public_key(spki: &[u8]) -> Result<PublicKey, Failure> {
    PublicKey::from_spki(spki).map_err(|error| invalid(format!("a public key of the enrolment: {error}")))
}

fn invalid(text: String) -> Failure {
    Failure::new(codes::CONFIG_INVALID, text)
}
