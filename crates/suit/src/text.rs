//! The text member: for people, checked for form and otherwise left alone.

use tamarack_cbor::{Decoder, Error, ErrorKind, Kind, Limits};

use crate::manifest::component_id;

/// Checks that `content` is a SUIT_Text_Map: language tags to texts, and to texts per component.
pub(crate) fn check(content: &[u8], limits: &Limits) -> Result<(), Error> {
    let mut d = Decoder::new(content, limits)?;
    if d.map()? == 0 {
        return Err(Error::new(0, ErrorKind::Value("at least one language")));
    }
    let mut d = Decoder::new(content, limits)?;
    for _ in 0..d.map()? {
        let at = d.position();
        if !is_language_tag(d.text()?) {
            return Err(Error::new(at, ErrorKind::Value("a language tag")));
        }
        for _ in 0..d.map()? {
            match d.peek() {
                Kind::Array => {
                    component_id(&mut d)?;
                    texts(&mut d, 8)?;
                }
                _ => text(&mut d, 4)?,
            }
        }
    }
    Ok(())
}

fn texts(d: &mut Decoder<'_>, last: u64) -> Result<(), Error> {
    (0..d.map()?).try_for_each(|_| text(d, last))
}

fn text(d: &mut Decoder<'_>, last: u64) -> Result<(), Error> {
    let at = d.position();
    match d.uint()? {
        key if (1..=last).contains(&key) => d.text().map(drop),
        _ => Err(Error::new(at, ErrorKind::Value("a text key"))),
    }
}

/// `[a-zA-Z]{1,8}(-[a-zA-Z0-9]{1,8})*`
fn is_language_tag(tag: &str) -> bool {
    tag.split('-').enumerate().all(|(i, part)| {
        matches!(part.len(), 1..=8)
            && part.bytes().all(|b| if i == 0 { b.is_ascii_alphabetic() } else { b.is_ascii_alphanumeric() })
    })
}
