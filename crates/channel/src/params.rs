//! TA parameters on the channel: `[type, ...]` with the type numbers of the GlobalPlatform TEE Internal Core API.

use alloc::vec::Vec;

use tamarack_cbor::{Decoder, Encoder, Error, ErrorKind};
use tamarack_tee::{MAX_PARAMS, Param, Params};

use crate::codec;

pub(crate) fn put_params(e: &mut Encoder, params: &Params) {
    codec::put_list(e, params, put_param);
}

pub(crate) fn params(d: &mut Decoder<'_>) -> Result<Params, Error> {
    let at = d.position();
    let params = codec::list(d, param)?;
    if params.len() > MAX_PARAMS {
        return Err(Error::new(at, ErrorKind::Value("at most 4 parameters")));
    }
    Ok(params)
}

fn put_param(e: &mut Encoder, param: &Param) {
    let kind = param.type_number().into();
    match param {
        Param::None => e.array(1).uint(kind),
        Param::ValueInput(a, b) | Param::ValueOutput(a, b) | Param::ValueInout(a, b) => {
            e.array(3).uint(kind).uint((*a).into()).uint((*b).into())
        }
        Param::MemrefInput(data) => e.array(2).uint(kind).bytes(data),
        Param::MemrefOutput { capacity, data } | Param::MemrefInout { capacity, data } => {
            e.array(3).uint(kind).uint((*capacity).into()).bytes(data)
        }
    };
}

fn param(d: &mut Decoder<'_>) -> Result<Param, Error> {
    let at = d.position();
    let count = d.array()?;
    let kind = d.uint()?;
    let wrong = |expected| Error::new(at, ErrorKind::Value(expected));
    let values = |d: &mut Decoder<'_>| Ok::<_, Error>((codec::u32(d)?, codec::u32(d)?));
    let memory = |d: &mut Decoder<'_>| {
        let (capacity, data): (u32, Vec<u8>) = (codec::u32(d)?, d.bytes()?.to_vec());
        if data.len() > capacity as usize {
            return Err(wrong("no more data than the parameter has room for"));
        }
        Ok((capacity, data))
    };
    match (kind, count) {
        (0, 1) => Ok(Param::None),
        (1, 3) => values(d).map(|(a, b)| Param::ValueInput(a, b)),
        (2, 3) => values(d).map(|(a, b)| Param::ValueOutput(a, b)),
        (3, 3) => values(d).map(|(a, b)| Param::ValueInout(a, b)),
        (5, 2) => d.bytes().map(|data| Param::MemrefInput(data.to_vec())),
        (6, 3) => memory(d).map(|(capacity, data)| Param::MemrefOutput { capacity, data }),
        (7, 3) => memory(d).map(|(capacity, data)| Param::MemrefInout { capacity, data }),
        _ => Err(wrong("a parameter of a known type")),
    }
}
