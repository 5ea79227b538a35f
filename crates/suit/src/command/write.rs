//! Directive write (18).

use super::{Argument, ArgumentKind, Class, Command};
use crate::machine::{Context, Fault, Flow};
use crate::parameter::{CONTENT, IMAGE_SIZE, Value};
use crate::{EffectError, EffectErrorKind, Operation};

pub(super) const ROW: Command = Command {
    code: 18,
    name: "write",
    class: Class::Directive,
    argument: ArgumentKind::Policy,
    in_shared: false,
    run: Some(run),
};

/// The content stands in the manifest itself, so the signature covers it and the component needs no image-match.
fn run(cx: &mut Context<'_>, _: &Argument) -> Result<Flow, Fault> {
    let Value::Bytes(content) = cx.required(CONTENT)?.clone() else { return Err(cx.mistyped()) };
    if let Some(Value::Uint(size)) = cx.parameter(IMAGE_SIZE)
        && content.len() as u64 > *size
    {
        return Err(
            EffectError::new(EffectErrorKind::TooLarge, "the content is larger than image-size").into()
        );
    }
    let component = cx.component()?;
    cx.authorise(Operation::Write, component)?;
    cx.effects.write(component, &content)?;
    cx.mark_verified();
    Ok(Flow::Next)
}
