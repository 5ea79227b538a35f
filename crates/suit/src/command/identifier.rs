//! Conditions vendor-identifier (1), class-identifier (2) and device-identifier (24).

use super::{Argument, ArgumentKind, Class, Command, Run};
use crate::IdentifierKind;
use crate::machine::{Context, Fault, Flow};
use crate::parameter::{CLASS_IDENTIFIER, DEVICE_IDENTIFIER, VENDOR_IDENTIFIER, Value};

pub(super) const VENDOR: Command = row(1, "vendor-identifier", vendor);
pub(super) const CLASS: Command = row(2, "class-identifier", class);
pub(super) const DEVICE: Command = row(24, "device-identifier", device);

const fn row(code: i64, name: &'static str, run: Run) -> Command {
    Command {
        code,
        name,
        class: Class::Condition,
        argument: ArgumentKind::Policy,
        in_shared: true,
        run: Some(run),
    }
}

fn vendor(cx: &mut Context<'_>, _: &Argument) -> Result<Flow, Fault> {
    matches(cx, IdentifierKind::Vendor, VENDOR_IDENTIFIER, "the device is of another vendor")
}

fn class(cx: &mut Context<'_>, _: &Argument) -> Result<Flow, Fault> {
    matches(cx, IdentifierKind::Class, CLASS_IDENTIFIER, "the device is of another class")
}

fn device(cx: &mut Context<'_>, _: &Argument) -> Result<Flow, Fault> {
    matches(cx, IdentifierKind::Device, DEVICE_IDENTIFIER, "this is another device")
}

fn matches(
    cx: &mut Context<'_>,
    kind: IdentifierKind,
    label: i64,
    otherwise: &'static str,
) -> Result<Flow, Fault> {
    let same = match cx.required(label)? {
        Value::Bytes(id) | Value::Pen(id) => cx.effects.matches(kind, cx.component()?, id),
        _ => false,
    };
    cx.condition(same, otherwise)
}
