use tamarack_model::ComponentId;

use crate::Error;
use crate::taid::{from_manifest, from_segment, prefix, to_manifest, to_segment};

const UUID: &str = "8d82573a-926d-4754-9353-32dc29997f74";

#[test]
fn names_and_segments_are_one_to_one() {
    let uuid = to_segment(UUID).unwrap();
    assert_eq!(uuid.len(), 16);
    assert_eq!(from_segment(&uuid).as_deref(), Some(UUID));
    assert_eq!(to_segment(&UUID.to_uppercase()).as_ref(), Ok(&uuid));
    for text in ["a", "com.acme.wallet", "a b/c", "\u{e9}", "8d82573a-926d-4754-9353-32dc29997f7g"] {
        assert_eq!(from_segment(&to_segment(text).unwrap()).as_deref(), Some(text));
    }
    // 16 bytes are a UUID and nothing else; a UUID is 16 bytes and nothing else.
    assert_eq!(to_segment("sixteen bytes!!!"), Err(Error::Taid));
    assert_eq!(from_segment(UUID.as_bytes()), None);
    assert_eq!(to_segment(""), Err(Error::Taid));
    assert_eq!(to_segment(&"x".repeat(65)), Err(Error::Taid));
    assert_eq!(from_segment(&[0xff]), None);
    assert_eq!(from_segment(b"a\nb"), None);
}

#[test]
fn a_ta_is_a_manifest() {
    let ours = ComponentId::tamarack("com.acme", [0x11; 16], "suit").unwrap();
    let (sdname, taid) = from_manifest(&ours).unwrap();
    assert_eq!((&*sdname, &*taid), ("com.acme", "11111111-1111-1111-1111-111111111111"));
    assert_eq!(to_manifest(&sdname, &taid).as_ref(), Ok(&ours));
    let ta = ComponentId::tamarack("com.acme", [0x11; 16], "ta").unwrap();
    assert!(ta.starts_with(&prefix(&sdname, &taid).unwrap()));
    assert_eq!(from_manifest(&ta), None);
    let foreign = ComponentId::new(["com.acme", "a", "b", "suit"]).unwrap();
    assert_eq!(from_manifest(&foreign), None);
    assert_eq!(to_manifest("", "ta"), Err(Error::Taid));
    assert_eq!(to_manifest(&"x".repeat(65), "ta"), Err(Error::Taid));
}
