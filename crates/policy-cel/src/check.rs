//! What a policy names, and what it costs in the worst case.

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedEntryExpr, IdedExpr, LiteralValue, SelectExpr,
    operators,
};
use tamarack_attest::Refusal;
use tamarack_model::codes;

use crate::Limits;
use crate::bound::{Basic, Bound, NODE, Shape, text_size};
use crate::compile::{Source, refuse};
use crate::facts::{FACTS, Kind};

/// What it costs to evaluate one expression, without what is in it.
const STEP: u64 = 16;
/// What a turn of a loop costs besides.
const TURN: u64 = 32;
/// Longest text of a number.
const DIGITS: u64 = 24;
/// Deepest that operators may be chained: `a + b + c` is 2 deep.
const CHAIN: usize = 256;

type Outcome = Result<Bound, Refusal>;

/// Walks through a policy once.
pub(crate) struct Checker<'a> {
    limits: &'a Limits,
    source: &'a Source,
    /// Variables of loops, the innermost last.
    variables: Vec<(String, Bound)>,
    loops: usize,
    depth: usize,
    /// What was added up so far, and how often it happens.
    cost: u64,
}

impl<'a> Checker<'a> {
    pub fn new(limits: &'a Limits, source: &'a Source) -> Self {
        Self { limits, source, variables: Vec::new(), loops: 0, depth: 0, cost: 0 }
    }

    /// Checks a whole policy: its names, its cost and its result.
    pub fn policy(mut self, policy: &IdedExpr) -> Result<(), Refusal> {
        let result = self.walk(policy)?;
        if self.cost > self.limits.cost {
            let why = format!(
                "it could cost {} in the worst case, {} are allowed: loop over less, or nest loops less deeply",
                self.cost, self.limits.cost
            );
            return Err(refuse(codes::RELEASE_POLICY_LIMIT, why));
        }
        match result.basic() {
            None | Some(Basic::Bool | Basic::Map) => Ok(()),
            Some(other) => {
                let place = self.source.place(policy.id);
                let why = format!("{place}: the result is a {}, not a bool or a map", other.name());
                Err(refuse(codes::RELEASE_POLICY_RESULT, why))
            }
        }
    }

    fn spend(&mut self, cost: u64) {
        self.cost = self.cost.saturating_add(cost);
    }

    fn unknown(&self, id: u64, why: impl std::fmt::Display) -> Refusal {
        refuse(codes::RELEASE_POLICY_NAME, format!("{}: {why}", self.source.place(id)))
    }

    fn mistyped(&self, id: u64, why: impl std::fmt::Display) -> Refusal {
        refuse(codes::RELEASE_POLICY_INVALID, format!("{}: {why}", self.source.place(id)))
    }

    fn walk(&mut self, expression: &IdedExpr) -> Outcome {
        if self.depth >= CHAIN {
            let place = self.source.place(expression.id);
            let why = format!("{place}: more than {CHAIN} operators are chained");
            return Err(refuse(codes::RELEASE_POLICY_LIMIT, why));
        }
        self.depth += 1;
        self.spend(STEP);
        let outcome = match &expression.expr {
            Expr::Literal(literal) => Ok(of_literal(literal)),
            Expr::Ident(name) => self.variable(expression.id, name),
            Expr::Select(select) => self.select(expression.id, select),
            Expr::Call(call) => self.call(expression.id, call),
            Expr::List(list) => self.list(&list.elements),
            Expr::Map(map) => self.map(&map.entries),
            Expr::Comprehension(comprehension) => self.repeated(expression.id, comprehension),
            Expr::Struct(fields) => {
                Err(self.unknown(expression.id, format_args!("there is no type {}", fields.type_name)))
            }
            Expr::Unspecified => Err(self.mistyped(expression.id, "it cannot be read")),
        };
        self.depth -= 1;
        outcome
    }

    fn variable(&mut self, id: u64, name: &str) -> Outcome {
        if let Some((_, bound)) = self.variables.iter().rev().find(|(known, _)| known == name) {
            return Ok(bound.clone());
        }
        match FACTS.iter().find(|fact| fact.name == name) {
            Some(fact) => Ok(Bound::fact(&fact.kind)),
            None => {
                let names: Vec<&str> = FACTS.iter().map(|fact| fact.name).collect();
                Err(self.unknown(id, format_args!("there is no {name}; there are {}", names.join(", "))))
            }
        }
    }

    fn select(&mut self, id: u64, select: &SelectExpr) -> Outcome {
        let operand = self.walk(&select.operand)?;
        let field = self.field(id, &operand, &select.field)?;
        Ok(if select.test { Bound::bool() } else { field })
    }

