//! Directive set-component-index (12).

use super::{Argument, ArgumentKind, Class, Command};
use crate::machine::{Context, Fault, Flow};

pub(super) const ROW: Command = Command {
    code: 12,
    name: "set-component-index",
    class: Class::Directive,
    argument: ArgumentKind::Index,
    in_shared: true,
    run: Some(run),
};

fn run(cx: &mut Context<'_>, argument: &Argument) -> Result<Flow, Fault> {
    match argument {
        Argument::Index(selection) => Ok(Flow::Select(selection.clone())),
        _ => Err(cx.mistyped()),
    }
}
