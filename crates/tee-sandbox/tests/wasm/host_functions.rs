//! What each host function does when it is called well, and what it answers when it cannot.
use tamarack_tee::{Param, TaReturn};

use super::services::{Memory, NOW, UUID};
use super::{command, panic_reason, start};

/// Names and texts that the calls below point at.
const DATA: &str = r#"(data (i32.const 16) "name") (data (i32.const 32) "gpd.ta.appIDtamarack.ta.manifestId")
    (data (i32.const 80) "valvestatusline\nforged") (data (i32.const 256) "0123456789")"#;
/// Where answers go, and where their size is.
const BUFFER: u32 = 512;
const SIZE: u32 = 508;

/// A TA whose command does `calls` in turn; gives the result of the last and the bytes at BUFFER, `size` long after it.
fn run(services: &mut Memory, room: u32, calls: &[(&str, &[u32])]) -> (TaReturn, Vec<u8>) {
    let mut imports = String::new();
    let mut code = String::new();
    for (i, (name, arguments)) in calls.iter().enumerate() {
        let types = "i32 ".repeat(arguments.len());
        imports += &format!(r#"(import "tee" "{name}" (func $f{i} (param {types}) (result i32)))"#);
        let arguments: String = arguments.iter().map(|a| format!("(i32.const {a}) ")).collect();
        code += &format!("(local.set $result (call $f{i} {arguments}))");
    }
    let code = format!(
        "(local $result i32) (i32.store (i32.const {SIZE}) (i32.const {room})) {code}
         (memory.copy (i32.load (local.get 3)) (i32.const {SIZE}) (i32.const 256))
         (i32.store offset=8 (local.get 3) (local.get $result)) i32.const 0"
    );
    let ta = command(&imports, &format!("{code}) {DATA} (func (result i32) i32.const 0"));
    let mut ta = start(&ta, services);
    let mut params = vec![Param::MemrefOutput { capacity: 256, data: vec![] }, Param::ValueOutput(0, 0)];
    ta.invoke(services, 0, 0, &mut params).unwrap();
    let [Param::MemrefOutput { data, .. }, Param::ValueOutput(result, _)] = &params[..] else {
        panic!("{params:?}")
    };
    let size = u32::from_le_bytes(data[..4].try_into().unwrap()) as usize;
    (TaReturn(*result), data[4..].iter().copied().take(size).collect())
}

fn code(services: &mut Memory, calls: &[(&str, &[u32])]) -> TaReturn {
    run(services, 0, calls).0
}

const CREATE: &str = "TEE_CreatePersistentObject";
const READ: &str = "TEE_ReadObjectData";
const WRITE: &str = "TEE_WriteObjectData";
const DELETE: &str = "TEE_CloseAndDeletePersistentObject";
const GENERATE: &str = "TEE_GenerateKey";
const ATTRIBUTE: &str = "TEE_GetObjectBufferAttribute";
const SIGN: &str = "TEE_AsymmetricSignMessage";
const P256: u32 = 0xa100_0041;
const ED25519: u32 = 0xa100_0043;

#[test]
fn objects() {
    let mut services = Memory::new();
    let s = &mut services;
    assert_eq!(run(s, 9, &[(READ, &[16, 4, BUFFER, SIZE])]).0, TaReturn::ITEM_NOT_FOUND);
    assert_eq!(code(s, &[(WRITE, &[16, 4, 256, 5])]), TaReturn::ITEM_NOT_FOUND);
    assert_eq!(code(s, &[(CREATE, &[16, 4, 256, 10, 0])]), TaReturn::SUCCESS);
    assert_eq!(code(s, &[(CREATE, &[16, 4, 256, 1, 0])]), TaReturn::ACCESS_CONFLICT);
    assert_eq!(s.objects[&b"name"[..]], b"0123456789");
    assert_eq!(run(s, 10, &[(READ, &[16, 4, BUFFER, SIZE])]), (TaReturn::SUCCESS, b"0123456789".to_vec()));
    // Too short: the size that is needed, and not one byte.
    assert_eq!(run(s, 9, &[(READ, &[16, 4, BUFFER, SIZE])]), (TaReturn::SHORT_BUFFER, vec![0; 10]));
    assert_eq!(code(s, &[(CREATE, &[16, 4, 256, 3, 0x400])]), TaReturn::SUCCESS);
    assert_eq!(s.objects[&b"name"[..]], b"012");
    assert_eq!(code(s, &[(WRITE, &[16, 4, 256, 0])]), TaReturn::SUCCESS);
    assert_eq!(s.objects[&b"name"[..]], b"");
    assert_eq!(code(s, &[(DELETE, &[16, 4])]), TaReturn::SUCCESS);
    assert_eq!(code(s, &[(DELETE, &[16, 4])]), TaReturn::ITEM_NOT_FOUND);
}

#[test]
fn names_and_sizes_have_bounds() {
    let mut services = Memory::new();
    let s = &mut services;
    for length in [0, 65] {
        assert_eq!(code(s, &[(CREATE, &[16, length, 256, 1, 0])]), TaReturn::BAD_PARAMETERS);
        assert_eq!(code(s, &[(GENERATE, &[16, length, P256])]), TaReturn::BAD_PARAMETERS);
    }
    assert_eq!(code(s, &[(CREATE, &[16, 64, 256, 1, 0])]), TaReturn::SUCCESS);
    assert_eq!(code(s, &[(CREATE, &[16, 4, 256, 1, 0x401])]), TaReturn::BAD_PARAMETERS);
    // The page has 65,536 bytes, the limit is as much: one page is all that this module has.
    let object_size = super::limits().object_size as u32;
    assert_eq!(code(s, &[(CREATE, &[16, 4, 0, object_size, 0])]), TaReturn::SUCCESS);
    let small = tamarack_tee::TaLimits { object_size: 4, ..super::limits() };
    let ta = command(
        r#"(import "tee" "TEE_CreatePersistentObject" (func $f (param i32 i32 i32 i32 i32) (result i32)))"#,
        "(call $f (i32.const 16) (i32.const 2) (i32.const 0) (i32.const 5) (i32.const 0))",
    );
    let mut ta = tamarack_tee_sandbox::wasm::load(&ta, &small).unwrap();
    ta.create(s).unwrap();
    let result = ta.invoke(s, 0, 0, &mut vec![]);
    assert_eq!(result, Err(tamarack_tee::TaError::Returned(TaReturn::STORAGE_NO_SPACE)));
}

#[test]
fn keys() {
    use ed25519_dalek::Verifier as _;
    let mut services = Memory::new();
    let s = &mut services;
    let sign: &[u32] = &[16, 4, 256, 10, BUFFER, SIZE];
    assert_eq!(run(s, 64, &[(SIGN, sign)]).0, TaReturn::ITEM_NOT_FOUND);
    assert_eq!(code(s, &[(GENERATE, &[16, 4, 0xa000_0010])]), TaReturn::NOT_SUPPORTED);
    assert_eq!(code(s, &[(GENERATE, &[16, 4, ED25519])]), TaReturn::SUCCESS);
    assert_eq!(code(s, &[(GENERATE, &[16, 4, P256])]), TaReturn::ACCESS_CONFLICT);
    let attribute = |id| [16, 4, id, BUFFER, SIZE];
    assert_eq!(run(s, 32, &[(ATTRIBUTE, &attribute(0xd000_0141))]).0, TaReturn::ITEM_NOT_FOUND);
    assert_eq!(run(s, 31, &[(ATTRIBUTE, &attribute(0xd000_0743))]).0, TaReturn::SHORT_BUFFER);
    let (result, point) = run(s, 32, &[(ATTRIBUTE, &attribute(0xd000_0743))]);
    assert_eq!(result, TaReturn::SUCCESS);
    assert_eq!(run(s, 63, &[(SIGN, sign)]), (TaReturn::SHORT_BUFFER, vec![0; 64]));
    assert_eq!(s.signatures, 0);
    let (result, signature) = run(s, 64, &[(SIGN, sign)]);
    assert_eq!(result, TaReturn::SUCCESS);
    let key = ed25519_dalek::VerifyingKey::from_bytes(&point.try_into().unwrap()).unwrap();
    let signature = ed25519_dalek::Signature::from_slice(&signature).unwrap();
    key.verify(b"0123456789", &signature).unwrap();
    assert_eq!(code(s, &[("TEE_DeleteKey", &[16, 4])]), TaReturn::SUCCESS);
    assert_eq!(code(s, &[("TEE_DeleteKey", &[16, 4])]), TaReturn::ITEM_NOT_FOUND);

    assert_eq!(code(s, &[(GENERATE, &[16, 4, P256])]), TaReturn::SUCCESS);
    let x = run(s, 32, &[(ATTRIBUTE, &attribute(0xd000_0141))]).1;
    let y = run(s, 32, &[(ATTRIBUTE, &attribute(0xd000_0241))]).1;
    let signature = p256::ecdsa::Signature::from_slice(&run(s, 64, &[(SIGN, sign)]).1).unwrap();
    let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&[&[4][..], &x, &y].concat()).unwrap();
    p256::ecdsa::signature::Verifier::verify(&key, b"0123456789", &signature).unwrap();
}

