//! A normal app that speaks OTrP with its TAM itself, and knows its TA by keys that its TAM vouches for.

use serde_json::{Value as Json, json};
use tamarack_broker::{Aiks, AppFlow, AppTa, Client, HttpOptions, TaState, TamClient, TamTrust};
use tamarack_jose::base64;
use tamarack_model::{ComponentId, codes};
use tamarack_otrp::ta_information::TaInformation;
use tamarack_x509::{Anchor, Name};

use super::{Trust, failed};
use crate::fail::{self, Fail, Outcome};
use crate::{keys, out};

/// The TA as OTrP names it.
pub fn ta(component: &ComponentId, provider: &str) -> Outcome<AppTa> {
    AppTa::new(component, provider).ok_or_else(|| {
        Fail::input(codes::USAGE, format_args!("{component}: OTrP has names only for ids like domain/TA/ta"))
    })
}

/// Runs `act` as an app whose TAM is at `tam_uri`.
fn as_app<T>(
    client: &mut Client,
    tam_uri: &str,
    trust: &Trust,
    act: impl FnOnce(&mut AppFlow<'_>) -> Outcome<T>,
) -> Outcome<T> {
    let (Some(root), Some(name)) = (&trust.tam_root, &trust.tam_name) else {
        return Err(Fail::input(
            codes::USAGE,
            "say by what the TAM is known: --tam-root FILE --tam-name NAME",
        ));
    };
    let mut chain = tamarack_pki::certificates_from_pem(&keys::read_text(root)?)
        .map_err(|e| Fail::input(e.code(), format_args!("{}: {e}", root.display())))?;
    let anchor = Anchor::from_der(&chain.swap_remove(0))
        .map_err(|e| Fail::input(e.code(), format_args!("{}: {e}", root.display())))?;
    let is_number = |arc: &str| !arc.is_empty() && arc.bytes().all(|b| b.is_ascii_digit());
    let name = match name.contains('.') && name.split('.').all(is_number) {
        true => Name::RegisteredId(name.clone()),
        false => Name::Uri(name.clone()),
    };
    let options = HttpOptions {
        extra_root: trust.ca.clone(),
        allow_plain_http: trust.allow_http,
        ..HttpOptions::default()
    };
    let http = TamClient::new(options).map_err(|e| Fail::input(e.code(), e))?;
    let provider = tamarack_crypto_aws_lc::provider();
    let anchors = [anchor];
    let trust = TamTrust { anchors: &anchors, name: &name, draft: false, provider: &provider };
    act(&mut AppFlow { client, http: &http, tam_uri, trust })
}

/// The keys that the app has kept, if they are there and hold.
fn kept(flow: &AppFlow<'_>, trust: &Trust) -> Option<Aiks> {
    let jws = std::fs::read(trust.aiks.as_ref()?).ok()?;
    match Aiks::verify(&jws, &flow.trust, keys::now()) {
        Ok(aiks) => Some(aiks),
        Err(e) => {
            eprintln!("the keys that were kept do not hold: {e}");
            None
        }
    }
}

fn keep(aiks: &Aiks, trust: &Trust) -> Outcome {
    match &trust.aiks {
        Some(file) => fail::write(file, aiks.as_jws()),
        None => Ok(()),
    }
}

/// Section 6.5.1: the app asks its TAM itself.
pub fn carry(
    client: &mut Client,
    component: &ComponentId,
    tam_uri: &str,
    trust: &Trust,
    json: bool,
) -> Outcome {
    as_app(client, tam_uri, trust, |flow| {
        // The provider does not matter for asking.
        let ta = ta(component, "")?;
        let (state, talked) = flow.install(&ta, keys::now()).map_err(failed)?;
        if let Some(aiks) = &talked.aiks {
            keep(aiks, trust)?;
        }
        let keys: Vec<Json> = talked.aiks.iter().flat_map(|aiks| &aiks.signed().aiks).map(key).collect();
        if json {
            return out::json(&json!({
                "component": component.to_string(), "state": state.name(), "rounds": talked.rounds, "aiks": keys,
            }));
        }
        out::lines(&format!(
            "{component}: {state} after {} messages; the TAM vouches for {} keys of providers",
            talked.rounds,
            keys.len()
        ))?;
        match state {
            TaState::Failed => Err(Fail::new(codes::TA_NOT_FOUND, "the TA was not installed")),
            _ => Ok(()),
        }
    })
}

fn key(aik: &tamarack_otrp::aik::SpAik) -> Json {
    let jwk = aik.key.to_json().to_string();
    json!({ "provider": aik.spid, "jwk": serde_json::from_str::<Json>(&jwk).unwrap_or_default() })
}

/// Section 6.5.2: what the TEE says of the TA, and only if it holds.
pub fn information(
    client: &mut Client,
    ta: &AppTa,
    tam_uri: Option<&str>,
    trust: &Trust,
    json: bool,
) -> Outcome {
    as_app(client, tam_uri.unwrap_or_default(), trust, |flow| {
        let known = kept(flow, trust);
        let (information, asked) = match (known, tam_uri) {
            (known, Some(_)) => {
                let proven = flow.ensure(ta, known.as_ref(), keys::now()).map_err(failed)?;
                if proven.asked {
                    keep(&proven.aiks, trust)?;
                }
                (proven.information, proven.asked)
            }
            (Some(aiks), None) => (flow.information(ta, &aiks).map_err(failed)?, false),
            (None, None) => {
                let message =
                    "there are no keys to verify it with: give --aiks, or --tam-uri to ask for them";
                return Err(Fail::input(codes::USAGE, message));
            }
        };
        shown(&information, asked, json)
    })
}

fn shown(information: &TaInformation, asked: bool, json: bool) -> Outcome {
    let TaInformation { taid, tamid, spid, version, digest, .. } = information;
    if json {
        return out::json(&json!({
            "taid": taid, "tamid": tamid, "provider": spid, "version": version,
            "digest": digest.map(hex::encode), "asked_tam": asked,
            "signer": information.signercert.as_ref().map(|certificate| base64::encode(certificate)),
        }));
    }
    let version = version.map_or("an unknown version".into(), |version| format!("version {version}"));
    let digest = digest.map_or(String::new(), |digest| format!(", manifest {}", hex::encode(digest)));
    out::lines(&format!("the TEE has {taid} of {spid}, {version}{digest}, by TAM {tamid}: verified"))
}
