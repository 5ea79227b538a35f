//! Validation of encoded objects against the CDDL sets of the specifications.
//!
//! The crate `cddl` does the work on the sets rewritten for it (`*.workaround.cddl`). It decodes leniently, so that
//! repeated keys and trailing bytes are looked for here. What it cannot see (signatures, digests, order, preferred encoding) is the
//! business of our own decoders.

use std::io::Error as IoError;
use std::path::Path;

use cddl::ast::CDDL;
use cddl::validator::Validator;
use cddl::validator::cbor::{CBORValidator, Error as CborError};
use cddl::validator::cbor_value::decode_cbor;
use ciborium::Value;

/// The rules of TEEP messages with the Update binding of label 256 in QueryResponse and Update. The rewritten set has no sockets
/// left to plug it into, so it is written beside an option that only that message has.
///
/// # Panics
/// If the set is missing or has changed.
pub fn teep_messages(specs: &Path, root: Option<&str>) -> Rules {
    Rules::load_edited(specs, "teep-message", root, |set| {
        let mut set = format!("{set}\ntamarack-agent-nonce = bstr .size 16\n");
        for only in ["? 9 => [ + ext-info ]", "? 10 => [ + bstr .cbor SUIT_Envelope ]"] {
            assert_eq!(set.matches(only).count(), 1, "{only}");
            set = set.replace(only, &format!("? 256 => tamarack-agent-nonce, {only}"));
        }
        set
    })
}

/// The rules of CoRIM, put together from the one file per rule of `corim/cddl`. `root` is the rule that objects must match.
///
/// Rewritten for the crate, which resolves neither named keys nor sockets in maps nor `.and` with a generic: keys are
/// numbers, sockets without a plug go (STRICTER), "at least one member" goes (LOOSER, our reader checks it), generic
/// parameters are filled in, what other documents define stands at the end as loosely as it is used here.
///
/// # Panics
/// If a file is missing or has changed so that the result does not parse.
pub fn corim(specs: &Path, root: &str) -> Rules {
    let folder = specs.join("corim/cddl");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.expect("entry").path())
        .collect();
    files.sort();
    // The internal representation of a verifier, collections, and the generics that are filled in below.
    let apart = |name: &str| {
        name.starts_with("intrep-")
            || matches!(
                name,
                "cmw-corim-collection"
                    | "entity-map"
                    | "non-empty"
                    | "psa-sac-ext"
                    | "corim-entity-map"
                    | "comid-entity-map"
                    | "cwt-claims"
                    | "cose-label-and-value"
                    | "protected-corim-header-map"
                    | "unprotected-corim-header-map"
                    | "cose-key"
            )
    };
    let mut text = format!("cddl-root = {root}\n");
    for file in files {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if !apart(&name) {
            text += &std::fs::read_to_string(&file).expect("a rule");
            text.push('\n');
        }
    }
    let text: Vec<String> = text
        .lines()
        .filter(|line| !line.trim_start().starts_with(['*', ';']))
        .map(numbered_keys)
        .map(|line| line.replace("non-empty<", "").replace("non-empty <", ""))
        .map(|line| if line.trim_start().starts_with("}>") { line.replace("}>", "}") } else { line })
        .collect();
    let text = text
        .join("\n")
        .replace("eatmc.", "eatmc-")
        .replace("coswid.$version-scheme", "int / text")
        .replace("coswid.tag-id", "(text / bstr)")
        .replace("coswid.concise-swid-tag", "any")
        .replace("cbor-ip.", "cbor-ip-");
    Rules::parse(&format!(
        "{text}
        eatmc-digest = [ int / text, bytes ]
        cbor-ip-ipv4-address = any
        cbor-ip-ipv6-address = any
        entity-map-of-corim = {{ 0 => text, ? 1 => uri, 2 => [ + 1 / 2 ] }}
        entity-map-of-comid = {{ 0 => text, ? 1 => uri, 2 => [ + 0 / 1 / 2 ] }}
        corim-entity-map = entity-map-of-corim
        comid-entity-map = entity-map-of-comid
        cose-key-of-ec2 = {{ 1 => 2, -1 => int, -2 => bstr, -3 => bstr }}
        cose-key-of-okp = {{ 1 => 1, -1 => int, -2 => bstr }}
        COSE_Key = cose-key-of-ec2 / cose-key-of-okp
        cwt-claims = {{ 1 => tstr, ? 2 => tstr, ? 4 => int / float, ? 5 => int / float }}
        protected-corim-header-map = {{
          1 => int, 3 => \"application/rim+cbor\",
          ? 8 => bstr .cbor corim-meta-map, ? 15 => cwt-claims
        }}
        unprotected-corim-header-map = {{ ? 4 => bstr }}
        "
    ))
}

