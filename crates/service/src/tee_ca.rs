//! Authorities of TEEs, from a configuration.

use std::fs;

use tamarack_attest::TeeCa;
use tamarack_pki::{certificates_from_pem, is_development};
use tamarack_x509::Anchor;

use crate::lists::{self, Lists};
use crate::{Document, Error, GradeName, Profile, TeeCaFile};

/// What the files of authorities hold, one entry for each certificate.
pub struct TeeCas {
    /// The authorities.
    pub cas: Vec<TeeCa>,
    /// For each of them, whether certificates without our extended key usages are taken.
    pub draft: Vec<bool>,
    /// Their revocation lists.
    pub lists: Lists,
}

/// Reads the files. A production profile takes no development certificates, and no authority of software TEEs unless
/// `allow_software`.
pub fn tee_cas(
    config: &Document,
    files: &[TeeCaFile],
    profile: Profile,
    allow_software: bool,
) -> Result<TeeCas, Error> {
    let mut read = TeeCas { cas: Vec::new(), draft: Vec::new(), lists: Lists::default() };
    for TeeCaFile { file, cap, crl, draft } in files {
        let path = config.path(file.get_ref());
        let wrong = |message: String| config.wrong(file.span(), "tee_ca.file", message);
        let pem = fs::read_to_string(&path).map_err(|e| wrong(Error::unreadable(&path, &e).to_string()))?;
        let certificates =
            certificates_from_pem(&pem).map_err(|e| wrong(format!("{}: {e}", path.display())))?;
        refuse_development(profile, &certificates).map_err(wrong)?;
        let cap = *cap.get_ref();
        if profile == Profile::Production && cap != GradeName::Hardware && !allow_software {
            return Err(wrong(
                "the production profile takes no CA of software TEEs; remove it, or set evidence.allow_software_tee = true"
                    .into(),
            ));
        }
        let (list_file, crls) = lists::named(config, crl.as_ref(), "tee_ca.crl")?;
        for der in &certificates {
            let anchor = Anchor::from_der(der).map_err(|e| wrong(format!("{}: {e}", path.display())))?;
            read.cas.push(TeeCa { anchor, cap: cap.into() });
            read.draft.push(*draft);
            read.lists.add(list_file.clone(), crls.clone());
        }
    }
    Ok(read)
}

/// Says what is wrong with development certificates in the production profile.
pub fn refuse_development(profile: Profile, certificates: &[Vec<u8>]) -> Result<(), String> {
    if profile == Profile::Production && certificates.iter().any(|der| is_development(der)) {
        return Err(
            "is a development certificate, which the production profile refuses; use one of your own CA"
                .into(),
        );
    }
    Ok(())
}
