//! What both protocols make of a device's Evidence: whether its state can follow what it proved before, and what people see.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use tamarack_attest::Appraisal;
use tamarack_model::Hex;
use tamarack_store::StateMark;

use crate::personal::DECRYPTION_KEY;

/// Why a state cannot follow the highest one that was proved, if it cannot.
pub(crate) fn state_fault(highest: &StateMark, mark: &StateMark) -> Option<String> {
    if mark.epoch < highest.epoch {
        return Some(format!("state epoch fell from {} to {}", highest.epoch, mark.epoch));
    }
    let forked = mark.epoch == highest.epoch && mark.root != highest.root;
    forked.then(|| format!("state forked at epoch {}: two roots were proved", mark.epoch))
}

/// The claims that people want to see.
pub(crate) fn summary(appraisal: &Appraisal) -> Vec<(String, String)> {
    let claims = &appraisal.claims;
    let mut rows: Vec<(String, String)> = Vec::new();
    let mut row = |name: &str, value: Option<String>| {
        rows.extend(value.map(|value| (String::from(name), crate::printable(&value))));
    };
    row("hwmodel", claims.hwmodel.as_ref().map(|model| String::from_utf8_lossy(model).into_owned()));
    row("hwversion", claims.hwversion.as_ref().map(|version| version.version.clone()));
    row("dbgstat", claims.dbgstat.map(|status| status.number().to_string()));
    if !appraisal.components.is_empty() {
        row("reference-values", Some(appraisal.result.status.to_string()));
    }
    if let Some(platform) = &claims.platform {
        row("class", Some(platform.class.clone()));
        row("layers", Some(platform.layer_names().join(" ")));
        row("root-secret", Some(platform.root_secret.clone()));
        row("counter", Some(platform.counter_quality.clone()));
        row("time", Some(platform.time_quality.clone()));
        row(DECRYPTION_KEY, platform.decryption_key.map(|key| Hex(&key.to_spki()).to_string()));
        row("trust-store-sequence", Some(platform.trust_store_sequence.to_string()));
    }
    rows
}
