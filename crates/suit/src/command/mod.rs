//! The commands of manifests: one file each, one row each in [`COMMANDS`].
//!
//! A row says how the argument is read and, if the command is carried out, by which function. A command without a
//! function is known by name only; a manifest that has one is refused before anything is done.

use alloc::sync::Arc;
use alloc::vec::Vec;

use tamarack_cbor::{Decoder, Error as CborError, ErrorKind, Kind as CborKind};
use tamarack_cose::EncryptionInfo;

use crate::machine::{Context, Fault, Flow};
use crate::parameter::{self, Setting, Value};
use crate::{Error, Limits, Unsupported};

mod abort;
mod check_content;
mod component_slot;
mod copy;
mod fetch;
mod identifier;
mod image_match;
mod invoke;
mod run_sequence;
mod set_component_index;
mod set_parameters;
mod try_each;
mod unlink;
mod unsupported;
mod write;

/// Every command that the drafts name.
pub const COMMANDS: &[Command] = &[
    identifier::VENDOR,
    identifier::CLASS,
    identifier::DEVICE,
    image_match::ROW,
    component_slot::ROW,
    check_content::ROW,
    abort::ROW,
    set_component_index::ROW,
    set_parameters::SET,
    set_parameters::OVERRIDE,
    try_each::ROW,
    run_sequence::ROW,
    write::ROW,
    fetch::ROW,
    copy::ROW,
    invoke::ROW,
    unlink::ROW,
    unsupported::DEPENDENCY_INTEGRITY,
    unsupported::IS_DEPENDENCY,
    unsupported::PROCESS_DEPENDENCY,
    unsupported::SWAP,
    unsupported::USE_BEFORE,
    unsupported::IMAGE_NOT_MATCH,
    unsupported::MINIMUM_BATTERY,
    unsupported::UPDATE_AUTHORIZED,
    unsupported::VERSION,
    unsupported::WAIT,
    unsupported::OVERRIDE_MULTIPLE,
    unsupported::COPY_PARAMS,
];

/// One command.
#[derive(Debug)]
pub struct Command {
    /// Its code; codes of conditions and directives share one space.
    pub code: i64,
    /// Its name in the registry, without prefix.
    pub name: &'static str,
    /// Condition or directive.
    pub class: Class,
    /// How its argument is read.
    pub argument: ArgumentKind,
    /// Whether it may stand in the shared sequence.
    pub in_shared: bool,
    pub(crate) run: Option<Run>,
}

pub(crate) type Run = fn(&mut Context<'_>, &Argument) -> Result<Flow, Fault>;

impl Command {
    /// Whether the machine carries it out.
    pub fn is_supported(&self) -> bool {
        self.run.is_some()
    }
}

/// The two classes of commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Asks; its failure ends a sequence and may be soft.
    Condition,
    /// Does; its failure ends the procedure.
    Directive,
}

/// What the argument of a command looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgumentKind {
    /// Reporting policy, four bits.
    Policy,
    /// A component index, several, or `true` for all.
    Index,
    /// A map of parameters.
    Parameters,
    /// Alternatives.
    Alternatives,
    /// One sequence.
    Sequence,
    /// A map from component index to parameters (update management).
    ParametersByIndex,
    /// A map from component index to parameter labels (update management).
    LabelsByIndex,
}

/// The argument of a command.
#[derive(Clone, Debug)]
pub enum Argument {
    /// Reporting policy: bit 0 record on success, 1 record on failure, 2 claims on success, 3 claims on failure.
    Policy(u8),
    /// What the commands that follow apply to.
    Index(Selection),
    /// Settings, at least one.
    Parameters(Arc<[Setting]>),
    /// Alternatives, in order.
    Alternatives(Arc<Alternatives>),
    /// A sequence.
    Sequence(Sequence),
    /// The argument of a command that is not carried out.
    NotCarriedOut,
}

/// Components that commands apply to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// One, by index.
    One(usize),
    /// Several, in order, at least one.
    Several(Arc<[usize]>),
    /// Every one of the manifest.
    All,
}

