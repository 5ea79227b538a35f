//! Every envelope and report that the CDDL sets come with gets the same verdict here, or is a named exception.

use std::collections::BTreeMap;

use tamarack_cbor::Limits as CborLimits;
use tamarack_suit::{Envelope, Limits, Report, SignedReport};
use tamarack_testkit::specs::{specs_dir, workspace_root};

fn exceptions() -> BTreeMap<String, String> {
    let file = workspace_root().join("vectors/exceptions.toml");
    let text = std::fs::read_to_string(file).unwrap();
    let tables: BTreeMap<String, BTreeMap<String, String>> = toml::from_str(&text).unwrap();
    tables.get("suit").cloned().unwrap_or_default()
}

fn verdict(set: &str, bytes: &[u8]) -> Result<(), String> {
    if set == "suit-envelope" {
        let envelope = Envelope::parse(bytes, &Limits::default()).map_err(|e| e.to_string())?;
        return envelope.unauthenticated_manifest().map(drop).map_err(|e| e.to_string());
    }
    // A plain report is a map, a protected one is not.
    match bytes.first() {
        Some(0xa0..=0xbf) => {
            Report::parse(bytes, &CborLimits::default()).map(drop).map_err(|e| e.to_string())
        }
        _ => SignedReport::parse(bytes, &CborLimits::default()).map(drop).map_err(|e| e.to_string()),
    }
}

#[test]
fn every_suit_object_gets_the_verdict_of_its_row() {
    let Some(specs) = specs_dir() else { return };
    let mut exceptions = exceptions();
    let rows = std::fs::read_to_string(specs.join("cddl-sets/objects.tsv")).unwrap();
    let (mut agreed, mut wrong) = (0, Vec::new());
    for row in rows.lines().skip(1) {
        let columns: Vec<&str> = row.split('\t').collect();
        let [name, set, root, expect, source, ..] = columns[..] else { panic!("{row}") };
        // Rows with a root of their own are parts of envelopes, which nothing here reads alone.
        if !matches!(set, "suit-envelope" | "suit-report") || root != "-" {
            continue;
        }
        let bytes = match source.strip_prefix("hex:") {
            Some(text) => hex::decode(text).unwrap(),
            None => std::fs::read(specs.join(source)).unwrap(),
        };
        let verdict = verdict(set, &bytes);
        match (verdict.is_ok() == (expect == "accept"), exceptions.remove(name)) {
            (true, None) => agreed += 1,
            (false, Some(reason)) => println!("except  {name}: {reason} ({verdict:?})"),
            (true, Some(_)) => wrong.push(format!("{name}: listed as an exception, but agrees")),
            (false, None) => wrong.push(format!("{name}: expected {expect}, got {verdict:?}")),
        }
    }
    println!("{agreed} verdicts agree");
    assert!(agreed > 0 && wrong.is_empty(), "{wrong:#?}");
    assert!(exceptions.is_empty(), "exceptions for no row: {exceptions:?}");
}
