//! The host functions, safe to call: a slice of the TA is always a range of its memory.

use crate::{Code, Result};

#[cfg_attr(target_family = "wasm", link(wasm_import_module = "tee"))]
unsafe extern "C" {
    fn TEE_CreatePersistentObject(
        name: *const u8,
        name_len: usize,
        data: *const u8,
        len: usize,
        flags: u32,
    ) -> u32;
    fn TEE_ReadObjectData(name: *const u8, name_len: usize, buffer: *mut u8, size: *mut u32) -> u32;
    fn TEE_WriteObjectData(name: *const u8, name_len: usize, data: *const u8, len: usize) -> u32;
    fn TEE_CloseAndDeletePersistentObject(name: *const u8, name_len: usize) -> u32;
    fn TEE_GenerateKey(name: *const u8, name_len: usize, key_type: u32) -> u32;
    fn TEE_GetObjectBufferAttribute(
        name: *const u8,
        name_len: usize,
        attribute: u32,
        buffer: *mut u8,
        size: *mut u32,
    ) -> u32;
    fn TEE_AsymmetricSignMessage(
        name: *const u8,
        name_len: usize,
        message: *const u8,
        len: usize,
        buffer: *mut u8,
        size: *mut u32,
    ) -> u32;
    fn TEE_AsymmetricDecrypt(
        name: *const u8,
        name_len: usize,
        message: *const u8,
        len: usize,
        buffer: *mut u8,
        size: *mut u32,
    ) -> u32;
    fn TEE_AEEncrypt(
        name: *const u8,
        name_len: usize,
        context: *const u8,
        context_len: usize,
        data: *const u8,
        len: usize,
        buffer: *mut u8,
        size: *mut u32,
    ) -> u32;
    fn TEE_AEDecrypt(
        name: *const u8,
        name_len: usize,
        context: *const u8,
        context_len: usize,
        data: *const u8,
        len: usize,
        buffer: *mut u8,
        size: *mut u32,
    ) -> u32;
    fn TEE_Attest(
        nonce: *const u8,
        nonce_len: usize,
        key: *const u8,
        key_len: usize,
        buffer: *mut u8,
        size: *mut u32,
    ) -> u32;
    fn TEE_TUIConfirm(text: *const u8, len: usize, answer: *mut u32) -> u32;
    fn TEE_DeleteKey(name: *const u8, name_len: usize) -> u32;
    fn TEE_GenerateRandom(buffer: *mut u8, len: usize);
    fn TEE_GetREETime(time: *mut u32);
    fn TEE_GetPropertyAsBinaryBlock(name: *const u8, name_len: usize, buffer: *mut u8, size: *mut u32)
    -> u32;
    fn TEE_PeripheralCommand(
        name: *const u8,
        name_len: usize,
        command: *const u8,
        len: usize,
        buffer: *mut u8,
        size: *mut u32,
    ) -> u32;
    fn TEE_LogMessage(line: *const u8, len: usize);
    fn TEE_Panic(code: u32) -> !;
}

/// TEE_DATA_FLAG_OVERWRITE.
const OVERWRITE: u32 = 0x400;

/// The kinds of key that the TEE can make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256 (TEE_TYPE_ECDSA_KEYPAIR).
    P256,
    /// Ed25519 (TEE_TYPE_ED25519_KEYPAIR).
    Ed25519,
    /// ECDH on P-256 (TEE_TYPE_ECDH_KEYPAIR): others encrypt to it, it never signs.
    Ecdh,
}

fn done(code: u32) -> Result<()> {
    if code == 0 { Ok(()) } else { Err(Code(code)) }
}

/// Calls `function` with the room in `buffer`; gives the part that was filled.
fn filled(buffer: &mut [u8], function: impl FnOnce(*mut u8, *mut u32) -> u32) -> Result<&mut [u8]> {
    let mut size = buffer.len() as u32;
    done(function(buffer.as_mut_ptr(), &mut size))?;
    buffer.get_mut(..size as usize).ok_or(Code::GENERIC)
}