    /// What is under a name.
    fn field(&self, id: u64, operand: &Bound, name: &str) -> Outcome {
        match &operand.shape {
            Shape::Fact(Kind::Record(fields)) => match fields.iter().find(|field| field.name == name) {
                Some(field) => Ok(Bound::fact(&field.kind)),
                None => {
                    let names: Vec<&str> = fields.iter().map(|field| field.name).collect();
                    Err(self.unknown(id, format_args!("there is no .{name}; there are {}", names.join(", "))))
                }
            },
            Shape::Fact(Kind::Table(value)) => Ok(Bound::fact(value)),
            Shape::Map(_, value) => Ok((**value).clone()),
            Shape::Any => Ok(Bound::any(operand.size)),
            Shape::Bool | Shape::Int | Shape::Text(_) | Shape::List(..) | Shape::Fact(_) => {
                let kind = operand.basic().map_or("value", Basic::name);
                Err(self.unknown(id, format_args!("there is no .{name} in a {kind}")))
            }
        }
    }

    fn list(&mut self, elements: &[IdedExpr]) -> Outcome {
        let mut all: Option<Bound> = None;
        let mut size = NODE;
        let mut words = Vec::new();
        for element in elements {
            let bound = self.walk(element)?;
            words.push(bound.literal().map(String::from));
            size = size.saturating_add(bound.size);
            all = Some(match all {
                Some(before) => before.either(bound),
                None => bound,
            });
        }
        self.spend(size);
        let all = all.unwrap_or(Bound::any(NODE));
        Ok(Bound { shape: Shape::List(elements.len() as u64, Box::new(all)), size })
    }

    fn map(&mut self, entries: &[IdedEntryExpr]) -> Outcome {
        let mut all: Option<Bound> = None;
        let mut size = NODE;
        for entry in entries {
            let EntryExpr::MapEntry(pair) = &entry.expr else {
                return Err(self.mistyped(entry.id, "a map has entries of key and value"));
            };
            let key = self.walk(&pair.key)?;
            let value = self.walk(&pair.value)?;
            size = size.saturating_add(key.size).saturating_add(value.size);
            all = Some(match all {
                Some(before) => before.either(value),
                None => value,
            });
        }
        self.spend(size);
        let all = all.unwrap_or(Bound::any(NODE));
        Ok(Bound { shape: Shape::Map(entries.len() as u64, Box::new(all)), size })
    }

