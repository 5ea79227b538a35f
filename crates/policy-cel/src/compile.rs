//! From text to a program that names only what there is and ends in time.

use std::sync::{Arc, LazyLock};
use std::thread;

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SourceInfo, operators,
};
use cel::{Env, ParseErrors};
use tamarack_attest::Refusal;
use tamarack_model::{Code, codes};

use crate::Limits;
use crate::check::Checker;

/// A policy that may be evaluated.
pub(crate) struct Program {
    pub expression: IdedExpr,
    pub source: Source,
}

/// The text with the places of what was read from it.
pub(crate) struct Source {
    info: SourceInfo,
}

/// What the parser, whose depth follows the length of the text and not its nesting, may use. It is only reserved.
const STACK: usize = 64 << 20;

/// Without optional values, which would be one more way to step over what is missing.
pub(crate) static ENV: LazyLock<Arc<Env>> =
    LazyLock::new(|| Arc::new(Env::stdlib().with_optional_support(false)));

/// The variable that is true until the time is over. No text can name it.
pub(crate) const ALIVE: &str = "@alive";

pub(crate) fn refuse(code: Code, reason: impl Into<String>) -> Refusal {
    Refusal { code, reason: reason.into() }
}

/// Compiles a policy.
pub(crate) fn compile(text: &str, limits: &Limits) -> Result<Program, Refusal> {
    if text.len() > limits.text {
        let why = format!("it has {} bytes, {} are allowed", text.len(), limits.text);
        return Err(refuse(codes::RELEASE_POLICY_LIMIT, why));
    }
    // What is nested too deeply must be taken apart with the same stack that it was made with.
    let outcome = thread::scope(|scope| {
        let worker = thread::Builder::new().stack_size(STACK).name("policy".into());
        let worker = worker.spawn_scoped(scope, || parse(text, limits));
        worker.map(|worker| worker.join())
    });
    match outcome {
        Ok(Ok(program)) => program,
        Ok(Err(_)) => Err(refuse(codes::RELEASE_POLICY_INVALID, "it cannot be read")),
        Err(e) => Err(refuse(codes::RELEASE_POLICY_LIMIT, format!("it cannot be read now: {e}"))),
    }
}

fn parse(text: &str, limits: &Limits) -> Result<Program, Refusal> {
    let parser = ENV.parser().max_recursion_depth(limits.depth);
    let (mut expression, info) = parser.parse_with_source_info(text).map_err(|e| unreadable(&e, limits))?;
    let source = Source { info };
    Checker::new(limits, &source).policy(&expression)?;
    meter(&mut expression);
    Ok(Program { expression, source })
}

/// The first error, by its place in the text.
fn unreadable(errors: &ParseErrors, limits: &Limits) -> Refusal {
    let deep = errors.errors.iter().any(|error| error.msg.contains("Recursion limit"));
    if deep {
        return refuse(codes::RELEASE_POLICY_LIMIT, format!("it is nested deeper than {}", limits.depth));
    }
    let first = errors.errors.iter().min_by_key(|error| error.pos);
    let Some(first) = first else { return refuse(codes::RELEASE_POLICY_INVALID, "it cannot be read") };
    let text = first.msg.strip_prefix("Syntax error: ").unwrap_or(&first.msg);
    // The list of all that could stand there helps nobody.
    let text = text.split(" expecting {").next().unwrap_or_default();
    let text = crate::evaluate::printable(text);
    let (line, column) = (first.pos.0.max(1), first.pos.1.max(1));
    refuse(codes::RELEASE_POLICY_INVALID, format!("line {line}, column {column}: {text}"))
}

impl Source {
    /// Where an expression stands, for people.
    pub fn place(&self, id: u64) -> String {
        let Some((start, _)) = self.info.offset_for(id) else { return "somewhere".into() };
        let before = self.info.source.get(..start as usize).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        format!("line {line}, column {column}")
    }

    /// The text of an expression, on one line.
    pub fn text(&self, expression: &IdedExpr) -> Option<String> {
        let mut range: Option<(u32, u32)> = None;
        self.span(expression, &mut range);
        let (start, stop) = range?;
        let text = self.info.source.get(start as usize..=stop as usize)?;
        // A call or an index ends behind its last argument.
        let rest = self.info.source.get(stop as usize + 1..).unwrap_or_default();
        let open =
            text.matches(['(', '[', '{']).count().saturating_sub(text.matches([')', ']', '}']).count());
        let closing = rest.find(|c: char| !matches!(c, ')' | ']' | '}' | ' ' | '\n')).unwrap_or(rest.len());
        let closing: String =
            rest[..closing].chars().filter(|c| matches!(c, ')' | ']' | '}')).take(open).collect();
        Some(text.split_whitespace().collect::<Vec<_>>().join(" ") + &closing)
    }