impl Selection {
    /// The index at position `at`; none past the end. All components are written out as several before they are used.
    pub(crate) fn get(&self, at: usize) -> Option<usize> {
        match self {
            Self::One(index) => (at == 0).then_some(*index),
            Self::Several(indices) => indices.get(at).copied(),
            Self::All => None,
        }
    }
}

/// The argument of try-each.
#[derive(Debug)]
pub struct Alternatives {
    /// Tried in order until one succeeds.
    pub sequences: Vec<Sequence>,
    /// Whether it is also a success if none does.
    pub or_nothing: bool,
}

/// A command in its place.
#[derive(Clone, Debug)]
pub struct Instruction {
    /// Which one.
    pub command: &'static Command,
    /// Its offset in bytes from the start of the section's content.
    pub offset: usize,
    /// Its argument.
    pub argument: Argument,
}

/// A sequence of commands, at least one. Cloning it copies a reference.
pub type Sequence = Arc<[Instruction]>;

/// The command of this code.
pub fn find(code: i64) -> Option<&'static Command> {
    COMMANDS.iter().find(|row| row.code == code)
}

/// Reads sequences of one manifest, counting commands and gathering what is not carried out.
pub(crate) struct Reader<'a> {
    pub limits: &'a Limits,
    pub components: usize,
    /// Indices beyond the components that only dependencies have.
    pub dependencies: Vec<usize>,
    pub commands: usize,
    pub unsupported: Vec<Unsupported>,
}

/// Where a sequence stands.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    /// Offset of its content from the start of the section's content.
    pub offset: usize,
    /// Level of nesting, a section being 1.
    pub depth: usize,
    /// Whether it belongs to the shared sequence.
    pub shared: bool,
}

