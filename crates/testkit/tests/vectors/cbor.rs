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

/// A list is a map with "tests": [{"encoded": bstr, "roundtrip": bool?, "fail": bool?}]. It is read with another decoder,
/// for the lists contain what ours refuses.
fn items(bytes: &[u8]) -> Result<Vec<Item>, String> {
    let list: ciborium::Value = ciborium::from_reader(bytes).map_err(|e| e.to_string())?;
    let member = |map: &ciborium::Value, name: &str| {
        map.as_map()?.iter().find(|(key, _)| key.as_text() == Some(name)).map(|(_, value)| value.clone())
    };
    let tests = member(&list, "tests").ok_or("no tests")?;
    let list_fails = member(&list, "fail").and_then(|v| v.as_bool()).unwrap_or(false);
    tests
        .as_array()
        .ok_or("tests is not an array")?
        .iter()
        .map(|test| {
            let flag = |name| member(test, name).and_then(|v| v.as_bool());
            Ok(Item {
                encoded: member(test, "encoded").and_then(|v| v.as_bytes().cloned()).ok_or("no bytes")?,
                roundtrip: flag("roundtrip").unwrap_or(true),
                fail: flag("fail").unwrap_or(list_fails),
            })
        })
        .collect()
}

/// Each well-formed item is either read and written back to the same bytes, or refused because it is not in the one
/// encoding that we accept; each malformed one is refused.
fn check_list(items: &[Item]) -> Result<String, String> {
    let (mut same, mut not_deterministic, mut refused) = (0, 0, 0);
    for item in items {
        let hex = hex::encode(&item.encoded);
        match Value::from_cbor(&item.encoded, &Limits::default()) {
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
        "{} items: {same} read and written back, {not_deterministic} refused as not deterministic, {refused} refused as malformed",
        items.len()
    ))
}

/// What deterministic encoding forbids although it is well-formed.
fn is_stricter(error: &Error, item: &Item) -> bool {
    match error.kind {
        ErrorKind::Indefinite | ErrorKind::DuplicateKey => true,
        ErrorKind::NotMinimal => !item.roundtrip,
        _ => false,
    }
}
