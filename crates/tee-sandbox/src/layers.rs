use core::fmt;

/// The layers of isolation that were shown to hold around a software TEE, as a set of bits. Evidence carries it (security
/// rules S1 and E2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Layers(u64);

impl Layers {
    /// No layer.
    pub const NONE: Self = Self(0);
    /// A user id that no other process has; the storage folder belongs to it.
    pub const OWN_UID: Self = Self(1);
    /// An own user namespace.
    pub const USER_NS: Self = Self(1 << 1);
    /// An own network namespace, without any network.
    pub const NET_NS: Self = Self(1 << 2);
    /// An own mount namespace whose root is the storage folder, and an own IPC namespace.
    pub const MOUNT_NS: Self = Self(1 << 3);
    /// Landlock: no file but those of the storage folder.
    pub const LANDLOCK: Self = Self(1 << 4);
    /// seccomp: a list of allowed system calls.
    pub const SECCOMP: Self = Self(1 << 5);
    /// Not dumpable: not traceable, no core file.
    pub const NO_DUMP: Self = Self(1 << 6);
    /// Secrets lie in memory that the kernel itself has unmapped (memfd_secret).
    pub const MEMFD_SECRET: Self = Self(1 << 7);
    /// Every layer there is.
    pub const ALL: Self = Self((1 << 8) - 1);

    /// Each single layer with its name.
    pub const NAMES: [(Self, &'static str); 8] = [
        (Self::OWN_UID, "own-uid"),
        (Self::USER_NS, "user-ns"),
        (Self::NET_NS, "net-ns"),
        (Self::MOUNT_NS, "mount-ns"),
        (Self::LANDLOCK, "landlock"),
        (Self::SECCOMP, "seccomp"),
        (Self::NO_DUMP, "no-dump"),
        (Self::MEMFD_SECRET, "memfd-secret"),
    ];

    /// The set as bits.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// The set of these bits; unknown ones are dropped.
    pub fn from_bits(bits: u64) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// Whether all of `other` is in this set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Adds `other`.
    pub fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Names of the layers in this set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(layer, _)| self.contains(*layer)).map(|(_, name)| name)
    }
}

impl fmt::Display for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, name) in self.names().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}
