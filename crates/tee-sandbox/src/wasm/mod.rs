//! The TA runtime: core WebAssembly modules behind the interface of `docs/ta-abi.md`.
//!
//! A module sees nothing of the host but the functions of the table in `host`, and the host sees nothing of the module
//! but its entry points and its one memory. Every call has a budget of fuel, every pointer goes through one check
//! (`guest`), and whatever goes wrong inside a call ends the instance for good.
//!
//! A host function never runs in the interpreter: it suspends the call, this module serves it with the services of
//! that call, and resumes. So no host function can call back into the TA (security rule L3).

mod guest;
mod host;
mod instance;
mod params;

use tamarack_tee::{TaError, TaInstance, TaLimits};

/// Largest module, in bytes.
pub const MAX_MODULE: usize = 1 << 20;
/// Most elements of the function table.
pub const MAX_TABLE: usize = 4096;
/// Deepest nesting of calls inside a TA.
pub const MAX_CALL_DEPTH: usize = 1000;
/// Most room that the memory parameters of one call may take together, in bytes.
pub const MAX_PARAMETER_BYTES: usize = 256 << 10;
/// Version of the TA interface; it is part of the name of an export that every TA must have.
pub const ABI_VERSION: u32 = 1;

/// Loads `module` (a core WebAssembly binary, at most [`MAX_MODULE`] bytes) without running any of its code.
///
/// Fails with [`TaError::Invalid`], which names what is wrong: not WebAssembly, a start function, an import that does
/// not exist, an export that is missing or has another type, more memory than `limits` allow.
pub fn load(module: &[u8], limits: &TaLimits) -> Result<Box<dyn TaInstance>, TaError> {
    Ok(Box::new(instance::Instance::load(module, limits)?))
}
