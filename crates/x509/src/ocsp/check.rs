use alloc::vec::Vec;

use tamarack_crypto::Provider;
use tamarack_model::UnixTime;

use super::{BasicResponse, CertId, Entry, Failure, MAX_RESPONSES, OcspError, Response, Status};
use crate::profile::Profile;
use crate::{Error, raw, signature};

/// By what clock statuses are judged, and how generously. All in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// What the clock says.
    pub now: UnixTime,
    /// A time that has certainly passed, whatever the clock says: the receiver keeps it from what it verified before.
    pub floor: UnixTime,
    /// How far in the future a status may begin.
    pub skew: u64,
    /// How long a status holds that does not say when the next one comes.
    pub max_age: u64,
}

impl Freshness {
    /// Five minutes of skew, a day where the status gives no end.
    pub fn new(now: UnixTime, floor: UnixTime) -> Self {
        Self { now, floor, skew: 300, max_age: 86_400 }
    }

    /// The later of clock and floor.
    fn time(&self) -> UnixTime {
        self.now.max(self.floor)
    }
}

/// What the statuses of a whole path come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The latest time at which one of the statuses was signed: a new time floor for receivers without a trustworthy clock.
    pub produced_at: UnixTime,
    /// When the first of the statuses ends.
    pub next_update: UnixTime,
}

/// Checks that every certificate of `path` but the last is good: `path` is DER from leaf to anchor as
/// [`AnyChain::path`](crate::AnyChain::path) gives it, already validated. Statuses are matched by [`CertId`], in whatever
/// order they come; those of other certificates are not looked at, but a response that cannot be read fails the whole.
///
/// A status counts if the issuer itself signed it or a responder whose certificate the issuer signed for OCSP (RFC 6960
/// section 4.2.2.2). Such a responder's certificate is trusted until it expires: it should not live long.
pub fn check(
    path: &[&[u8]],
    responses: &[Vec<u8>],
    freshness: &Freshness,
    provider: &Provider,
) -> Result<Checked, OcspError> {
    if responses.len() > MAX_RESPONSES {
        return Err(OcspError::Malformed);
    }
    let mut answers = Vec::new();
    for der in responses {
        match Response::parse(der)? {
            Response::Basic(basic) => answers.push(basic),
            Response::Failed(failure) => return Err(OcspError::Failed(failure)),
        }
    }
    let mut checked = Checked { produced_at: 0, next_update: UnixTime::MAX };
    for (index, pair) in path.windows(2).enumerate() {
        let [certificate, issuer] = pair else { continue };
        let subject = Subject::read(certificate, issuer, index)?;
        let one = subject.status(&answers, freshness, provider)?;
        checked.produced_at = checked.produced_at.max(one.produced_at);
        checked.next_update = checked.next_update.min(one.next_update);
    }
    Ok(checked)
}

/// One certificate of the path.
struct Subject<'a> {
    index: usize,
    certificate: raw::Certificate<'a>,
    issuer: raw::Certificate<'a>,
}

impl<'a> Subject<'a> {
    fn read(certificate: &'a [u8], issuer: &'a [u8], index: usize) -> Result<Self, OcspError> {
        let read = |der| raw::Certificate::read(der).map_err(|_| OcspError::Malformed);
        Ok(Self { index, certificate: read(certificate)?, issuer: read(issuer)? })
    }

    /// Looks for a good status. Without one, says what is wrong with the last that was found.
    fn status(
        &self,
        answers: &[BasicResponse],
        freshness: &Freshness,
        provider: &Provider,
    ) -> Result<Checked, OcspError> {
        let index = self.index;
        let mut best = Err(OcspError::Missing { index });
        for answer in answers {
            for entry in answer.data.entries.iter().filter(|entry| self.is(&entry.id, provider)) {
                if !self.is_authentic(answer, freshness, provider) {
                    best = best.or(Err(OcspError::Signature { index }));
                    continue;
                }
                match self.judge(answer, entry, freshness) {
                    // A revocation stands whatever else is said, and however old it is.
                    Err(error @ OcspError::Revoked { .. }) => return Err(error),
                    Err(error) => best = best.or(Err(error)),
                    Ok(checked) => best = Ok(checked),
                }
            }
        }
        best
    }

    fn is(&self, id: &CertId, provider: &Provider) -> bool {
        *id == CertId::of(&self.certificate, &self.issuer, id.hash, provider)
    }

    fn judge(
        &self,
        answer: &BasicResponse,
        entry: &Entry,
        freshness: &Freshness,
    ) -> Result<Checked, OcspError> {
        let index = self.index;
        match entry.status {
            Status::Good => {}
            Status::Revoked { .. } => return Err(OcspError::Revoked { index }),
            Status::Unknown => return Err(OcspError::Unknown { index }),
        }
        let now = freshness.time();
        if entry.this_update > now.saturating_add(freshness.skew) {
            return Err(OcspError::Future { index });
        }
        let next_update =
            entry.next_update.unwrap_or_else(|| entry.this_update.saturating_add(freshness.max_age));
        if next_update < now {
            return Err(OcspError::Stale { index });
        }
        // Never later than the end of the status: as a time floor it must not outrun what it came from.
        Ok(Checked { produced_at: answer.data.produced_at.min(next_update), next_update })
    }

    /// Whether the issuer, or a responder that it certified, signed the answer.
    fn is_authentic(&self, answer: &BasicResponse, freshness: &Freshness, provider: &Provider) -> bool {
        let verifies = |spki| {
            signature::verify(answer.algorithm, spki, &answer.signed, &answer.signature, provider).is_ok()
        };
        let responder = &answer.data.responder;
        if responder.is(&self.issuer) && verifies(self.issuer.spki) {
            return true;
        }
        answer.certificates.iter().any(|der| {
            raw::Certificate::read(der).is_ok_and(|delegate| {
                responder.is(&delegate)
                    && self.is_delegate(der, &delegate, freshness, provider).is_ok()
                    && verifies(delegate.spki)
            })
        })
    }

    /// Checks a responder's certificate: issued for OCSP, and for nothing that we know, by the issuer's own key.
    fn is_delegate(
        &self,
        der: &[u8],
        delegate: &raw::Certificate<'_>,
        freshness: &Freshness,
        provider: &Provider,
    ) -> Result<(), Error> {
        let profile = Profile::read(der)?;
        profile.check_key_strength()?;
        profile.check_dates(freshness.time())?;
        let for_ocsp = profile.has_purpose(&super::OCSP_SIGNING) && !profile.has_any_role();
        if delegate.issuer != self.issuer.subject || profile.is_ca() || !profile.may_sign() || !for_ocsp {
            return Err(Error::UnknownIssuer);
        }
        let signed = &delegate.signed;
        signature::verify(signed.algorithm, self.issuer.spki, signed.content, signed.signature, provider)
    }
}

impl From<Failure> for OcspError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}