#[test]
fn decryption() {
    let mut services = Memory::new();
    let s = &mut services;
    let decrypt: &[u32] = &[16, 4, 256, 10, BUFFER, SIZE];
    assert_eq!(run(s, 16, &[("TEE_AsymmetricDecrypt", decrypt)]).0, TaReturn::ITEM_NOT_FOUND);
    assert_eq!(code(s, &[(GENERATE, &[16, 4, 0xa100_0042])]), TaReturn::SUCCESS);
    let answer = run(s, 16, &[("TEE_AsymmetricDecrypt", decrypt)]);
    assert_eq!(answer, (TaReturn::SUCCESS, b"123456789".to_vec()));
    let other: &[u32] = &[16, 4, 257, 9, BUFFER, SIZE];
    assert_eq!(run(s, 16, &[("TEE_AsymmetricDecrypt", other)]).0, TaReturn::MAC_INVALID);
    assert_eq!(run(s, 8, &[("TEE_AsymmetricDecrypt", decrypt)]), (TaReturn::SHORT_BUFFER, vec![0; 9]));
}

#[test]
fn authenticated_encryption() {
    let mut services = Memory::new();
    let s = &mut services;
    // The object "name" as the key, "valve" as the context, "0123456789" as the data.
    let args = |data, length| [16, 4, 80, 5, data, length, BUFFER, SIZE];
    assert_eq!(run(s, 64, &[("TEE_AEEncrypt", &args(256, 10))]).0, TaReturn::ITEM_NOT_FOUND);
    s.objects.insert(b"name".to_vec(), b"key".to_vec());
    let sealed = run(s, 64, &[("TEE_AEEncrypt", &args(256, 10))]);
    assert_eq!(sealed, (TaReturn::SUCCESS, b"key|valve|0123456789".to_vec()));
    assert_eq!(run(s, 64, &[("TEE_AEDecrypt", &args(256, 10))]).0, TaReturn::MAC_INVALID);
    let both: &[(&str, &[u32])] = &[
        ("TEE_AEEncrypt", &[16, 4, 80, 5, 256, 10, 4096, SIZE]),
        ("TEE_AEDecrypt", &[16, 4, 80, 5, 4096, 20, BUFFER, SIZE]),
    ];
    assert_eq!(run(s, 64, both), (TaReturn::SUCCESS, b"0123456789".to_vec()));
}

