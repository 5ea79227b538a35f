//! Built-in peripherals. Only the TA that enrolment bound to one can reach it; the rich OS has no operation for it.
//!
//! There is one kind, a valve, and the device may have several. Its position is part of the device's state and survives a
//! restart. It understands `open`, `close` and `status` and answers with the position it then has, `open` or `closed`.

use alloc::string::String;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder};
use tamarack_model::{ComponentId, OwnerId};
use tamarack_tee::TaReturn;

use crate::record;

/// A peripheral of the device and the one TA that commands it, fixed at enrolment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peripheral {
    /// Its name, 1 to 64 bytes.
    pub name: String,
    /// Through which TAM that TA comes.
    pub owner: OwnerId,
    /// Manifest component id of the TA.
    pub manifest: ComponentId,
}

/// What lies under the name of a peripheral: `[owner, manifest]`.
#[derive(PartialEq, Eq)]
pub(crate) struct Binding {
    pub owner: OwnerId,
    pub manifest: ComponentId,
}

impl Encode for Binding {
    fn encode(&self, e: &mut Encoder) {
        record::encode_id(e.array(2).bytes(&self.owner.0), &self.manifest);
    }
}

impl<'b> Decode<'b> for Binding {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, tamarack_cbor::Error> {
        d.array_of(2, "a binding")?;
        Ok(Self { owner: OwnerId(d.byte_array("16 bytes")?), manifest: record::decode_id(d)? })
    }
}

const OPEN: &[u8] = b"open";
/// The position that a valve has at first.
pub(crate) const CLOSED: &[u8] = b"closed";

/// Carries out a command: the position that the valve then has.
pub(crate) fn command<'p>(position: &'p [u8], command: &[u8]) -> Result<&'p [u8], TaReturn> {
    match command {
        b"status" => Ok(position),
        b"open" => Ok(OPEN),
        b"close" => Ok(CLOSED),
        _ => Err(TaReturn::BAD_PARAMETERS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_valve_does_what_it_is_told() {
        assert_eq!(command(CLOSED, b"status"), Ok(CLOSED));
        assert_eq!(command(CLOSED, b"open"), Ok(OPEN));
        assert_eq!(command(OPEN, b"close"), Ok(CLOSED));
        assert_eq!(command(OPEN, b"explode"), Err(TaReturn::BAD_PARAMETERS));
    }
}
