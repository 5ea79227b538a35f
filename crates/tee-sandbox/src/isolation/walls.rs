use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, Scope,
};
use seccompiler::BpfProgram;

use super::filter;

/// Walls around the Agent that it cannot leave out, because they stand before it begins: an Agent that was changed has them
/// too. They keep from it what only the launcher may read.
pub(super) struct Walls {
    ruleset: RulesetCreated,
    filter: BpfProgram,
}

impl Walls {
    /// Prepares them, as far as the kernel offers them.
    pub fn new(folder: &OwnedFd) -> io::Result<Self> {
        let ruleset = ruleset(folder).map_err(io::Error::other)?;
        Ok(Self { ruleset, filter: filter::before_exec().map_err(io::Error::other)? })
    }

    /// Puts the calling process behind them, for good, and binds its life to the launcher's. A wall that this kernel refuses
    /// is missing around the launcher as well, and so in Evidence.
    pub fn raise(self) -> io::Result<()> {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        rustix::thread::set_no_new_privs(true)?;
        let _ = self.ruleset.restrict_self();
        let _ = seccompiler::apply_filter(&self.filter);
        Ok(())
    }
}

fn ruleset(folder: &OwnedFd) -> Result<RulesetCreated, RulesetError> {
    let run: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::Execute;
    let look: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::ReadDir;
    let mut rules =
        restricting()?.scope(Scope::Signal)?.create()?.add_rule(PathBeneath::new(folder, inside()))?;
    // What is not there is not needed.
    for library in libraries() {
        if let Ok(file) = PathFd::new(library) {
            rules = rules.add_rule(PathBeneath::new(file, run))?;
        }
    }
    for (path, access) in [("/etc/ld.so.cache", AccessFs::ReadFile.into()), ("/proc", look)] {
        if let Ok(file) = PathFd::new(path) {
            rules = rules.add_rule(PathBeneath::new(file, access))?;
        }
    }
    Ok(rules)
}

/// A ruleset that allows nothing: no file, no network, no tracing of others. Signals are not in it: the one by which the
/// Agent ends with its launcher counts as the launcher's, and seccomp refuses all that a process would send itself.
pub(super) fn restricting() -> Result<Ruleset, RulesetError> {
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI::V5))?
        .handle_access(AccessNet::from_all(ABI::V4))?
        .scope(Scope::AbstractUnixSocket)
}

/// What may be done in the storage folder.
pub(super) fn inside() -> BitFlags<AccessFs> {
    AccessFs::from_all(ABI::V3) & !AccessFs::Execute
}

/// The rule of the storage folder alone.
pub(super) fn folder_only(folder: BorrowedFd<'_>) -> Result<RulesetCreated, RulesetError> {
    restricting()?.scope(Scope::Signal)?.create()?.add_rule(PathBeneath::new(folder, inside()))
}

/// The files of code that this process runs: the Agent needs the same, and no others.
fn libraries() -> BTreeSet<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let path = |line: &str| {
        let (_, path) = line.split_once(" /")?;
        Some(PathBuf::from(format!("/{path}")))
    };
    maps.lines().filter_map(path).filter(|path| path.is_file()).collect()
}
