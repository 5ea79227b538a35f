//! Certificates as OTrP uses them: paths for its roles, and their status by OCSP and revocation lists.

mod crl;
mod ocsp;
mod paths;
mod samples;
mod support;
