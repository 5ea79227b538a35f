use alloc::sync::Arc;

use crate::command::{Alternatives, Instruction, Selection, Sequence};

/// A sequence being carried out.
#[derive(Debug)]
pub(crate) struct Frame {
    body: Sequence,
    /// Which command is next.
    position: usize,
    /// Which component of the selection it is next for.
    cursor: usize,
    selection: Selection,
    /// The selection that the sequence began with, for the next alternative.
    pub entered_with: Selection,
    pub soft_failure: bool,
    pub kind: Kind,
}

/// How a sequence was entered.
#[derive(Debug)]
pub(crate) enum Kind {
    /// From the manifest itself.
    Section,
    /// By run-sequence.
    Run,
    /// By try-each; the alternative that comes next.
    Try(Arc<Alternatives>, usize),
}

impl Frame {
    pub fn new(body: Sequence, selection: Selection, kind: Kind) -> Self {
        let soft_failure = matches!(kind, Kind::Try(..));
        let entered_with = selection.clone();
        Self { body, position: 0, cursor: 0, selection, entered_with, soft_failure, kind }
    }

    /// The frame of alternative number `at`, if there is one.
    pub fn alternative(alternatives: Arc<Alternatives>, at: usize, selection: Selection) -> Option<Self> {
        let body = alternatives.sequences.get(at)?.clone();
        Some(Self::new(body, selection, Kind::Try(alternatives, at + 1)))
    }

    /// The command to carry out and the component it applies to; none at the end.
    pub fn current(&self) -> Option<(Instruction, usize)> {
        let instruction = self.body.get(self.position)?;
        let index = self.selection.get(self.cursor)?;
        Some((instruction.clone(), index))
    }

    /// Steps to the next component, or after the last one to the next command.
    pub fn advance(&mut self) {
        self.cursor += 1;
        if self.selection.get(self.cursor).is_none() {
            self.cursor = 0;
            self.position += 1;
        }
    }

    /// Chooses other components for the commands that follow. The choice itself happens once, whatever was chosen before.
    pub fn select(&mut self, selection: Selection) {
        self.selection = selection;
        self.cursor = 0;
        self.position += 1;
    }

    /// Whether soft-failure may be set here.
    pub fn is_nested(&self) -> bool {
        !matches!(self.kind, Kind::Section)
    }
}
