//! Directive copy (22).

use super::{Argument, ArgumentKind, Class, Command};
use crate::machine::{Context, Fault, Flow};
use crate::parameter::{IMAGE_SIZE, SOURCE_COMPONENT, Value};
use crate::{Ciphertext, Operation};

pub(super) const ROW: Command = Command {
    code: 22,
    name: "copy",
    class: Class::Directive,
    argument: ArgumentKind::Policy,
    in_shared: false,
    run: Some(run),
};

/// With an encryption-info, of the component that is copied to, what is copied is a ciphertext and is decrypted on the way
/// (draft-ietf-suit-firmware-encryption-24, "Directive Copy"). Authenticated encryption to one recipient vouches for the
/// plaintext and so for the ciphertext: only who made the signed encryption-info and this device have the key. With several
/// recipients each could have made another payload, and the manifest must demand a digest: of the plaintext, or of the
/// ciphertext before it is decrypted ("Image Match before Decryption").
fn run(cx: &mut Context<'_>, _: &Argument) -> Result<Flow, Fault> {
    let Value::Uint(source) = *cx.required(SOURCE_COMPONENT)? else { return Err(cx.mistyped()) };
    let (from, to) = (cx.component_at(source)?, cx.component()?);
    if from == to {
        return Err(Fault::malformed("a component cannot be copied to itself"));
    }
    cx.authorise(Operation::CopyFrom, from)?;
    cx.authorise(Operation::CopyTo, to)?;
    cx.mark_unverified();
    let Some(info) = cx.encryption_info()? else {
        cx.effects.copy(from, to)?;
        return Ok(Flow::Next);
    };
    let max_size = match cx.parameter(IMAGE_SIZE) {
        Some(Value::Uint(size)) => Some(*size),
        _ => None,
    };
    cx.effects.decrypt(&info, Ciphertext::Component(from), to, max_size)?;
    if info.recipients().count() == 1 || cx.is_source_verified(source) {
        cx.mark_verified();
        cx.mark_source_verified(source);
    }
    Ok(Flow::Next)
}
