use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// Name of a Trusted Component: 1 to 8 segments of 1 to 64 bytes each (SUIT_Component_Identifier of
/// draft-ietf-suit-manifest-37 section 8.4.5.1, within the bounds that Tamarack sets).
///
/// Segment 0 is the Security Domain. Ours are `[domain, 16-byte TA UUID, "ta" | "data" | "suit"]`, foreign shapes are
/// ordinary ids.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ComponentId(Vec<Vec<u8>>);

/// Why a list of segments is not a [`ComponentId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ComponentIdError {
    /// Not 1 to 8 segments; the number found.
    Segments(usize),
    /// A segment is not 1 to 64 bytes long: its index and length.
    SegmentLength {
        /// Index of the segment.
        index: usize,
        /// Its length in bytes.
        length: usize,
    },
    /// The text form of [`ComponentId::parse_text`] is malformed.
    Text,
}

impl ComponentId {
    /// Most segments that an id may have.
    pub const MAX_SEGMENTS: usize = 8;
    /// Most bytes that a segment may have.
    pub const MAX_SEGMENT_LENGTH: usize = 64;

    /// Makes an id of `segments`, refusing what is out of bounds.
    pub fn new<S: AsRef<[u8]>>(segments: impl IntoIterator<Item = S>) -> Result<Self, ComponentIdError> {
        let segments: Vec<Vec<u8>> = segments.into_iter().map(|s| s.as_ref().to_vec()).collect();
        if segments.is_empty() || segments.len() > Self::MAX_SEGMENTS {
            return Err(ComponentIdError::Segments(segments.len()));
        }
        match segments.iter().position(|s| s.is_empty() || s.len() > Self::MAX_SEGMENT_LENGTH) {
            Some(index) => Err(ComponentIdError::SegmentLength { index, length: segments[index].len() }),
            None => Ok(Self(segments)),
        }
    }

    /// Our own shape: `[domain, uuid, kind]`, kind being `"ta"`, `"data"` or `"suit"`.
    pub fn tamarack(domain: &str, uuid: [u8; 16], kind: &str) -> Result<Self, ComponentIdError> {
        Self::new([domain.as_bytes(), &uuid, kind.as_bytes()])
    }

    /// The segments, 1 to 8 of them.
    pub fn segments(&self) -> &[Vec<u8>] {
        &self.0
    }

    /// Segment 0, the Security Domain that the component lives in.
    pub fn domain(&self) -> &[u8] {
        &self.0[0]
    }

    /// The TA UUID if this id has our own shape (segment 1 of 16 bytes, three segments).
    pub fn ta_uuid(&self) -> Option<[u8; 16]> {
        match self.0.as_slice() {
            [_, uuid, _] => uuid.as_slice().try_into().ok(),
            _ => None,
        }
    }

    /// Last segment of the id of a TA's personalization data.
    pub const PERSONALIZATION: &'static str = "data";

    /// The TA whose personalization data this id names: `domain/uuid/data` is that of `domain/uuid/ta`.
    pub fn personalized_ta(&self) -> Option<Self> {
        match self.0.as_slice() {
            [domain, uuid, kind] if kind == Self::PERSONALIZATION.as_bytes() && uuid.len() == 16 => {
                Self::new([&domain[..], uuid, b"ta"]).ok()
            }
            _ => None,
        }
    }

    /// Whether `prefix` names this id or a whole-segment prefix of it.
    pub fn starts_with(&self, prefix: &[Vec<u8>]) -> bool {
        self.0.starts_with(prefix)
    }

    /// Reads the text form that [`fmt::Display`] writes: segments joined by `/`; a segment of printable text stands as
    /// is, a UUID as 8-4-4-4-12 hexadecimal digits, any other as `h'..'`.
    pub fn parse_text(text: &str) -> Result<Self, ComponentIdError> {
        let segments: Option<Vec<Vec<u8>>> = text.split('/').map(parse_segment).collect();
        Self::new(segments.ok_or(ComponentIdError::Text)?)
    }
}

fn is_plain(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':')
}

fn parse_uuid(text: &str) -> Option<Vec<u8>> {
    let groups: Vec<&str> = text.split('-').collect();
    let well_formed = groups.iter().map(|g| g.len()).eq([8, 4, 4, 4, 12]);
    well_formed.then(|| parse_hex(&groups.concat())).flatten()
}

fn parse_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).ok()).collect()
}

fn parse_segment(text: &str) -> Option<Vec<u8>> {
    if let Some(hex) = text.strip_prefix("h'").and_then(|t| t.strip_suffix('\'')) {
        return parse_hex(hex);
    }
    if let Some(uuid) = parse_uuid(text) {
        return Some(uuid);
    }
    text.bytes().all(is_plain).then(|| text.as_bytes().to_vec())
}

fn write_segment(f: &mut fmt::Formatter<'_>, segment: &[u8]) -> fmt::Result {
    if segment.iter().all(|b| is_plain(*b)) {
        let text = String::from_utf8_lossy(segment);
        if parse_uuid(&text).is_none() {
            return f.write_str(&text);
        }
    }
    let uuid = segment.len() == 16;
    if !uuid {
        f.write_str("h'")?;
    }
    for (i, b) in segment.iter().enumerate() {
        if uuid && matches!(i, 4 | 6 | 8 | 10) {
            f.write_str("-")?;
        }
        write!(f, "{b:02x}")?;
    }
    f.write_str(if uuid { "" } else { "'" })
}

impl fmt::Display for ComponentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, segment) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("/")?;
            }
            write_segment(f, segment)?;
        }
        Ok(())
    }
}

impl fmt::Debug for ComponentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ComponentId({self})")
    }
}

impl fmt::Display for ComponentIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Segments(n) => write!(f, "a component id has 1 to 8 segments, this one has {n}"),
            Self::SegmentLength { index, length } => {
                write!(f, "segment {index} of the component id is {length} bytes long, 1 to 64 are allowed")
            }
            Self::Text => f.write_str("expected segments joined by '/', each plain text, a UUID or h'hex'"),
        }
    }
}

impl core::error::Error for ComponentIdError {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn text_form_reads_back() {
        let uuid =
            [0x8d, 0x82, 0x57, 0x3a, 0x92, 0x6d, 0x47, 0x54, 0x93, 0x53, 0x32, 0xdc, 0x29, 0x99, 0x7f, 0x74];
        let ours = ComponentId::tamarack("com.acme", uuid, "ta").unwrap();
        assert_eq!(ours.to_string(), "com.acme/8d82573a-926d-4754-9353-32dc29997f74/ta");
        let odd = ComponentId::new([&[0u8, 1][..], b"0123456789abcdef", b"x"]).unwrap();
        for id in [ours, odd] {
            assert_eq!(ComponentId::parse_text(&id.to_string()), Ok(id));
        }
    }

    #[test]
    fn bounds_are_kept() {
        assert_eq!(ComponentId::new::<&[u8]>([]), Err(ComponentIdError::Segments(0)));
        assert_eq!(ComponentId::new([b"a"; 9]), Err(ComponentIdError::Segments(9)));
        assert!(ComponentId::new([&[0u8; 65][..]]).is_err());
        assert!(ComponentId::new([b""]).is_err());
        assert!(ComponentId::parse_text("a//b").is_err());
    }

    #[test]
    fn prefixes_are_whole_segments() {
        let id = ComponentId::new(["com.acme", "x"]).unwrap();
        assert!(id.starts_with(&[b"com.acme".to_vec()]));
        assert!(!id.starts_with(&[b"com.ac".to_vec()]));
    }
}
