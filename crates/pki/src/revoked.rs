//! What an authority has revoked, in a text file that people can read and correct.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use der::DateTime;
use tamarack_model::UnixTime;

use crate::Error;

/// Why a certificate is revoked: those reasons of RFC 5280 section 5.3.1 that fit end entities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No reason given.
    Unspecified,
    /// Somebody else has the key, or may have it.
    KeyCompromise,
    /// The principal changed its name or whom it belongs to.
    AffiliationChanged,
    /// There is a newer certificate.
    Superseded,
    /// The principal is no more.
    CessationOfOperation,
    /// The principal may not do any more what the certificate says.
    PrivilegeWithdrawn,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 6] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::PrivilegeWithdrawn,
    ];

    /// Its name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "key-compromise",
            Self::AffiliationChanged => "affiliation-changed",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessation-of-operation",
            Self::PrivilegeWithdrawn => "privilege-withdrawn",
        }
    }

    /// The reason of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }

    /// Its number on the wire.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Unspecified => 0,
            Self::KeyCompromise => 1,
            Self::AffiliationChanged => 3,
            Self::Superseded => 4,
            Self::CessationOfOperation => 5,
            Self::PrivilegeWithdrawn => 9,
        }
    }
}

/// A revoked certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// Its serial number, content octets of the INTEGER.
    pub serial: Vec<u8>,
    /// Since when.
    pub at: UnixTime,
    /// Why.
    pub reason: Reason,
}

/// All that one authority has revoked.
///
/// The file has a line for each certificate: serial number in hexadecimal, time, reason. Empty lines and lines that begin
/// with `#` are for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revocations {
    entries: Vec<Revoked>,
}

const HEADER: &str = "# Revoked certificates of this authority: serial number, since when, reason.\n";

impl Revocations {
    /// Reads a file; one that does not exist holds nothing.
    pub fn read(path: &Path) -> Result<Self, Error> {
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&text),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Error::File { path: path.into(), error }),
        }
    }

    /// Reads the text of a file.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut entries = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                entries.push(parse_line(line).ok_or(Error::Revocations { line: index + 1 })?);
            }
        }
        Ok(Self { entries })
    }

    /// What stands in them.
    pub fn entries(&self) -> &[Revoked] {
        &self.entries
    }

    /// The entry of this serial number.
    pub fn find(&self, serial: &[u8]) -> Option<&Revoked> {
        self.entries.iter().find(|entry| entry.serial == serial)
    }

    /// Adds a certificate; one that is revoked already stays as it is. Says whether it was added.
    pub fn add(&mut self, revoked: Revoked) -> bool {
        let is_new = self.find(&revoked.serial).is_none();
        if is_new {
            self.entries.push(revoked);
        }
        is_new
    }

    /// The text of the file.
    pub fn to_text(&self) -> Result<String, Error> {
        let mut text = String::from(HEADER);
        for Revoked { serial, at, reason } in &self.entries {
            let at = DateTime::from_unix_duration(Duration::from_secs(*at)).map_err(|_| Error::Validity)?;
            serial.iter().for_each(|octet| _ = write!(text, "{octet:02x}"));
            let _ = writeln!(text, " {at} {}", reason.name());
        }
        Ok(text)
    }

    /// Writes the file anew: whoever reads it meanwhile sees the old one or the new one, whole.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let text = self.to_text()?;
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        let beside = PathBuf::from(beside);
        let write = || {
            let mut file = File::create(&beside)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&beside, path)
        };
        write().map_err(|error| Error::File { path: path.into(), error })
    }
}

fn parse_line(line: &str) -> Option<Revoked> {
    let mut words = line.split_whitespace();
    let (serial, at, reason) = (words.next()?, words.next()?, words.next()?);
    if words.next().is_some() || serial.len() % 2 != 0 || !serial.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        return None;
    }
    let digits = (0..serial.len()).step_by(2);
    Some(Revoked {
        serial: digits.map(|at| u8::from_str_radix(&serial[at..at + 2], 16).ok()).collect::<Option<_>>()?,
        at: at.parse::<DateTime>().ok()?.unix_duration().as_secs(),
        reason: Reason::parse(reason)?,
    })
}