/// Stores `data` under `name` (1 to 64 bytes); `overwrite` says whether it may replace what is there.
pub fn create_object(name: &[u8], data: &[u8], overwrite: bool) -> Result<()> {
    let flags = if overwrite { OVERWRITE } else { 0 };
    // SAFETY: the host only reads the two slices, which live through the call.
    done(unsafe { TEE_CreatePersistentObject(name.as_ptr(), name.len(), data.as_ptr(), data.len(), flags) })
}

/// Reads the object `name` into `buffer`; gives the part that was filled.
pub fn read_object<'a>(name: &[u8], buffer: &'a mut [u8]) -> Result<&'a mut [u8]> {
    // SAFETY: the host reads `name` and writes at most `size` bytes, the length of the buffer.
    filled(buffer, |to, size| unsafe { TEE_ReadObjectData(name.as_ptr(), name.len(), to, size) })
}

/// Replaces the content of the object `name`, which must exist.
pub fn write_object(name: &[u8], data: &[u8]) -> Result<()> {
    // SAFETY: the host only reads the two slices.
    done(unsafe { TEE_WriteObjectData(name.as_ptr(), name.len(), data.as_ptr(), data.len()) })
}

/// Deletes the object `name`.
pub fn delete_object(name: &[u8]) -> Result<()> {
    // SAFETY: the host only reads the slice.
    done(unsafe { TEE_CloseAndDeletePersistentObject(name.as_ptr(), name.len()) })
}

/// Makes a key pair under `name`; the private half stays in the TEE.
pub fn generate_key(name: &[u8], algorithm: Algorithm) -> Result<()> {
    let key_type = match algorithm {
        Algorithm::P256 => 0xa100_0041,
        Algorithm::Ed25519 => 0xa100_0043,
        Algorithm::Ecdh => 0xa100_0042,
    };
    // SAFETY: the host only reads the slice.
    done(unsafe { TEE_GenerateKey(name.as_ptr(), name.len(), key_type) })
}

/// The public half of the key `name`: 32 bytes of an Ed25519 key, or x and y of a P-256 key.
pub fn public_key<'a>(name: &[u8], algorithm: Algorithm, buffer: &'a mut [u8; 64]) -> Result<&'a [u8]> {
    let attributes: &[u32] = match algorithm {
        Algorithm::P256 | Algorithm::Ecdh => &[0xd000_0141, 0xd000_0241],
        Algorithm::Ed25519 => &[0xd000_0743],
    };
    for (part, attribute) in buffer.chunks_mut(32).zip(attributes) {
        // SAFETY: the host reads `name` and writes at most `size` bytes, the length of the part.
        filled(part, |to, size| unsafe {
            TEE_GetObjectBufferAttribute(name.as_ptr(), name.len(), *attribute, to, size)
        })?;
    }
    Ok(&buffer[..32 * attributes.len()])
}

/// Signs `message` with the key `name`.
pub fn sign(name: &[u8], message: &[u8]) -> Result<[u8; 64]> {
    let mut signature = [0; 64];
    // SAFETY: the host reads name and message and writes at most `size` bytes, the length of the signature.
    filled(&mut signature, |to, size| unsafe {
        TEE_AsymmetricSignMessage(name.as_ptr(), name.len(), message.as_ptr(), message.len(), to, size)
    })?;
    Ok(signature)
}

/// Decrypts a COSE_Encrypt to the [`Algorithm::Ecdh`] key `name`; gives the part of `buffer` that the content filled. It says
/// nothing about who encrypted: anybody can.
pub fn decrypt<'a>(name: &[u8], message: &[u8], buffer: &'a mut [u8]) -> Result<&'a mut [u8]> {
    // SAFETY: the host reads name and message and writes at most `size` bytes, the length of the buffer.
    filled(buffer, |to, size| unsafe {
        TEE_AsymmetricDecrypt(name.as_ptr(), name.len(), message.as_ptr(), message.len(), to, size)
    })
}

