//! Exercises the wire crates and the Agent on a Cortex-M4 without an operating system, and ends the emulator with
//! success only if every step did what it must.
#![no_std]
#![no_main]

extern crate alloc;

use core::mem::MaybeUninit;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m_semihosting::{debug, hprintln};
use embedded_alloc::LlffHeap as Heap;
use tamarack_cbor::Limits;
use tamarack_cose::{Purpose, Sign1, SignOptions, VerificationKey};
use tamarack_crypto::KeyType;

#[global_allocator]
static HEAP: Heap = Heap::empty();
const HEAP_SIZE: usize = 1 << 20;
static mut HEAP_MEMORY: [MaybeUninit<u8>; HEAP_SIZE] = [MaybeUninit::uninit(); HEAP_SIZE];

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    hprintln!("panic: {}", info);
    debug::exit(debug::EXIT_FAILURE);
    loop {}
}

/// A counter in place of a random generator: the emulated board has none, and nothing here is secret.
static COUNTER: AtomicU32 = AtomicU32::new(1);

#[unsafe(no_mangle)]
unsafe extern "Rust" fn __getrandom_v03_custom(out: *mut u8, length: usize) -> Result<(), getrandom::Error> {
    for i in 0..length {
        let next = COUNTER.fetch_add(0x9e37_79b9, Ordering::Relaxed);
        // SAFETY: the caller gives `length` writable bytes at `out`.
        unsafe { out.add(i).write((next >> 13) as u8) };
    }
    Ok(())
}

#[cortex_m_rt::entry]
fn main() -> ! {
    // SAFETY: the heap is set up once, before anything allocates, over memory that nothing else uses.
    unsafe { HEAP.init(&raw mut HEAP_MEMORY as usize, HEAP_SIZE) };
    let ok = run();
    hprintln!("tamarack on thumbv7em: {}", if ok { "ok" } else { "FAILED" });
    debug::exit(if ok { debug::EXIT_SUCCESS } else { debug::EXIT_FAILURE });
    loop {}
}

fn run() -> bool {
    let provider = tamarack_crypto_rustcrypto::provider();
    [KeyType::P256, KeyType::Ed25519].into_iter().all(|key_type| sign_and_verify(key_type, &provider).is_some())
}

/// Makes a key, signs, verifies, and sees a changed byte refused.
fn sign_and_verify(key_type: KeyType, provider: &tamarack_crypto::Provider) -> Option<()> {
    let pkcs8 = provider.keys.generate_pkcs8(key_type).ok()?;
    let signer = provider.keys.load_pkcs8(pkcs8.expose()).ok()?;
    let keys = [VerificationKey::new(signer.public_key(), Purpose::TeepMessage, provider)];
    let mut object = Sign1::sign(signer.as_ref(), b"payload", &[], &SignOptions::default()).ok()?;
    let verify = |object: &[u8]| {
        Sign1::parse(object, &Limits::default())?.verify(&keys, Purpose::TeepMessage, None, &[], provider)
    };
    verify(&object).ok()?;
    let last = object.len() - 1;
    object[last] ^= 1;
    verify(&object).err().map(|_| ())
}
