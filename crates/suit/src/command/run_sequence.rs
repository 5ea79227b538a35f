//! Directive run-sequence (32).

use super::{Argument, ArgumentKind, Class, Command};
use crate::machine::{Context, Fault, Flow};

pub(super) const ROW: Command = Command {
    code: 32,
    name: "run-sequence",
    class: Class::Directive,
    argument: ArgumentKind::Sequence,
    in_shared: true,
    run: Some(run),
};

fn run(cx: &mut Context<'_>, argument: &Argument) -> Result<Flow, Fault> {
    match argument {
        Argument::Sequence(sequence) => Ok(Flow::Enter(sequence.clone())),
        _ => Err(cx.mistyped()),
    }
}
