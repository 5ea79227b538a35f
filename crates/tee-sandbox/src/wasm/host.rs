//! The host functions: one table, one function each. `docs/ta-abi.md` describes them for TA developers.

use std::fmt;

use tamarack_crypto::{KeyType, PublicKey};
use tamarack_tee::{TaReturn, TaServices};

use super::guest::Guest;

/// Most arguments of a host function.
pub(super) const MAX_ARGUMENTS: usize = 8;

/// Fuel that a host function costs before anything else.
const CALL_FUEL: u64 = 100;
/// Fuel of an operation that touches storage, a device or the log.
const SLOW_FUEL: u64 = 2_000;
/// Fuel of an operation with a private key.
const KEY_FUEL: u64 = 50_000;

/// Longest name of an object, key, property or peripheral, in bytes.
const MAX_NAME: u32 = 64;
/// Longest line of the log, in bytes; what is longer is cut.
const MAX_LOG_LINE: u32 = 1024;
/// Longest command to a peripheral, in bytes.
const MAX_COMMAND: u32 = 4096;
/// Sizes of a nonce of Evidence, in bytes.
const NONCE: core::ops::RangeInclusive<u32> = 8..=64;
/// Longest question to the person at the device, in bytes.
const MAX_QUESTION: u32 = 512;

/// TEE_DATA_FLAG_OVERWRITE of the GlobalPlatform TEE Internal Core API.
const DATA_FLAG_OVERWRITE: u32 = 0x0000_0400;
/// TEE_TYPE_ECDSA_KEYPAIR; always P-256 here.
const TYPE_ECDSA_KEYPAIR: u32 = 0xa100_0041;
/// TEE_TYPE_ECDH_KEYPAIR; always P-256 here.
const TYPE_ECDH_KEYPAIR: u32 = 0xa100_0042;
/// TEE_TYPE_ED25519_KEYPAIR.
const TYPE_ED25519_KEYPAIR: u32 = 0xa100_0043;
/// TEE_ATTR_ECC_PUBLIC_VALUE_X, 32 bytes.
const ATTR_ECC_PUBLIC_VALUE_X: u32 = 0xd000_0141;
/// TEE_ATTR_ECC_PUBLIC_VALUE_Y, 32 bytes.
const ATTR_ECC_PUBLIC_VALUE_Y: u32 = 0xd000_0241;
/// TEE_ATTR_ED25519_PUBLIC_VALUE, 32 bytes.
const ATTR_ED25519_PUBLIC_VALUE: u32 = 0xd000_0743;

/// Why a host function ends the TA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// A pointer leaves the memory of the TA.
    Pointer { pointer: u32, length: u32 },
    /// The call has used up its fuel.
    Fuel,
    /// The TA called TEE_Panic with this code.
    Panic(u32),
    /// A function that has no result could not do its work.
    Service(TaReturn),
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pointer { pointer, length } => {
                write!(f, "{length} bytes at 0x{pointer:08x} are outside of its memory")
            }
            Self::Fuel => f.write_str("out of fuel"),
            Self::Panic(code) => write!(f, "the TA gave code 0x{code:08x}"),
            Self::Service(code) => write!(f, "the TEE gave code 0x{:08x}", code.0),
        }
    }
}

/// How a host function ended.
enum End {
    /// The TA goes on and sees this TEE_Result.
    Return(TaReturn),
    /// The TA is ended.
    Stop(Stop),
}

impl From<TaReturn> for End {
    fn from(code: TaReturn) -> Self {
        Self::Return(code)
    }
}

impl From<Stop> for End {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

/// What a host function may use: the memory and the fuel of the call, and the services of this TA.
pub(super) struct Host<'a> {
    pub(super) guest: Guest<'a>,
    pub(super) services: &'a mut dyn TaServices,
    pub(super) fuel: u64,
    pub(super) object_size: usize,
}

