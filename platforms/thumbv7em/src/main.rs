//! Exercises the wire crates on a Cortex-M4 without an operating system, and ends the emulator with success only if every
//! step did what it must. The ports and engines are compiled for it too.
#![no_std]
#![no_main]

extern crate alloc;

// Compiled to show that they need no operating system; what is not called is not linked.
use {
    tamarack_agent as _, tamarack_attest as _, tamarack_channel as _, tamarack_eat as _, tamarack_store as _,
    tamarack_tam as _, tamarack_tee as _, tamarack_x509 as _,
};

use core::mem::MaybeUninit;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m_semihosting::{debug, hprintln};
use embedded_alloc::LlffHeap as Heap;
use tamarack_cbor::Limits;
use tamarack_cose::{Purpose, Sign1, SignOptions, VerificationKey};
use tamarack_crypto::KeyType;
use tamarack_model::ComponentId;
use tamarack_suit::author::{Builder, Component, Payload};
use tamarack_suit::{Envelope, Limits as SuitLimits, Machine, MemoryDevice, Procedure, TrustedKeys};
use tamarack_teep::{Message, SignedMessage, Success};

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
    let key_types = [KeyType::P256, KeyType::Ed25519];
    key_types.iter().all(|key_type| sign_and_verify(*key_type, &provider).is_some())
        && key_types.iter().all(|key_type| install(*key_type, &provider).is_some())
        && key_types.iter().all(|key_type| teep(*key_type, &provider).is_some())
}

/// Writes a manifest, signs it, authenticates it and carries it out; sees a changed payload refused.
fn install(key_type: KeyType, provider: &tamarack_crypto::Provider) -> Option<()> {
    let pkcs8 = provider.keys.generate_pkcs8(key_type).ok()?;
    let signer = provider.keys.load_pkcs8(pkcs8.expose()).ok()?;
    let keys = [VerificationKey::new(signer.public_key(), Purpose::SuitManifest, provider)];
    let id = |kind| ComponentId::tamarack("com.example", [7; 16], kind).ok();
    let payload = Payload::integrated("#ta", b"content".to_vec(), provider);
    let unsigned = Builder::new(id("suit")?, 1).component(Component::new(id("ta")?, payload)).build(provider).ok()?;
    let envelope = unsigned.sign(signer.as_ref(), &SignOptions::default()).ok()?.envelope();
    let run = |envelope: &[u8]| {
        let parsed = Envelope::parse(envelope, &SuitLimits::default()).ok()?;
        let trusted = TrustedKeys { signatures: &keys, macs: &[] };
        let authentic = parsed.authenticate(&trusted, provider).ok()?;
        let mut machine = Machine::new(authentic, Procedure::Update, SuitLimits::default()).ok()?;
        MemoryDevice::new(*provider).drive(&mut machine).ok()
    };
    run(&envelope)?;
    let at = envelope.windows(7).position(|window| window == b"content")?;
    let mut tampered = envelope;
    tampered[at] ^= 1;
    run(&tampered).is_none().then_some(())
}

/// Signs a TEEP message, reads and verifies it.
fn teep(key_type: KeyType, provider: &tamarack_crypto::Provider) -> Option<()> {
    let pkcs8 = provider.keys.generate_pkcs8(key_type).ok()?;
    let signer = provider.keys.load_pkcs8(pkcs8.expose()).ok()?;
    let keys = [VerificationKey::new(signer.public_key(), Purpose::TeepMessage, provider)];
    let message = Message::Success(Success { token: Some([1; 16].to_vec()), msg: None, suit_reports: [].to_vec() });
    let bytes = tamarack_teep::sign(&message, signer.as_ref(), &SignOptions::default()).ok()?;
    let verified = SignedMessage::parse(&bytes, &Limits::default()).ok()?.verify(&keys, provider).ok()?;
    (*verified.value() == message).then_some(())
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
