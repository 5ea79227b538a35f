//! One decision: the facts under their names, the meter, and what the result means.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cel::common::ast::{Expr, IdedExpr, operators};
use cel::common::types::CelBool;
use cel::common::value::CowVal;
use cel::context::VariableResolver;
use cel::objects::Key;
use cel::{Context, ExecutionError, Value};
use tamarack_attest::release::{Decision, DeviceFacts, Release};
use tamarack_model::{UnixTime, codes};

use crate::compile::{ALIVE, ENV, Program};
use crate::facts;

/// Longest reason in characters.
const REASON: usize = 240;

/// Decides about each of `releases` for one device. All of it together takes `time` at most, and what one step beyond it
/// takes.
pub(crate) fn decide(
    program: &Program,
    device: &DeviceFacts,
    releases: &[Release],
    now: UnixTime,
    time: Duration,
) -> Vec<Decision> {
    let meter = Meter { deadline: Instant::now() + time, over: AtomicBool::new(false) };
    let mut context = Context::with_env(ENV.clone());
    context.set_variable_resolver(&meter);
    for (name, value) in facts::of_device(device, now) {
        context.add_variable_from_value(name, value);
    }
    let mut decisions = Vec::with_capacity(releases.len());
    for release in releases {
        let (name, value) = facts::of_release(release);
        context.add_variable_from_value(name, value);
        // The library says in places that something cannot be, and panics if it is.
        let outcome = catch_unwind(AssertUnwindSafe(|| one(program, &context, &meter)));
        let failed = || Decision::deny(codes::RELEASE_POLICY_FAILED, "its evaluation ended abnormally");
        let decision = outcome.unwrap_or_else(|_| failed());
        // Whatever came out of it: it was cut off.
        let over = meter.is_over();
        let cut_off = || Decision::deny(codes::RELEASE_POLICY_TIME, format!("it took more than {time:?}"));
        decisions.push(if over { cut_off() } else { decision });
    }
    decisions
}

/// Says whether there is time left, to whoever asks for the variable [`ALIVE`].
struct Meter {
    deadline: Instant,
    over: AtomicBool,
}

impl Meter {
    fn is_over(&self) -> bool {
        if Instant::now() >= self.deadline {
            self.over.store(true, Ordering::Relaxed);
        }
        self.over.load(Ordering::Relaxed)
    }
}

impl VariableResolver for Meter {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        (variable == ALIVE).then(|| CowVal::owned(CelBool::from(!self.is_over())))
    }
}

fn one(program: &Program, context: &Context<'_, '_>, meter: &Meter) -> Decision {
    if meter.is_over() {
        return Decision::deny(codes::RELEASE_POLICY_TIME, "there is no time left");
    }
    match Value::resolve(&program.expression, context) {
        Ok(Value::Bool(true)) => Decision::allow(String::new()),
        Ok(Value::Bool(false)) => {
            let cause = cause(&program.expression, context);
            let reason = match program.source.text(cause) {
                Some(text) => format!("not: {text} ({})", program.source.place(cause.id)),
                None => format!("not at {}", program.source.place(cause.id)),
            };
            Decision::deny(codes::RELEASE_DENIED, printable(&reason))
        }
        Ok(Value::Map(map)) => of_map(&map.map),
        Ok(other) => {
            let why = format!("the result is of type {}", other.type_of());
            Decision::deny(codes::RELEASE_POLICY_RESULT, why)
        }
        Err(error) => Decision::deny(codes::RELEASE_POLICY_FAILED, words(&error)),
    }
}

/// `{'allow': bool, 'reason': string}` and nothing else.
fn of_map(map: &std::collections::HashMap<Key, Value>) -> Decision {
    let get = |name: &str| map.get(&Key::from(name));
    match (get("allow"), get("reason"), map.len()) {
        (Some(Value::Bool(true)), Some(Value::String(reason)), 2) => Decision::allow(printable(reason)),
        (Some(Value::Bool(false)), Some(Value::String(reason)), 2) => {
            let reason = match reason.trim().is_empty() {
                true => "no reason is given".into(),
                false => printable(reason),
            };
            Decision::deny(codes::RELEASE_DENIED, reason)
        }
        _ => {
            let why = "the map must have 'allow', a bool, and 'reason', a string, and nothing else";
            Decision::deny(codes::RELEASE_POLICY_RESULT, why)
        }
    }
}

/// The part of an expression that is false, and because of which all of it is.
fn cause<'e>(expression: &'e IdedExpr, context: &Context<'_, '_>) -> &'e IdedExpr {
    let is = |part: &IdedExpr, wanted: bool| matches!(Value::resolve(part, context), Ok(Value::Bool(b)) if b == wanted);
    let Expr::Call(call) = &expression.expr else { return expression };
    match (call.func_name.as_str(), call.args.as_slice()) {
        (operators::LOGICAL_AND, [left, right]) => {
            if is(left, false) {
                cause(left, context)
            } else {
                cause(right, context)
            }
        }
        (operators::CONDITIONAL, [condition, yes, no]) => {
            let branch = if is(condition, true) { yes } else { no };
            // A branch that only says false says nothing.
            if matches!(branch.expr, Expr::Literal(_)) { expression } else { cause(branch, context) }
        }
        _ => expression,
    }
}

/// An error of an evaluation, without the values in it.
fn words(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(name) => {
            format!("there is no '{}' of this device: ask with has(..) first", printable(name))
        }
        ExecutionError::IndexOutOfBounds(_) => "an index is beyond the end of its list".into(),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => "division by zero".into(),
        ExecutionError::Overflow(..) => "a number became too large".into(),
        ExecutionError::NoSuchOverload(error) => printable(&error.to_string()),
        ExecutionError::UnexpectedType { got, want } => format!("a {want} is needed, and it is a {got}"),
        ExecutionError::FunctionError { function, message } => printable(&format!("{function}(): {message}")),
        _ => "values of these types do not go together".into(),
    }
}

/// Text of a policy or a device, fit for a log, a terminal and a message.
pub(crate) fn printable(text: &str) -> String {
    let clean = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    let mut kept: String = text.chars().take(REASON).map(clean).collect();
    if text.chars().nth(REASON).is_some() {
        kept.push('…');
    }
    kept
}
