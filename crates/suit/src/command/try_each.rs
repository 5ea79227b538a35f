//! Directive try-each (15).

use super::{Argument, ArgumentKind, Class, Command};
use crate::machine::{Context, Fault, Flow};

pub(super) const ROW: Command = Command {
    code: 15,
    name: "try-each",
    class: Class::Directive,
    argument: ArgumentKind::Alternatives,
    in_shared: true,
    run: Some(run),
};

fn run(cx: &mut Context<'_>, argument: &Argument) -> Result<Flow, Fault> {
    match argument {
        Argument::Alternatives(alternatives) => Ok(Flow::Try(alternatives.clone())),
        _ => Err(cx.mistyped()),
    }
}
