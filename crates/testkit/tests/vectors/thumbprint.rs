//! RFC 9679: the thumbprints of four published keys.

use tamarack_cose::thumbprint_of_encoded;

use crate::table::Table;

pub fn run(table: &mut Table) {
    let provider = tamarack_crypto_rustcrypto::provider();
    for key in ["aes128", "ec2_p256", "ed25519", "rsa2048"] {
        let name = format!("cose-key-thumbprint/{key}.cbor");
        let bytes = std::fs::read(table.root().join(&name)).expect("listed file");
        let file = table.root().join(&name).with_extension("sha256.txt");
        let expected = std::fs::read_to_string(file).expect("listed file");
        let outcome = match thumbprint_of_encoded(&bytes, &provider) {
            Ok(id) if id.to_string() == expected.trim() => Ok(format!("thumbprint {id}")),
            Ok(id) => Err(format!("thumbprint is {id}, published is {}", expected.trim())),
            Err(e) => Err(e.to_string()),
        };
        table.record(&name, outcome);
    }
}
