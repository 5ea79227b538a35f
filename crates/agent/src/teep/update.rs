use alloc::vec::Vec;

use tamarack_model::{Code, Intent, codes};
use tamarack_teep::{ErrCode, Update};

/// What an Update asks for, in the domain's terms: removals first (draft section 5.2).
pub(crate) fn intents(update: &Update) -> Vec<Intent> {
    let removals = update.unneeded_manifest_list.iter().map(|id| Intent::Remove { manifest: id.clone() });
    let installs = update.manifest_list.iter().map(|e| Intent::Install { envelope: e.clone() });
    removals.chain(installs).collect()
}

/// Why the TAM ends the exchange without asking for anything, if that is what this Update does.
pub(crate) fn ends_with(update: &Update) -> Option<Code> {
    let asks = !update.manifest_list.is_empty() || !update.unneeded_manifest_list.is_empty();
    update.err_code.filter(|_| !asks).map(|err_code| {
        // A Tamarack TAM puts its own code in front of the text.
        let text = update.err_msg.as_deref().unwrap_or_default();
        let told = text.split([':', ' ']).next().and_then(Code::parse).filter(|code| code.info().is_some());
        told.unwrap_or(code_of(err_code))
    })
}

/// What an err-code of a TAM means here.
fn code_of(err_code: ErrCode) -> Code {
    match err_code {
        ErrCode::PermanentError | ErrCode::UnsupportedExtension => codes::TEEP_UNEXPECTED,
        ErrCode::UnsupportedFreshnessMechanisms => codes::TEEP_FRESHNESS,
        ErrCode::UnsupportedMsgVersion => codes::TEEP_VERSION,
        ErrCode::UnsupportedCipherSuites | ErrCode::UnsupportedSuitReport => codes::TEEP_CIPHER_SUITE,
        ErrCode::BadCertificate => codes::EVIDENCE_UNTRUSTED,
        ErrCode::AttestationRequired => codes::EVIDENCE_POLICY,
        ErrCode::CertificateExpired => codes::X509_EXPIRED,
        ErrCode::TemporaryError => codes::OVERLOADED,
        ErrCode::ManifestProcessingFailed => codes::SUIT_MALFORMED,
    }
}
