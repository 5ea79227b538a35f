//! The TEEP draft's own examples: message bodies, the Evidence, and the payload of its manifests. The manifests are in
//! `suit`.

use tamarack_cbor::{Decode, Limits, Value};
use tamarack_eat::{Claims, TeepClaims};
use tamarack_teep::Message;

use crate::table::Table;

pub fn run(table: &mut Table) {
    for name in ["query_request", "query_response", "update", "teep_success", "teep_error"] {
        let name = format!("teep-draft/{name}.cbor");
        let outcome = body(&read(table, &name));
        table.record(&name, outcome);
    }
    let name = "teep-draft/eat_diagnostic.cbor";
    let outcome = evidence(&read(table, name));
    table.record(name, outcome);

    let name = "teep-draft/8d82573a-926d-4754-9353-32dc29997f74.ta";
    let payload = read(table, name);
    let manifest = read(table, "teep-draft/suit_uri.cbor");
    let digest = tamarack_crypto_rustcrypto::provider().sha256(&payload);
    let named = manifest.windows(32).any(|window| window == digest);
    let outcome =
        if named { Ok("is what suit_uri.cbor's image-digest names".into()) } else { Err("digest".into()) };
    table.record(name, outcome);
}

fn read(table: &Table, name: &str) -> Vec<u8> {
    std::fs::read(table.root().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Read, and written back to the same bytes but for the order of map keys, which the draft does not sort everywhere.
fn body(bytes: &[u8]) -> Result<String, String> {
    use tamarack_cbor::Encode;
    let message = Message::from_cbor(bytes, &Limits::default()).map_err(|e| e.to_string())?;
    let sorted = Value::from_cbor(bytes, &Limits::default()).map_err(|e| e.to_string())?.to_cbor();
    if message.to_cbor() == sorted {
        Ok("read and written back".into())
    } else {
        Err("written back otherwise".into())
    }
}

fn evidence(bytes: &[u8]) -> Result<String, String> {
    let claims = Claims::from_cbor(bytes, &Limits::default()).map_err(|e| e.to_string())?;
    TeepClaims::try_from(&claims).map_err(|e| e.to_string())?;
    Ok("has the claims of the TEEP profile".into())
}
