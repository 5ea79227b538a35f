use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;

use super::{Json, Number};

/// The compact text of `value`: members in their order, numbers as they are.
pub fn to_vec(value: &Json) -> Vec<u8> {
    to_text(value).into_bytes()
}

pub(super) fn to_text(value: &Json) -> String {
    let mut out = String::new();
    write(value, false, &mut out);
    out
}

/// The canonical text of `value` (RFC 8785): no whitespace, members sorted by the UTF-16 code units of their names, numbers
/// as ECMAScript writes the double that is nearest.
pub fn to_canonical(value: &Json) -> Vec<u8> {
    let mut out = String::new();
    write(value, true, &mut out);
    out.into_bytes()
}

fn write(value: &Json, canonical: bool, out: &mut String) {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(true) => out.push_str("true"),
        Json::Bool(false) => out.push_str("false"),
        Json::Number(number) if canonical => out.push_str(&ecmascript(number)),
        Json::Number(number) => out.push_str(number.as_str()),
        Json::String(text) => write_string(text, out),
        Json::Array(elements) => {
            out.push('[');
            for (index, element) in elements.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(element, canonical, out);
            }
            out.push(']');
        }
        Json::Object(members) => {
            let mut order: Vec<&(String, Json)> = members.iter().collect();
            if canonical {
                // RFC 8785 section 3.2.3: not the order of UTF-8, which differs above U+FFFF.
                order.sort_by(|a, b| a.0.encode_utf16().cmp(b.0.encode_utf16()));
            }
            out.push('{');
            for (index, (name, value)) in order.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_string(name, out);
                out.push(':');
                write(value, canonical, out);
            }
            out.push('}');
        }
    }
}

/// RFC 8785 section 3.2.2.2: the two-character escapes where there are any, `\u00xx` for other control characters, and
/// everything else as it is.
fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // Writing to a String does not fail.
            '\0'..'\u{20}' => drop(write!(out, "\\u{:04x}", u32::from(c))),
            _ => out.push(c),
        }
    }
    out.push('"');
}

/// The number as `Number::toString` of ECMAScript writes it (RFC 8785 section 3.2.2.3).
fn ecmascript(number: &Number) -> String {
    // The parser let only texts of finite doubles become numbers.
    let value: f64 = number.as_str().parse().unwrap_or_default();
    if value == 0.0 {
        return "0".to_string();
    }
    // The fewest digits that read back, as d.ddde-n. Of two texts that are equally near, ECMAScript takes the even one, which
    // is what rounding to that many digits gives; next to a power of two that may be another double.
    let shortest = format!("{:e}", value.abs());
    let count = shortest.bytes().take_while(|b| *b != b'e').filter(u8::is_ascii_digit).count();
    let rounded = format!("{:.*e}", count - 1, value.abs());
    let scientific = if rounded.parse() == Ok(value.abs()) { rounded } else { shortest };
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let digits = mantissa.replace('.', "");
    // The value is 0.digits times ten to the power of `point`.
    let point = exponent.parse::<i32>().unwrap_or_default() + 1;
    let count = digits.len() as i32;
    let zeros = |n: i32| "0".repeat(n.unsigned_abs() as usize);
    let sign = if value < 0.0 { "-" } else { "" };
    match point {
        _ if count <= point && point <= 21 => format!("{sign}{digits}{}", zeros(point - count)),
        1..=21 => format!("{sign}{}.{}", &digits[..point as usize], &digits[point as usize..]),
        -5..=0 => format!("{sign}0.{}{digits}", zeros(point)),
        _ => {
            let (first, rest) = digits.split_at(1);
            let dot = if rest.is_empty() { "" } else { "." };
            let plus = if point > 0 { "+" } else { "" };
            format!("{sign}{first}{dot}{rest}e{plus}{}", point - 1)
        }
    }
}
