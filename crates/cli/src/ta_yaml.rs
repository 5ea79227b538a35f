//! `ta.yaml`: what a TA developer writes about a TA, about ten lines.

use std::path::Path;

use serde::Deserialize;
use tamarack_model::{ComponentId, codes};
use tamarack_suit::author::{Builder, Component, Payload, Text};

use crate::fail::{self, Fail, Outcome};
use crate::keys;

/// Vendor of the devices that `tamarack agent init` makes unless told otherwise.
pub const DEFAULT_VENDOR: &str = "tamarack.example";
/// Their class.
pub const DEFAULT_CLASS: &str = "software-tee";

/// The file's keys. An unknown key is an error that names its line and column.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaYaml {
    /// Name for people; also names the outputs.
    pub name: String,
    /// UUID of the TA, 8-4-4-4-12 hexadecimal digits.
    pub uuid: uuid::Uuid,
    /// Version for people.
    pub version: String,
    /// Sequence number of the manifest; must rise with every release.
    pub sequence: u64,
    /// Security Domain: first segment of the component ids, the prefix that a TAM has registered for the provider.
    pub domain: String,
    /// Vendor of the devices: a UUID, or a DNS name from which RFC 9019's UUID is derived.
    pub vendor: Option<String>,
    /// Class of the devices: a UUID, or a name within the vendor.
    pub class: Option<String>,
    /// The WebAssembly module, relative to this file.
    pub module: std::path::PathBuf,
    /// Where the module will be fetched from; it travels inside the manifest's envelope without this.
    pub uri: Option<String>,
    /// One line for people.
    pub description: Option<String>,
}

impl TaYaml {
    /// Reads the file.
    pub fn read(path: &Path) -> Outcome<Self> {
        let text = keys::read_text(path)?;
        let read: Self = serde_saphyr::from_str(&text)
            .map_err(|e| Fail::input(codes::CONFIG_INVALID, format_args!("{}: {e}", path.display())))?;
        read.manifest_id()
            .map_err(|e| Fail::input(codes::CONFIG_INVALID, format_args!("{}: {e}", path.display())))?;
        Ok(read)
    }

    /// Name of the manifest: `[domain, uuid, "suit"]`.
    pub fn manifest_id(&self) -> Result<ComponentId, tamarack_model::ComponentIdError> {
        ComponentId::tamarack(&self.domain, self.uuid.into_bytes(), "suit")
    }

    /// Name of the TA's component: `[domain, uuid, "ta"]`.
    pub fn component_id(&self) -> Result<ComponentId, tamarack_model::ComponentIdError> {
        ComponentId::tamarack(&self.domain, self.uuid.into_bytes(), "ta")
    }

    /// The module's bytes; `folder` is where the file stands.
    pub fn module(&self, folder: &Path) -> Outcome<Vec<u8>> {
        fail::read(&folder.join(&self.module))
    }

    /// The manifest to be signed.
    pub fn builder(&self, folder: &Path) -> Outcome<Builder> {
        let provider = tamarack_crypto_aws_lc::provider();
        let module = self.module(folder)?;
        let bad = |e| Fail::input(codes::CONFIG_INVALID, e);
        let payload = match &self.uri {
            Some(uri) => Payload::by_uri(uri, &module, &provider),
            None => Payload::integrated("#ta", module, &provider),
        };
        let mut component = Component::new(self.component_id().map_err(bad)?, payload);
        component.vendor = self.vendor.as_deref().map(vendor_id);
        component.class = match (&self.class, component.vendor) {
            (Some(class), Some(vendor)) => Some(class_id(vendor, class)),
            (Some(_), None) => return Err(Fail::input(codes::CONFIG_INVALID, "ta.yaml: class needs vendor")),
            (None, _) => None,
        };
        component.invoke = Some(Vec::new());
        Ok(Builder::new(self.manifest_id().map_err(bad)?, self.sequence).component(component).text(Text {
            language: "en".into(),
            description: Some(self.description.clone().unwrap_or_else(|| self.name.clone())),
            update: None,
            versions: vec![(0, self.version.clone())],
        }))
    }
}

/// A vendor identifier: the UUID itself, or UUIDv5 of the DNS name (draft-ietf-suit-manifest-37 section 8.4.8.2).
pub fn vendor_id(text: &str) -> [u8; 16] {
    let named = |_| uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_DNS, text.as_bytes());
    uuid::Uuid::parse_str(text).unwrap_or_else(named).into_bytes()
}

/// A class identifier: the UUID itself, or UUIDv5 of the name within the vendor.
pub fn class_id(vendor: [u8; 16], text: &str) -> [u8; 16] {
    let named = |_| uuid::Uuid::new_v5(&uuid::Uuid::from_bytes(vendor), text.as_bytes());
    uuid::Uuid::parse_str(text).unwrap_or_else(named).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<TaYaml, String> {
        serde_saphyr::from_str(text).map_err(|e| e.to_string())
    }

    const GOOD: &str = "name: wallet\nuuid: 8d82573a-926d-4754-9353-32dc29997f74\nversion: 1.0.0\nsequence: 1\n\
                        domain: com.acme\nvendor: acme.example\nclass: phone\nmodule: wallet.wasm\n";

    #[test]
    fn mistakes_name_line_and_column() {
        assert!(read(GOOD).is_ok());
        let unknown = read(&format!("{GOOD}colour: red\n")).unwrap_err();
        assert!(unknown.contains("colour") && unknown.contains("line 9"), "{unknown}");
        let mistyped = read(&GOOD.replace("sequence: 1", "sequence: one")).unwrap_err();
        assert!(mistyped.contains("line 4"), "{mistyped}");
        assert!(read(&GOOD.replace("domain: com.acme\n", "")).unwrap_err().contains("domain"));
    }

    #[test]
    fn identifiers_are_the_published_ones() {
        // The identifiers of the SUIT examples: vendor arm.com, class "arm.com" based.
        let vendor = vendor_id("arm.com");
        assert_eq!(hex::encode(vendor), "fa6b4a53d5ad5fdfbe9de663e4d41ffe");
        assert_eq!(hex::encode(class_id(vendor, "Whatever")).len(), 32);
        assert_eq!(vendor_id("fa6b4a53-d5ad-5fdf-be9d-e663e4d41ffe"), vendor);
    }
}
