use alloc::vec::Vec;

use tamarack_crypto::{KeyAgree, Sign};

use crate::Error;

/// What a device is to a TAM that speaks OTrP (draft-ietf-teep-opentrustprotocol-03 sections 4.3 and 4.4): a TEE with a
/// name and a certificate, started by firmware that can vouch for it.
///
/// OTrP has one certificate per TEE and uses its key for both signatures and decryption, so [`OtrpIdentity::signer`] and
/// [`OtrpIdentity::agreement`] are one P-256 key: an exception to security rules K5 and K6 that this protocol forces, kept
/// apart from every key of TEEP.
pub trait OtrpIdentity {
    /// Name of the TEE, by which a Broker finds it (member `tee` of a request). Not secret, and the same for a whole kind
    /// of device: a name of its own would identify a device to every TAM.
    fn name(&self) -> &str;

    /// Version of the TEE.
    fn version(&self) -> &str;

    /// The certificate of the TEE's key and those above it, DER, leaf first, the root last. Empty until a CA has certified
    /// the key: such a device cannot answer yet.
    fn chain(&self) -> &[Vec<u8>];

    /// The TEE's key as a signature key (ES256).
    fn signer(&self) -> &dyn Sign;

    /// The TEE's key as one that requests are encrypted to (ECDH-ES).
    fn agreement(&self) -> &dyn KeyAgree;

    /// Lets the trusted firmware sign the bytes of a transaction id (section 9.1.3); None if this device's firmware has no
    /// key or no certificate of its own. Before that the TEE has made sure that the firmware is the one it was started by,
    /// or it fails with [`Error::NotAuthentic`]. `tid` is 1 to 64 bytes; the firmware signs nothing else, and its key is
    /// reachable in no other way.
    fn firmware_signature(&self, tid: &[u8]) -> Result<Option<FirmwareSignature>, Error>;
}

/// What the trusted firmware says of a transaction: it runs this TEE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirmwareSignature {
    /// The firmware's certificate, DER.
    pub certificate: Vec<u8>,
    /// ES256 over the bytes of the transaction id: `r || s`.
    pub signature: [u8; 64],
}
