//! {{name}}: a Trusted Application that echoes what it is given and counts how often it was asked.
//!
//! Command 1: parameter 0 memory in, 1 memory out: the same bytes.
//! Command 2: parameter 0 value out: a = how often command 1 has succeeded, across restarts and updates.
#![no_std]

use tamarack_ta::{Code, Param, Params, Result, Ta, create_object, read_object, write_object};

const COUNT: &[u8] = b"count";

struct Echo;

fn count() -> Result<u32> {
    let mut buffer = [0; 4];
    match *read_object(COUNT, &mut buffer)? {
        [a, b, c, d] => Ok(u32::from_le_bytes([a, b, c, d])),
        _ => Err(Code::BAD_STATE),
    }
}

impl Ta for Echo {
    fn create() -> Result<()> {
        match create_object(COUNT, &0u32.to_le_bytes(), false) {
            Err(Code::ACCESS_CONFLICT) => Ok(()), // it is there from an earlier start
            other => other,
        }
    }

    fn invoke(_session: u32, command: u32, params: &mut Params) -> Result<()> {
        match (command, params) {
            (1, [Param::MemoryInput(input), Param::MemoryOutput(output), Param::None, Param::None]) => {
                output.put(input)?;
                write_object(COUNT, &count()?.wrapping_add(1).to_le_bytes())
            }
            (2, [value @ Param::ValueOutput(_), ..]) => value.set(count()?, 0),
            (1 | 2, _) => Err(Code::BAD_PARAMETERS),
            _ => Err(Code::NOT_SUPPORTED),
        }
    }
}

tamarack_ta::ta!(Echo);
