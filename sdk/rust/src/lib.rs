//! What a Trusted Application (TA) for Tamarack is compiled against, in Rust, without the standard library. The
//! interface below it is `docs/ta-abi.md`.
//!
//! A TA implements [`Ta`] and names it once with [`ta!`]:
//!
//! ```ignore
//! #![no_std]
//! struct Echo;
//! impl tamarack_ta::Ta for Echo {
//!     fn invoke(_session: u32, command: u32, params: &mut tamarack_ta::Params) -> tamarack_ta::Result<()> {
//!         // ...
//!         Ok(())
//!     }
//! }
//! tamarack_ta::ta!(Echo);
//! ```
//!
//! There is no allocator: parameters lie in an area of fixed size, answers go into buffers of the TA. Build with
//! `--target wasm32v1-none --release` as a `cdylib`, with a stack of 64 KiB (`-C link-arg=-zstack-size=65536`).
#![no_std]

mod host;
mod params;

pub use host::{
    Algorithm, attest, confirm, create_object, decrypt, delete_key, delete_object, generate_key, log, panic,
    peripheral, property, public_key, random, read_object, seal, sign, time, unseal, write_object,
};
pub use params::{Memory, Param, Params};

#[doc(hidden)]
pub use params::raw;

/// A result whose error is a code of the GlobalPlatform TEE Internal Core API or of the TA itself.
pub type Result<T> = core::result::Result<T, Code>;

/// A TEE_Result other than TEE_SUCCESS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub u32);

impl Code {
    /// TEE_ERROR_GENERIC.
    pub const GENERIC: Self = Self(0xffff_0000);
    /// TEE_ERROR_ACCESS_DENIED.
    pub const ACCESS_DENIED: Self = Self(0xffff_0001);
    /// TEE_ERROR_ACCESS_CONFLICT: it exists already.
    pub const ACCESS_CONFLICT: Self = Self(0xffff_0003);
    /// TEE_ERROR_BAD_PARAMETERS.
    pub const BAD_PARAMETERS: Self = Self(0xffff_0006);
    /// TEE_ERROR_BAD_STATE.
    pub const BAD_STATE: Self = Self(0xffff_0007);
    /// TEE_ERROR_ITEM_NOT_FOUND.
    pub const ITEM_NOT_FOUND: Self = Self(0xffff_0008);
    /// TEE_ERROR_NOT_SUPPORTED.
    pub const NOT_SUPPORTED: Self = Self(0xffff_000a);
    /// TEE_ERROR_BUSY.
    pub const BUSY: Self = Self(0xffff_000d);
    /// TEE_ERROR_SHORT_BUFFER.
    pub const SHORT_BUFFER: Self = Self(0xffff_0010);
    /// TEE_ERROR_STORAGE_NO_SPACE.
    pub const STORAGE_NO_SPACE: Self = Self(0xffff_3041);
    /// TEE_ERROR_MAC_INVALID.
    pub const MAC_INVALID: Self = Self(0xffff_3071);
}

/// A Trusted Application. All its state between calls is in persistent objects, so nothing here takes `self`.
pub trait Ta {
    /// Runs once when the TA is loaded; an error means that it does not start.
    fn create() -> Result<()> {
        Ok(())
    }

    /// A client opens a session; the number given comes back in its later calls.
    fn open_session(_params: &mut Params) -> Result<u32> {
        Ok(0)
    }

    /// A client invokes a command. Outputs are given to it also with an error.
    fn invoke(session: u32, command: u32, params: &mut Params) -> Result<()>;

    /// A client closes its session.
    fn close_session(_session: u32) {}

    /// Runs once, last.
    fn destroy() {}
}

/// Exports the entry points of the [`Ta`] type that is named.
#[macro_export]
macro_rules! ta {
    ($ta:ty) => {
        const _: () = {
            use $crate::{Ta, raw};

            #[unsafe(no_mangle)]
            extern "C" fn tamarack_params_v1(size: u32) -> u32 {
                raw::area(size)
            }
            #[unsafe(no_mangle)]
            extern "C" fn TA_CreateEntryPoint() -> u32 {
                raw::code(<$ta as Ta>::create())
            }
            #[unsafe(no_mangle)]
            extern "C" fn TA_OpenSessionEntryPoint(types: u32, _params: u32, _session: u32) -> u32 {
                raw::open_session(types, <$ta as Ta>::open_session)
            }
            #[unsafe(no_mangle)]
            extern "C" fn TA_InvokeCommandEntryPoint(
                session: u32,
                command: u32,
                types: u32,
                _params: u32,
            ) -> u32 {
                raw::code(raw::with_params(types, |params| <$ta as Ta>::invoke(session, command, params)))
            }
            #[unsafe(no_mangle)]
            extern "C" fn TA_CloseSessionEntryPoint(session: u32) {
                <$ta as Ta>::close_session(session)
            }
            #[unsafe(no_mangle)]
            extern "C" fn TA_DestroyEntryPoint() {
                <$ta as Ta>::destroy()
            }
        };

        #[cfg(target_family = "wasm")]
        #[panic_handler]
        fn panicked(_: &core::panic::PanicInfo<'_>) -> ! {
            $crate::panic($crate::Code::GENERIC)
        }
    };
}
