//! Condition abort (14).

use super::{Argument, ArgumentKind, Class, Command};
use crate::machine::{Context, Fault, Flow};

pub(super) const ROW: Command = Command {
    code: 14,
    name: "abort",
    class: Class::Condition,
    argument: ArgumentKind::Policy,
    in_shared: true,
    run: Some(run),
};

fn run(cx: &mut Context<'_>, _: &Argument) -> Result<Flow, Fault> {
    cx.condition(false, "the manifest says abort")
}
