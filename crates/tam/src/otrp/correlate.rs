//! Which request an answer belongs to: GetDeviceState by a tid that is a stateless challenge (security rules C1 and C2),
//! every other command by a pending row under the hash of what names its answer (C4).

use alloc::string::String;

use tamarack_crypto::{Error, Provider};
use tamarack_jose::base64;
use tamarack_model::UnixTime;
use tamarack_otrp::{Command, MessageId};
use tamarack_store::TenantId;

use crate::challenge::{Challenge, Invalid, Question};
use crate::config::TamConfig;
use crate::random;

/// A new tid: 43 characters that this TAM knows again without having kept them.
pub(crate) fn new_tid(
    config: &TamConfig,
    tenant: &TenantId,
    again: bool,
    now: UnixTime,
    crypto: &Provider,
) -> Result<String, Error> {
    let question = Question::DeviceState { again };
    let challenge = Challenge::issue(config, tenant, question, now, random(crypto)?, crypto);
    Ok(base64::encode_url(&challenge))
}

/// A new rid: 22 characters.
pub(crate) fn new_rid(crypto: &Provider) -> Result<String, Error> {
    let bytes: [u8; 16] = random(crypto)?;
    Ok(base64::encode_url(&bytes))
}

/// The challenge that a tid is, and whether the exchange began again with it.
pub(crate) fn read_tid(
    config: &TamConfig,
    tenant: &TenantId,
    tid: &MessageId,
    now: UnixTime,
    crypto: &Provider,
) -> Result<(Challenge, bool), Invalid> {
    let bytes = base64::decode_url(tid.as_str()).map_err(|_| Invalid::Foreign)?;
    let challenge = Challenge::verify(config, tenant, &bytes, now, crypto)?;
    match challenge.question {
        Question::DeviceState { again } => Ok((challenge, again)),
        Question::Evidence(_) => Err(Invalid::Foreign),
    }
}

/// The key of a pending command: SHA-256 of command, rid and tid. Ids hold no control characters, so the zeros between
/// them cannot be shifted.
pub(crate) fn pending_key(command: Command, rid: &str, tid: &str, crypto: &Provider) -> [u8; 32] {
    let parts = [command.response().as_bytes(), &[0], rid.as_bytes(), &[0], tid.as_bytes()];
    crypto.sha256_parts(&parts)
}
