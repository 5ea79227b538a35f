use crate::KeyId;

/// A value that a trusted key vouches for. It can only come out of a verification in this crate: authentic, which is not
/// yet authorised.
#[derive(Clone, Debug)]
pub struct Verified<T> {
    value: T,
    key: KeyId,
}

impl<T> Verified<T> {
    pub(crate) fn new(value: T, key: KeyId) -> Self {
        Self { value, key }
    }

    /// The value.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// The value, giving up the proof.
    pub fn into_value(self) -> T {
        self.value
    }

    /// Thumbprint of the key that vouches for it.
    pub fn key(&self) -> &KeyId {
        &self.key
    }

    /// Reads the verified bytes as something else, such as a parsed message; the proof goes with the result.
    pub fn try_map<U, E>(self, read: impl FnOnce(T) -> Result<U, E>) -> Result<Verified<U>, E> {
        Ok(Verified { value: read(self.value)?, key: self.key })
    }
}
