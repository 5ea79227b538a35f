//! Providers of reference values, from the configuration.

use std::fs;

use tamarack_attest::{Grade, ProviderRole, ReferenceProvider};
use tamarack_corim::{Class, ClassId, Environment};
use tamarack_cose::{Purpose, VerificationKey};
use tamarack_crypto::{Provider, PublicKey};
use tamarack_pki::{certificates_from_pem, public_key_from_pem};

use crate::{Document, Error, ReferenceProviderFiles, ReferenceRole, ReferenceScope};

/// Reads the keys of all providers. Two providers share neither name nor key.
pub fn providers(
    config: &Document,
    files: &[ReferenceProviderFiles],
    crypto: &Provider,
) -> Result<Vec<ReferenceProvider>, Error> {
    let mut providers: Vec<ReferenceProvider> = Vec::new();
    for files in files {
        let provider = provider(config, files, crypto)?;
        if providers.iter().any(|other| other.name == provider.name) {
            let span = files.name.span();
            return Err(config.wrong(span, "reference_provider.name", "another provider has this name"));
        }
        let known = |key: &VerificationKey| {
            providers.iter().flat_map(|other| &other.keys).any(|other| other.id() == key.id())
        };
        if provider.keys.iter().any(known) {
            let span = files.keys.span();
            return Err(config.wrong(
                span,
                "reference_provider.keys",
                "another provider has one of these keys",
            ));
        }
        providers.push(provider);
    }
    Ok(providers)
}

fn provider(
    config: &Document,
    files: &ReferenceProviderFiles,
    crypto: &Provider,
) -> Result<ReferenceProvider, Error> {
    let mut keys = Vec::new();
    for file in files.keys.get_ref() {
        let path = config.path(file);
        let wrong = |message: String| config.wrong(files.keys.span(), "reference_provider.keys", message);
        let pem = fs::read_to_string(&path).map_err(|e| wrong(Error::unreadable(&path, &e).to_string()))?;
        let key = public_key(&pem).ok_or_else(|| {
            wrong(format!("{}: expected a P-256 or Ed25519 PUBLIC KEY or CERTIFICATE", path.display()))
        })?;
        keys.push(VerificationKey::new(key, Purpose::ReferenceValues, crypto));
    }
    if files.name.get_ref().is_empty() || keys.is_empty() {
        let span = files.name.span();
        return Err(config.wrong(span, "reference_provider", "give a name and at least one key"));
    }
    let scope = files.scope.iter().map(|scope| environment(config, scope, "reference_provider.scope"));
    Ok(ReferenceProvider {
        name: files.name.get_ref().clone(),
        role: match files.role {
            ReferenceRole::Maker => ProviderRole::Maker,
            ReferenceRole::TaSigner => ProviderRole::TaSigner,
        },
        keys,
        scope: scope.collect::<Result<_, _>>()?,
        elements: files.elements.clone(),
        cap: files.cap.as_ref().map_or(Grade::None, |cap| (*cap.get_ref()).into()),
    })
}

/// The key in a PEM file that holds one, or a certificate.
pub fn public_key(pem: &str) -> Option<PublicKey> {
    let key = public_key_from_pem(pem).ok();
    key.or_else(|| tamarack_x509::unvalidated_key(certificates_from_pem(pem).ok()?.first()?).ok())
}

/// What a scope says, for reference values and for verifiers alike; `key` names it in errors.
pub fn environment(config: &Document, scope: &ReferenceScope, key: &str) -> Result<Environment, Error> {
    let class_id = match &scope.class_id {
        None => None,
        Some(text) => {
            let digits = text.get_ref().replace('-', "");
            let bytes = hex::decode(digits).ok().filter(|bytes| (1..=512).contains(&bytes.len()));
            let bytes = bytes.ok_or_else(|| {
                config.wrong(text.span(), &format!("{key}.class_id"), "give hexadecimal digits")
            })?;
            Some(match <[u8; 16]>::try_from(bytes.as_slice()) {
                Ok(uuid) => ClassId::Uuid(uuid),
                Err(_) => ClassId::Bytes(bytes),
            })
        }
    };
    let class =
        Class { class_id, vendor: scope.vendor.clone(), model: scope.model.clone(), ..Class::default() };
    if class == Class::default() {
        return Err(Error::config(format_args!(
            "{}: {key}: it says nothing; give class_id, vendor or model",
            config.file.display()
        )));
    }
    Ok(Environment::of_class(class))
}
