//! Directives set-parameters (19, trust domains) and override-parameters (20).

use super::{Argument, ArgumentKind, Class, Command, Run};
use crate::machine::{Context, Fault, Flow};

pub(super) const SET: Command = row(19, "set-parameters", set);
pub(super) const OVERRIDE: Command = row(20, "override-parameters", replace);

const fn row(code: i64, name: &'static str, run: Run) -> Command {
    Command {
        code,
        name,
        class: Class::Directive,
        argument: ArgumentKind::Parameters,
        // The CDDL allows only 20 there; templates for dependencies need 19.
        in_shared: true,
        run: Some(run),
    }
}

fn set(cx: &mut Context<'_>, argument: &Argument) -> Result<Flow, Fault> {
    apply(cx, argument, false)
}

fn replace(cx: &mut Context<'_>, argument: &Argument) -> Result<Flow, Fault> {
    apply(cx, argument, true)
}

fn apply(cx: &mut Context<'_>, argument: &Argument, replace: bool) -> Result<Flow, Fault> {
    let Argument::Parameters(settings) = argument else { return Err(cx.mistyped()) };
    for (parameter, value) in settings.iter() {
        cx.set_parameter(parameter.label, value, replace)?;
    }
    Ok(Flow::Next)
}