impl Reader<'_> {
    /// Reads the content of a section or of a nested sequence. Errors count from the start of that content.
    pub fn sequence(&mut self, content: &[u8], place: Place) -> Result<Sequence, Error> {
        if place.depth > self.limits.depth {
            return Err(Error::Limit { what: "levels of sequences", limit: self.limits.depth });
        }
        let mut d = Decoder::new(content, &self.limits.cbor)?;
        let count = d.array()?;
        if count == 0 || count % 2 != 0 {
            return Err(CborError::new(0, ErrorKind::Value("pairs of command and argument")).into());
        }
        self.commands += count / 2;
        if self.commands > self.limits.commands {
            return Err(Error::Limit { what: "commands", limit: self.limits.commands });
        }
        let mut instructions = Vec::with_capacity(count / 2);
        for _ in 0..count / 2 {
            let at = d.position();
            let code = d.int()?;
            let Some(command) = find(code) else {
                self.unsupported.push(Unsupported::Command { code, name: "unknown" });
                return Err(Error::Unsupported(Unsupported::Command { code, name: "unknown" }));
            };
            if !command.is_supported() {
                self.unsupported.push(Unsupported::Command { code, name: command.name });
            }
            if place.shared && !command.in_shared {
                return Err(CborError::new(at, ErrorKind::Value("a command of the shared sequence")).into());
            }
            let argument = self.argument(&mut d, command, place)?;
            instructions.push(Instruction { command, offset: place.offset + at, argument });
        }
        Ok(instructions.into())
    }

    fn argument(&mut self, d: &mut Decoder<'_>, command: &Command, place: Place) -> Result<Argument, Error> {
        let at = d.position();
        Ok(match command.argument {
            ArgumentKind::Policy => match u8::try_from(d.uint()?) {
                Ok(policy @ 0..16) => Argument::Policy(policy),
                _ => return Err(CborError::new(at, ErrorKind::Value("the four bits of a policy")).into()),
            },
            ArgumentKind::Index => Argument::Index(self.selection(d)?),
            ArgumentKind::Parameters => Argument::Parameters(self.settings(d)?),
            ArgumentKind::Sequence => Argument::Sequence(self.nested(d, place)?),
            ArgumentKind::Alternatives => {
                let count = d.array()?;
                if count > self.limits.alternatives {
                    return Err(Error::Limit { what: "alternatives", limit: self.limits.alternatives });
                }
                let mut alternatives = Alternatives { sequences: Vec::new(), or_nothing: false };
                for position in 1..=count {
                    if position == count && d.peek() == CborKind::Null {
                        d.null()?;
                        alternatives.or_nothing = true;
                    } else {
                        alternatives.sequences.push(self.nested(d, place)?);
                    }
                }
                // The published CDDL wants two sequences even before the final null; the text has an example with one.
                if alternatives.sequences.is_empty() || count < 2 {
                    return Err(CborError::new(at, ErrorKind::Value("at least two alternatives")).into());
                }
                Argument::Alternatives(Arc::new(alternatives))
            }
            ArgumentKind::ParametersByIndex => {
                for _ in 0..d.map()? {
                    d.uint()?;
                    self.settings(d)?;
                }
                Argument::NotCarriedOut
            }
            ArgumentKind::LabelsByIndex => {
                for _ in 0..d.map()? {
                    d.uint()?;
                    for _ in 0..d.array()? {
                        d.int()?;
                    }
                }
                Argument::NotCarriedOut
            }
        })
    }

    fn nested(&mut self, d: &mut Decoder<'_>, place: Place) -> Result<Sequence, Error> {
        let (content, offset) = d.wrapped()?;
        let inner = Place { offset: place.offset + offset, depth: place.depth + 1, ..place };
        self.sequence(content, inner).map_err(|e| match e {
            Error::Cbor(e) => Error::Cbor(e.within(offset)),
            e => e,
        })
    }

    fn settings(&mut self, d: &mut Decoder<'_>) -> Result<Arc<[Setting]>, Error> {
        let settings = match parameter::decode_settings(d, self.limits)? {
            Ok(settings) => settings,
            Err(label) => {
                return Err(Error::Unsupported(Unsupported::Parameter { label, name: "unknown" }));
            }
        };
        for (parameter, value) in settings.iter() {
            match value {
                Value::Bytes(info) if parameter.label == parameter::ENCRYPTION_INFO => {
                    match EncryptionInfo::parse(info, &self.limits.cbor) {
                        Ok(_) => {}
                        Err(tamarack_cose::Error::Algorithm(label)) => {
                            self.unsupported.push(Unsupported::Encryption(label));
                        }
                        Err(e) => return Err(Error::Encryption(e)),
                    }
                }
                _ if !parameter.supported => self
                    .unsupported
                    .push(Unsupported::Parameter { label: parameter.label, name: parameter.name }),
                Value::Digest(digest) if digest.algorithm().hash().is_none() => {
                    self.unsupported.push(Unsupported::Digest(digest.algorithm().label()));
                }
                _ => {}
            }
        }
        Ok(settings)
    }

    fn selection(&mut self, d: &mut Decoder<'_>) -> Result<Selection, Error> {
        match d.peek() {
            CborKind::Bool => {
                let at = d.position();
                if d.bool()? && self.components > 0 {
                    Ok(Selection::All)
                } else {
                    Err(CborError::new(at, ErrorKind::Value("true, of at least one component")).into())
                }
            }
            CborKind::Array => {
                let at = d.position();
                let count = d.array()?;
                if count == 0 || count > self.limits.components {
                    return Err(CborError::new(at, ErrorKind::Value("at least one index")).into());
                }
                let indices: Vec<usize> = (0..count).map(|_| self.index(d)).collect::<Result<_, _>>()?;
                Ok(Selection::Several(indices.into()))
            }
            _ => Ok(Selection::One(self.index(d)?)),
        }
    }

    fn index(&mut self, d: &mut Decoder<'_>) -> Result<usize, Error> {
        let at = d.position();
        match usize::try_from(d.uint()?) {
            Ok(index) if index < self.components || self.dependencies.contains(&index) => Ok(index),
            _ => Err(CborError::new(at, ErrorKind::Value("the index of a component")).into()),
        }
    }
}