    fn call(&mut self, id: u64, call: &CallExpr) -> Outcome {
        let CallExpr { func_name, target, args } = call;
        let operands: Vec<&IdedExpr> = target.iter().map(|target| &**target).chain(args).collect();
        let bounds = operands.iter().map(|operand| self.walk(operand)).collect::<Result<Vec<_>, _>>()?;
        // An operator that fails copies its operands into the error.
        let sizes = bounds.iter().fold(0_u64, |sum, bound| sum.saturating_add(bound.size));
        match (func_name.as_str(), bounds.as_slice()) {
            (operators::CONDITIONAL, [condition, yes, no]) => {
                self.must_be(operands[0].id, condition, Basic::Bool)?;
                Ok(yes.clone().either(no.clone()))
            }
            (operators::LOGICAL_AND | operators::LOGICAL_OR, [left, right]) => {
                self.must_be(operands[0].id, left, Basic::Bool)?;
                self.must_be(operands[1].id, right, Basic::Bool)?;
                Ok(Bound::bool())
            }
            (operators::LOGICAL_NOT, [operand]) => {
                self.must_be(operands[0].id, operand, Basic::Bool)?;
                Ok(Bound::bool())
            }
            (operators::NOT_STRICTLY_FALSE, [_]) => Ok(Bound::bool()),
            (operators::EQUALS | operators::NOT_EQUALS, [left, right]) => {
                self.spend(sizes);
                self.comparable(id, &operands, left, right)?;
                Ok(Bound::bool())
            }
            (
                operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS,
                [left, right],
            ) => {
                self.spend(sizes);
                if [left, right].iter().any(|bound| bound.basic() == Some(Basic::Text)) {
                    let why =
                        "the order of texts is that of the alphabet, which says nothing here; use == or in";
                    return Err(self.mistyped(id, why));
                }
                self.comparable(id, &operands, left, right)?;
                Ok(Bound::bool())
            }
            (operators::IN, [element, within]) => {
                self.spend(sizes.saturating_mul(2));
                self.is_in(id, &operands, element, within)?;
                Ok(Bound::bool())
            }
            (operators::INDEX, [operand, index]) => {
                // A map says which key is missing; an index that does not fit is copied with what it was to index.
                self.spend(if operand.basic() == Some(Basic::Map) { index.size } else { sizes });
                match (index.literal(), &operand.shape) {
                    (Some(name), Shape::Fact(Kind::Record(_))) => self.field(id, operand, name),
                    (_, Shape::Fact(Kind::List(of)) | Shape::Fact(Kind::Table(of))) => Ok(Bound::fact(of)),
                    (_, Shape::List(_, of) | Shape::Map(_, of)) => Ok((**of).clone()),
                    _ => Ok(Bound::any(operand.size)),
                }
            }
            (operators::ADD, [left, right]) => {
                self.spend(sizes.saturating_mul(2));
                let shape = match (&left.shape, &right.shape) {
                    (Shape::Int, Shape::Int) => return Ok(Bound::int()),
                    (Shape::List(a, one), Shape::List(b, other)) => {
                        Shape::List(a.saturating_add(*b), Box::new((**one).clone().either((**other).clone())))
                    }
                    _ if left.basic() == Some(Basic::Text) && right.basic() == Some(Basic::Text) => {
                        Shape::Text(None)
                    }
                    _ => Shape::Any,
                };
                Ok(Bound { shape, size: sizes })
            }
            (
                operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE | operators::MODULO,
                [left, right],
            ) => {
                self.spend(sizes);
                self.must_be(operands[0].id, left, Basic::Int)?;
                self.must_be(operands[1].id, right, Basic::Int)?;
                Ok(Bound::int())
            }
            (operators::NEGATE, [operand]) => {
                self.spend(sizes);
                self.must_be(operands[0].id, operand, Basic::Int)?;
                Ok(Bound::int())
            }
            ("size", [_]) => {
                self.spend(sizes);
                Ok(Bound::int())
            }
            ("startsWith" | "endsWith" | "contains", [left, right]) if target.is_some() => {
                self.spend(sizes.saturating_mul(2));
                self.must_be(operands[0].id, left, Basic::Text)?;
                self.must_be(operands[1].id, right, Basic::Text)?;
                Ok(Bound::bool())
            }
            ("int", [_]) if target.is_none() => {
                self.spend(sizes);
                Ok(Bound::int())
            }
            ("string", [operand]) if target.is_none() => {
                self.spend(sizes);
                Ok(Bound::text(operand.size.saturating_add(text_size(DIGITS))))
            }
            (name, _) if NAMES.contains(&name) => {
                Err(self.mistyped(id, format_args!("{name}() does not take {} values so", bounds.len())))
            }
            (name, _) => {
                Err(self.unknown(id, format_args!("there is no {}()", crate::evaluate::printable(name))))
            }
        }
    }

    fn must_be(&self, id: u64, bound: &Bound, wanted: Basic) -> Result<(), Refusal> {
        match bound.basic() {
            Some(basic) if basic != wanted => {
                let (is, should) = (basic.name(), wanted.name());
                Err(self.mistyped(id, format_args!("this is a {is}, and a {should} is needed")))
            }
            _ => Ok(()),
        }
    }

    /// Values of different kinds are never equal, and a word that is none of those there can be is a slip of the pen:
    /// with `!=` it would let everything through.
    fn comparable(&self, id: u64, at: &[&IdedExpr], left: &Bound, right: &Bound) -> Result<(), Refusal> {
        if let (Some(one), Some(other)) = (left.basic(), right.basic())
            && one != other
        {
            let why = format!("a {} is never compared with a {}", one.name(), other.name());
            return Err(self.mistyped(id, why));
        }
        for (fact, literal, at) in [(left, right, at[1].id), (right, left, at[0].id)] {
            if let (Some(words), Some(word)) = (fact.words(), literal.literal()) {
                self.is_word(at, words, word)?;
            }
        }
        Ok(())
    }

    fn is_word(&self, id: u64, words: &[&str], word: &str) -> Result<(), Refusal> {
        match words.contains(&word) {
            true => Ok(()),
            false => {
                let word = crate::evaluate::printable(word);
                Err(self.unknown(id, format_args!("there is no '{word}'; there are {}", words.join(", "))))
            }
        }
    }

    fn is_in(&self, id: u64, at: &[&IdedExpr], element: &Bound, within: &Bound) -> Result<(), Refusal> {
        match within.basic() {
            Some(Basic::List | Basic::Map) | None => {}
            Some(other) => {
                return Err(self.mistyped(id, format_args!("nothing is in a {}", other.name())));
            }
        }
        if let (Some(words), Expr::List(list)) = (element.words(), &at[1].expr) {
            for entry in &list.elements {
                if let Expr::Literal(LiteralValue::String(word)) = &entry.expr {
                    self.is_word(entry.id, words, word.inner())?;
                }
            }
        }
        if let (Some(word), Shape::Fact(Kind::Record(_))) = (element.literal(), &within.shape) {
            self.field(at[0].id, within, word)?;
        }
        Ok(())
    }

