use alloc::string::String;
use alloc::vec::Vec;

use super::{Error, ErrorKind, Json, Limits, Number};

/// Reads one JSON text, which must be all of `text` but whitespace around it.
pub fn parse(text: &[u8], limits: &Limits) -> Result<Json, Error> {
    if text.len() > limits.bytes {
        return Err(Error { at: limits.bytes, kind: ErrorKind::Limit("bytes") });
    }
    let text =
        core::str::from_utf8(text).map_err(|e| Error { at: e.valid_up_to(), kind: ErrorKind::Utf8 })?;
    let mut parser = Parser { text, at: 0, members: 0, limits };
    let value = parser.value(0)?;
    parser.skip_whitespace();
    if parser.at < text.len() {
        return Err(parser.error(ErrorKind::Trailing));
    }
    Ok(value)
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    /// Members and elements so far.
    members: usize,
    limits: &'t Limits,
}

impl Parser<'_> {
    fn value(&mut self, depth: usize) -> Result<Json, Error> {
        self.skip_whitespace();
        match self.peek() {
            Some(b'{' | b'[') if depth == self.limits.depth => Err(self.error(ErrorKind::Limit("depth"))),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => Ok(Json::String(self.string()?)),
            Some(b'-' | b'0'..=b'9') => Ok(Json::Number(self.number()?)),
            _ => {
                for (word, value) in
                    [("null", Json::Null), ("true", Json::Bool(true)), ("false", Json::Bool(false))]
                {
                    if self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
                        self.at += word.len();
                        return Ok(value);
                    }
                }
                Err(self.expected("a value"))
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, Error> {
        self.at += 1;
        let mut members = Vec::new();
        let mut positions = Vec::new();
        self.skip_whitespace();
        if self.take(b'}') {
            return Ok(Json::Object(members));
        }
        loop {
            self.count_member()?;
            self.skip_whitespace();
            positions.push(self.at);
            if self.peek() != Some(b'"') {
                return Err(self.expected("a name in double quotes"));
            }
            let name = self.string()?;
            self.skip_whitespace();
            if !self.take(b':') {
                return Err(self.expected("':'"));
            }
            members.push((name, self.value(depth + 1)?));
            self.skip_whitespace();
            if self.take(b'}') {
                break;
            }
            if !self.take(b',') {
                return Err(self.expected("',' or '}'"));
            }
        }
        match first_repeated(&members) {
            Some(index) => Err(Error { at: positions[index], kind: ErrorKind::RepeatedName }),
            None => Ok(Json::Object(members)),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json, Error> {
        self.at += 1;
        let mut elements = Vec::new();
        self.skip_whitespace();
        if self.take(b']') {
            return Ok(Json::Array(elements));
        }
        loop {
            self.count_member()?;
            elements.push(self.value(depth + 1)?);
            self.skip_whitespace();
            if self.take(b']') {
                return Ok(Json::Array(elements));
            }
            if !self.take(b',') {
                return Err(self.expected("',' or ']'"));
            }
        }
    }

    /// Reads a string from its opening quote to its closing one.
    fn string(&mut self) -> Result<String, Error> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.bytes().take_while(|b| !matches!(b, b'"' | b'\\' | ..0x20)).count();
            if out.len() + plain > self.limits.string {
                return Err(self.error(ErrorKind::Limit("string bytes")));
            }
            out.push_str(&rest[..plain]);
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                Some(_) => return Err(self.error(ErrorKind::ControlCharacter)),
                None => return Err(self.expected("'\"'")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Error> {
        let start = self.at;
        let error = Error { at: start, kind: ErrorKind::Escape };
        self.at += 2;
        let c = match self.text.as_bytes().get(start + 1) {
            Some(c @ (b'"' | b'\\' | b'/')) => char::from(*c),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let first = self.hex4().ok_or(error)?;
                match char::from_u32(first) {
                    Some(c) => c,
                    // A surrogate: a low one must follow a high one, each in its own escape.
                    None => {
                        if !(self.take(b'\\') && self.take(b'u')) {
                            return Err(error);
                        }
                        let second = self.hex4().ok_or(error)?;
                        char::decode_utf16([first as u16, second as u16])
                            .next()
                            .and_then(Result::ok)
                            .filter(|c| u32::from(*c) > 0xffff)
                            .ok_or(error)?
                    }
                }
            }
            _ => return Err(error),
        };
        Ok(c)
    }

    /// Four hexadecimal digits.
    fn hex4(&mut self) -> Option<u32> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4)?;
        self.at += 4;
        digits.iter().try_fold(0, |sum, digit| Some(sum * 16 + char::from(*digit).to_digit(16)?))
    }

    fn number(&mut self) -> Result<Number, Error> {
        let start = self.at;
        self.take(b'-');
        // A number begins with 0 only if that is its whole integer part.
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.digits()?;
        }
        let text = &self.text[start..self.at];
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Number(text.into())),
            _ => Err(Error { at: start, kind: ErrorKind::NumberRange }),
        }
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), Error> {
        let count = self.text.as_bytes()[self.at..].iter().take_while(|b| b.is_ascii_digit()).count();
        if count == 0 {
            return Err(self.expected("a digit"));
        }
        self.at += count;
        Ok(())
    }

    fn count_member(&mut self) -> Result<(), Error> {
        self.members += 1;
        if self.members > self.limits.members {
            return Err(self.error(ErrorKind::Limit("members")));
        }
        Ok(())
    }

    fn skip_whitespace(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expected(&self, what: &'static str) -> Error {
        self.error(ErrorKind::Expected(what))
    }

    fn error(&self, kind: ErrorKind) -> Error {
        Error { at: self.at, kind }
    }
}

/// The index of a member whose name stood before.
fn first_repeated(members: &[(String, Json)]) -> Option<usize> {
    let mut order: Vec<usize> = (0..members.len()).collect();
    // Stable, so that of two equal names the second comes second.
    order.sort_by_key(|index| members[*index].0.as_str());
    order.windows(2).filter(|pair| members[pair[0]].0 == members[pair[1]].0).map(|pair| pair[1]).min()
}
