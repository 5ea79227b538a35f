//! Directive invoke (23).

use super::{Argument, ArgumentKind, Class, Command};
use crate::Operation;
use crate::machine::{Context, Fault, Flow};
use crate::parameter::{INVOKE_ARGS, Value};

pub(super) const ROW: Command = Command {
    code: 23,
    name: "invoke",
    class: Class::Directive,
    argument: ArgumentKind::Policy,
    in_shared: false,
    run: Some(run),
};

/// Does not run what this procedure has brought and not verified since.
fn run(cx: &mut Context<'_>, _: &Argument) -> Result<Flow, Fault> {
    cx.refuse_unverified()?;
    let arguments = match cx.parameter(INVOKE_ARGS) {
        Some(Value::Bytes(arguments)) => Some(arguments.clone()),
        _ => None,
    };
    let component = cx.component()?;
    cx.authorise(Operation::Invoke, component)?;
    cx.effects.invoke(component, arguments.as_deref())?;
    Ok(Flow::Next)
}
