//! What each Owner was told of the device last, in OTrP: the base of dsihash (security rule R10).

use alloc::vec::Vec;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder, Kind};
use tamarack_model::OwnerId;
use tamarack_tee::Platform;

use crate::Error;
use crate::journal::Journal;
use crate::record::{self, VIEW};

/// What an Owner knows. Stored as `[epoch, told / null, last / null, chain]`, told being two hashes, last
/// `[request, key, response]`.
///
/// There is one for each Owner that ever spoke OTrP. Every change of what the Owner has on the device, by whichever
/// protocol, makes `told` and `last` void in its own transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct View {
    /// How many DSIs were told: a number inside of each makes every one of them unique.
    pub epoch: u64,
    /// Hashes of the DSI that was told last, with its wrapper and without, if a command may still refer to it.
    pub told: Option<[[u8; 32]; 2]>,
    /// The command that was carried out last, if nothing has changed since.
    pub last: Option<Last>,
    /// The certificates of the TAM as it showed them last, DER, leaf first.
    pub chain: Vec<Vec<u8>>,
}

/// A command that was carried out, and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Last {
    /// SHA-256 of the JWS signing input of the command.
    pub request: [u8; 32],
    /// Key that it was signed with, DER SubjectPublicKeyInfo.
    pub key: Vec<u8>,
    /// The response as it went out.
    pub response: Vec<u8>,
}

impl Encode for View {
    fn encode(&self, e: &mut Encoder) {
        e.array(4).uint(self.epoch);
        match &self.told {
            Some([with, without]) => e.array(2).bytes(with).bytes(without),
            None => e.null(),
        };
        match &self.last {
            Some(Last { request, key, response }) => e.array(3).bytes(request).bytes(key).bytes(response),
            None => e.null(),
        };
        e.array(self.chain.len());
        self.chain.iter().fold(e, |e, certificate| e.bytes(certificate));
    }
}

impl<'b> Decode<'b> for View {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, tamarack_cbor::Error> {
        d.array_of(4, "a view")?;
        let epoch = d.uint()?;
        let told = match d.peek() {
            Kind::Null => d.null().map(|()| None)?,
            _ => {
                d.array_of(2, "two hashes")?;
                Some([d.byte_array("32 bytes")?, d.byte_array("32 bytes")?])
            }
        };
        let last = match d.peek() {
            Kind::Null => d.null().map(|()| None)?,
            _ => {
                d.array_of(3, "a command and its answer")?;
                let request = d.byte_array("32 bytes")?;
                Some(Last { request, key: d.bytes()?.to_vec(), response: d.bytes()?.to_vec() })
            }
        };
        let chain = (0..d.array()?).map(|_| Ok(d.bytes()?.to_vec())).collect::<Result<_, _>>()?;
        Ok(Self { epoch, told, last, chain })
    }
}

/// What `owner` knows; nothing, if it never spoke OTrP.
pub(crate) fn get(
    journal: &Journal,
    platform: &dyn Platform,
    owner: &OwnerId,
) -> Result<Option<View>, Error> {
    let value = journal.get(platform, &record::owned(VIEW, owner))?;
    value.map(|value| record::read(&value, "view")).transpose()
}

pub(crate) fn put(journal: &mut Journal, owner: &OwnerId, view: &View) {
    journal.put(record::owned(VIEW, owner), view.to_cbor());
}

/// Something of `owner` changes in this transaction: what it was told is not so any more.
pub(crate) fn changed(journal: &mut Journal, platform: &dyn Platform, owner: &OwnerId) -> Result<(), Error> {
    if let Some(view) = get(journal, platform, owner)? {
        put(journal, owner, &View { told: None, last: None, ..view });
    }
    Ok(())
}
