use alloc::vec::Vec;

use tamarack_model::{DomainChanges, Intent, Sha256Digest};
use tamarack_otrp::ErrorCode;
use tamarack_otrp::request::{CreateSd, DeleteSd, UpdateSd};
use tamarack_tee::{OtrpIdentity, Platform};

use super::receive::Speaker;
use super::refusal::Refusal;
use crate::AgentConfig;
use crate::domains::{self, Domain};
use crate::journal::Journal;
use crate::trust::TamAnchor;

/// The domain of `tam` that is called `name`; another TAM's is none.
pub(crate) fn find(platform: &dyn Platform, tam: &TamAnchor, name: &str) -> Result<Domain, Refusal> {
    let found = domains::find(&Journal::default(), platform, &tam.owner, name)?;
    found.ok_or_else(|| Refusal::new(ErrorCode::SdNotFound, "the TAM has no such domain"))
}

/// CreateSD (section 9.2.1).
pub(crate) fn create(
    identity: &dyn OtrpIdentity,
    speaker: &Speaker,
    content: CreateSd,
) -> Result<Vec<Intent>, Refusal> {
    check_signers(identity, speaker, core::slice::from_ref(&content.spcert))?;
    let CreateSd { spid: provider, sdname: name, spcert, .. } = content;
    Ok([Intent::EnsureDomain { name, provider, signers: [spcert].to_vec() }].to_vec())
}

/// UpdateSD (section 9.2.2).
pub(crate) fn update(
    platform: &dyn Platform,
    config: &AgentConfig,
    identity: &dyn OtrpIdentity,
    tam: &TamAnchor,
    speaker: &Speaker,
    content: UpdateSd,
) -> Result<Vec<Intent>, Refusal> {
    let domain = find(platform, tam, &content.sdname)?;
    if content.spid.is_some_and(|spid| spid != domain.provider) {
        return Err(Refusal::new(ErrorCode::SdNotFound, "the TAM has no such domain for this SP"));
    }
    let changes = content.changes;
    if changes.newspid.is_some() && !config.new_provider {
        let detail = "this device does not give domains to another SP";
        return Err(Refusal::new(ErrorCode::RequestInvalid, detail));
    }
    check_signers(identity, speaker, &changes.spcert)?;
    let provider = changes.newspid.clone().unwrap_or_else(|| domain.provider.clone());
    let mut intents = Vec::new();
    intents.push(Intent::UpdateDomain {
        name: domain.name,
        changes: DomainChanges {
            name: changes.newsdname,
            provider: changes.newspid,
            add_signers: changes.spcert,
            remove_signers: changes.deloldspcert.into_iter().map(Sha256Digest).collect(),
        },
    });
    if changes.renewteespaik {
        intents.push(Intent::RotateKey { provider });
    }
    Ok(intents)
}

/// DeleteSD (section 9.2.3).
pub(crate) fn delete(
    platform: &dyn Platform,
    tam: &TamAnchor,
    content: DeleteSd,
) -> Result<Vec<Intent>, Refusal> {
    let domain = find(platform, tam, &content.sdname)?;
    Ok([Intent::DropDomain { name: domain.name, components: content.deleteta }].to_vec())
}

/// A signer's key has no other purpose here (security rule K5): it is neither the TAM's nor the TEE's.
pub(crate) fn check_signers(
    identity: &dyn OtrpIdentity,
    speaker: &Speaker,
    certificates: &[Vec<u8>],
) -> Result<(), Refusal> {
    for certificate in certificates {
        let invalid = |detail: &str| Refusal::new(ErrorCode::SpcertInvalid, detail);
        let key = domains::signer_key(certificate).map_err(|e| invalid(&alloc::format!("{e}")))?;
        if key.to_spki() == speaker.spki || key == identity.signer().public_key() {
            return Err(invalid("the certificate is for a key that has another purpose"));
        }
    }
    Ok(())
}
