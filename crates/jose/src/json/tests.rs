use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<Json, Error> {
    parse(text.as_bytes(), &Limits::default())
}

fn canonical(text: &str) -> String {
    let value = read(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    String::from_utf8(to_canonical(&value)).expect("canonical JSON is UTF-8")
}

#[test]
fn values_are_read_and_written_the_same() {
    for text in [
        "null",
        "true",
        "[]",
        "{}",
        "\"\"",
        "0",
        "-0",
        "1.50",
        "12345678901234567890123",
        r#"{"b":[1,{"a":null}],"a":"x/y"}"#,
        r#"["\"\\\b\f\n\r\t\u0000\u001f","é😂"]"#,
    ] {
        assert_eq!(read(text).expect(text).to_string(), text);
    }
    assert_eq!(read(" {\t\"a\"\r:\n[ 1 , 2 ] } "), read(r#"{"a":[1,2]}"#));
    assert_eq!(read(r#""\u00e9\ud83d\ude02\/""#), Ok("é😂/".into()));
    let object = read(r#"{"s":"x","b":true,"n":7,"a":[null],"big":1e3}"#).expect("an object");
    assert_eq!(object.get("s").and_then(Json::as_str), Some("x"));
    assert_eq!(object.get("b").and_then(Json::as_bool), Some(true));
    assert_eq!(object.get("n").and_then(Json::as_u64), Some(7));
    assert_eq!(object.get("big").and_then(Json::as_u64), None);
    assert!(object.get("a").and_then(Json::as_array).is_some_and(|a| a[0].is_null()));
    assert_eq!(object.get("absent"), None);
    assert_eq!(Json::Null.get("s"), None);
}

#[test]
fn builders_make_what_the_parser_reads() {
    let made = Members::new()
        .member("ver", "1.0")
        .optional("absent", None::<&str>)
        .optional("n", Some(7))
        .member("list", array(["a", "b"]))
        .member("inner", object([("x", true.into()), ("y", Json::Null)]))
        .build();
    let text = r#"{"ver":"1.0","n":7,"list":["a","b"],"inner":{"x":true,"y":null}}"#;
    assert_eq!(to_vec(&made), text.as_bytes());
    assert_eq!(read(text), Ok(made));
}

#[test]
fn what_is_not_strict_json_is_refused_with_its_position() {
    use ErrorKind::*;
    let cases: [(&str, usize, ErrorKind); 37] = [
        ("", 0, Expected("a value")),
        (" ", 1, Expected("a value")),
        ("\u{feff}{}", 0, Expected("a value")),
        ("nul", 0, Expected("a value")),
        ("True", 0, Expected("a value")),
        ("NaN", 0, Expected("a value")),
        ("'a'", 0, Expected("a value")),
        ("\u{201c}a\u{201d}", 0, Expected("a value")),
        ("{} {}", 3, Trailing),
        ("nullx", 4, Trailing),
        ("01", 1, Trailing),
        ("[1,]", 3, Expected("a value")),
        ("[1 2]", 3, Expected("',' or ']'")),
        ("[1", 2, Expected("',' or ']'")),
        ("{\"a\":1,}", 7, Expected("a name in double quotes")),
        ("{\"a\" 1}", 5, Expected("':'")),
        ("{\"a\":1 \"b\":2}", 7, Expected("',' or '}'")),
        ("{a:1}", 1, Expected("a name in double quotes")),
        ("{\u{201c}a\u{201d}:1}", 1, Expected("a name in double quotes")),
        ("{1:1}", 1, Expected("a name in double quotes")),
        ("[1]// x", 3, Trailing),
        ("\"a", 2, Expected("'\"'")),
        ("\"a\nb\"", 2, ControlCharacter),
        ("\"\u{1f}\"", 1, ControlCharacter),
        ("\"\\x\"", 1, Escape),
        ("\"\\", 1, Escape),
        ("\"\\u12\"", 1, Escape),
        ("\"\\u+123\"", 1, Escape),
        ("\"\\ud800\"", 1, Escape),
        ("\"\\udc00\"", 1, Escape),
        ("\"\\ud800\\u0041\"", 1, Escape),
        ("-", 1, Expected("a digit")),
        ("1.", 2, Expected("a digit")),
        (".5", 0, Expected("a value")),
        ("1e", 2, Expected("a digit")),
        ("+1", 0, Expected("a value")),
        ("[1e400]", 1, NumberRange),
    ];
    for (text, at, kind) in cases {
        assert_eq!(read(text), Err(Error { at, kind }), "{text:?}");
    }
    assert_eq!(parse(b"\"\xff\"", &Limits::default()), Err(Error { at: 1, kind: Utf8 }));
    assert_eq!(parse(b"\"\xed\xa0\x80\"", &Limits::default()), Err(Error { at: 1, kind: Utf8 }));
}

#[test]
fn a_name_stands_once_however_it_is_written() {
    let cases = [
        (r#"{"a":1,"a":2}"#, 7),
        (r#"{"a":1,"\u0061":2}"#, 7),
        (r#"{"b":1,"a":1,"c":1,"b":1,"a":1}"#, 19),
        (r#"[{"x":{"a":1,"b":2,"a":1}}]"#, 19),
    ];
    for (text, at) in cases {
        assert_eq!(read(text), Err(Error { at, kind: ErrorKind::RepeatedName }), "{text}");
    }
    assert!(read(r#"[{"a":1},{"a":{"a":1}}]"#).is_ok());
}

#[test]
fn every_limit_holds() {
    let limits = Limits { bytes: 40, depth: 3, members: 4, string: 8 };
    let limit = |at, which| Err(Error { at, kind: ErrorKind::Limit(which) });
    let check = |text: &str| parse(text.as_bytes(), &limits);
    assert!(check(r#"[[["12345678"]],{}]"#).is_ok());
    assert_eq!(check(&" ".repeat(41)), limit(40, "bytes"));
    assert_eq!(check("[[[[]]]]"), limit(3, "depth"));
    assert_eq!(check(r#"{"a":[{"b":[]}]}"#), limit(11, "depth"));
    assert_eq!(check("[1,2,3,4,5]"), limit(9, "members"));
    assert_eq!(check("[[1,2],[3]]"), limit(8, "members"));
    assert_eq!(check(r#""123456789""#), limit(1, "string bytes"));
    assert_eq!(check(r#""1234567\u00e9""#).map_err(|e| e.is_limit()), Err(true));
    // Deeper than any stack: refused long before.
    let deep = "[".repeat(1 << 20);
    assert_eq!(read(&deep), limit(16, "depth"));
}

#[test]
fn rfc8785_examples_are_canonical() {
    // Section 3.2.2, its numbers, string and literals; section 3.2.3, the order of UTF-16; section 3.2.4.
    let cases = [
        (
            r#"{
              "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
              "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
              "literals": [null, true, false]
            }"#,
            r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}"#,
        ),
        (
            r#"{
              "\u20ac": "Euro Sign",
              "\r": "Carriage Return",
              "\ufb33": "Hebrew Letter Dalet With Dagesh",
              "1": "One",
              "\ud83d\ude00": "Emoji: Grinning Face",
              "\u0080": "Control",
              "\u00f6": "Latin Small Letter O With Diaeresis"
            }"#,
            concat!(
                "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",",
                "\"\u{f6}\":\"Latin Small Letter O With Diaeresis\",\"\u{20ac}\":\"Euro Sign\",",
                "\"\u{1f600}\":\"Emoji: Grinning Face\",\"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}"
            ),
        ),
        (r#"[56, {"d": true, "10": null, "1": []}]"#, r#"[56,{"1":[],"10":null,"d":true}]"#),
        // Strings are not normalized.
        (r#"{"A\u030a": "A\u030a"}"#, "{\"A\u{30a}\":\"A\u{30a}\"}"),
        (r#""\u007f</script>""#, "\"\u{7f}</script>\""),
    ];
    for (text, expected) in cases {
        assert_eq!(canonical(text), expected);
    }
}

#[test]
fn rfc8785_numbers_are_those_of_ecmascript() {
    // Appendix B: the bits of a double and its text.
    let cases: [(u64, &str); 24] = [
        (0x0000000000000000, "0"),
        (0x8000000000000000, "0"),
        (0x0000000000000001, "5e-324"),
        (0x8000000000000001, "-5e-324"),
        (0x7fefffffffffffff, "1.7976931348623157e+308"),
        (0xffefffffffffffff, "-1.7976931348623157e+308"),
        (0x4340000000000000, "9007199254740992"),
        (0xc340000000000000, "-9007199254740992"),
        (0x4430000000000000, "295147905179352830000"),
        (0x44b52d02c7e14af5, "9.999999999999997e+22"),
        (0x44b52d02c7e14af6, "1e+23"),
        (0x44b52d02c7e14af7, "1.0000000000000001e+23"),
        (0x444b1ae4d6e2ef4e, "999999999999999700000"),
        (0x444b1ae4d6e2ef4f, "999999999999999900000"),
        (0x444b1ae4d6e2ef50, "1e+21"),
        (0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7"),
        (0x3eb0c6f7a0b5ed8d, "0.000001"),
        (0x41b3de4355555553, "333333333.3333332"),
        (0x41b3de4355555554, "333333333.33333325"),
        (0x41b3de4355555555, "333333333.3333333"),
        (0x41b3de4355555556, "333333333.3333334"),
        (0x41b3de4355555557, "333333333.33333343"),
        (0xbecbf647612f3696, "-0.0000033333333333333333"),
        (0x43143ff3c1cb0959, "1424953923781206.2"),
    ];
    for (bits, expected) in cases {
        // Seventeen significant digits name every double.
        let text = format!("{:.16e}", f64::from_bits(bits));
        assert_eq!(canonical(&text), expected, "{bits:016x}");
    }
    for (text, expected) in [("1.0", "1"), ("100", "100"), ("1e2", "100"), ("0.5", "0.5"), ("12.5", "12.5")] {
        assert_eq!(canonical(text), expected);
    }
    // What no double tells apart is the same number to RFC 8785: big integers must travel as strings.
    assert_eq!(canonical("9007199254740993"), "9007199254740992");
}

/// Any value, with names that do not repeat.
fn values() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        any::<String>().prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Json::Array),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_reads_back(value in values()) {
        prop_assert_eq!(parse(&to_vec(&value), &Limits::default()), Ok(value));
    }

    #[test]
    fn the_canonical_form_does_not_depend_on_the_order(value in values()) {
        let reversed = match value.clone() {
            Json::Object(members) => Json::Object(members.into_iter().rev().collect()),
            other => other,
        };
        let text = to_canonical(&value);
        prop_assert_eq!(&text, &to_canonical(&reversed));
        let read = parse(&text, &Limits::default()).expect("canonical JSON is JSON");
        prop_assert_eq!(to_canonical(&read), text);
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _: Result<Json, Error> = parse(&bytes, &Limits::default());
    }
}

#[test]
fn errors_are_told_with_codes() {
    let errors: Vec<Error> =
        vec![read("[").expect_err("truncated"), read(&"[".repeat(17)).expect_err("too deep")];
    assert_eq!(
        errors.iter().map(Error::code).collect::<Vec<_>>(),
        [codes::JSON_MALFORMED, codes::JSON_LIMIT]
    );
    assert_eq!(errors[0].to_string(), "expected a value at byte 1");
}
