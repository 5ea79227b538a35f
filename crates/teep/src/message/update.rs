use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cbor::{Decode, Decoder, Encoder};
use tamarack_model::ComponentId;

use crate::option::{self, Options, label};
use crate::{ErrCode, Error, Token};

/// Update (section 4.4), type 3, from the TAM: what to unlink, what to install, or why nothing.
///
/// | option | type |
/// |---|---|
/// | 20 token | 8 to 64 bytes |
/// | 15 unneeded-manifest-list | component ids, at least one |
/// | 10 manifest-list | encoded SUIT envelopes, at least one |
/// | 13 attestation-payload-format, 7 attestation-payload | text, bytes |
/// | 23 err-code | 1 to 10, or 17 |
/// | 12 err-msg | text of 1 to 128 bytes |
/// | 22 err-lang | language tag of 1 to 35 bytes |
/// | 256 agent-nonce | 16 bytes, the Update binding |
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// The answer repeats it.
    pub token: Option<Token>,
    /// Manifests to unlink, by their manifest component ids; done before anything is installed.
    pub unneeded_manifest_list: Vec<ComponentId>,
    /// SUIT envelopes to process in this order.
    pub manifest_list: Vec<Vec<u8>>,
    /// Media type of `attestation_payload`.
    pub attestation_payload_format: Option<String>,
    /// An Attestation Result for the device, or what the TAM shows about itself.
    pub attestation_payload: Option<Vec<u8>>,
    /// Why the TAM does nothing for the device. Without manifests it ends the exchange.
    pub err_code: Option<ErrCode>,
    /// The same in words.
    pub err_msg: Option<String>,
    /// Language of `err_msg`; absent means English.
    pub err_lang: Option<String>,
    /// Nonce of the QueryResponse that this Update answers (security rule C6).
    pub agent_nonce: Option<[u8; 16]>,
}

impl Update {
    pub(super) fn decode(d: &mut Decoder<'_>) -> Result<Self, Error> {
        let mut m = Self::default();
        option::read(d, |number, d| {
            match number {
                label::TOKEN => m.token = Some(option::token(d)?),
                label::UNNEEDED_MANIFEST_LIST => {
                    m.unneeded_manifest_list = option::list(d, option::component_id)?;
                }
                label::MANIFEST_LIST => m.manifest_list = option::byte_strings(d)?,
                label::ATTESTATION_PAYLOAD_FORMAT => m.attestation_payload_format = Some(d.text()?.into()),
                label::ATTESTATION_PAYLOAD => m.attestation_payload = Some(d.bytes()?.to_vec()),
                label::ERR_CODE => m.err_code = Some(ErrCode::decode(d)?),
                label::ERR_MSG => m.err_msg = Some(option::message_text(d)?),
                label::ERR_LANG => m.err_lang = Some(option::language(d)?),
                label::AGENT_NONCE => m.agent_nonce = Some(d.byte_array("an agent nonce of 16 bytes")?),
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
                .component_ids(label::UNNEEDED_MANIFEST_LIST, &self.unneeded_manifest_list)
                .byte_strings(label::MANIFEST_LIST, &self.manifest_list)
                .text(label::ATTESTATION_PAYLOAD_FORMAT, self.attestation_payload_format.as_deref())
                .bytes(label::ATTESTATION_PAYLOAD, self.attestation_payload.as_deref())
                .item(label::ERR_CODE, self.err_code.as_ref())
                .text(label::ERR_MSG, self.err_msg.as_deref())
                .text(label::ERR_LANG, self.err_lang.as_deref())
                .bytes(label::AGENT_NONCE, self.agent_nonce.as_ref().map(<[u8; 16]>::as_slice));
        });
    }
}
