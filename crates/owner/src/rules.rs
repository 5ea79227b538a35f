use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder, ErrorKind, Kind};
use tamarack_model::ComponentId;

use crate::Error;

/// Most rules that a device keeps.
pub const MAX_RULES: usize = 64;
/// Most bytes of a name in a rule.
const MAX_NAME: usize = 512;

/// What a rule says of what it selects, the stricter one later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// It may be.
    #[default]
    Allow,
    /// It may be once the owner has approved this very manifest.
    Consent,
    /// It may not be.
    Deny,
}

impl Effect {
    /// Its name in interfaces.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Consent => "consent",
            Self::Deny => "deny",
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a rule is about. None selects all of a kind that no other rule of the kind selects.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Selector {
    /// The TAM that is reached at this address or certified with this name.
    Tam(Option<String>),
    /// The service provider of this name.
    Provider(Option<String>),
    /// Components and manifests whose ids begin with this, in whole segments.
    Component(Option<ComponentId>),
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tam(Some(name)) => write!(f, "TAM {name}"),
            Self::Tam(None) => f.write_str("every other TAM"),
            Self::Provider(Some(name)) => write!(f, "provider {name}"),
            Self::Provider(None) => f.write_str("every other provider"),
            Self::Component(Some(prefix)) => write!(f, "components under {prefix}"),
            Self::Component(None) => f.write_str("every other component"),
        }
    }
}

/// One rule. Written as `[kind, name / null, effect]`: kind 0 for a TAM, 1 for a provider (names are texts), 2 for a
/// component (an array of byte strings); effect 0 to allow, 1 for consent, 2 to deny.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// What it is about.
    pub selector: Selector,
    /// What it says.
    pub effect: Effect,
}

/// The rules of a device, at most one for each selector. Without any, everything is allowed.
///
/// TAM, provider and component are judged each by the rules of its kind, of which the most specific one counts, and the
/// strictest of the three verdicts holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules(Vec<Rule>);

impl Rules {
    /// In the order of their selectors.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.0.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sets the rule for `selector`, or takes it away.
    pub fn set(&mut self, selector: &Selector, effect: Option<Effect>) -> Result<(), Error> {
        self.0.retain(|rule| rule.selector != *selector);
        if let Some(effect) = effect {
            if self.0.len() >= MAX_RULES {
                return Err(Error::TooManyRules);
            }
            self.0.push(Rule { selector: selector.clone(), effect });
            self.0.sort();
        }
        Ok(())
    }

    fn find(&self, selector: &Selector) -> Option<Effect> {
        self.0.iter().find(|rule| rule.selector == *selector).map(|rule| rule.effect)
    }

    /// The verdict on a TAM with these names; rules for two of its names hold both.
    pub fn of_tam<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Effect {
        let own = names.into_iter().filter_map(|name| self.find(&Selector::Tam(Some(name.into()))));
        own.max().or_else(|| self.find(&Selector::Tam(None))).unwrap_or_default()
    }

    /// The verdict on a service provider.
    pub fn of_provider(&self, name: &str) -> Effect {
        let own = self.find(&Selector::Provider(Some(name.into())));
        own.or_else(|| self.find(&Selector::Provider(None))).unwrap_or_default()
    }

    /// The verdict on a component or manifest: that of the longest prefix that has one.
    pub fn of_component(&self, id: &ComponentId) -> Effect {
        let fitting = self.0.iter().filter_map(|rule| match &rule.selector {
            Selector::Component(None) => Some((0, rule.effect)),
            Selector::Component(Some(prefix)) if id.starts_with(prefix.segments()) => {
                Some((prefix.segments().len(), rule.effect))
            }
            Selector::Component(Some(_)) | Selector::Tam(_) | Selector::Provider(_) => None,
        });
        fitting.max().map(|(_, effect)| effect).unwrap_or_default()
    }
}

pub(crate) fn encode_selector<'e>(e: &'e mut Encoder, selector: &Selector) -> &'e mut Encoder {
    match selector {
        Selector::Tam(name) => optional_text(e.uint(0), name.as_deref()),
        Selector::Provider(name) => optional_text(e.uint(1), name.as_deref()),
        Selector::Component(None) => e.uint(2).null(),
        Selector::Component(Some(prefix)) => encode_id(e.uint(2), prefix),
    }
}

