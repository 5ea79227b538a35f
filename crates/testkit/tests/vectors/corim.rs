//! Examples of the CoRIM draft: each is read, and written again with the same bytes.

use tamarack_cbor::Encode;
use tamarack_corim::{Comid, Corim, LIMITS};

use crate::table::Table;

pub fn run(table: &mut Table) {
    let folder = table.root().join("corim");
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .expect("corim")
        .map(|entry| entry.expect("entry").file_name().into_string().expect("a name"))
        .filter(|name| name.ends_with(".cbor"))
        .collect();
    names.sort();
    for name in names {
        let bytes = std::fs::read(folder.join(&name)).expect("listed file");
        let written = match Corim::parse_unsigned(&bytes, &LIMITS) {
            Ok(corim) => Ok(("CoRIM", corim.to_cbor())),
            Err(_) => Comid::parse(&bytes, &LIMITS).map(|comid| ("CoMID", comid.to_cbor())),
        };
        let outcome = match written {
            Ok((what, written)) if written == bytes => Ok(format!("{what} of {} bytes", bytes.len())),
            Ok((what, _)) => Err(format!("the {what} is written otherwise")),
            Err(e) => Err(e.to_string()),
        };
        table.record(&format!("corim/{name}"), outcome);
    }
    let diagnostic = "cddl__examples__comid-series.diag";
    table.record(&format!("corim/{diagnostic}"), Err("there is no CBOR of it".into()));
}
