//! Built-in peripherals. Only the TA that enrolment bound to one can reach it; the rich OS has no operation for it.
//!
//! There is one kind, a valve, and the device may have several. Its position, 0 (closed) to 100 (open), is part of the
//! device's state and survives a restart.
//!
//! | command | meaning | answer |
//! |---|---|---|
//! | `00` | read the position | position, 1 byte |
//! | `01 nn` | move to position `nn` | the new position, 1 byte |

use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder};
use tamarack_model::{ComponentId, OwnerId};
use tamarack_tee::TaReturn;

use crate::record;

const READ: u8 = 0;
const MOVE: u8 = 1;
/// The valve is fully open.
const OPEN: u8 = 100;

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

/// The position that a valve has at first.
pub(crate) const CLOSED: [u8; 1] = [0];

/// Carries out a command: the new position if the valve moves, and the answer.
pub(crate) fn command(position: &[u8], command: &[u8]) -> Result<(Option<Vec<u8>>, Vec<u8>), TaReturn> {
    match command {
        [READ] => Ok((None, position.to_vec())),
        [MOVE, to] if *to <= OPEN => Ok((Some([*to].to_vec()), [*to].to_vec())),
        _ => Err(TaReturn::BAD_PARAMETERS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_valve_moves_within_its_range() {
        assert_eq!(command(&[7], &[READ]), Ok((None, [7].to_vec())));
        assert_eq!(command(&[7], &[MOVE, 100]), Ok((Some([100].to_vec()), [100].to_vec())));
        assert_eq!(command(&[7], &[MOVE, 101]), Err(TaReturn::BAD_PARAMETERS));
        assert_eq!(command(&[7], &[]), Err(TaReturn::BAD_PARAMETERS));
    }
}
