//! Modules that mean harm end themselves and nothing else.
use tamarack_tee::{Param, TaError, TaInstance, TaLimits, TaReturn};
use tamarack_tee_sandbox::wasm::load;

use super::services::Memory;
use super::{command, limits, module, panic_reason, start};

/// Invokes the command, expects a panic whose reason contains `expected`, and that the TA is dead after it.
#[track_caller]
fn check_dies(module: &[u8], params: Vec<Param>, expected: &str) {
    let mut services = Memory::new();
    let mut ta = start(module, &mut services);
    let before = params.clone();
    let mut params = params;
    let why = panic_reason(ta.invoke(&mut services, 0, 0, &mut params).unwrap_err());
    assert!(why.contains(expected), "{why:?} does not contain {expected:?}");
    assert_eq!(params, before, "a panic gives no output");
    assert!(services.objects.is_empty() && services.lines.is_empty());
    check_dead(ta.as_mut(), &mut services);
}

fn check_dead(ta: &mut dyn TaInstance, services: &mut Memory) {
    let results = [
        ta.create(services),
        ta.open_session(services, &mut vec![]).map(drop),
        ta.invoke(services, 0, 0, &mut vec![]),
        ta.close_session(services, 0),
        ta.destroy(services),
    ];
    for result in results {
        assert!(panic_reason(result.unwrap_err()).starts_with("it stopped earlier: "));
    }
}

#[test]
fn an_infinite_loop_runs_out_of_fuel() {
    check_dies(&command("", "(loop $forever (br $forever)) i32.const 0"), vec![], "out of fuel");
}

