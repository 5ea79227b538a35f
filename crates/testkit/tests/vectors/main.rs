//! Every public vector of the families that Tamarack covers is accounted for: it passes, or it is refused for a reason
//! that `vectors/exceptions.toml` names. An exception that passes after all fails the test.

mod cbor;
mod corim;
mod cose;
mod ear;
mod measured;
mod psa;
mod suit;
mod table;
mod teep;
mod thumbprint;

use table::Table;

#[test]
fn every_vector_is_accounted_for() {
    let Some(specs) = tamarack_testkit::specs::specs_dir() else { return };
    let mut table = Table::new(&specs.join("vectors"));
    cbor::run(&mut table);
    cose::run(&mut table);
    thumbprint::run(&mut table);
    psa::run(&mut table);
    ear::run(&mut table);
    measured::run(&mut table);
    corim::run(&mut table);
    suit::run(&mut table);
    teep::run(&mut table);
    table.finish(&[
        "cbor",
        "cose-wg-examples",
        "cose-key-thumbprint",
        "psa-token",
        "ear",
        "eat-measured-component",
        "corim",
        "suit-firmware-encryption",
        "suit-libcsuit",
        "suit-manifest",
        "teep-draft",
    ]);
}
