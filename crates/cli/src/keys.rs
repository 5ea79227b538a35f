//! Keys and certificates in files, as the commands take them.

use std::path::Path;

use tamarack_crypto::{PublicKey, Sign};
use tamarack_model::codes;

use crate::fail::{self, Fail, Outcome};

/// Reads a text file.
pub fn read_text(path: &Path) -> Outcome<String> {
    String::from_utf8(fail::read(path)?)
        .map_err(|_| Fail::input(codes::PEM_INVALID, format_args!("{}: not a text file", path.display())))
}

/// A private key from a PKCS#8 PEM file.
pub fn signer(path: &Path) -> Outcome<Box<dyn Sign>> {
    tamarack_pki::load_key(&read_text(path)?)
        .map_err(|e| Fail::input(e.code(), format_args!("{}: {e}", path.display())))
}

/// A public key from a PEM file that holds one, or a certificate, or a private key (PKCS#8 or SEC 1).
pub fn public_key(path: &Path) -> Outcome<PublicKey> {
    let text = read_text(path)?;
    if let Ok(key) = tamarack_pki::public_key_from_pem(&text) {
        return Ok(key);
    }
    if let Ok(certificates) = tamarack_pki::certificates_from_pem(&text) {
        return tamarack_x509::unvalidated_key(&certificates[0])
            .map_err(|e| Fail::input(e.code(), format_args!("{}: {e}", path.display())));
    }
    if let Ok(key) = tamarack_pki::load_key(&text) {
        return Ok(key.public_key());
    }
    sec1_public_key(&text).ok_or_else(|| {
        Fail::input(
            codes::PEM_INVALID,
            format_args!(
                "{}: expected a PEM file with a P-256 or Ed25519 PUBLIC KEY, CERTIFICATE or PRIVATE KEY",
                path.display()
            ),
        )
    })
}

/// The public half that OpenSSL writes at the end of an "EC PRIVATE KEY": a bit string of the uncompressed point.
fn sec1_public_key(text: &str) -> Option<PublicKey> {
    let from = text.find("-----BEGIN EC PRIVATE KEY-----")?;
    let (_, der) = pem_rfc7468::decode_vec(&text.as_bytes()[from..]).ok()?;
    let point = der.get(der.len().checked_sub(68)?..)?.strip_prefix(&[0x03, 0x42, 0x00])?;
    PublicKey::from_point(point).ok()
}

/// Writes a secret where only its owner reads, refusing to overwrite.
pub fn write_secret(path: &Path, text: &str) -> Outcome {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let created = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    created.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|e| {
        Fail::input(codes::FILE_UNWRITABLE, format_args!("cannot write {}: {e}", path.display()))
    })
}

/// Seconds since 1970 by the machine's clock.
pub fn now() -> tamarack_model::UnixTime {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs())
}