pub(crate) fn decode_selector(d: &mut Decoder<'_>) -> Result<Selector, tamarack_cbor::Error> {
    let kind = d.uint()?;
    let at = d.position();
    let null = d.peek() == Kind::Null;
    if null {
        d.null()?;
    }
    let wrong = |expected| Err(tamarack_cbor::Error::new(at, ErrorKind::Value(expected)));
    Ok(match (kind, null) {
        (0, true) => Selector::Tam(None),
        (0, false) => Selector::Tam(Some(name(d)?)),
        (1, true) => Selector::Provider(None),
        (1, false) => Selector::Provider(Some(name(d)?)),
        (2, true) => Selector::Component(None),
        (2, false) => Selector::Component(Some(decode_id(d)?)),
        _ => return wrong("a selector of kind 0 to 2"),
    })
}

/// A name of 1 to 512 bytes.
pub(crate) fn name(d: &mut Decoder<'_>) -> Result<String, tamarack_cbor::Error> {
    let at = d.position();
    match d.text()? {
        name if (1..=MAX_NAME).contains(&name.len()) => Ok(name.into()),
        _ => Err(tamarack_cbor::Error::new(at, ErrorKind::Value("a name of 1 to 512 bytes"))),
    }
}

fn optional_text<'e>(e: &'e mut Encoder, text: Option<&str>) -> &'e mut Encoder {
    match text {
        Some(text) => e.text(text),
        None => e.null(),
    }
}

pub(crate) fn encode_id<'e>(e: &'e mut Encoder, id: &ComponentId) -> &'e mut Encoder {
    id.segments().iter().fold(e.array(id.segments().len()), |e, segment| e.bytes(segment))
}

pub(crate) fn decode_id(d: &mut Decoder<'_>) -> Result<ComponentId, tamarack_cbor::Error> {
    let at = d.position();
    let segments: Vec<&[u8]> = (0..d.array()?).map(|_| d.bytes()).collect::<Result<_, _>>()?;
    ComponentId::new(segments).map_err(|_| tamarack_cbor::Error::new(at, ErrorKind::Value("a component id")))
}

impl Encode for Effect {
    fn encode(&self, e: &mut Encoder) {
        e.uint(match self {
            Self::Allow => 0,
            Self::Consent => 1,
            Self::Deny => 2,
        });
    }
}

impl<'b> Decode<'b> for Effect {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, tamarack_cbor::Error> {
        let at = d.position();
        match d.uint()? {
            0 => Ok(Self::Allow),
            1 => Ok(Self::Consent),
            2 => Ok(Self::Deny),
            _ => Err(tamarack_cbor::Error::new(at, ErrorKind::Value("an effect from 0 to 2"))),
        }
    }
}

impl Encode for Rules {
    fn encode(&self, e: &mut Encoder) {
        e.array(self.0.len());
        for rule in &self.0 {
            encode_selector(e.array(3), &rule.selector).item(&rule.effect);
        }
    }
}

impl<'b> Decode<'b> for Rules {
    /// Refuses what [`Rules`] would not have written: two rules for one selector, another order, too many.
    fn decode(d: &mut Decoder<'b>) -> Result<Self, tamarack_cbor::Error> {
        let at = d.position();
        let wrong = |expected| tamarack_cbor::Error::new(at, ErrorKind::Value(expected));
        let count = d.array()?;
        if count > MAX_RULES {
            return Err(wrong("at most 64 rules"));
        }
        let mut rules: Vec<Rule> = Vec::new();
        for _ in 0..count {
            d.array_of(3, "kind, name and effect")?;
            let rule = Rule { selector: decode_selector(d)?, effect: Effect::decode(d)? };
            if rules.last().is_some_and(|last| last.selector >= rule.selector) {
                return Err(wrong("rules in ascending order"));
            }
            rules.push(rule);
        }
        Ok(Self(rules))
    }
}
