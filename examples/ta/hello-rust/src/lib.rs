//! An example TA in Rust: greets, and counts its greetings.
//!
//! Command 1: parameter 0 memory in, a name; 1 memory out: "Hello, NAME!".
//! Command 2: parameter 0 value out: a = number of greetings so far, across restarts and updates.
#![no_std]

use tamarack_ta::{Code, Params, Result, Ta, create_object, read_object, write_object};

const COUNT: &[u8] = b"count";

struct Hello;

fn count() -> Result<u32> {
    let mut buffer = [0; 4];
    match *read_object(COUNT, &mut buffer)? {
        [a, b, c, d] => Ok(u32::from_le_bytes([a, b, c, d])),
        _ => Err(Code::BAD_STATE),
    }
}

impl Ta for Hello {
    fn create() -> Result<()> {
        match create_object(COUNT, &0u32.to_le_bytes(), false) {
            Err(Code::ACCESS_CONFLICT) => Ok(()),
            other => other,
        }
    }

    fn invoke(_session: u32, command: u32, params: &mut Params) -> Result<()> {
        match command {
            1 => {
                let mut text = [0; 64];
                let name = params[0].input()?;
                let length = 7 + name.len() + 1;
                let greeting = text.get_mut(..length).ok_or(Code::BAD_PARAMETERS)?;
                greeting[..7].copy_from_slice(b"Hello, ");
                greeting[7..length - 1].copy_from_slice(name);
                greeting[length - 1] = b'!';
                params[1].put(greeting)?;
                write_object(COUNT, &count()?.wrapping_add(1).to_le_bytes())
            }
            2 => params[0].set(count()?, 0),
            _ => Err(Code::NOT_SUPPORTED),
        }
    }
}

tamarack_ta::ta!(Hello);