#[test]
fn evidence_of_a_ta() {
    let mut services = Memory::new();
    let s = &mut services;
    let attest = |nonce_length, key_length| [256, nonce_length, 16, key_length, BUFFER, SIZE];
    for length in [0, 7, 65] {
        assert_eq!(run(s, 64, &[("TEE_Attest", &attest(length, 0))]).0, TaReturn::BAD_PARAMETERS);
    }
    assert_eq!(run(s, 64, &[("TEE_Attest", &attest(8, 0))]), (TaReturn::SUCCESS, b"01234567|".to_vec()));
    assert_eq!(run(s, 64, &[("TEE_Attest", &attest(8, 4))]).0, TaReturn::ITEM_NOT_FOUND);
    assert_eq!(code(s, &[(GENERATE, &[16, 4, ED25519])]), TaReturn::SUCCESS);
    assert_eq!(run(s, 64, &[("TEE_Attest", &attest(8, 4))]), (TaReturn::SUCCESS, b"01234567|name".to_vec()));
    assert_eq!(run(s, 64, &[("TEE_Attest", &attest(8, 65))]).0, TaReturn::BAD_PARAMETERS);
}

#[test]
fn confirmation() {
    let mut services = Memory::new();
    let s = &mut services;
    assert_eq!(code(s, &[("TEE_TUIConfirm", &[91, 11, BUFFER])]), TaReturn::NOT_SUPPORTED);
    for answer in [true, false] {
        s.answer = Some(answer);
        let asked = run(s, 4, &[("TEE_TUIConfirm", &[91, 11, BUFFER])]);
        assert_eq!(asked, (TaReturn::SUCCESS, vec![u8::from(answer), 0, 0, 0]));
    }
    // One line, whatever the TA would have.
    assert_eq!(s.asked, ["line forged"; 3]);
    for length in [0, 513] {
        assert_eq!(code(s, &[("TEE_TUIConfirm", &[91, length, BUFFER])]), TaReturn::BAD_PARAMETERS);
    }
}

