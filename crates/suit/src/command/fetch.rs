//! Directive fetch (21).

use super::{Argument, ArgumentKind, Class, Command};
use crate::machine::{Context, Fault, FetchRequest, Flow};
use crate::parameter::{FETCH_ARGUMENTS, IMAGE_SIZE, URI, Value};
use crate::{EffectError, EffectErrorKind, Operation};

pub(super) const ROW: Command = Command {
    code: 21,
    name: "fetch",
    class: Class::Directive,
    argument: ArgumentKind::Policy,
    in_shared: false,
    run: Some(run),
};

/// Takes the payload from the envelope if it is integrated under exactly this URI, else stops the machine until somebody
/// has brought it; one that is not in the envelope only if the driver says that it can. Neither source is trusted: the component counts as unverified from here on.
fn run(cx: &mut Context<'_>, _: &Argument) -> Result<Flow, Fault> {
    let Value::Text(uri) = cx.required(URI)?.clone() else { return Err(cx.mistyped()) };
    let component = cx.component()?;
    let max_size = match cx.parameter(IMAGE_SIZE) {
        Some(Value::Uint(size)) => Some(*size),
        _ => None,
    };
    cx.authorise(Operation::Fetch, component)?;
    cx.mark_unverified();
    if let Some(payload) = cx.integrated(&uri) {
        if max_size.is_some_and(|max| payload.len() as u64 > max) {
            return Err(
                EffectError::new(EffectErrorKind::TooLarge, "the integrated payload is too large").into()
            );
        }
        cx.effects.write(component, payload)?;
        return Ok(Flow::Next);
    }
    if uri.starts_with('#') && !cx.effects.brings(component) {
        return Err(EffectError::new(
            EffectErrorKind::NotFound,
            "the integrated payload is not in the envelope",
        )
        .into());
    }
    let fetch_arguments = match cx.parameter(FETCH_ARGUMENTS) {
        Some(Value::Bytes(arguments)) => Some(arguments.to_vec()),
        _ => None,
    };
    Ok(Flow::Fetch(FetchRequest {
        component: component.clone(),
        uri: (&*uri).into(),
        max_size,
        fetch_arguments,
    }))
}