    /// Widens `range` by where an expression and all within it stand.
    fn span(&self, expression: &IdedExpr, range: &mut Option<(u32, u32)>) {
        if let Some((start, stop)) = self.info.offset_for(expression.id) {
            *range = Some(range.map_or((start, stop), |(from, to)| (from.min(start), to.max(stop))));
        }
        each_part(&expression.expr, &mut |part| self.span(part, range));
    }
}

/// Calls `visit` with each expression directly within another.
fn each_part<'e>(expression: &'e Expr, visit: &mut dyn FnMut(&'e IdedExpr)) {
    match expression {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
        Expr::Call(call) => call.target.iter().map(|t| &**t).chain(&call.args).for_each(visit),
        Expr::Comprehension(loops) => {
            let ComprehensionExpr { iter_range, accu_init, loop_cond, loop_step, result, .. } = &**loops;
            [iter_range, accu_init, loop_cond, loop_step, result].into_iter().for_each(visit);
        }
        Expr::List(list) => list.elements.iter().for_each(visit),
        Expr::Select(select) => visit(&select.operand),
        Expr::Map(map) => map.entries.iter().for_each(|entry| each_entry(&entry.expr, visit)),
        Expr::Struct(fields) => fields.entries.iter().for_each(|entry| each_entry(&entry.expr, visit)),
    }
}

fn each_entry<'e>(entry: &'e EntryExpr, visit: &mut dyn FnMut(&'e IdedExpr)) {
    match entry {
        EntryExpr::StructField(field) => visit(&field.value),
        EntryExpr::MapEntry(entry) => [&entry.key, &entry.value].into_iter().for_each(visit),
    }
}

/// Lets every turn of every loop ask whether there is time left. What a loop gives once there is none has no meaning.
fn meter(expression: &mut IdedExpr) {
    match &mut expression.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
        Expr::Call(call) => call.target.iter_mut().map(|t| &mut **t).chain(&mut call.args).for_each(meter),
        Expr::Comprehension(loops) => {
            let ComprehensionExpr { iter_range, accu_init, loop_cond, loop_step, result, .. } = &mut **loops;
            [iter_range, accu_init, &mut *loop_cond, &mut *loop_step, result].into_iter().for_each(meter);
            meter_turn(loop_cond, loop_step);
        }
        Expr::List(list) => list.elements.iter_mut().for_each(meter),
        Expr::Select(select) => meter(&mut select.operand),
        Expr::Map(map) => map.entries.iter_mut().for_each(|entry| meter_entry(&mut entry.expr)),
        Expr::Struct(fields) => fields.entries.iter_mut().for_each(|entry| meter_entry(&mut entry.expr)),
    }
}

fn meter_entry(entry: &mut EntryExpr) {
    match entry {
        EntryExpr::StructField(field) => meter(&mut field.value),
        EntryExpr::MapEntry(entry) => [&mut entry.key, &mut entry.value].into_iter().for_each(meter),
    }
}

/// `map`, `filter` and `exists_one` are left in the form in which the evaluator appends without copying, and their turns
/// do nothing; `all` and `exists` end.
fn meter_turn(condition: &mut IdedExpr, step: &mut IdedExpr) {
    if let Expr::Call(call) = &mut step.expr {
        match (call.func_name.as_str(), call.args.as_mut_slice()) {
            (operators::CONDITIONAL, [guard, ..]) => return gate(guard, false),
            (operators::ADD, [_, added]) => {
                if let Expr::List(list) = &mut added.expr {
                    return list.elements.iter_mut().for_each(|element| gate(element, false));
                }
            }
            _ => {}
        }
    }
    gate(condition, false);
}

/// Puts `@alive ? expression : otherwise` in place of an expression.
fn gate(expression: &mut IdedExpr, otherwise: bool) {
    let id = expression.id;
    let inner = std::mem::take(expression);
    let alive = IdedExpr { id, expr: Expr::Ident(ALIVE.into()) };
    let otherwise = IdedExpr { id, expr: Expr::Literal(LiteralValue::Boolean(otherwise.into())) };
    let call = CallExpr {
        func_name: operators::CONDITIONAL.into(),
        target: None,
        args: vec![alive, inner, otherwise],
    };
    *expression = IdedExpr { id, expr: Expr::Call(call) };
}
