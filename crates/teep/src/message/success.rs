use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cbor::{Decoder, Encoder};

use crate::option::{self, Options, label};
use crate::{Error, Token};

/// Success (section 4.5), type 5, from the Agent: the Update was carried out.
///
/// | option | type |
/// |---|---|
/// | 20 token | 8 to 64 bytes, that of the Update, absent if it had none |
/// | 11 msg | text of 1 to 128 bytes |
/// | 19 suit-reports | byte strings, at least one |
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Success {
    /// That of the Update.
    pub token: Option<Token>,
    /// Words for a log.
    pub msg: Option<String>,
    /// Encoded SUIT reports about the manifests of the Update.
    pub suit_reports: Vec<Vec<u8>>,
}

impl Success {
    pub(super) fn decode(d: &mut Decoder<'_>) -> Result<Self, Error> {
        let mut m = Self::default();
        option::read(d, |number, d| {
            match number {
                label::TOKEN => m.token = Some(option::token(d)?),
                label::MSG => m.msg = Some(option::message_text(d)?),
                label::SUIT_REPORTS => m.suit_reports = option::byte_strings(d)?,
                _ => option::skip(d)?,
            }
            Ok(())
        })?;
        Ok(m)
    }

    pub(super) fn encode(&self, e: &mut Encoder) {
        e.map_with(|map| {
            Options(map)
                .bytes(label::TOKEN, self.token.as_deref())
                .text(label::MSG, self.msg.as_deref())
                .byte_strings(label::SUIT_REPORTS, &self.suit_reports);
        });
    }
}