/// One host function: imported as `tee.NAME`, all arguments `i32`.
pub(super) struct HostFunction {
    /// Name of the import.
    pub(super) name: &'static str,
    /// Number of `i32` arguments, at most [`MAX_ARGUMENTS`].
    pub(super) arguments: usize,
    /// Whether it gives a TEE_Result.
    pub(super) result: bool,
    run: fn(&mut Host<'_>, [u32; MAX_ARGUMENTS]) -> Result<(), End>,
}

/// Everything that a TA can import.
pub(super) const FUNCTIONS: &[HostFunction] = &[
    returning("TEE_CreatePersistentObject", 5, create_object),
    returning("TEE_ReadObjectData", 4, read_object),
    returning("TEE_WriteObjectData", 4, write_object),
    returning("TEE_CloseAndDeletePersistentObject", 2, delete_object),
    returning("TEE_GenerateKey", 3, generate_key),
    returning("TEE_GetObjectBufferAttribute", 5, public_key),
    returning("TEE_AsymmetricSignMessage", 6, sign),
    returning("TEE_AsymmetricDecrypt", 6, decrypt),
    returning("TEE_DeleteKey", 2, delete_key),
    returning("TEE_AEEncrypt", 8, seal),
    returning("TEE_AEDecrypt", 8, unseal),
    returning("TEE_Attest", 6, attest),
    returning("TEE_TUIConfirm", 3, confirm),
    void("TEE_GenerateRandom", 2, random),
    void("TEE_GetSystemTime", 1, time),
    void("TEE_GetREETime", 1, time),
    returning("TEE_GetPropertyAsBinaryBlock", 4, property),
    returning("TEE_PeripheralCommand", 6, peripheral),
    void("TEE_LogMessage", 2, log),
    void("TEE_Panic", 1, panic),
];

const fn returning(
    name: &'static str,
    arguments: usize,
    run: fn(&mut Host<'_>, [u32; MAX_ARGUMENTS]) -> Result<(), End>,
) -> HostFunction {
    HostFunction { name, arguments, result: true, run }
}

const fn void(
    name: &'static str,
    arguments: usize,
    run: fn(&mut Host<'_>, [u32; MAX_ARGUMENTS]) -> Result<(), End>,
) -> HostFunction {
    HostFunction { name, arguments, result: false, run }
}

impl HostFunction {
    /// Runs the function; gives its TEE_Result.
    pub(super) fn call(
        &self,
        host: &mut Host<'_>,
        arguments: [u32; MAX_ARGUMENTS],
    ) -> Result<TaReturn, Stop> {
        host.burn(CALL_FUEL)?;
        match (self.run)(host, arguments) {
            Ok(()) => Ok(TaReturn::SUCCESS),
            Err(End::Return(code)) if self.result => Ok(code),
            Err(End::Return(code)) => Err(Stop::Service(code)),
            Err(End::Stop(stop)) => Err(stop),
        }
    }
}

impl Host<'_> {
    fn burn(&mut self, fuel: u64) -> Result<(), Stop> {
        match self.fuel.checked_sub(fuel) {
            Some(left) => {
                self.fuel = left;
                Ok(())
            }
            None => {
                self.fuel = 0;
                Err(Stop::Fuel)
            }
        }
    }

    /// Bytes that go in, paid for before they are copied.
    fn take(&mut self, pointer: u32, length: u32) -> Result<Vec<u8>, Stop> {
        self.guest.range(pointer, length)?;
        self.burn(u64::from(length))?;
        self.guest.read(pointer, length)
    }

    /// A name: 1 to [`MAX_NAME`] bytes.
    fn name(&mut self, pointer: u32, length: u32) -> Result<Vec<u8>, End> {
        if length == 0 || length > MAX_NAME {
            self.guest.range(pointer, length)?;
            return Err(TaReturn::BAD_PARAMETERS.into());
        }
        Ok(self.take(pointer, length)?)
    }

    /// Content of an object: at most the size that this TA may store.
    fn object(&mut self, pointer: u32, length: u32) -> Result<Vec<u8>, End> {
        if length as usize > self.object_size {
            self.guest.range(pointer, length)?;
            return Err(TaReturn::STORAGE_NO_SPACE.into());
        }
        Ok(self.take(pointer, length)?)
    }

    /// Room for an answer: a buffer and a number that says how long it is. Checked before the work is done.
    fn room(&self, buffer: u32, size: u32) -> Result<Room, Stop> {
        let capacity = self.guest.read_u32(size)?;
        self.guest.range(buffer, capacity)?;
        Ok(Room { buffer, size, capacity })
    }

    /// Gives an answer: its length always, its bytes if there is room for them.
    fn give(&mut self, room: &Room, answer: &[u8]) -> Result<(), End> {
        let length = u32::try_from(answer.len()).map_err(|_| TaReturn::GENERIC)?;
        self.guest.write(room.size, &length.to_le_bytes())?;
        if length > room.capacity {
            return Err(TaReturn::SHORT_BUFFER.into());
        }
        self.burn(u64::from(length))?;
        Ok(self.guest.write(room.buffer, answer)?)
    }
}

struct Room {
    buffer: u32,
    size: u32,
    capacity: u32,
}

fn create_object(host: &mut Host<'_>, args: [u32; MAX_ARGUMENTS]) -> Result<(), End> {
    let [name, name_length, data, length, flags, ..] = args;
    host.burn(SLOW_FUEL)?;
    let name = host.name(name, name_length)?;
    let data = host.object(data, length)?;
    if flags & !DATA_FLAG_OVERWRITE != 0 {
        return Err(TaReturn::BAD_PARAMETERS.into());
    }
    if flags & DATA_FLAG_OVERWRITE == 0 {
        match host.services.read_object(&name) {
            Err(TaReturn::ITEM_NOT_FOUND) => {}
            Err(code) => return Err(code.into()),
            Ok(_) => return Err(TaReturn::ACCESS_CONFLICT.into()),
        }
    }
    Ok(host.services.write_object(&name, &data)?)
}

fn read_object(host: &mut Host<'_>, args: [u32; MAX_ARGUMENTS]) -> Result<(), End> {
    let [name, name_length, buffer, size, ..] = args;
    host.burn(SLOW_FUEL)?;
    let room = host.room(buffer, size)?;
    let name = host.name(name, name_length)?;
    let data = host.services.read_object(&name)?;
    host.give(&room, &data)
}

fn write_object(host: &mut Host<'_>, args: [u32; MAX_ARGUMENTS]) -> Result<(), End> {
    let [name, name_length, data, length, ..] = args;
    host.burn(SLOW_FUEL)?;
    let name = host.name(name, name_length)?;
    let data = host.object(data, length)?;
    host.services.read_object(&name)?;
    Ok(host.services.write_object(&name, &data)?)
}

fn delete_object(host: &mut Host<'_>, args: [u32; MAX_ARGUMENTS]) -> Result<(), End> {
    host.burn(SLOW_FUEL)?;
    let name = host.name(args[0], args[1])?;
    Ok(host.services.delete_object(&name)?)
}

fn generate_key(host: &mut Host<'_>, args: [u32; MAX_ARGUMENTS]) -> Result<(), End> {
    let [name, name_length, key_type, ..] = args;
    host.burn(KEY_FUEL)?;
    let name = host.name(name, name_length)?;
    let made = match key_type {
        TYPE_ECDSA_KEYPAIR => host.services.generate_key(&name, KeyType::P256),
        TYPE_ED25519_KEYPAIR => host.services.generate_key(&name, KeyType::Ed25519),
        TYPE_ECDH_KEYPAIR => host.services.generate_agreement_key(&name),
        _ => Err(TaReturn::NOT_SUPPORTED),
    };
    Ok(made?)
}

fn public_key(host: &mut Host<'_>, args: [u32; MAX_ARGUMENTS]) -> Result<(), End> {
    let [name, name_length, attribute, buffer, size, ..] = args;
    host.burn(SLOW_FUEL)?;
    let room = host.room(buffer, size)?;
    let name = host.name(name, name_length)?;
    let key = host.services.public_key(&name)?;
    match (attribute, key) {
        (ATTR_ECC_PUBLIC_VALUE_X, PublicKey::P256 { x, .. }) => host.give(&room, &x),
        (ATTR_ECC_PUBLIC_VALUE_Y, PublicKey::P256 { y, .. }) => host.give(&room, &y),
        (ATTR_ED25519_PUBLIC_VALUE, PublicKey::Ed25519(point)) => host.give(&room, &point),
        _ => Err(TaReturn::ITEM_NOT_FOUND.into()),
    }
}

fn sign(host: &mut Host<'_>, args: [u32; MAX_ARGUMENTS]) -> Result<(), End> {
    let [name, name_length, message, length, buffer, size, ..] = args;
    host.burn(KEY_FUEL)?;
    let room = host.room(buffer, size)?;
    let name = host.name(name, name_length)?;
    let message = host.take(message, length)?;
    if room.capacity < 64 {
        // Said before the key is used: an unasked-for signature is never made.
        host.guest.write(room.size, &64u32.to_le_bytes())?;
        return Err(TaReturn::SHORT_BUFFER.into());
    }
    let signature = host.services.sign(&name, &message)?;
    host.give(&room, &signature)
}

fn decrypt(host: &mut Host<'_>, args: [u32; MAX_ARGUMENTS]) -> Result<(), End> {
    let [name, name_length, message, length, buffer, size, ..] = args;
    host.burn(KEY_FUEL)?;
    let room = host.room(buffer, size)?;
    let name = host.name(name, name_length)?;
    let message = host.object(message, length)?;
    let plain = host.services.decrypt(&name, &message)?;
    host.give(&room, &plain)
}

fn seal(host: &mut Host<'_>, args: [u32; MAX_ARGUMENTS]) -> Result<(), End> {
    crypt(host, args, |services, name, context, data| services.seal(name, context, data))
}

fn unseal(host: &mut Host<'_>, args: [u32; MAX_ARGUMENTS]) -> Result<(), End> {
    crypt(host, args, |services, name, context, data| services.unseal(name, context, data))
}

fn crypt(
    host: &mut Host<'_>,
    args: [u32; MAX_ARGUMENTS],
    run: impl FnOnce(&mut dyn TaServices, &[u8], &[u8], &[u8]) -> Result<Vec<u8>, TaReturn>,
) -> Result<(), End> {
    let [name, name_length, context, context_length, data, length, buffer, size] = args;
    host.burn(SLOW_FUEL)?;
    let room = host.room(buffer, size)?;
    let name = host.name(name, name_length)?;
    let context = host.object(context, context_length)?;
    let data = host.object(data, length)?;
    // What the work itself costs, besides moving the bytes.
    host.burn(u64::from(length))?;
    let answer = run(&mut *host.services, &name, &context, &data)?;
    host.give(&room, &answer)
}

fn attest(host: &mut Host<'_>, args: [u32; MAX_ARGUMENTS]) -> Result<(), End> {
    let [nonce, nonce_length, key, key_length, buffer, size, ..] = args;
    host.burn(KEY_FUEL)?;
    let room = host.room(buffer, size)?;
    if !NONCE.contains(&nonce_length) {
        host.guest.range(nonce, nonce_length)?;
        return Err(TaReturn::BAD_PARAMETERS.into());
    }
    let nonce = host.take(nonce, nonce_length)?;
    let key = if key_length == 0 { None } else { Some(host.name(key, key_length)?) };
    let evidence = host.services.attest(&nonce, key.as_deref())?;
    host.give(&room, &evidence)
}

fn confirm(host: &mut Host<'_>, args: [u32; MAX_ARGUMENTS]) -> Result<(), End> {
    let [text, length, answer, ..] = args;
    host.burn(SLOW_FUEL)?;
    host.guest.range(answer, 4)?;
    if length == 0 || length > MAX_QUESTION {
        host.guest.range(text, length)?;
        return Err(TaReturn::BAD_PARAMETERS.into());
    }
    let text = host.take(text, length)?;
    let text = one_line(&text);
    let answered = host.services.confirm(&text)?;
    Ok(host.guest.write(answer, &u32::from(answered).to_le_bytes())?)
}

fn delete_key(host: &mut Host<'_>, args: [u32; MAX_ARGUMENTS]) -> Result<(), End> {
    host.burn(SLOW_FUEL)?;
    let name = host.name(args[0], args[1])?;
    Ok(host.services.delete_key(&name)?)
}

fn random(host: &mut Host<'_>, args: [u32; MAX_ARGUMENTS]) -> Result<(), End> {
    let range = host.guest.range(args[0], args[1])?;
    host.burn(u64::from(args[1]))?;
    Ok(host.services.random(&mut host.guest.0[range])?)
}

/// TEE_Time: u32 seconds and u32 milliseconds. One clock serves both names, for the software TEE has no other.
fn time(host: &mut Host<'_>, args: [u32; MAX_ARGUMENTS]) -> Result<(), End> {
    host.guest.range(args[0], 8)?;
    let seconds = u32::try_from(host.services.time()).unwrap_or(u32::MAX);
    host.guest.write(args[0], &seconds.to_le_bytes())?;
    Ok(host.guest.write(args[0].wrapping_add(4), &[0; 4])?)
}

fn property(host: &mut Host<'_>, args: [u32; MAX_ARGUMENTS]) -> Result<(), End> {
    let [name, name_length, buffer, size, ..] = args;
    let room = host.room(buffer, size)?;
    let name = host.name(name, name_length)?;
    let value = match name.as_slice() {
        b"gpd.ta.appID" => host.services.manifest_id().ta_uuid().ok_or(TaReturn::ITEM_NOT_FOUND)?.to_vec(),
        b"tamarack.ta.manifestId" => host.services.manifest_id().to_string().into_bytes(),
        _ => return Err(TaReturn::ITEM_NOT_FOUND.into()),
    };
    host.give(&room, &value)
}

fn peripheral(host: &mut Host<'_>, args: [u32; MAX_ARGUMENTS]) -> Result<(), End> {
    let [name, name_length, command, length, buffer, size, ..] = args;
    host.burn(SLOW_FUEL)?;
    let room = host.room(buffer, size)?;
    let name = host.name(name, name_length)?;
    if length > MAX_COMMAND {
        host.guest.range(command, length)?;
        return Err(TaReturn::BAD_PARAMETERS.into());
    }
    let command = host.take(command, length)?;
    let answer = host.services.peripheral(&name, &command)?;
    host.give(&room, &answer)
}

fn log(host: &mut Host<'_>, args: [u32; MAX_ARGUMENTS]) -> Result<(), End> {
    host.burn(SLOW_FUEL)?;
    host.guest.range(args[0], args[1])?;
    let line = host.take(args[0], args[1].min(MAX_LOG_LINE))?;
    host.services.log(&one_line(&line));
    Ok(())
}

/// A text of a TA: it must not be able to forge a second line or to move a terminal's cursor.
fn one_line(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn panic(_: &mut Host<'_>, args: [u32; MAX_ARGUMENTS]) -> Result<(), End> {
    Err(Stop::Panic(args[0]).into())
}