#[test]
fn properties() {
    let mut services = Memory::new();
    let s = &mut services;
    let property = "TEE_GetPropertyAsBinaryBlock";
    assert_eq!(run(s, 16, &[(property, &[32, 12, BUFFER, SIZE])]), (TaReturn::SUCCESS, UUID.to_vec()));
    let (result, id) = run(s, 200, &[(property, &[44, 22, BUFFER, SIZE])]);
    assert_eq!(result, TaReturn::SUCCESS);
    assert_eq!(String::from_utf8(id).unwrap(), tamarack_tee::TaServices::manifest_id(s).to_string());
    assert_eq!(run(s, 16, &[(property, &[32, 11, BUFFER, SIZE])]).0, TaReturn::ITEM_NOT_FOUND);
}

#[test]
fn peripherals() {
    let mut services = Memory::new();
    let s = &mut services;
    let peripheral = "TEE_PeripheralCommand";
    let status: &[u32] = &[80, 5, 85, 6, BUFFER, SIZE];
    assert_eq!(run(s, 16, &[(peripheral, status)]).0, TaReturn::ACCESS_DENIED);
    s.valve = Some(false);
    assert_eq!(run(s, 16, &[(peripheral, status)]), (TaReturn::SUCCESS, b"closed".to_vec()));
    assert_eq!(run(s, 16, &[(peripheral, &[80, 5, 85, 4097, BUFFER, SIZE])]).0, TaReturn::BAD_PARAMETERS);
    assert_eq!(s.valve_commands, ["status"]);
}

#[test]
fn functions_without_result() {
    let ta = command(
        r#"(import "tee" "TEE_GenerateRandom" (func $random (param i32 i32)))
           (import "tee" "TEE_GetSystemTime" (func $time (param i32)))
           (import "tee" "TEE_LogMessage" (func $log (param i32 i32)))"#,
        &format!(
            "(call $random (i32.const 512) (i32.const 3)) (call $time (i32.const 520))
             (call $log (i32.const 91) (i32.const 11)) (call $log (i32.const 0) (i32.const 65536))
             (memory.copy (i32.load (local.get 3)) (i32.const 512) (i32.const 16)) i32.const 0)
             {DATA} (func (result i32) i32.const 0"
        ),
    );
    let mut services = Memory::new();
    let mut ta = start(&ta, &mut services);
    let mut params = vec![Param::MemrefOutput { capacity: 16, data: vec![] }];
    ta.invoke(&mut services, 0, 0, &mut params).unwrap();
    let mut expected = vec![0xa5, 0xa5, 0xa5, 0, 0, 0, 0, 0];
    expected.extend((NOW as u32).to_le_bytes());
    expected.extend([0; 4]);
    assert_eq!(params, [Param::MemrefOutput { capacity: 16, data: expected }]);
    // No second line can be forged, and a line has an end.
    assert_eq!(services.lines[0], "line forged");
    assert_eq!(services.lines[1].chars().count(), 1024);
}

#[test]
fn randomness_that_fails_ends_the_ta() {
    let ta = command(
        r#"(import "tee" "TEE_GenerateRandom" (func $random (param i32 i32)))"#,
        "(call $random (i32.const 16) (i32.const 3)) i32.const 0",
    );
    let mut services = Memory { random_works: false, ..Memory::new() };
    let mut ta = start(&ta, &mut services);
    let why = panic_reason(ta.invoke(&mut services, 0, 0, &mut vec![]).unwrap_err());
    assert_eq!(why, "TEE_GenerateRandom: the TEE gave code 0xffff0000");
}