#[test]
fn every_entry_point_has_its_fuel() {
    let forever = "(loop $forever (br $forever))";
    let cases = [
        format!(r#"(func (export "TA_CreateEntryPoint") (result i32) {forever} i32.const 0)"#),
        format!(r#"(func (export "tamarack_params_v1") (param i32) (result i32) {forever} i32.const 0)"#),
        format!(
            r#"(func (export "TA_OpenSessionEntryPoint") (param i32 i32 i32) (result i32) {forever} i32.const 0)"#
        ),
        format!(r#"(func (export "TA_CloseSessionEntryPoint") (param i32) {forever})"#),
        format!(r#"(func (export "TA_DestroyEntryPoint") {forever})"#),
    ];
    for body in cases {
        let mut services = Memory::new();
        let mut ta = load(&module("", &body), &limits()).unwrap();
        let result = ta
            .create(&mut services)
            .and_then(|()| ta.open_session(&mut services, &mut vec![]))
            .and_then(|session| ta.close_session(&mut services, session))
            .and_then(|()| ta.destroy(&mut services));
        assert_eq!(panic_reason(result.unwrap_err()), "out of fuel", "{body}");
        check_dead(ta.as_mut(), &mut services);
    }
}

#[test]
fn recursion_ends() {
    let deep = module(
        "",
        r#"(func $deeper (param i32) (result i32) (call $deeper (i32.add (local.get 0) (i32.const 1))))
           (func (export "TA_InvokeCommandEntryPoint") (param i32 i32 i32 i32) (result i32)
             (call $deeper (i32.const 0)))"#,
    );
    check_dies(&deep, vec![], "stack");
}

#[test]
fn memory_and_table_growth_end_at_the_limit() {
    // Grows page by page until it is refused, then tells how many pages it has.
    let bomb = command(
        "",
        "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) memory.size",
    );
    let mut services = Memory::new();
    let mut ta = start(&bomb, &mut services);
    let pages = ta.invoke(&mut services, 0, 0, &mut vec![]);
    assert_eq!(pages, Err(TaError::Returned(TaReturn(16))));

    let at_once = command("", "(memory.grow (i32.const 65535))");
    let mut ta = start(&at_once, &mut services);
    assert_eq!(ta.invoke(&mut services, 0, 0, &mut vec![]), Err(TaError::Returned(TaReturn(u32::MAX))));

    let table = module(
        "",
        r#"(table $t 1 funcref)
           (func (export "TA_InvokeCommandEntryPoint") (param i32 i32 i32 i32) (result i32)
             (drop (table.grow $t (ref.null func) (i32.const 4095)))
             (drop (table.grow $t (ref.null func) (i32.const 1)))
             (drop (table.grow $t (ref.null func) (i32.const 1000000000)))
             (table.size $t))"#,
    );
    let mut ta = start(&table, &mut services);
    assert_eq!(ta.invoke(&mut services, 0, 0, &mut vec![]), Err(TaError::Returned(TaReturn(4096))));
}

#[test]
fn traps_end_the_ta() {
    for (code, expected) in [
        ("unreachable", "unreachable"),
        ("(i32.div_u (i32.const 1) (i32.const 0))", "divide by zero"),
        ("(i32.load (i32.const 0x7fffffff))", "out of bounds"),
        ("(i32.load offset=0xffffffff (i32.const 0xffffffff))", "out of bounds"),
    ] {
        check_dies(&command("", code), vec![], expected);
    }
}

#[test]
fn tee_panic_ends_the_ta() {
    let ta = command(
        r#"(import "tee" "TEE_Panic" (func $panic (param i32)))"#,
        "(call $panic (i32.const 0xbad)) i32.const 0",
    );
    check_dies(&ta, vec![], "TEE_Panic: the TA gave code 0x00000bad");
}

/// A host function with pointers: its name, its arguments when all is well, and for each pointer argument the
/// index of it and where its length is; whether the function gives a result.
type Pointers = (&'static str, &'static [u32], &'static [(usize, Length)], bool);

const POINTERS: &[Pointers] = &[
    ("TEE_CreatePersistentObject", &[16, 4, 32, 4, 0x400], &[(0, At(1)), (2, At(3))], true),
    ("TEE_ReadObjectData", &[16, 4, 32, 64], &[(0, At(1)), (2, In(3)), (3, Is(4))], true),
    ("TEE_WriteObjectData", &[16, 4, 32, 4], &[(0, At(1)), (2, At(3))], true),
    ("TEE_CloseAndDeletePersistentObject", &[16, 4], &[(0, At(1))], true),
    ("TEE_GenerateKey", &[16, 4, 0xa100_0043], &[(0, At(1))], true),
    (
        "TEE_GetObjectBufferAttribute",
        &[16, 4, 0xd000_0743, 32, 64],
        &[(0, At(1)), (3, In(4)), (4, Is(4))],
        true,
    ),
    (
        "TEE_AsymmetricSignMessage",
        &[16, 4, 32, 4, 96, 64],
        &[(0, At(1)), (2, At(3)), (4, In(5)), (5, Is(4))],
        true,
    ),
    ("TEE_DeleteKey", &[16, 4], &[(0, At(1))], true),
    ("TEE_GenerateRandom", &[16, 4], &[(0, At(1))], false),
    ("TEE_GetSystemTime", &[16], &[(0, Is(8))], false),
    ("TEE_GetREETime", &[16], &[(0, Is(8))], false),
    ("TEE_GetPropertyAsBinaryBlock", &[16, 4, 32, 64], &[(0, At(1)), (2, In(3)), (3, Is(4))], true),
    (
        "TEE_PeripheralCommand",
        &[16, 4, 32, 4, 96, 64],
        &[(0, At(1)), (2, At(3)), (4, In(5)), (5, Is(4))],
        true,
    ),
    ("TEE_LogMessage", &[16, 4], &[(0, At(1))], false),
];

use Length::{At, In, Is};

/// Where the length of a memory argument is.
#[derive(Clone, Copy)]
enum Length {
    /// In this argument.
    At(usize),
    /// In memory, at the address in this argument.
    In(usize),
    /// Always this many bytes.
    Is(u32),
}

/// A TA whose command calls the function once; `size` is stored at `at` before.
fn caller(name: &str, arguments: &[u32], result: bool, at: u32, size: u32) -> Vec<u8> {
    let types = "i32 ".repeat(arguments.len());
    let result_type = if result { "(result i32)" } else { "" };
    let arguments: String = arguments.iter().map(|a| format!("(i32.const {a}) ")).collect();
    let after = if result { "" } else { "i32.const 0" };
    // Storing outside of memory would be this TA's own trap: then the size stays away.
    let store =
        if at < 65_000 { format!("(i32.store (i32.const {at}) (i32.const {size}))") } else { String::new() };
    command(
        &format!(r#"(import "tee" "{name}" (func $f (param {types}) {result_type}))"#),
        &format!("{store} (call $f {arguments}) {after}"),
    )
}

#[test]
fn l3_bad_pointers_at_every_host_function_end_the_ta() {
    let mut checked = 0;
    for &(name, arguments, pointers, result) in POINTERS {
        for &(pointer, length) in pointers {
            // (address, length): just past the end, far out, wrapping around to 0, and all of it.
            for (address, bytes) in [
                (65_536, 1),
                (65_535, 2),
                (65_533, 8),
                (0x7fff_fff0, 8),
                (0xffff_fff0, 16),
                (0xffff_fffe, 4),
                (16, 0xffff_fff0),
                (16, 0xffff_ffff),
                (0xffff_ffff, 0xffff_ffff),
            ] {
                let mut arguments = arguments.to_vec();
                arguments[pointer] = address;
                let (mut at, mut size) = (64, 4);
                match length {
                    At(argument) => arguments[argument] = bytes,
                    In(argument) => (at, size) = (arguments[argument], bytes),
                    // The length is fixed, so only addresses can be bad.
                    Is(fixed) if u64::from(address) + u64::from(fixed) <= 65_536 => continue,
                    Is(_) => (at, size) = (address, 4),
                }
                let ta = caller(name, &arguments, result, at, size);
                check_dies(&ta, vec![], &format!("{name}: "));
                checked += 1;
            }
        }
    }
    assert!(checked > 150, "{checked}");
}

#[test]
fn l3_host_functions_charge_fuel_for_bytes() {
    /// The least fuel, to 500 units, with which a TA calls `name` once; the object it may read has `bytes` bytes.
    fn cost(name: &str, arguments: &[u32], result: bool, bytes: u32) -> u64 {
        let ta = caller(name, arguments, result, 64, bytes);
        let works = |fuel: &u64| {
            let mut services = Memory::new();
            services.objects.insert(vec![0; 4], vec![1; bytes as usize]);
            let mut ta = load(&ta, &TaLimits { fuel: *fuel, ..limits() }).unwrap();
            ta.create(&mut services).is_ok() && ta.invoke(&mut services, 0, 0, &mut vec![]).is_ok()
        };
        (0..200_000).step_by(500).find(works).unwrap()
    }
    // The same call with 1 byte and with 60,000 bytes that are made, go in, come out.
    let random = |bytes| cost("TEE_GenerateRandom", &[512, bytes], false, bytes);
    let create = |bytes| cost("TEE_CreatePersistentObject", &[16, 4, 512, bytes, 0x400], true, bytes);
    let read = |bytes| cost("TEE_ReadObjectData", &[16, 4, 512, 64], true, bytes);
    for difference in [random(60_000) - random(1), create(60_000) - create(1), read(60_000) - read(1)] {
        assert!((59_500..61_000).contains(&difference), "{difference}");
    }
}

#[test]
fn l3_a_loop_of_host_calls_runs_out_of_fuel() {
    let ta = command(
        r#"(import "tee" "TEE_GetREETime" (func $time (param i32)))"#,
        "(loop $forever (call $time (i32.const 16)) (br $forever)) i32.const 0",
    );
    check_dies(&ta, vec![], "out of fuel");
}

#[test]
fn l3_there_is_no_way_from_ta_to_ta() {
    for name in ["TEE_OpenTASession", "TEE_InvokeTACommand", "TEE_CloseTASession"] {
        let ta = module(&format!(r#"(import "tee" "{name}" (func (param i32)))"#), "");
        let Err(TaError::Invalid(why)) = load(&ta, &limits()) else { panic!("{name} loaded") };
        assert!(why.contains(name));
    }
}

#[test]
fn l3_a_host_function_as_entry_point_runs_outside_of_no_call() {
    // An entry point that is itself an import has no caller to come back to: the TA ends, the TEE does not.
    let imports = r#"(import "tee" "TEE_CreatePersistentObject" (func $f (param i32 i32 i32 i32 i32) (result i32)))
                     (import "tee" "TEE_GetPropertyAsBinaryBlock" (func $p (param i32 i32 i32 i32) (result i32)))
                     (import "tee" "TEE_Panic" (func $panic (param i32)))"#;
    let ta = module(
        imports,
        r#"(export "TA_InvokeCommandEntryPoint" (func $p)) (export "TA_CloseSessionEntryPoint" (func $panic))"#,
    );
    let mut services = Memory::new();
    let mut ta_invoked = start(&ta, &mut services);
    panic_reason(ta_invoked.invoke(&mut services, 0, 0, &mut vec![]).unwrap_err());
    check_dead(ta_invoked.as_mut(), &mut services);
    let mut ta_closed = start(&ta, &mut services);
    panic_reason(ta_closed.close_session(&mut services, 0).unwrap_err());
    check_dead(ta_closed.as_mut(), &mut services);
}

#[test]
fn l3_entry_points_do_not_nest() {
    // A TA may call its own functions, its entry points too; the host's loop is not entered a second time by that.
    let ta = module(
        r#"(import "tee" "TEE_GetREETime" (func $time (param i32)))"#,
        r#"(func $invoke (export "TA_InvokeCommandEntryPoint") (param i32 i32 i32 i32) (result i32)
             (call $time (i32.const 16))
             (if (result i32) (i32.eqz (local.get 1))
               (then (i32.load (i32.const 16)))
               (else (call $invoke (local.get 0) (i32.sub (local.get 1) (i32.const 1)) (local.get 2) (local.get 3)))))"#,
    );
    let mut services = Memory::new();
    let mut ta = start(&ta, &mut services);
    let code = ta.invoke(&mut services, 0, 100, &mut vec![]);
    assert_eq!(code, Err(TaError::Returned(TaReturn(super::services::NOW as u32))));
    let why = panic_reason(ta.invoke(&mut services, 0, 5000, &mut vec![]).unwrap_err());
    assert!(why.contains("stack"), "{why}");
}

#[test]
fn an_output_longer_than_its_capacity_ends_the_ta() {
    let output = || vec![Param::MemrefOutput { capacity: 8, data: vec![] }];
    let inout = || vec![Param::MemrefInout { capacity: 8, data: vec![1] }];
    for size in [9, 0xffff_ffff_u32] {
        let ta = command("", &format!("(i32.store offset=4 (local.get 3) (i32.const {size})) i32.const 0"));
        check_dies(&ta, output(), "parameter 0 is longer than its capacity");
        check_dies(&ta, inout(), "parameter 0 is longer than its capacity");
    }
}

#[test]
fn pointers_that_the_ta_puts_into_its_parameters_are_not_followed() {
    let ta = command("", "(i32.store (local.get 3) (i32.const 0xfffffff0)) i32.const 0");
    let mut services = Memory::new();
    let mut ta = start(&ta, &mut services);
    let mut params = vec![Param::MemrefOutput { capacity: 4, data: vec![] }];
    ta.invoke(&mut services, 0, 0, &mut params).unwrap();
    assert_eq!(params, [Param::MemrefOutput { capacity: 4, data: vec![0; 4] }]);
}

#[test]
fn a_parameter_area_outside_of_memory_ends_the_ta() {
    for area in ["65535", "65500", "0x7fffffff", "0xffffffff", "0xffffffc0"] {
        let ta = module(
            "",
            &format!(r#"(func (export "tamarack_params_v1") (param i32) (result i32) i32.const {area})"#),
        );
        check_dies(&ta, vec![Param::ValueInput(1, 2)], "tamarack_params_v1: ");
    }
}

#[test]
fn code_behind_the_end_of_a_function_is_refused() {
    let body = [0x00, 0x0b, 0x41, 0x00, 0x0b]; // no locals; end; i32.const 0; end
    let head = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x0a\x07\x01\x05";
    match load(&[&head[..], &body].concat(), &limits()) {
        Err(TaError::Invalid(why)) => assert!(why.contains("after end of function"), "{why}"),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it loads"),
    }
}
