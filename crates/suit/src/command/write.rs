//! Directive write (18).

use super::{Argument, ArgumentKind, Class, Command};
use crate::machine::{Context, Fault, Flow};
use crate::parameter::{CONTENT, IMAGE_SIZE, Value};
use crate::{Ciphertext, EffectError, EffectErrorKind, Operation};

pub(super) const ROW: Command = Command {
    code: 18,
    name: "write",
    class: Class::Directive,
    argument: ArgumentKind::Policy,
    in_shared: false,
    run: Some(run),
};

/// The content stands in the manifest itself, so the signature covers it and the component needs no image-match. With an
/// encryption-info it is the ciphertext of what is written (draft-ietf-suit-firmware-encryption-24, "Directive Write"), and
/// image-size bounds the plaintext.
fn run(cx: &mut Context<'_>, _: &Argument) -> Result<Flow, Fault> {
    let Value::Bytes(content) = cx.required(CONTENT)?.clone() else { return Err(cx.mistyped()) };
    let max_size = match cx.parameter(IMAGE_SIZE) {
        Some(Value::Uint(size)) => Some(*size),
        _ => None,
    };
    let component = cx.component()?;
    cx.authorise(Operation::Write, component)?;
    match cx.encryption_info()? {
        Some(info) => cx.effects.decrypt(&info, Ciphertext::Content(&content), component, max_size)?,
        None if max_size.is_some_and(|max| content.len() as u64 > max) => {
            return Err(
                EffectError::new(EffectErrorKind::TooLarge, "the content is larger than image-size").into()
            );
        }
        None => cx.effects.write(component, &content)?,
    }
    cx.mark_verified();
    Ok(Flow::Next)
}