    /// A loop: its body costs as often as it turns.
    fn repeated(&mut self, id: u64, comprehension: &ComprehensionExpr) -> Outcome {
        let ComprehensionExpr {
            iter_range,
            iter_var,
            iter_var2,
            accu_var,
            accu_init,
            loop_cond,
            loop_step,
            result,
        } = comprehension;
        if self.loops >= self.limits.loops {
            let why =
                format!("{}: loops are nested deeper than {}", self.source.place(id), self.limits.loops);
            return Err(refuse(codes::RELEASE_POLICY_LIMIT, why));
        }
        if iter_var2.is_some() {
            return Err(self.unknown(id, "there is no loop over two variables"));
        }
        if FACTS.iter().any(|fact| fact.name == iter_var) {
            return Err(self.mistyped(id, format_args!("{iter_var} is a fact and cannot be a variable")));
        }
        // A loop over what a loop gives counts as nested: it turns as often as the other one says.
        self.loops += 1;
        let range = self.walk(iter_range)?;
        let (turns, element) = range.turns();
        if matches!(range.basic(), Some(Basic::Bool | Basic::Int | Basic::Text)) {
            let kind = range.basic().map_or("value", Basic::name);
            return Err(
                self.mistyped(iter_range.id, format_args!("there is nothing to loop over in a {kind}"))
            );
        }
        let init = self.walk(accu_init)?;
        let before = std::mem::take(&mut self.cost);
        let each = element.size;
        self.variables.push((iter_var.clone(), element));
        let outcome = self.turn(id, loop_cond, loop_step, accu_var, init, turns);
        self.variables.pop();
        let accumulated = outcome?;
        let turn = self.cost.saturating_add(TURN).saturating_add(each);
        self.cost = before.saturating_add(turn.saturating_mul(turns));
        self.variables.push((accu_var.clone(), accumulated));
        let outcome = self.walk(result);
        self.variables.pop();
        self.loops -= 1;
        outcome
    }

    /// One turn; gives what has been accumulated after all of them. The only loops are those of CEL's macros.
    fn turn(
        &mut self,
        id: u64,
        condition: &IdedExpr,
        step: &IdedExpr,
        accumulator: &str,
        init: Bound,
        turns: u64,
    ) -> Outcome {
        let plain =
            |expression: &IdedExpr| matches!(&expression.expr, Expr::Ident(name) if name == accumulator);
        let Expr::Call(call) = &step.expr else { return Err(self.mistyped(id, "there is no such loop")) };
        let (guard, added) = match (call.func_name.as_str(), call.args.as_slice()) {
            // exists_one, filter and map with a condition.
            (operators::CONDITIONAL, [guard, added, otherwise]) if plain(otherwise) => (Some(guard), added),
            _ => (None, step),
        };
        if let Some(guard) = guard {
            let bound = self.walk(guard)?;
            self.must_be(guard.id, &bound, Basic::Bool)?;
        }
        if let Expr::Call(call) = &added.expr
            && let (operators::ADD, [left, list]) = (call.func_name.as_str(), call.args.as_slice())
            && let (true, Expr::List(elements)) = (plain(left), &list.expr)
            && let [element] = elements.elements.as_slice()
        {
            let element = self.walk(element)?;
            self.spend(element.size.saturating_mul(2).saturating_add(2 * STEP));
            let size = element.size.saturating_mul(turns).saturating_add(NODE);
            return Ok(Bound { shape: Shape::List(turns, Box::new(element)), size });
        }
        // all and exists fold bools, exists_one counts: what they accumulate never grows.
        self.variables.push((accumulator.into(), init.clone()));
        let outcome = self.walk(condition).and_then(|_| self.walk(added));
        self.variables.pop();
        let after = outcome?;
        match (init.basic(), after.basic()) {
            (Some(one @ (Basic::Bool | Basic::Int)), Some(other)) if one == other => Ok(init),
            _ => Err(self.mistyped(id, "there is no such loop")),
        }
    }
}

/// All functions there are.
const NAMES: &[&str] = &["size", "startsWith", "endsWith", "contains", "int", "string"];

fn of_literal(literal: &LiteralValue) -> Bound {
    match literal {
        LiteralValue::Boolean(_) => Bound::bool(),
        LiteralValue::Int(_) | LiteralValue::UInt(_) => Bound::int(),
        LiteralValue::String(text) => {
            let size = text_size(text.inner().len() as u64);
            Bound { shape: Shape::Text(Some(text.inner().into())), size }
        }
        LiteralValue::Bytes(bytes) => Bound::any(text_size(bytes.inner().len() as u64)),
        LiteralValue::Double(_) | LiteralValue::Null => Bound::any(NODE),
    }
}
