//! The manifest processor (section 6 of the manifest draft): an interpreter whose state is an explicit stack of frames,
//! so that it can stop at a fetch, wait as long as that takes, and go on.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cose::{KeyId, Verified};
use tamarack_crypto::Provider;
use tamarack_model::{Code, ComponentId, codes};

use crate::command::{Argument, Class, Command, Selection};
use crate::manifest::{Member, Section};
use crate::{
    AuthenticEnvelope, Ciphertext, EffectError, Effects, Envelope, Error, Limits, Manifest, Reason,
    SuitDigest,
};

mod context;
mod frame;

pub(crate) use context::{Context, Fault, Flow, Sealed};
use context::{FaultKind, Store};
use frame::{Frame, Kind};

/// What to do with a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Procedure {
    /// Install or update: sections 15, 16, 18, 20, 7.
    Update,
    /// Check, load and run: sections 7, 8, 9.
    Invocation,
    /// Take away: section 24.
    Uninstall,
}

impl Procedure {
    /// Its sections in order.
    pub fn sections(self) -> &'static [Section] {
        match self {
            Self::Update => &[
                Section::DependencyResolution,
                Section::PayloadFetch,
                Section::CandidateVerification,
                Section::Install,
                Section::Validate,
            ],
            Self::Invocation => &[Section::Validate, Section::Load, Section::Invoke],
            Self::Uninstall => &[Section::Uninstall],
        }
    }
}

/// Where [`Machine::run`] stopped.
#[derive(Clone, Debug)]
pub enum Step {
    /// Somebody must bring this, tell the outcome by [`Machine::fetched`], and run again.
    Fetch(FetchRequest),
    /// The procedure has ended; running again gives the same.
    Done(Result<(), Failure>),
}

/// A payload that the manifest asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchRequest {
    /// Where it goes.
    pub component: ComponentId,
    /// Where it comes from.
    pub uri: String,
    /// Most bytes that may be taken, if the manifest says.
    pub max_size: Option<u64>,
    /// Arguments for the transfer, as the manifest gives them.
    pub fetch_arguments: Option<Vec<u8>>,
}

/// Why a procedure failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The stable code.
    pub code: Code,
    /// What a SUIT report says.
    pub reason: Reason,
    /// The section, if it failed in one.
    pub section: Option<Section>,
    /// Offset of the command in the section's content.
    pub offset: usize,
    /// The component that was chosen.
    pub component_index: usize,
    /// The command.
    pub command: Option<&'static Command>,
    /// What happened.
    pub message: Cow<'static, str>,
    /// What the component held, where the command measured it.
    pub measured: Option<Box<(SuitDigest, u64)>>,
}