/// `&(name: 5) =>` as `5 =>`.
fn numbered_keys(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("&(") {
        let Some((inside, behind)) = after.split_once(')') else { break };
        let number = inside.rsplit(':').next().unwrap_or_default().trim();
        out.push_str(before);
        out.push_str(number);
        rest = behind;
    }
    out + rest
}

/// The rules of one set with one of them as root. Making one takes up to a second: keep it.
pub struct Rules(CDDL<'static>);

impl Rules {
    /// Reads the set `SET.workaround.cddl` below `specs`. `root` is the rule that objects must match, or any type
    /// expression; none means the set's first rule.
    ///
    /// # Panics
    /// If the set is missing or does not parse.
    pub fn load(specs: &Path, set: &str, root: Option<&str>) -> Self {
        Self::load_edited(specs, set, root, str::to_owned)
    }

    /// The same with the text of the set changed by `edit`, such as to plug an extension in.
    ///
    /// # Panics
    /// If the set is missing or does not parse.
    pub fn load_edited(
        specs: &Path,
        set: &str,
        root: Option<&str>,
        edit: impl FnOnce(&str) -> String,
    ) -> Self {
        let file = specs.join("cddl-sets").join(format!("{set}.workaround.cddl"));
        let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let root = root.map(|root| format!("cddl-root = {root}\n")).unwrap_or_default();
        Self::parse(&format!("{root}{}", edit(&text)))
    }

    /// Reads rules; the first one is the root.
    ///
    /// # Panics
    /// If they do not parse.
    pub fn parse(text: &str) -> Self {
        // The parser borrows its input for as long as the rules live, which in tests is the life of the process.
        let text: &'static str = Box::leak(text.to_owned().into_boxed_str());
        Self(cddl::parser::cddl_from_str(text, true).unwrap_or_else(|e| panic!("CDDL: {e}")))
    }

    /// Whether `bytes` are exactly one item, without repeated keys, that matches the root.
    pub fn check(&self, bytes: &[u8]) -> Result<(), String> {
        let mut rest = bytes;
        let value: Value = ciborium::from_reader(&mut rest).map_err(|e| format!("not CBOR: {e}"))?;
        if !rest.is_empty() {
            return Err(format!("{} bytes follow the item", rest.len()));
        }
        if let Some(key) = repeated_key(&value) {
            return Err(format!("the key {key} stands twice"));
        }
        let value = decode_cbor(bytes).map_err(|e| format!("not CBOR: {e:?}"))?;
        let verdict: Result<(), CborError<IoError>> = CBORValidator::new(&self.0, value, None).validate();
        verdict.map_err(|e| e.to_string())
    }
}

/// A key that stands twice in a map of `value`, or of a byte string in it that happens to hold CBOR.
fn repeated_key(value: &Value) -> Option<String> {
    match value {
        Value::Map(pairs) => {
            let twice =
                pairs.iter().enumerate().find(|(i, (key, _))| pairs[..*i].iter().any(|(k, _)| k == key));
            twice
                .map(|(_, (key, _))| format!("{key:?}"))
                .or_else(|| pairs.iter().find_map(|(_, member)| repeated_key(member)))
        }
        Value::Array(items) => items.iter().find_map(repeated_key),
        Value::Tag(_, item) => repeated_key(item),
        Value::Bytes(bytes) => {
            let inner: Value = ciborium::from_reader(bytes.as_slice()).ok()?;
            repeated_key(&inner)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_on_small_rules() {
        let rules = Rules::parse("start = { 1 => uint, ? 2 => bytes .cbor inner }\ninner = { * int => int }");
        let check = |hex: &str| rules.check(&hex::decode(hex).expect("hex")).is_ok();
        assert!(check("a10105"));
        assert!(!check("a1016161"), "wrong type");
        assert!(!check("a1010500"), "trailing byte");
        assert!(!check("a201050106"), "repeated key");
        assert!(check("a201050243a10102"));
        assert!(!check("a201050245a201020103"), "repeated key in a byte string");
        assert!(!check("a1"), "truncated");
    }
}
