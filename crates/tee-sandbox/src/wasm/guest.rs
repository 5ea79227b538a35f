//! The memory of a TA as host functions see it.

use std::ops::Range;

use super::host::Stop;

/// The linear memory of a TA during one host function. Nothing else turns a guest pointer into host memory.
pub(super) struct Guest<'a>(pub(super) &'a mut [u8]);

impl Guest<'_> {
    /// The one check of guest pointers (security rule L3): `length` bytes from `pointer` lie inside the memory.
    pub(super) fn range(&self, pointer: u32, length: u32) -> Result<Range<usize>, Stop> {
        let end = u64::from(pointer) + u64::from(length);
        match usize::try_from(end) {
            Ok(end) if end <= self.0.len() => Ok(end - length as usize..end),
            _ => Err(Stop::Pointer { pointer, length }),
        }
    }

    /// A copy of `length` bytes at `pointer`.
    pub(super) fn read(&self, pointer: u32, length: u32) -> Result<Vec<u8>, Stop> {
        Ok(self.0[self.range(pointer, length)?].to_vec())
    }

    /// Copies `bytes` to `pointer`.
    pub(super) fn write(&mut self, pointer: u32, bytes: &[u8]) -> Result<(), Stop> {
        let length = u32::try_from(bytes.len()).map_err(|_| Stop::Pointer { pointer, length: u32::MAX })?;
        let range = self.range(pointer, length)?;
        self.0[range].copy_from_slice(bytes);
        Ok(())
    }

    /// The little-endian number at `pointer`.
    pub(super) fn read_u32(&self, pointer: u32) -> Result<u32, Stop> {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&self.0[self.range(pointer, 4)?]);
        Ok(u32::from_le_bytes(bytes))
    }
}
