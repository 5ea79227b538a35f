//! App packages: archives, and the dependency file in them. What is read stays within the package and is written the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tamarack_broker::package::{DEPENDENCIES, File, Package, read_archive, write_archive};
use tamarack_fuzz::seeds;

fn examples() -> Vec<Vec<u8>> {
    let dependencies = br#"{ "name": "wallet", "needs": [{ "ta": "com.acme/wallet/ta", "minimum_sequence": 3,
        "tams": ["https://tam.example/tam"], "bundle": "ta/wallet.wasm" }] }"#;
    let file =
        |path: &str, content: &[u8]| File { path: path.into(), executable: false, content: content.to_vec() };
    let files = [file(DEPENDENCIES, dependencies), file("ta/wallet.wasm", &[7; 20])];
    vec![write_archive(&files).expect("short paths"), dependencies.to_vec()]
}

fuzz_target!(init: seeds(examples), |data: &[u8]| {
    if let Ok(files) = read_archive(data) {
        for file in &files {
            let inside = file.path.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
            assert!(inside && !file.path.starts_with('/'), "{:?}", file.path);
        }
        let written = write_archive(&files).expect("it was read");
        assert_eq!(read_archive(&written).as_ref(), Ok(&files));
        let _ = Package::of_files(files);
    }
    let dependencies = File { path: DEPENDENCIES.into(), executable: false, content: data.to_vec() };
    if let Ok(package) = Package::of_files(vec![dependencies]) {
        assert!(!package.name.contains('/'));
    }
});
