//! Directive unlink (33, trust domains).

use super::{Argument, ArgumentKind, Class, Command};
use crate::Operation;
use crate::machine::{Context, Fault, Flow};

pub(super) const ROW: Command = Command {
    code: 33,
    name: "unlink",
    class: Class::Directive,
    argument: ArgumentKind::Policy,
    in_shared: false,
    run: Some(run),
};

fn run(cx: &mut Context<'_>, _: &Argument) -> Result<Flow, Fault> {
    let component = cx.component()?;
    cx.authorise(Operation::Unlink, component)?;
    cx.effects.unlink(component)?;
    Ok(Flow::Next)
}
