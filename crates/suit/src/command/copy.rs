//! Directive copy (22).

use super::{Argument, ArgumentKind, Class, Command};
use crate::Operation;
use crate::machine::{Context, Fault, Flow};
use crate::parameter::{SOURCE_COMPONENT, Value};

pub(super) const ROW: Command = Command {
    code: 22,
    name: "copy",
    class: Class::Directive,
    argument: ArgumentKind::Policy,
    in_shared: false,
    run: Some(run),
};

fn run(cx: &mut Context<'_>, _: &Argument) -> Result<Flow, Fault> {
    let Value::Uint(source) = *cx.required(SOURCE_COMPONENT)? else { return Err(cx.mistyped()) };
    let (from, to) = (cx.component_at(source)?, cx.component()?);
    if from == to {
        return Err(Fault::malformed("a component cannot be copied to itself"));
    }
    cx.authorise(Operation::CopyFrom, from)?;
    cx.authorise(Operation::CopyTo, to)?;
    cx.mark_unverified();
    cx.effects.copy(from, to)?;
    Ok(Flow::Next)
}
