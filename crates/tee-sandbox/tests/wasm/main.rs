//! Tests of the TA runtime: the example TAs, every host function, and modules that mean harm.
mod host_functions;
mod hostile;
mod lifecycle;
mod services;
mod small;
mod valve;
mod vault;
mod wallet;

use std::path::PathBuf;

use tamarack_tee::{TaError, TaInstance, TaLimits};
use tamarack_tee_sandbox::wasm::load;

/// An example TA: the committed one, or the one that CI has just rebuilt (`TAMARACK_TA_DIR`).
fn example(name: &str) -> Vec<u8> {
    let built = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/ta/built");
    let dir = std::env::var_os("TAMARACK_TA_DIR").map_or_else(|| PathBuf::from(built), PathBuf::from);
    let path = dir.join(format!("{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Entry points that do nothing and a parameter area at 1024; `body` adds imports first, then anything, and
/// replaces the entry points it names.
fn module(imports: &str, body: &str) -> Vec<u8> {
    let defaults = [
        ("memory", r#"(memory (export "memory") 1)"#),
        (
            "tamarack_params_v1",
            r#"(func (export "tamarack_params_v1") (param i32) (result i32) i32.const 1024)"#,
        ),
        ("TA_CreateEntryPoint", r#"(func (export "TA_CreateEntryPoint") (result i32) i32.const 0)"#),
        ("TA_DestroyEntryPoint", r#"(func (export "TA_DestroyEntryPoint"))"#),
        (
            "TA_OpenSessionEntryPoint",
            r#"(func (export "TA_OpenSessionEntryPoint") (param i32 i32 i32) (result i32) i32.const 0)"#,
        ),
        ("TA_CloseSessionEntryPoint", r#"(func (export "TA_CloseSessionEntryPoint") (param i32))"#),
        (
            "TA_InvokeCommandEntryPoint",
            r#"(func (export "TA_InvokeCommandEntryPoint") (param i32 i32 i32 i32) (result i32) i32.const 0)"#,
        ),
    ];
    let rest: String = defaults
        .iter()
        .filter(|(name, _)| !body.contains(&format!("\"{name}\"")))
        .map(|(_, text)| *text)
        .collect();
    wat::parse_str(format!("(module {imports} {body} {rest})")).unwrap()
}

/// A TA whose command does `code`, which leaves a result on the stack.
fn command(imports: &str, code: &str) -> Vec<u8> {
    module(
        imports,
        &format!(
            r#"(func (export "TA_InvokeCommandEntryPoint") (param i32 i32 i32 i32) (result i32) {code})"#
        ),
    )
}

fn limits() -> TaLimits {
    TaLimits { memory: 1 << 20, fuel: 5_000_000, ..TaLimits::default() }
}

/// Loads and creates.
fn start(module: &[u8], services: &mut services::Memory) -> Box<dyn TaInstance> {
    let mut ta = load(module, &limits()).unwrap();
    ta.create(services).unwrap();
    ta
}

/// Why `error` is a panic.
fn panic_reason(error: TaError) -> String {
    match error {
        TaError::Panic(why) => why,
        other => panic!("not a panic: {other}"),
    }
}
