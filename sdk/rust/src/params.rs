//! The parameters of a call, as views into the area that the host fills.

use crate::{Code, Result};

/// The parameters of one call, by position.
pub type Params<'a> = [Param<'a>; 4];

/// One parameter.
pub enum Param<'a> {
    /// Not there.
    None,
    /// A pair of numbers that the caller gives.
    ValueInput(u32, u32),
    /// A pair of numbers for the caller.
    ValueOutput(&'a mut [u32; 2]),
    /// A pair of numbers, both ways.
    ValueInout(&'a mut [u32; 2]),
    /// Bytes that the caller gives.
    MemoryInput(&'a [u8]),
    /// Room for bytes.
    MemoryOutput(Memory<'a>),
    /// Bytes and room for others.
    MemoryInout(Memory<'a>),
}

/// A memory parameter that goes back to the caller.
pub struct Memory<'a> {
    room: &'a mut [u8],
    size: &'a mut u32,
}

impl Memory<'_> {
    /// What the caller gave, or what was put there since.
    pub fn content(&self) -> &[u8] {
        &self.room[..self.room.len().min(*self.size as usize)]
    }

    /// The room that there is, in bytes.
    pub fn capacity(&self) -> usize {
        self.room.len()
    }

    /// Puts `bytes` there. If there is too little room the caller learns how much is needed.
    pub fn put(&mut self, bytes: &[u8]) -> Result<()> {
        *self.size = bytes.len() as u32;
        self.room.get_mut(..bytes.len()).ok_or(Code::SHORT_BUFFER)?.copy_from_slice(bytes);
        Ok(())
    }
}

impl Param<'_> {
    /// The bytes of an input, or BAD_PARAMETERS.
    pub fn input(&self) -> Result<&[u8]> {
        match self {
            Self::MemoryInput(bytes) => Ok(bytes),
            Self::MemoryInout(memory) => Ok(memory.content()),
            _ => Err(Code::BAD_PARAMETERS),
        }
    }

    /// Puts `bytes` into an output, or BAD_PARAMETERS.
    pub fn put(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::MemoryOutput(memory) | Self::MemoryInout(memory) => memory.put(bytes),
            _ => Err(Code::BAD_PARAMETERS),
        }
    }

    /// The numbers of an input, or BAD_PARAMETERS.
    pub fn value(&self) -> Result<(u32, u32)> {
        match self {
            Self::ValueInput(a, b) => Ok((*a, *b)),
            Self::ValueInout(value) => Ok((value[0], value[1])),
            _ => Err(Code::BAD_PARAMETERS),
        }
    }

    /// Sets the numbers of an output, or BAD_PARAMETERS.
    pub fn set(&mut self, a: u32, b: u32) -> Result<()> {
        match self {
            Self::ValueOutput(value) | Self::ValueInout(value) => {
                **value = [a, b];
                Ok(())
            }
            _ => Err(Code::BAD_PARAMETERS),
        }
    }
}

/// What the macro `ta!` needs.
#[doc(hidden)]
pub mod raw {
    use core::cell::UnsafeCell;

    use super::{Memory, Param, Params};
    use crate::Result;

    /// Bytes of the area: the head of 64 and room for memory parameters.
    const SIZE: usize = 64 + (64 << 10);
    const SESSION: usize = 8;
    const CAPACITIES: usize = 10;
    const BUFFERS: usize = 16;

    /// The area as words, so that it is aligned.
    struct Area(UnsafeCell<[u64; SIZE / 8]>);

    // SAFETY: a TA is single-threaded, and calls into it do not overlap (docs/ta-abi.md, "Exports").
    unsafe impl Sync for Area {}

    static AREA: Area = Area(UnsafeCell::new([0; SIZE / 8]));

    /// The area, if it is large enough.
    pub fn area(size: u32) -> u32 {
        if size as usize > SIZE { 0 } else { AREA.0.get() as usize as u32 }
    }

    /// A result as the host takes it.
    pub fn code(result: Result<()>) -> u32 {
        result.map_or_else(|code| code.0, |()| 0)
    }

    /// Serves TA_OpenSessionEntryPoint.
    pub fn open_session(types: u32, open: impl FnOnce(&mut Params<'_>) -> Result<u32>) -> u32 {
        let opened = with_params(types, open);
        code(opened.map(|session| {
            // SAFETY: the views of `with_params` are gone, and this word of the area belongs to this call.
            unsafe { AREA.0.get().cast::<u32>().add(SESSION).write(session) }
        }))
    }

    /// Calls `serve` with the parameters that lie in the area.
    pub fn with_params<T>(types: u32, serve: impl FnOnce(&mut Params<'_>) -> Result<T>) -> Result<T> {
        // SAFETY: the area is this call's alone from here to the end of the function, as calls do not overlap; u64
        // words may be seen as u32 words.
        let words = unsafe { core::slice::from_raw_parts_mut(AREA.0.get().cast::<u32>(), SIZE / 4) };
        let (head, mut buffers) = words.split_at_mut(BUFFERS);
        let (values, rest) = head.split_at_mut(SESSION);
        let capacities = &rest[CAPACITIES - SESSION..];
        let mut params = [const { Param::None }; 4];
        let (pairs, _) = values.as_chunks_mut::<2>();
        for ((i, param), pair) in params.iter_mut().enumerate().zip(pairs) {
            let capacity = capacities[i] as usize;
            // Buffers lie one behind the other, each at a multiple of 8.
            let words = capacity.next_multiple_of(8) / 4;
            let (mine, others) = core::mem::take(&mut buffers).split_at_mut(words);
            buffers = others;
            // SAFETY: words may be seen as bytes, and the slice is not used otherwise.
            let room = unsafe { core::slice::from_raw_parts_mut(mine.as_mut_ptr().cast::<u8>(), capacity) };
            *param = match (types >> (4 * i)) & 0xf {
                1 => Param::ValueInput(pair[0], pair[1]),
                2 => Param::ValueOutput(pair),
                3 => Param::ValueInout(pair),
                5 => Param::MemoryInput(room),
                6 => {
                    pair[1] = 0;
                    Param::MemoryOutput(Memory { room, size: &mut pair[1] })
                }
                7 => Param::MemoryInout(Memory { room, size: &mut pair[1] }),
                _ => Param::None,
            };
        }
        serve(&mut params)
    }
}
