//! A configuration file: every error names file, line, key and fix.

use std::fs;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;

use crate::Error;

/// A configuration file that was read. Paths in it are as written; [`Document::path`] resolves them against its folder.
#[derive(Clone, Debug)]
pub struct Document {
    /// The file.
    pub file: PathBuf,
    text: String,
}

impl Document {
    /// Reads a file. An unknown key is an error if `T` says so.
    pub fn read<T: DeserializeOwned>(path: &Path) -> Result<(Self, T), Error> {
        let text = fs::read_to_string(path).map_err(|e| Error::unreadable(path, &e))?;
        let file = toml::from_str(&text).map_err(|e| {
            let line = e.span().map_or(1, |span| line_of(&text, &span));
            Error::config(format_args!(
                "{}:{line}: {}; correct or remove this key",
                path.display(),
                e.message().trim().replace('\n', " ")
            ))
        })?;
        Ok((Self { file: path.to_path_buf(), text }, file))
    }

    /// A path of the file, seen from the file's folder.
    pub fn path(&self, path: &Path) -> PathBuf {
        self.file.parent().unwrap_or(Path::new("")).join(path)
    }

    /// An error about what stands at `span`.
    pub fn wrong(&self, span: Range<usize>, key: &str, message: impl std::fmt::Display) -> Error {
        let line = line_of(&self.text, &span);
        Error::config(format_args!("{}:{line}: {key}: {message}", self.file.display()))
    }

    /// Plain HTTP is for loopback, or for who says so.
    pub fn check_plain_http(&self, listen: SocketAddr, tls: bool, allowed: bool) -> Result<(), Error> {
        if !tls && !listen.ip().is_loopback() && !allowed {
            return Err(Error::config(format_args!(
                "{}: listen: {listen} is not a loopback address and there is no TLS; add [tls] with cert and key, or \
                 set allow_plain_http = true if a proxy on a trusted network does TLS",
                self.file.display()
            )));
        }
        Ok(())
    }
}

/// The line, from 1, at which `span` begins.
fn line_of(text: &str, span: &Range<usize>) -> usize {
    text.as_bytes().iter().take(span.start).filter(|b| **b == b'\n').count() + 1
}

/// What kind of deployment this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Development certificates and software TEEs are accepted.
    Development,
    /// Development certificates are refused, and software TEEs unless `allow_software_tee` says otherwise.
    Production,
}

/// How far a device's isolation must, or can, be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GradeName {
    /// A software TEE that lacks an isolation layer.
    None,
    /// A software TEE with all its layers.
    Software,
    /// A TEE in hardware.
    Hardware,
}

impl From<GradeName> for tamarack_attest::Grade {
    fn from(name: GradeName) -> Self {
        match name {
            GradeName::None => Self::None,
            GradeName::Software => Self::Software,
            GradeName::Hardware => Self::Hardware,
        }
    }
}

/// A certification authority of TEEs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeeCaFile {
    /// Its certificate, PEM.
    pub file: Spanned<PathBuf>,
    /// The best grade that a device under it can have.
    pub cap: Spanned<GradeName>,
    /// Revocation lists, PEM, of the CA and of those under it: then one in force must speak for each certificate of a
    /// device. Read anew every minute.
    pub crl: Option<Spanned<PathBuf>>,
    /// Take OTrP certificates without our extended key usages, as the OTrP draft has them.
    #[serde(default)]
    pub draft: bool,
}

/// Who may say what devices should run.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReferenceProviderFiles {
    /// Its name. Versions that were seen are remembered under it.
    pub name: Spanned<String>,
    /// What it is.
    pub role: ReferenceRole,
    /// PEM files with the keys or certificates that sign its CoRIMs; they serve nothing else.
    pub keys: Spanned<Vec<PathBuf>>,
    /// What it may speak of: devices that have all that one of these says.
    #[serde(default)]
    pub scope: Vec<ReferenceScope>,
    /// Names of components, as beginnings up to a `:` or `/`; without it any.
    pub elements: Option<Vec<String>>,
    /// The best grade of devices whose attestation key only it vouches for.
    pub cap: Option<Spanned<GradeName>>,
}

/// What a provider of reference values is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReferenceRole {
    /// It makes devices: each of them must show every component that it releases.
    Maker,
    /// It signs TAs.
    TaSigner,
}

/// Devices of one kind.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReferenceScope {
    /// class-id in hexadecimal: 16 bytes are a UUID, such as the vendor id of a software TEE; others, such as a PSA
    /// implementation id, are opaque.
    pub class_id: Option<Spanned<String>>,
    /// Vendor, as CoRIMs have it.
    pub vendor: Option<String>,
    /// Model, as CoRIMs have it.
    pub model: Option<String>,
}

/// TLS of the listener.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// Certificate chain, PEM, leaf first.
    pub cert: Spanned<PathBuf>,
    /// Private key, PEM.
    pub key: Spanned<PathBuf>,
}
