//! Order of the entry points, parameters in and out, what load refuses.
use tamarack_tee::{Param, TaError, TaLimits, TaReturn};
use tamarack_tee_sandbox::wasm::{MAX_MODULE, MAX_PARAMETER_BYTES, load};

use super::services::Memory;
use super::{command, limits, module, start};

fn refused(module: &[u8]) -> String {
    match load(module, &limits()) {
        Err(TaError::Invalid(why)) => why,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("loaded"),
    }
}

#[track_caller]
fn check_refused(module: &[u8], expected: &str) {
    let why = refused(module);
    assert!(why.contains(expected), "{why:?} does not contain {expected:?}");
}

#[test]
fn l1_a_start_function_is_refused() {
    check_refused(&module("", "(func $f) (start $f)"), "start");
}

#[test]
fn unknown_imports_are_refused_by_name() {
    check_refused(
        &module(r#"(import "tee" "TEE_OpenSesame" (func (param i32)))"#, ""),
        "import tee.TEE_OpenSesame does not exist",
    );
    check_refused(
        &module(
            r#"(import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))"#,
            "",
        ),
        "import wasi_snapshot_preview1.fd_write does not exist",
    );
    check_refused(
        &module(r#"(import "env" "TEE_Panic" (func (param i32)))"#, ""),
        "import env.TEE_Panic does not exist",
    );
    for import in ["(memory 1)", "(table 1 funcref)", "(global i32)"] {
        // The comment leaves out the module's own memory, for two are not valid.
        let check = |name: &str, expected| {
            let import = format!(r#"(import "tee" "{name}" {import})"#);
            check_refused(&module(&import, ";; \"memory\"\n"), expected);
        };
        check("x", "import tee.x does not exist");
        check("TEE_Panic", "another type");
    }
    check_refused(&module(r#"(import "tee" "TEE_Panic" (func (param i64)))"#, ""), "another type");
}

#[test]
fn missing_or_mistyped_exports_are_refused_by_name() {
    let exports = [
        "memory",
        "tamarack_params_v1",
        "TA_CreateEntryPoint",
        "TA_DestroyEntryPoint",
        "TA_OpenSessionEntryPoint",
        "TA_CloseSessionEntryPoint",
        "TA_InvokeCommandEntryPoint",
    ];
    for name in exports {
        // A comment that mentions the name leaves the default out.
        check_refused(&module("", &format!(";; \"{name}\"\n")), &format!("no export {name}"));
        if name != "memory" {
            check_refused(&module("", &format!(r#"(func (export "{name}") (param i64))"#)), name);
        }
    }
}

#[test]
fn what_is_not_a_small_core_module_is_refused() {
    refused(b"");
    refused(b"(module)");
    check_refused(&vec![0; MAX_MODULE + 1], "bytes are more than");
    // Truncated anywhere, a module is not a module.
    let whole = module("", "");
    for length in 0..whole.len() {
        refused(&whole[..length]);
    }
}

#[test]
fn memory_and_tables_are_bounded_at_load() {
    check_refused(&module("", r#"(memory (export "memory") 17)"#), "asks for 1114112 bytes");
    check_refused(&module("", r#"(memory (export "memory") 65536)"#), "asks for");
    refused(&module("", r#"(memory (export "memory") 1) (memory 1)"#));
    refused(&module("", "(table 4097 funcref)"));
    refused(&module("", "(table 1 funcref) (table 1 funcref)"));
    refused(&module("", r#"(data (i32.const 65530) "too far away")"#));
    // Within them it loads.
    load(&module("", r#"(memory (export "memory") 16) (table 4096 funcref)"#), &limits()).unwrap();
}

#[test]
fn a_body_that_does_not_validate_is_refused_at_load() {
    refused(&module("", "(func $bad (result i32) i64.const 0)"));
}

#[test]
fn entry_points_come_in_order() {
    let mut services = Memory::new();
    let mut ta = load(&module("", ""), &limits()).unwrap();
    let bad = |result: Result<(), TaError>| assert!(matches!(result, Err(TaError::BadParameters(_))));
    bad(ta.open_session(&mut services, &mut vec![]).map(drop));
    bad(ta.invoke(&mut services, 0, 0, &mut vec![]));
    bad(ta.destroy(&mut services));
    ta.create(&mut services).unwrap();
    bad(ta.create(&mut services));
    ta.open_session(&mut services, &mut vec![]).unwrap();
    ta.invoke(&mut services, 0, 0, &mut vec![]).unwrap();
    ta.close_session(&mut services, 0).unwrap();
    ta.destroy(&mut services).unwrap();
    bad(ta.destroy(&mut services));
    bad(ta.invoke(&mut services, 0, 0, &mut vec![]));
}

#[test]
fn a_ta_that_refuses_to_be_created_is_not_started() {
    let refusing = module("", r#"(func (export "TA_CreateEntryPoint") (result i32) i32.const 0xffff0001)"#);
    let mut services = Memory::new();
    let mut ta = load(&refusing, &limits()).unwrap();
    assert_eq!(ta.create(&mut services), Err(TaError::Returned(TaReturn::ACCESS_DENIED)));
    assert!(ta.open_session(&mut services, &mut vec![]).is_err());
}

#[test]
fn the_session_context_is_the_tas() {
    let ta = module(
        "",
        r#"(func (export "TA_OpenSessionEntryPoint") (param i32 i32 i32) (result i32)
             (i32.store (local.get 2) (i32.const 77)) i32.const 0)
           (func (export "TA_InvokeCommandEntryPoint") (param i32 i32 i32 i32) (result i32)
             (i32.add (local.get 0) (local.get 1)))"#,
    );
    let mut services = Memory::new();
    let mut ta = start(&ta, &mut services);
    let session = ta.open_session(&mut services, &mut vec![]).unwrap();
    assert_eq!(session, 77);
    let code = ta.invoke(&mut services, session, 3, &mut vec![]);
    assert_eq!(code, Err(TaError::Returned(TaReturn(80))));
}

#[test]
fn parameters_go_in_and_come_out_by_type() {
    // Checks the types, then to each slot: adds 1 to a and b, or turns the first byte of the buffer into 'Z'.
    let ta = command(
        "",
        r#"(if (i32.ne (local.get 2) (i32.const 0x7653)) (then (return (i32.const 1))))
           (i32.store (local.get 3) (i32.add (i32.load (local.get 3)) (i32.const 1)))
           (i32.store offset=4 (local.get 3) (i32.add (i32.load offset=4 (local.get 3)) (i32.const 1)))
           (i32.store8 (i32.load offset=8 (local.get 3)) (i32.const 90))
           (i32.store8 (i32.load offset=16 (local.get 3)) (i32.const 90))
           (i32.store offset=20 (local.get 3) (i32.const 1))
           (i32.store8 (i32.load offset=24 (local.get 3)) (i32.const 90))
           (i32.store offset=28 (local.get 3) (i32.load offset=52 (local.get 3)))
           i32.const 9"#,
    );
    let mut services = Memory::new();
    let mut ta = start(&ta, &mut services);
    let mut params = vec![
        Param::ValueInout(41, u32::MAX),
        Param::MemrefInput(b"in".to_vec()),
        Param::MemrefOutput { capacity: 3, data: b"ignored".to_vec() },
        Param::MemrefInout { capacity: 5, data: b"io".to_vec() },
    ];
    // Outputs are filled although the TA returns a code of its own.
    assert_eq!(ta.invoke(&mut services, 0, 0, &mut params), Err(TaError::Returned(TaReturn(9))));
    let expected = [
        Param::ValueInout(42, 0),
        Param::MemrefInput(b"in".to_vec()),
        Param::MemrefOutput { capacity: 3, data: b"Z".to_vec() },
        Param::MemrefInout { capacity: 5, data: b"Zo\0\0\0".to_vec() },
    ];
    assert_eq!(params, expected);
}

#[test]
fn parameters_out_of_bounds_never_reach_the_ta() {
    let mut services = Memory::new();
    let mut ta = start(&module("", ""), &mut services);
    let memory = |capacity| Param::MemrefOutput { capacity, data: vec![] };
    let cases = [
        vec![Param::None; 5],
        vec![memory(MAX_PARAMETER_BYTES as u32 + 1)],
        vec![memory(u32::MAX)],
        vec![memory(MAX_PARAMETER_BYTES as u32), memory(8)],
        vec![Param::MemrefInput(vec![0; MAX_PARAMETER_BYTES + 1])],
        vec![Param::MemrefInout { capacity: 1, data: vec![0; 2] }],
    ];
    for mut params in cases {
        let result = ta.invoke(&mut services, 0, 0, &mut params);
        assert!(matches!(result, Err(TaError::BadParameters(_))), "{result:?}");
    }
    ta.invoke(&mut services, 0, 0, &mut vec![Param::None; 4]).unwrap();
}

#[test]
fn a_ta_without_room_for_parameters_lives_on() {
    let ta = module(
        "",
        r#"(func (export "tamarack_params_v1") (param i32) (result i32)
             (select (i32.const 0) (i32.const 1024) (i32.gt_u (local.get 0) (i32.const 100))))"#,
    );
    let mut services = Memory::new();
    let mut ta = start(&ta, &mut services);
    let result = ta.invoke(&mut services, 0, 0, &mut vec![Param::MemrefInput(vec![0; 200])]);
    assert!(matches!(result, Err(TaError::BadParameters(_))), "{result:?}");
    ta.invoke(&mut services, 0, 0, &mut vec![]).unwrap();
}

#[test]
fn fuel_is_per_call() {
    // 40,000 rounds: two calls do not fit into one call's fuel, each alone does.
    let ta = command(
        "",
        r#"(local $i i32)
           (loop $again
             (local.set $i (i32.add (local.get $i) (i32.const 1)))
             (br_if $again (i32.lt_u (local.get $i) (i32.const 40000))))
           i32.const 0"#,
    );
    let mut services = Memory::new();
    let limits = TaLimits { fuel: 400_000, ..limits() };
    let mut ta = load(&ta, &limits).unwrap();
    ta.create(&mut services).unwrap();
    for _ in 0..20 {
        ta.invoke(&mut services, 0, 0, &mut vec![]).unwrap();
    }
}
