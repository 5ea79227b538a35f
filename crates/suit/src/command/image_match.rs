//! Condition image-match (3).

use super::{Argument, ArgumentKind, Class, Command};
use crate::machine::{Context, Fault, Flow};
use crate::parameter::{IMAGE_DIGEST, IMAGE_SIZE, Value};
use crate::{EffectErrorKind, SuitDigest};

pub(super) const ROW: Command = Command {
    code: 3,
    name: "image-match",
    class: Class::Condition,
    argument: ArgumentKind::Policy,
    in_shared: true,
    run: Some(run),
};

/// Compares the component's digest with image-digest, and its size with image-size if that is set: a payload of another
/// size cannot have the digest, and saying so names the cause.
fn run(cx: &mut Context<'_>, _: &Argument) -> Result<Flow, Fault> {
    let Value::Digest(expected) = *cx.required(IMAGE_DIGEST)? else { return Err(cx.mistyped()) };
    // The static scan has refused digests that no provider computes.
    let Some(algorithm) = expected.algorithm().hash() else { return Err(cx.mistyped()) };
    let component = cx.component()?;
    let measured = match cx.effects.measure(component, algorithm) {
        Ok(measured) => measured,
        Err(e) if e.kind == EffectErrorKind::NotFound => {
            return cx.condition(false, "the component holds nothing");
        }
        Err(e) => return Err(e.into()),
    };
    let size_fits = match cx.parameter(IMAGE_SIZE) {
        Some(Value::Uint(size)) => *size == measured.size,
        _ => true,
    };
    let same = expected.is(&measured.digest);
    if let Some(digest) = SuitDigest::new(expected.algorithm(), &measured.digest) {
        cx.measured(digest, measured.size);
    }
    if same && size_fits {
        cx.mark_verified();
    }
    cx.condition(same, "the digest does not match")?;
    cx.condition(size_fits, "the size does not match")
}