/// A command that was carried out, or tried.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// The section.
    pub section: Section,
    /// Offset of the command in the section's content.
    pub offset: usize,
    /// The component that was chosen.
    pub component_index: usize,
    /// The command.
    pub command: &'static Command,
    /// Its reporting policy, if it has one.
    pub policy: u8,
    /// What came of it.
    pub outcome: Outcome,
    /// What the component held, where the command measured it.
    pub measured: Option<(SuitDigest, u64)>,
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done; for try-each and run-sequence: entered.
    Ok,
    /// A condition does not hold: why.
    Condition(Cow<'static, str>),
    /// The procedure had to end: why.
    Abort(Cow<'static, str>),
}

/// An interpreter in the middle of one procedure.
#[derive(Debug)]
pub struct Machine {
    envelope: Verified<AuthenticEnvelope>,
    limits: Limits,
    procedure: Procedure,
    /// Sections still to come, last first.
    sections: Vec<(Section, bool)>,
    section: Section,
    stack: Vec<Frame>,
    store: Store,
    steps: usize,
    log: Vec<LogEntry>,
    fetch: Option<Fetch>,
    done: Option<Result<(), Failure>>,
}

#[derive(Debug)]
struct Fetch {
    request: FetchRequest,
    sealed: Option<Box<Sealed>>,
    answer: Option<Result<(), EffectError>>,
}

impl Machine {
    /// Makes ready for a procedure. Fails if a section that it needs was severed and is not in the envelope.
    pub fn new(
        envelope: Verified<AuthenticEnvelope>,
        procedure: Procedure,
        limits: Limits,
    ) -> Result<Self, Error> {
        let manifest = &envelope.value().manifest;
        let mut sections = Vec::new();
        for section in procedure.sections().iter().rev() {
            match manifest.section(*section) {
                None => {}
                Some(Member::Severed(_)) => return Err(Error::Severed(*section)),
                Some(Member::Present(_)) => {
                    sections.push((*section, false));
                    if manifest.shared.is_some() {
                        sections.push((*section, true));
                    }
                }
            }
        }
        let store = Store::new(manifest.components.len());
        Ok(Self {
            envelope,
            limits,
            procedure,
            sections,
            section: Section::Shared,
            stack: Vec::new(),
            store,
            steps: 0,
            log: Vec::new(),
            fetch: None,
            done: None,
        })
    }

    /// The manifest that is carried out.
    pub fn manifest(&self) -> &Manifest {
        &self.envelope.value().manifest
    }

    /// The envelope that it came in.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope.value().envelope
    }

    /// Thumbprint of the key that signed it.
    pub fn key(&self) -> &KeyId {
        self.envelope.key()
    }

    /// What is being done with it.
    pub fn procedure(&self) -> Procedure {
        self.procedure
    }

    /// How the procedure ended, if it has.
    pub fn result(&self) -> Option<&Result<(), Failure>> {
        self.done.as_ref()
    }

    /// Each command carried out so far, in order.
    pub fn log(&self) -> &[LogEntry] {
        &self.log
    }

    /// Components that this procedure has brought or copied and not matched against a digest since.
    pub fn unverified_components(&self) -> impl Iterator<Item = &ComponentId> {
        let components = &self.envelope.value().manifest.components;
        components.iter().enumerate().filter(|(i, _)| self.store.is_unverified(*i)).map(|(_, id)| id)
    }

    /// Tells what came of the fetch that [`Machine::run`] stopped at; without one it says nothing to anybody.
    pub fn fetched(&mut self, result: Result<(), EffectError>) {
        if let Some(fetch) = &mut self.fetch {
            fetch.answer.get_or_insert(result);
        }
    }

    /// Goes on until a payload must be brought or the procedure has ended. A procedure ends well only if every component
    /// that it brought or copied was afterwards matched (image-match or check-content). Digests and
    /// decryption are the device's business.
    pub fn run(&mut self, effects: &mut dyn Effects, _provider: &Provider) -> Step {
        loop {
            if let Some(result) = &self.done {
                return Step::Done(result.clone());
            }
            if let Some(fetch) = &mut self.fetch {
                match fetch.answer.take() {
                    None => return Step::Fetch(fetch.request.clone()),
                    Some(result) => {
                        let component = &fetch.request.component;
                        let result = result.and_then(|()| match &fetch.sealed {
                            Some(sealed) => effects.decrypt(
                                &sealed.info,
                                Ciphertext::Component(component),
                                component,
                                sealed.max_size,
                            ),
                            None => Ok(()),
                        });
                        self.fetch = None;
                        self.conclude(result.map(|()| Flow::Next).map_err(Fault::from), None);
                    }
                }
            } else if self.stack.is_empty() {
                self.next_section();
            } else {
                self.step(effects);
            }
        }
    }

    /// Enters the next section, or ends.
    fn next_section(&mut self) {
        let Some((section, shared)) = self.sections.pop() else {
            let unverified =
                (0..self.manifest().components.len()).find(|index| self.store.is_unverified(*index));
            self.done = Some(match unverified {
                None => Ok(()),
                Some(index) => Err(Failure {
                    code: codes::SUIT_CONDITION,
                    reason: Reason::ConditionFailed,
                    section: None,
                    offset: 0,
                    component_index: index,
                    command: None,
                    message: "the manifest brought content that it never matched against a digest".into(),
                    measured: None,
                }),
            });
            return;
        };
        let manifest = &self.envelope.value().manifest;
        let body = match manifest.section(section) {
            _ if shared => manifest.shared.clone(),
            Some(Member::Present(sequence)) => Some(sequence.clone()),
            Some(Member::Severed(_)) | None => None,
        };
        self.section = if shared { Section::Shared } else { section };
        self.stack.extend(body.map(|body| Frame::new(body, Selection::One(0), Kind::Section)));
    }

    /// Carries out one command for one component, or leaves a sequence that is at its end.
    fn step(&mut self, effects: &mut dyn Effects) {
        let Some(frame) = self.stack.last_mut() else { return };
        let Some((instruction, index)) = frame.current() else {
            self.stack.pop();
            // The command that entered the sequence has succeeded.
            if let Some(frame) = self.stack.last_mut() {
                frame.advance();
            }
            return;
        };
        if self.steps == self.limits.steps {
            let fault = Fault::limit("the manifest takes more steps than this device allows");
            return self.conclude(Err(fault), None);
        }
        self.steps += 1;
        let mut context = Context {
            effects,
            index,
            envelope: self.envelope.value(),
            key: self.envelope.key(),
            store: &mut self.store,
            frame,
            measured: None,
        };
        let result = match instruction.command.run {
            Some(run) => run(&mut context, &instruction.argument),
            // The static scan lets no such manifest through.
            None => Err(Fault::malformed("a command that is not carried out")),
        };
        let measured = context.measured;
        self.conclude(result, measured);
    }

    /// Notes the outcome of the current command and moves on.
    fn conclude(&mut self, result: Result<Flow, Fault>, measured: Option<(SuitDigest, u64)>) {
        let components = self.manifest().components.len();
        let Some(frame) = self.stack.last_mut() else { return };
        let Some((instruction, component_index)) = frame.current() else { return };
        let policy = match instruction.argument {
            Argument::Policy(policy) => policy,
            _ => 0,
        };
        let (command, offset) = (instruction.command, instruction.offset);
        let section = self.section;
        let mut note = |outcome| {
            self.log.push(LogEntry { section, offset, component_index, command, policy, outcome, measured });
        };
        let fault = match result {
            Ok(Flow::Fetch(request, sealed)) => {
                self.fetch = Some(Fetch { request, sealed, answer: None });
                return;
            }
            Ok(flow) => {
                note(Outcome::Ok);
                match flow {
                    Flow::Next | Flow::Fetch(..) => frame.advance(),
                    Flow::Select(Selection::All) => {
                        frame.select(Selection::Several((0..components).collect()));
                    }
                    Flow::Select(selection) => frame.select(selection),
                    Flow::Enter(sequence) => {
                        self.stack.push(Frame::new(sequence, Selection::One(component_index), Kind::Run));
                    }
                    Flow::Try(alternatives) => {
                        let selection = Selection::One(component_index);
                        self.stack.extend(Frame::alternative(alternatives, 0, selection));
                    }
                }
                return;
            }
            Err(fault) => fault,
        };
        let soft = fault.kind == FaultKind::Condition && command.class == Class::Condition;
        note(if soft {
            Outcome::Condition(fault.message.clone())
        } else {
            Outcome::Abort(fault.message.clone())
        });
        let failure = Failure {
            code: fault.kind.code(),
            reason: fault.kind.reason(),
            section: Some(section),
            offset,
            component_index,
            command: Some(command),
            message: fault.message,
            measured: measured.map(Box::new),
        };
        if soft { self.unwind(failure) } else { self.fail(failure) }
    }

    /// A condition failed: leaves sequences until one takes the failure softly. The failure of try-each and run-sequence
    /// counts as that of a condition in the sequence around them.
    fn unwind(&mut self, failure: Failure) {
        while let Some(frame) = self.stack.pop() {
            let (soft, selection) = (frame.soft_failure, frame.entered_with);
            match frame.kind {
                Kind::Section => {}
                Kind::Run if soft => return self.advance(),
                Kind::Try(alternatives, next) if soft => {
                    let or_nothing = alternatives.or_nothing;
                    if let Some(frame) = Frame::alternative(alternatives, next, selection) {
                        return self.stack.push(frame);
                    }
                    if or_nothing {
                        return self.advance();
                    }
                }
                Kind::Run | Kind::Try(..) => {}
            }
        }
        self.fail(failure);
    }

    fn advance(&mut self) {
        if let Some(frame) = self.stack.last_mut() {
            frame.advance();
        }
    }

    fn fail(&mut self, failure: Failure) {
        self.stack.clear();
        self.sections.clear();
        self.done = Some(Err(failure));
    }
}

impl core::fmt::Display for Failure {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if let (Some(command), Some(section)) = (self.command, self.section) {
            write!(f, "{} in {} at byte {}: ", command.name, section.name(), self.offset)?;
        }
        f.write_str(&self.message)
    }
}

impl core::error::Error for Failure {}
