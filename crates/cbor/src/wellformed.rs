use alloc::vec::Vec;

use crate::{Error, ErrorKind};

/// What a receiver is ready to take from a peer.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most bytes of the whole item.
    pub bytes: usize,
    /// Deepest nesting of arrays, maps and tags.
    pub depth: usize,
    /// Most items, counting each array, map, tag and leaf once.
    pub items: usize,
}

impl Default for Limits {
    /// 1 MiB, 16 levels, 65,536 items: what a TEEP message may need.
    fn default() -> Self {
        Self { bytes: 1 << 20, depth: 16, items: 1 << 16 }
    }
}

/// Checks that `bytes` are exactly one item of deterministic CBOR within `limits`. Map keys may stand in any order, but
/// not twice: drafts disagree on the order, and no meaning hangs on it.
pub fn check(bytes: &[u8], limits: &Limits) -> Result<(), Error> {
    if bytes.len() > limits.bytes {
        return Err(Error::new(limits.bytes, ErrorKind::TooLong(limits.bytes)));
    }
    let mut checker = Checker { bytes, limits, items: 0 };
    let end = checker.item(0, 0)?;
    match bytes.len() - end {
        0 => Ok(()),
        rest => Err(Error::new(end, ErrorKind::Trailing(rest))),
    }
}

/// Major type, additional information, argument and length of a head.
pub(crate) struct Head {
    pub major: u8,
    pub info: u8,
    pub argument: u64,
    pub length: usize,
}

/// Reads the head at `at`, refusing indefinite lengths, reserved values and longer encodings than needed.
pub(crate) fn head(bytes: &[u8], at: usize) -> Result<Head, Error> {
    let fail = |kind| Err(Error::new(at, kind));
    let Some(&initial) = bytes.get(at) else { return fail(ErrorKind::Truncated) };
    let (major, info) = (initial >> 5, initial & 0x1f);
    let width = match info {
        0..=23 => return Ok(Head { major, info, argument: info.into(), length: 1 }),
        24 => 1,
        25 => 2,
        26 => 4,
        27 => 8,
        31 if matches!(major, 2..=5) => return fail(ErrorKind::Indefinite),
        _ => return fail(ErrorKind::Reserved(initial)),
    };
    let Some(tail) = bytes.get(at + 1..at + 1 + width) else { return fail(ErrorKind::Truncated) };
    let argument = tail.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
    if major != 7 {
        let smallest = [24, 1 << 8, 1 << 16, 1 << 32][usize::from(info) - 24];
        if argument < smallest {
            return fail(ErrorKind::NotMinimal);
        }
    }
    Ok(Head { major, info, argument, length: 1 + width })
}

struct Checker<'a> {
    bytes: &'a [u8],
    limits: &'a Limits,
    items: usize,
}

impl Checker<'_> {
    /// Checks the item at `at`, `depth` levels down; gives the offset behind it.
    fn item(&mut self, at: usize, depth: usize) -> Result<usize, Error> {
        self.items += 1;
        if self.items > self.limits.items {
            return Err(Error::new(at, ErrorKind::TooManyItems(self.limits.items)));
        }
        if depth > self.limits.depth {
            return Err(Error::new(at, ErrorKind::TooDeep(self.limits.depth)));
        }
        let head = head(self.bytes, at)?;
        let body = at + head.length;
        match head.major {
            0 | 1 => Ok(body),
            2 | 3 => self.string(at, body, &head),
            4 => {
                let count = self.count(body, head.argument)?;
                (0..count).try_fold(body, |next, _| self.item(next, depth + 1))
            }
            5 => self.map(body, self.count(body, head.argument)?, depth),
            6 => self.item(body, depth + 1),
            _ => self.simple(at, body, &head),
        }
    }

    /// A count of items that the rest of the input could hold at one byte each.
    fn count(&self, body: usize, argument: u64) -> Result<usize, Error> {
        let rest = self.bytes.len() - body;
        usize::try_from(argument)
            .ok()
            .filter(|n| *n <= rest)
            .ok_or(Error::new(self.bytes.len(), ErrorKind::Truncated))
    }

    fn string(&self, at: usize, body: usize, head: &Head) -> Result<usize, Error> {
        let end = body + self.count(body, head.argument)?;
        if head.major == 3 && core::str::from_utf8(&self.bytes[body..end]).is_err() {
            return Err(Error::new(at, ErrorKind::Utf8));
        }
        Ok(end)
    }

    fn map(&mut self, body: usize, count: usize, depth: usize) -> Result<usize, Error> {
        let mut keys: Vec<(usize, usize)> = Vec::new();
        let mut next = body;
        for _ in 0..count {
            let key = (next, self.item(next, depth + 1)?);
            keys.push(key);
            next = self.item(key.1, depth + 1)?;
        }
        // Encodings are unique once deterministic, so equal keys are equal bytes.
        keys.sort_unstable_by(|a, b| self.bytes[a.0..a.1].cmp(&self.bytes[b.0..b.1]).then(a.cmp(b)));
        match keys.windows(2).find(|w| self.bytes[w[0].0..w[0].1] == self.bytes[w[1].0..w[1].1]) {
            Some(pair) => Err(Error::new(pair[1].0, ErrorKind::DuplicateKey)),
            None => Ok(next),
        }
    }

    fn simple(&self, at: usize, body: usize, head: &Head) -> Result<usize, Error> {
        let minimal = match head.info {
            // Simple values below 32 have a one-byte form or none at all.
            24 if head.argument < 32 => return Err(Error::new(at, ErrorKind::Reserved(self.bytes[at]))),
            26 => !single_fits_half(head.argument as u32),
            27 => !double_fits_single(head.argument),
            _ => true,
        };
        if minimal { Ok(body) } else { Err(Error::new(at, ErrorKind::NotMinimal)) }
    }
}

/// Whether a binary32 value can be written as binary16 without loss.
fn single_fits_half(bits: u32) -> bool {
    let exponent = (bits >> 23) & 0xff;
    let mantissa = bits & 0x7f_ffff;
    match exponent {
        0 => mantissa == 0,
        0xff => mantissa & 0x1fff == 0,
        // Normal in binary16.
        113..=142 => mantissa & 0x1fff == 0,
        // Subnormal in binary16: the implied bit moves into the mantissa.
        103..=112 => (mantissa | 0x80_0000).trailing_zeros() >= 126 - exponent,
        _ => false,
    }
}

/// Whether a binary64 value can be written as binary32 without loss.
fn double_fits_single(bits: u64) -> bool {
    let exponent = (bits >> 52) & 0x7ff;
    let mantissa = bits & 0xf_ffff_ffff_ffff;
    match exponent {
        0 => mantissa == 0,
        0x7ff => mantissa & 0x1fff_ffff == 0,
        897..=1150 => mantissa & 0x1fff_ffff == 0,
        874..=896 => u64::from((mantissa | 1 << 52).trailing_zeros()) >= 926 - exponent,
        _ => false,
    }
}
