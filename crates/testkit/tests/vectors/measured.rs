//! Measured components of the draft's repository. What is read is written as the same bytes.

use tamarack_cbor::{Decode, Encode, Limits};
use tamarack_eat::MeasuredComponent;

use crate::table::Table;

pub fn run(table: &mut Table) {
    let folder = table.root().join("eat-measured-component");
    let entries = std::fs::read_dir(&folder).expect("eat-measured-component");
    for entry in entries {
        let name = entry.expect("entry").file_name().into_string().expect("a name");
        if name == "SOURCE.txt" || name.ends_with(".diag") {
            continue;
        }
        let bytes = std::fs::read(folder.join(&name)).expect("listed file");
        let outcome =
            match (MeasuredComponent::from_cbor(&bytes, &Limits::default()), name.ends_with(".json")) {
                (Err(e), true) => Ok(format!("the JSON form, which is not read: {e}")),
                (Ok(_), true) => Err("JSON was read as CBOR".into()),
                (Err(e), false) => Err(e.to_string()),
                (Ok(component), false) if component.to_cbor() == bytes => Ok(format!("{:?}", component.name)),
                (Ok(_), false) => Err("it is written in other bytes".into()),
            };
        table.record(&format!("eat-measured-component/{name}"), outcome);
    }
}
