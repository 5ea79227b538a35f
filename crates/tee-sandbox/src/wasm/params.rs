//! Parameters of a call, as they lie in the memory of the TA: copied in before, copied out after.
//!
//! | offset | what |
//! |---|---|
//! | 0 | four TEE_Param of 8 bytes: value `a`, `b`, or memory reference `buffer`, `size` |
//! | 32 | the session context that TA_OpenSessionEntryPoint sets |
//! | 40 | four u32: room of each memory reference, which for MEMREF_INOUT may exceed its size |
//! | 64 | the buffers, each at a multiple of 8 |

use tamarack_tee::{MAX_PARAMS, Param, Params, TaError, TaReturn};

use super::MAX_PARAMETER_BYTES;
use super::guest::Guest;
use super::host::Stop;

/// Where the session context lies.
pub(super) const SESSION: u32 = 32;
const CAPACITIES: u32 = 40;
const BUFFERS: u32 = 64;

/// Where each parameter lies in the area; offsets from its start.
pub(super) struct Layout {
    slots: Vec<Slot>,
    /// Size of the area in bytes.
    pub(super) size: u32,
    /// The types, four bits each, parameter 0 lowest (TEE_PARAM_TYPES).
    pub(super) types: u32,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    buffer: u32,
    capacity: u32,
}

/// Why parameters could not be copied out.
pub(super) enum CopyOut {
    /// The area is not where it was said to be.
    Stop(Stop),
    /// The TA claims to have written more than there was room for; the number of the parameter.
    TooLong(usize),
}

impl From<Stop> for CopyOut {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

impl Layout {
    /// Lays out `params`, or says which bound they break.
    pub(super) fn new(params: &Params) -> Result<Self, TaError> {
        if params.len() > MAX_PARAMS {
            return Err(TaError::BadParameters("more than four parameters"));
        }
        let (mut slots, mut size, mut types) = (Vec::new(), BUFFERS as usize, 0);
        for (i, param) in params.iter().enumerate() {
            types |= param.type_number() << (4 * i);
            let capacity = match param {
                Param::MemrefInput(data) => data.len(),
                Param::MemrefOutput { capacity, .. } => *capacity as usize,
                Param::MemrefInout { capacity, data } if data.len() <= *capacity as usize => {
                    *capacity as usize
                }
                Param::MemrefInout { .. } => {
                    return Err(TaError::BadParameters("content is longer than its capacity"));
                }
                Param::None | Param::ValueInput(..) | Param::ValueOutput(..) | Param::ValueInout(..) => 0,
            };
            if capacity > MAX_PARAMETER_BYTES || size + capacity > BUFFERS as usize + MAX_PARAMETER_BYTES {
                return Err(TaError::BadParameters("memory parameters are too large"));
            }
            // Both fit: they were just held against MAX_PARAMETER_BYTES.
            slots.push(Slot { buffer: size as u32, capacity: capacity as u32 });
            size = (size + capacity).next_multiple_of(8);
        }
        slots.resize(MAX_PARAMS, Slot::default());
        Ok(Self { slots, size: size as u32, types })
    }

    /// Copies `params` to the area at `area`, whose every byte is set.
    pub(super) fn copy_in(&self, guest: &mut Guest<'_>, area: u32, params: &Params) -> Result<(), Stop> {
        let range = guest.range(area, self.size)?;
        guest.0[range].fill(0);
        for (i, (param, slot)) in params.iter().zip(&self.slots).enumerate() {
            // Offsets stay below the size that was checked above.
            let at = |offset: u32| area + offset;
            let (first, second) = match param {
                Param::None | Param::ValueOutput(..) => (0, 0),
                Param::ValueInput(a, b) | Param::ValueInout(a, b) => (*a, *b),
                Param::MemrefInput(data) | Param::MemrefInout { data, .. } => {
                    guest.write(at(slot.buffer), data)?;
                    (at(slot.buffer), data.len() as u32)
                }
                Param::MemrefOutput { capacity, .. } => (at(slot.buffer), *capacity),
            };
            guest.write(at(8 * i as u32), &[first.to_le_bytes(), second.to_le_bytes()].concat())?;
            guest.write(at(CAPACITIES + 4 * i as u32), &slot.capacity.to_le_bytes())?;
        }
        Ok(())
    }

    /// Copies outputs back. Pointers come from the layout, never from the TA; only values and sizes do. With
    /// TEE_ERROR_SHORT_BUFFER a size above the capacity says how much room is needed: the parameter then has it as its
    /// capacity, and no data.
    pub(super) fn copy_out(
        &self,
        guest: &Guest<'_>,
        area: u32,
        params: &mut Params,
        code: TaReturn,
    ) -> Result<(), CopyOut> {
        guest.range(area, self.size)?;
        let mut outputs = Vec::with_capacity(params.len());
        for (i, (param, slot)) in params.iter().zip(&self.slots).enumerate() {
            let first = guest.read_u32(area + 8 * i as u32)?;
            let second = guest.read_u32(area + 8 * i as u32 + 4)?;
            let fits = second <= slot.capacity;
            outputs.push(match param {
                Param::None | Param::ValueInput(..) | Param::MemrefInput(_) => None,
                Param::ValueOutput(..) => Some(Param::ValueOutput(first, second)),
                Param::ValueInout(..) => Some(Param::ValueInout(first, second)),
                Param::MemrefOutput { capacity, .. } if fits => {
                    let data = guest.read(area + slot.buffer, second)?;
                    Some(Param::MemrefOutput { capacity: *capacity, data })
                }
                Param::MemrefInout { capacity, .. } if fits => {
                    let data = guest.read(area + slot.buffer, second)?;
                    Some(Param::MemrefInout { capacity: *capacity, data })
                }
                Param::MemrefOutput { .. } if code == TaReturn::SHORT_BUFFER => {
                    Some(Param::MemrefOutput { capacity: second, data: Vec::new() })
                }
                Param::MemrefInout { .. } if code == TaReturn::SHORT_BUFFER => {
                    Some(Param::MemrefInout { capacity: second, data: Vec::new() })
                }
                Param::MemrefOutput { .. } | Param::MemrefInout { .. } => return Err(CopyOut::TooLong(i)),
            });
        }
        for (param, output) in params.iter_mut().zip(outputs) {
            if let Some(output) = output {
                *param = output;
            }
        }
        Ok(())
    }
}
