//! Condition check-content (6).

use super::{Argument, ArgumentKind, Class, Command};
use crate::EffectErrorKind;
use crate::machine::{Context, Fault, Flow};
use crate::parameter::{CONTENT, Value};

pub(super) const ROW: Command = Command {
    code: 6,
    name: "check-content",
    class: Class::Condition,
    argument: ArgumentKind::Policy,
    in_shared: true,
    run: Some(run),
};

fn run(cx: &mut Context<'_>, _: &Argument) -> Result<Flow, Fault> {
    let Value::Bytes(content) = cx.required(CONTENT)?.clone() else { return Err(cx.mistyped()) };
    let component = cx.component()?;
    let same = match cx.effects.content_is(component, &content) {
        Err(e) if e.kind == EffectErrorKind::NotFound => false,
        result => result?,
    };
    if same {
        cx.mark_verified();
    }
    cx.condition(same, "the content is another")
}
