//! Directive fetch (21).

use alloc::boxed::Box;

use super::{Argument, ArgumentKind, Class, Command};
use crate::machine::{Context, Fault, FetchRequest, Flow, Sealed};
use crate::parameter::{FETCH_ARGUMENTS, IMAGE_SIZE, URI, Value};
use crate::{Ciphertext, EffectError, EffectErrorKind, Operation};

pub(super) const ROW: Command = Command {
    code: 21,
    name: "fetch",
    class: Class::Directive,
    argument: ArgumentKind::Policy,
    in_shared: false,
    run: Some(run),
};

/// Length of the tag that A128GCM adds to a payload.
const TAG: u64 = 16;

/// Takes the payload from the envelope if it is integrated under exactly this URI, else stops the machine until somebody
/// has brought it; one that should be in the envelope only if the driver says that it can. Neither source is trusted: the
/// component counts as unverified from here on.
///
/// Off-spec: with an encryption-info what is brought is decrypted in its place. draft-ietf-suit-firmware-encryption-24 has
/// only write and copy use it; its predecessors had fetch do so too, and examples for its successor are called after it. By
/// -24 the parameter is set on the component that is written or copied to, so its manifests mean the same here.
fn run(cx: &mut Context<'_>, _: &Argument) -> Result<Flow, Fault> {
    let Value::Text(uri) = cx.required(URI)?.clone() else { return Err(cx.mistyped()) };
    let component = cx.component()?;
    let max_size = match cx.parameter(IMAGE_SIZE) {
        Some(Value::Uint(size)) => Some(*size),
        _ => None,
    };
    cx.authorise(Operation::Fetch, component)?;
    cx.mark_unverified();
    let info = cx.encryption_info()?;
    if let Some(payload) = cx.integrated(&uri) {
        match info {
            Some(info) => cx.effects.decrypt(&info, Ciphertext::Content(payload), component, max_size)?,
            None if max_size.is_some_and(|max| payload.len() as u64 > max) => {
                let message = "the integrated payload is too large";
                return Err(EffectError::new(EffectErrorKind::TooLarge, message).into());
            }
            None => cx.effects.write(component, payload)?,
        }
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
    let tag = if info.is_some() { TAG } else { 0 };
    let request = FetchRequest {
        component: component.clone(),
        uri: (&*uri).into(),
        max_size: max_size.map(|max| max.saturating_add(tag)),
        fetch_arguments,
    };
    Ok(Flow::Fetch(request, info.map(|info| Box::new(Sealed { info, max_size }))))
}
