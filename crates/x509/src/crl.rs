//! The status of certificates by revocation lists (RFC 5280 section 5).
//!
//! Lists must be complete: those for some certificates or reasons only, deltas, and lists with critical extensions are
//! refused as malformed.

use alloc::vec::Vec;
use core::fmt;

use der::{Decode, Encode};
use tamarack_crypto::Provider;
use tamarack_model::{Code, UnixTime, codes};
use x509_cert::crl::CertificateList;

use crate::profile::Profile;
use crate::{raw, signature};

/// The longest list that is read, in bytes.
pub const MAX_LIST: usize = 4 * 1024 * 1024;
const SKEW: u64 = 300;

/// Why the status of a path is not good. `index` says which of its certificates: 0 is the leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrlError {
    /// A list is not DER as RFC 5280 has it, uses what is not supported, or is too long.
    Malformed,
    /// There is no list of the certificate's issuer.
    Missing {
        /// Which certificate.
        index: usize,
    },
    /// It is revoked.
    Revoked {
        /// Which certificate.
        index: usize,
    },
    /// The next list is due, or the list does not say when that will be.
    Stale {
        /// Which certificate.
        index: usize,
    },
    /// The list begins in the future.
    Future {
        /// Which certificate.
        index: usize,
    },
    /// The list is not signed by the issuer of the certificate, or the issuer may not sign lists.
    Signature {
        /// Which certificate.
        index: usize,
    },
}

impl CrlError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Malformed => codes::OCSP_MALFORMED,
            Self::Missing { .. } => codes::OCSP_MISSING,
            Self::Revoked { .. } => codes::X509_REVOKED,
            Self::Stale { .. } | Self::Future { .. } => codes::OCSP_STALE,
            Self::Signature { .. } => codes::OCSP_UNTRUSTED,
        }
    }
}

impl fmt::Display for CrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("a revocation list cannot be read"),
            Self::Missing { index } => write!(f, "no revocation list covers certificate {index} of the path"),
            Self::Revoked { index } => write!(f, "certificate {index} of the path is revoked"),
            Self::Stale { index } => {
                write!(f, "the revocation list for certificate {index} of the path is over")
            }
            Self::Future { index } => {
                write!(f, "the revocation list for certificate {index} of the path lies in the future")
            }
            Self::Signature { index } => {
                write!(
                    f,
                    "the revocation list for certificate {index} of the path is not signed by its issuer"
                )
            }
        }
    }
}

impl core::error::Error for CrlError {}

/// A list that could be read; nothing in it is verified.
struct List<'a> {
    signed: raw::Signed<'a>,
    issuer: Vec<u8>,
    content: CertificateList,
}

impl<'a> List<'a> {
    fn read(der: &'a [u8]) -> Result<Self, CrlError> {
        if der.len() > MAX_LIST {
            return Err(CrlError::Malformed);
        }
        let decode = || {
            let content = CertificateList::from_der(der)?;
            let issuer = content.tbs_cert_list.issuer.to_der()?;
            Ok(Self { signed: raw::Signed::read(der)?, issuer, content })
        };
        let list: Self = decode().map_err(|_: der::Error| CrlError::Malformed)?;
        let body = &list.content.tbs_cert_list;
        let entries = body.revoked_certificates.iter().flatten();
        let mut extensions =
            entries.flat_map(|entry| &entry.crl_entry_extensions).chain(&body.crl_extensions).flatten();
        match list.signed.rest.is_empty() && !extensions.any(|extension| extension.critical) {
            true => Ok(list),
            false => Err(CrlError::Malformed),
        }
    }
}

/// Checks that a DER list can be read, whoever signed it: for configurations that are to fail early.
pub fn is_readable(der: &[u8]) -> bool {
    List::read(der).is_ok()
}

/// Checks that no certificate of `path` but the last is revoked, and that there is a list in force for each: `path` is DER
/// from leaf to anchor, already validated. The lists may come in any order and be of any issuers.
pub fn check(path: &[&[u8]], lists: &[Vec<u8>], now: UnixTime, provider: &Provider) -> Result<(), CrlError> {
    let lists = lists.iter().map(|der| List::read(der)).collect::<Result<Vec<_>, _>>()?;
    for (index, pair) in path.windows(2).enumerate() {
        let [certificate, issuer] = pair else { continue };
        check_one(index, certificate, issuer, &lists, now, provider)?;
    }
    Ok(())
}

fn check_one(
    index: usize,
    certificate: &[u8],
    issuer_der: &[u8],
    lists: &[List<'_>],
    now: UnixTime,
    provider: &Provider,
) -> Result<(), CrlError> {
    let read = |der| raw::Certificate::read(der).map_err(|_| CrlError::Malformed);
    let certificate = read(certificate)?;
    let issuer = read(issuer_der)?;
    let may_sign = Profile::read(issuer_der).map_err(|_| CrlError::Malformed)?.may_sign_lists();
    let mut best = Err(CrlError::Missing { index });
    for list in lists.iter().filter(|list| list.issuer == issuer.subject) {
        let signed = &list.signed;
        let verified =
            signature::verify(signed.algorithm, issuer.spki, signed.content, signed.signature, provider);
        if !may_sign || verified.is_err() {
            best = best.or(Err(CrlError::Signature { index }));
            continue;
        }
        let body = &list.content.tbs_cert_list;
        let mut revoked = body.revoked_certificates.iter().flatten();
        // A revocation stands however old the list is.
        if revoked.any(|entry| is_serial(entry.serial_number.as_bytes(), certificate.serial)) {
            return Err(CrlError::Revoked { index });
        }
        let begins = body.this_update.to_unix_duration().as_secs();
        let ends = body.next_update.map(|time| time.to_unix_duration().as_secs());
        if begins > now.saturating_add(SKEW) {
            best = best.or(Err(CrlError::Future { index }));
        } else if ends.is_none_or(|ends| ends < now) {
            best = best.or(Err(CrlError::Stale { index }));
        } else {
            best = Ok(());
        }
    }
    best
}

/// Compares serial numbers without the zeros in front.
fn is_serial(one: &[u8], other: &[u8]) -> bool {
    fn digits(serial: &[u8]) -> &[u8] {
        &serial[serial.iter().take_while(|octet| **octet == 0).count()..]
    }
    digits(one) == digits(other)
}
