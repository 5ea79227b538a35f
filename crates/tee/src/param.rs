use alloc::vec::Vec;

/// Most parameters of one call (GlobalPlatform TEE Internal Core API).
pub const MAX_PARAMS: usize = 4;

/// The parameters of one call, at most [`MAX_PARAMS`].
pub type Params = Vec<Param>;

/// One parameter of a call into a TA, typed as in the GlobalPlatform TEE Internal Core API (TEE_PARAM_TYPE_*). Memory is
/// copied in and copied out; a TA never sees its caller's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Param {
    /// TEE_PARAM_TYPE_NONE, 0.
    None,
    /// TEE_PARAM_TYPE_VALUE_INPUT, 1.
    ValueInput(u32, u32),
    /// TEE_PARAM_TYPE_VALUE_OUTPUT, 2; the values given by the caller are ignored.
    ValueOutput(u32, u32),
    /// TEE_PARAM_TYPE_VALUE_INOUT, 3.
    ValueInout(u32, u32),
    /// TEE_PARAM_TYPE_MEMREF_INPUT, 5.
    MemrefInput(Vec<u8>),
    /// TEE_PARAM_TYPE_MEMREF_OUTPUT, 6.
    MemrefOutput {
        /// Room that the caller offers, in bytes.
        capacity: u32,
        /// What the TA wrote, at most `capacity` bytes.
        data: Vec<u8>,
    },
    /// TEE_PARAM_TYPE_MEMREF_INOUT, 7: as output, with `data` going in first.
    MemrefInout {
        /// Room that the caller offers, in bytes.
        capacity: u32,
        /// Content, in both directions.
        data: Vec<u8>,
    },
}

impl Param {
    /// The GlobalPlatform type number.
    pub fn type_number(&self) -> u32 {
        match self {
            Self::None => 0,
            Self::ValueInput(..) => 1,
            Self::ValueOutput(..) => 2,
            Self::ValueInout(..) => 3,
            Self::MemrefInput(_) => 5,
            Self::MemrefOutput { .. } => 6,
            Self::MemrefInout { .. } => 7,
        }
    }
}
