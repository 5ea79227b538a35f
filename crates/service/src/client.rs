//! A client of other services.

use std::sync::Arc;
use std::time::Duration;

use tamarack_model::codes;
use ureq::Agent;
use ureq::http::Uri;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider};

use crate::Error;

/// Where distributions keep the roots that they trust.
const SYSTEM_ROOTS: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];

/// Refuses what is no `http` or `https` URL, and plain HTTP to another machine unless `allow_plain_http`.
pub fn check_url(url: &str, allow_plain_http: bool) -> Result<(), Error> {
    let parsed: Option<Uri> = url.parse().ok();
    let parts = parsed.as_ref().map(|url| (url.scheme_str(), url.host()));
    match parts {
        Some((Some("https"), Some(_))) => Ok(()),
        Some((Some("http"), Some(host))) if allow_plain_http || is_loopback(host) => Ok(()),
        Some((Some("http"), Some(_))) => {
            let message = format_args!(
                "{url} is plain HTTP to another machine, where anybody on the way reads and changes what is sent"
            );
            Err(Error::new(codes::HTTP_INSECURE, message))
        }
        _ => Err(Error::new(codes::USAGE, format_args!("{url:?} is not an http or https URL"))),
    }
}

/// A client that follows no redirects, asks no proxy and trusts the system's roots and those of `roots` (PEM). A call takes
/// at most `patience`.
pub fn agent(roots: Option<&[u8]>, patience: Duration) -> Result<Agent, Error> {
    let system = SYSTEM_ROOTS.iter().find_map(|path| std::fs::read(path).ok()).unwrap_or_default();
    let mut trusted = certificates(&system);
    if let Some(pem) = roots {
        let own = certificates(pem);
        if own.is_empty() {
            return Err(Error::new(codes::PEM_INVALID, "it has no certificate in PEM"));
        }
        trusted.extend(own);
    }
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .root_certs(RootCerts::from(trusted))
        .build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .max_redirects(0)
        // A proxy from the environment would see the token on its way to a loopback address.
        .proxy(None)
        .timeout_global(Some(patience))
        .user_agent(concat!("tamarack/", env!("CARGO_PKG_VERSION")))
        .build();
    Ok(config.into())
}

/// Whether a URL's host is this machine. A name other than `localhost` may lead anywhere.
fn is_loopback(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn certificates(pem: &[u8]) -> Vec<Certificate<'static>> {
    ureq::tls::parse_pem(pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect()
}
