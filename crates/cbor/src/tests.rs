use alloc::vec;
use alloc::vec::Vec;

use crate::{Decode, Encode, Encoder, ErrorKind, Limits, Value, check};

fn refuse(bytes: &[u8], at: usize, kind: ErrorKind) {
    let error = check(bytes, &Limits::default()).expect_err("must be refused");
    assert_eq!((error.at, error.kind), (at, kind), "{bytes:02x?}");
}

#[test]
fn refusals_name_the_position() {
    refuse(&[], 0, ErrorKind::Truncated);
    refuse(&[0x82, 0x01], 2, ErrorKind::Truncated);
    refuse(&[0x81, 0x18, 0x17], 1, ErrorKind::NotMinimal);
    refuse(&[0x19, 0x00, 0xff], 0, ErrorKind::NotMinimal);
    refuse(&[0x58, 0x01, 0x00], 0, ErrorKind::NotMinimal);
    refuse(&[0x5f, 0xff], 0, ErrorKind::Indefinite);
    refuse(&[0x9f, 0xff], 0, ErrorKind::Indefinite);
    refuse(&[0xbf, 0xff], 0, ErrorKind::Indefinite);
    refuse(&[0xff], 0, ErrorKind::Reserved(0xff));
    refuse(&[0x1c], 0, ErrorKind::Reserved(0x1c));
    refuse(&[0xf8, 0x14], 0, ErrorKind::Reserved(0xf8));
    refuse(&[0x61, 0xff], 0, ErrorKind::Utf8);
    refuse(&[0x00, 0x00], 1, ErrorKind::Trailing(1));
    refuse(&[0xa2, 0x01, 0x02, 0x01, 0x03], 3, ErrorKind::DuplicateKey);
    refuse(&[0xfa, 0x3f, 0x80, 0x00, 0x00], 0, ErrorKind::NotMinimal);
    refuse(&[0xfb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0], 0, ErrorKind::NotMinimal);
    refuse(&[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 9, ErrorKind::Truncated);
}

#[test]
fn limits_hold() {
    let limits = Limits { bytes: 8, depth: 2, items: 4 };
    assert!(check(&[0x81, 0x81, 0x00], &limits).is_ok());
    assert_eq!(check(&[0x81, 0x81, 0x81, 0x00], &limits).unwrap_err().kind, ErrorKind::TooDeep(2));
    assert_eq!(check(&[0x84, 0, 0, 0, 0], &limits).unwrap_err().kind, ErrorKind::TooManyItems(4));
    assert_eq!(check(&[0x48, 0, 0, 0, 0, 0, 0, 0, 0], &limits).unwrap_err().kind, ErrorKind::TooLong(8));
    // A hostile nesting must not exhaust the stack.
    assert!(check(&vec![0x81; 1 << 20], &Limits::default()).is_err());
}

#[test]
fn floats_that_fit_no_smaller_form_stay() {
    // 2^-24 is the smallest binary16 subnormal, 2^-25 needs binary32.
    refuse(&[0xfa, 0x33, 0x80, 0x00, 0x00], 0, ErrorKind::NotMinimal);
    assert!(check(&[0xfa, 0x33, 0x00, 0x00, 0x00], &Limits::default()).is_ok());
    assert!(check(&[0xfb, 0x3f, 0xb9, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a], &Limits::default()).is_ok());
    // The smallest binary32 subnormal, 2^-149, written as binary64.
    refuse(&[0xfb, 0x36, 0xa0, 0, 0, 0, 0, 0, 0], 0, ErrorKind::NotMinimal);
}

#[test]
fn maps_are_written_in_bytewise_key_order() {
    let mut e = Encoder::new();
    e.map_with(|m| {
        m.text("a", |e| e.uint(0));
        m.int(-1, |e| e.uint(1));
        m.int(100, |e| e.uint(2));
        m.int(10, |e| e.uint(3));
    });
    assert_eq!(e.into_bytes(), [0xa4, 0x0a, 3, 0x18, 100, 2, 0x20, 1, 0x61, b'a', 0]);
}

#[test]
fn values_read_back() {
    let items: Vec<&[u8]> = vec![
        &[0x3b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0xf9, 0x3c, 0x00],
        &[0xf8, 0xff],
        &[0xf7],
        &[0xc1, 0x1a, 0x51, 0x4b, 0x67, 0xb0],
        &[0xa1, 0x82, 0x01, 0x02, 0xf4],
    ];
    for bytes in items {
        let value = Value::from_cbor(bytes, &Limits::default()).unwrap();
        assert_eq!(value.to_cbor(), bytes);
    }
}
