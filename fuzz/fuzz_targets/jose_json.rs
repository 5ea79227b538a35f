//! The strict JSON parser: what it takes is written and read again, and its canonical form is one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tamarack_fuzz::seeds;
use tamarack_jose::json::{Limits, parse, to_canonical, to_vec};

const SEEDS: [&[u8]; 4] = [
    br#"{"b":[1,-0.5e-7,1e21,true,null],"a":{"\u20ac":"\ud83d\ude00\n"}}"#,
    br#" [ 333333333.33333329 , 1E30, 4.50, 2e-3 ] "#,
    br#""\"\\\/\b\f\n\r\t\u0000""#,
    br#"{"a":1,"\u0061":2}"#,
];

fuzz_target!(init: seeds(|| SEEDS.map(Vec::from).into()), |data: &[u8]| {
    let limits = Limits { bytes: 4096, depth: 8, members: 64, string: 256 };
    let Ok(value) = parse(data, &limits) else { return };
    let roomy = Limits { bytes: 1 << 16, ..limits };
    assert_eq!(parse(&to_vec(&value), &roomy).as_ref(), Ok(&value));
    let canonical = to_canonical(&value);
    let again = parse(&canonical, &roomy).expect("canonical JSON is JSON");
    assert_eq!(to_canonical(&again), canonical);
});
