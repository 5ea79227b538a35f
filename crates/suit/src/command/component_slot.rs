//! Condition component-slot (5).

use super::{Argument, ArgumentKind, Class, Command};
use crate::machine::{Context, Fault, Flow};
use crate::parameter::{COMPONENT_SLOT, Value};

pub(super) const ROW: Command = Command {
    code: 5,
    name: "component-slot",
    class: Class::Condition,
    argument: ArgumentKind::Policy,
    in_shared: true,
    run: Some(run),
};

fn run(cx: &mut Context<'_>, _: &Argument) -> Result<Flow, Fault> {
    let Value::Uint(expected) = *cx.required(COMPONENT_SLOT)? else { return Err(cx.mistyped()) };
    let slot = cx.effects.slot(cx.component()?);
    cx.condition(slot == Some(expected), "the component stands in another slot")
}