/// Encrypts `data` with the object `key` (32 bytes) by AES-256-GCM; `context` is authenticated with it. Gives the part of
/// `buffer` that was filled, 28 bytes longer than `data`.
pub fn seal<'a>(key: &[u8], context: &[u8], data: &[u8], buffer: &'a mut [u8]) -> Result<&'a mut [u8]> {
    let (k, c, d) = (key.as_ptr(), context.as_ptr(), data.as_ptr());
    // SAFETY: the host reads the three slices and writes at most `size` bytes, the length of the buffer.
    filled(buffer, |to, size| unsafe {
        TEE_AEEncrypt(k, key.len(), c, context.len(), d, data.len(), to, size)
    })
}

/// Decrypts what [`seal`] or somebody else with the same key gave, or says [`Code::MAC_INVALID`].
pub fn unseal<'a>(key: &[u8], context: &[u8], data: &[u8], buffer: &'a mut [u8]) -> Result<&'a mut [u8]> {
    let (k, c, d) = (key.as_ptr(), context.as_ptr(), data.as_ptr());
    // SAFETY: the host reads the three slices and writes at most `size` bytes, the length of the buffer.
    filled(buffer, |to, size| unsafe {
        TEE_AEDecrypt(k, key.len(), c, context.len(), d, data.len(), to, size)
    })
}

/// Evidence of this TA with `nonce` (8 to 64 bytes) and the public half of `key`, if one is named; gives the part of `buffer`
/// that it filled.
pub fn attest<'a>(nonce: &[u8], key: Option<&[u8]>, buffer: &'a mut [u8]) -> Result<&'a mut [u8]> {
    let key = key.unwrap_or_default();
    // SAFETY: the host reads nonce and name and writes at most `size` bytes, the length of the buffer.
    filled(buffer, |to, size| unsafe {
        TEE_Attest(nonce.as_ptr(), nonce.len(), key.as_ptr(), key.len(), to, size)
    })
}

/// Asks the person at the device on its own panel, where the rich OS neither sees nor answers it.
pub fn confirm(text: &str) -> Result<bool> {
    let mut answer = 0;
    // SAFETY: the host reads the text and writes one u32.
    done(unsafe { TEE_TUIConfirm(text.as_ptr(), text.len(), &mut answer) })?;
    Ok(answer == 1)
}

/// Deletes the key `name`.
pub fn delete_key(name: &[u8]) -> Result<()> {
    // SAFETY: the host only reads the slice.
    done(unsafe { TEE_DeleteKey(name.as_ptr(), name.len()) })
}

/// Fills `buffer` with random bytes.
pub fn random(buffer: &mut [u8]) {
    // SAFETY: the host writes exactly the slice.
    unsafe { TEE_GenerateRandom(buffer.as_mut_ptr(), buffer.len()) }
}

/// Seconds since 1970 by a clock that may be wrong.
pub fn time() -> u32 {
    let mut time = [0; 2];
    // SAFETY: the host writes two u32.
    unsafe { TEE_GetREETime(time.as_mut_ptr()) };
    time[0]
}

/// A property of this TA, such as `gpd.ta.appID`; gives the part of `buffer` that was filled.
pub fn property<'a>(name: &str, buffer: &'a mut [u8]) -> Result<&'a mut [u8]> {
    // SAFETY: the host reads `name` and writes at most `size` bytes, the length of the buffer.
    filled(buffer, |to, size| unsafe { TEE_GetPropertyAsBinaryBlock(name.as_ptr(), name.len(), to, size) })
}

/// Sends `command` to the peripheral `name`; gives the part of `buffer` that its answer filled.
pub fn peripheral<'a>(name: &str, command: &[u8], buffer: &'a mut [u8]) -> Result<&'a mut [u8]> {
    // SAFETY: the host reads name and command and writes at most `size` bytes, the length of the buffer.
    filled(buffer, |to, size| unsafe {
        TEE_PeripheralCommand(name.as_ptr(), name.len(), command.as_ptr(), command.len(), to, size)
    })
}

/// Writes a line to the TA's log. Never log secrets.
pub fn log(line: &str) {
    // SAFETY: the host only reads the text.
    unsafe { TEE_LogMessage(line.as_ptr(), line.len()) }
}

/// Ends the TA at once; nothing of the current call is kept.
pub fn panic(code: Code) -> ! {
    // SAFETY: it takes a number and does not return.
    unsafe { TEE_Panic(code.0) }
}
