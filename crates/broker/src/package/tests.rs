use super::*;

fn file(path: &str, content: &[u8]) -> File {
    File { path: path.into(), executable: false, content: content.to_vec() }
}

const WALLET: &str = "com.acme/8d82573a-926d-4754-9353-32dc29997f74/ta";

fn dependencies(needs: &str) -> File {
    file(DEPENDENCIES, format!(r#"{{ "name": "wallet", "needs": [{needs}] }}"#).as_bytes())
}

fn example() -> Vec<File> {
    let need = format!(
        r#"{{ "ta": "{WALLET}", "minimum_sequence": 3, "tams": ["https://tam.example/tam"], "bundle": "ta/wallet.wasm" }}"#
    );
    let program = File { executable: true, ..file("bin/wallet", b"#!/bin/sh\n") };
    vec![program, file("ta/wallet.wasm", &[7; 1000]), file("empty", b""), dependencies(&need)]
}

#[test]
fn f13_a_package_says_what_its_app_needs() {
    let package = Package::of_files(example()).unwrap();
    assert_eq!((package.name.as_str(), package.files.len()), ("wallet", 4));
    let [need] = &package.needs[..] else { panic!("{package:?}") };
    assert_eq!(need.ta.to_string(), WALLET);
    assert_eq!(
        (need.minimum_sequence, &need.tams[..]),
        (Some(3), &["https://tam.example/tam".to_string()][..])
    );
    assert_eq!(need.bundle.as_deref(), Some(&[7; 1000][..]));
}

#[test]
fn a_package_reads_back_and_is_the_same_every_time() {
    let package = Package::of_files(example()).unwrap();
    let archive = package.to_archive().unwrap();
    assert_eq!(archive.len() % 512, 0);
    assert_eq!(Package::of_files(read_archive(&archive).unwrap()).unwrap(), package);
    let mut other_order = example();
    other_order.reverse();
    assert_eq!(Package::of_files(other_order).unwrap().to_archive().unwrap(), archive);
}

#[test]
fn an_archive_is_read_whole_or_not_at_all() {
    let archive = Package::of_files(example()).unwrap().to_archive().unwrap();
    for cut in (0..archive.len() - 1024).step_by(61) {
        assert!(read_archive(&archive[..cut]).is_err(), "cut at {cut}");
    }
    let more = [&archive[..], b"more"].concat();
    assert!(read_archive(&more).is_err());
    // A header that was altered is noticed; whether content was, the TAM's manifest tells.
    for at in 0..512 {
        let mut altered = archive.clone();
        altered[at] ^= 1;
        let reads = read_archive(&altered).is_ok_and(|files| files == read_archive(&archive).unwrap());
        assert!(read_archive(&altered).is_err() || reads, "byte {at}");
    }
}

/// An archive of one header with this path and kind.
fn crafted(path: &str, kind: u8) -> Vec<u8> {
    let mut archive = write_archive(&[file("x", b"")]).unwrap();
    archive[..100].fill(0);
    archive[..path.len()].copy_from_slice(path.as_bytes());
    archive[156] = kind;
    let sum: u64 = archive[..512].iter().map(|byte| u64::from(*byte)).sum();
    let own: u64 = archive[148..156].iter().map(|byte| u64::from(*byte)).sum();
    let sum = sum - own + 8 * 32;
    archive[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    archive
}

#[test]
fn what_leads_out_of_a_package_is_refused() {
    assert_eq!(read_archive(&crafted("./a/b", b'0')).unwrap()[0].path, "a/b");
    for path in ["../a", "a/../b", "/etc/passwd", "a//b", "", ".", "a/.", "a\\b", "a\nb"] {
        assert!(read_archive(&crafted(path, b'0')).is_err(), "{path:?}");
        // However it came to be a file of a package.
        assert!(Package::of_files(vec![file(path, b""), dependencies("")]).is_err(), "{path:?}");
    }
    for (kind, what) in [(b'1', "hard link"), (b'2', "symbolic link"), (b'3', "device"), (b'x', "extension")]
    {
        assert!(read_archive(&crafted("a", kind)).is_err(), "{what}");
    }
}

#[test]
fn a_wrong_dependency_file_says_where_it_is_wrong() {
    for (needs, said) in [
        (r#"{ "ta": "a//b" }"#, "needs[0]: ta"),
        (r#"{ "minimum_sequence": 3 }"#, "needs[0]: ta"),
        (r#"{ "ta": "a/b", "minimum_sequence": "3" }"#, "minimum_sequence"),
        (r#"{ "ta": "a/b", "minimum_sequence": -1 }"#, "minimum_sequence"),
        (r#"{ "ta": "a/b", "tams": "https://x" }"#, "tams"),
        (r#"{ "ta": "a/b", "tams": ["file:///x"] }"#, "tams"),
        (r#"{ "ta": "a/b", "bundle": "gone" }"#, "there is no file gone"),
        (r#"{ "ta": "a/b", "minimumsequence": 3 }"#, "minimumsequence is not known"),
        (r#"{ "ta": "a/b" }, { "ta": "a/b" }"#, "needed twice"),
        ("7", "expected an object"),
    ] {
        let refused = Package::of_files(vec![dependencies(needs)]).unwrap_err();
        assert!(refused.to_string().contains(said), "{needs}: {refused}");
    }
    assert!(Package::of_files(Vec::new()).is_err());
    assert!(Package::of_files(vec![file(DEPENDENCIES, b"no JSON")]).is_err());
    assert!(Package::of_files(vec![dependencies(""), dependencies("")]).is_err());
    let up = file(DEPENDENCIES, br#"{ "name": "../up", "needs": [] }"#);
    assert!(Package::of_files(vec![up]).is_err(), "the name becomes one of a folder");
}

#[test]
fn a_folder_is_a_package_too_and_links_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path);
    std::fs::create_dir(at("ta")).unwrap();
    for file in example() {
        std::fs::create_dir_all(at(&file.path).parent().unwrap()).unwrap();
        std::fs::write(at(&file.path), &file.content).unwrap();
    }
    let package = Package::read(folder.path()).unwrap();
    assert_eq!((package.needs.len(), package.files.len()), (1, 4));
    std::os::unix::fs::symlink("/etc/passwd", at("link")).unwrap();
    assert!(Package::read(folder.path()).is_err());
    // What has no end is not begun.
    assert!(Package::read(Path::new("/dev/zero")).is_err());
}
