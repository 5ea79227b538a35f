//! The system calls that the processes of the TEE may make.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    sock_filter,
};

/// Calls that both processes may make, with any arguments: memory, time, randomness and the descriptors that are open
/// already. Not here, among all others: execve, fork and clone, ptrace, process_vm_*, kill, socket, connect, mount, unshare,
/// setns, bpf, io_uring, keyctl.
const COMMON: &[libc::c_long] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_recvfrom,
    libc::SYS_sendto,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_shutdown,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_statx,
    libc::SYS_lseek,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_ftruncate,
    libc::SYS_fcntl,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_mlock,
    libc::SYS_brk,
    libc::SYS_memfd_secret,
    libc::SYS_futex,
    libc::SYS_clock_gettime,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_getrandom,
    libc::SYS_sched_yield,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_restart_syscall,
    libc::SYS_ppoll,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// What the Agent may do besides: the files of the storage folder, which Landlock bounds.
const FILES: &[libc::c_long] = &[
    libc::SYS_newfstatat,
    libc::SYS_fstatfs,
    libc::SYS_openat,
    libc::SYS_unlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_mkdirat,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fchmod,
    libc::SYS_sync_file_range,
    libc::SYS_fallocate,
    libc::SYS_getdents64,
    libc::SYS_flock,
    libc::SYS_getcwd,
    libc::SYS_copy_file_range,
    libc::SYS_sched_getaffinity,
];

/// What the launcher may do besides, once the Agent runs: wait for its one child. It opens no file.
const CHILD: &[libc::c_long] = &[libc::SYS_wait4, libc::SYS_waitid];

/// Names that older libraries use on this architecture for the same calls.
#[cfg(target_arch = "x86_64")]
mod legacy {
    pub const COMMON: &[libc::c_long] = &[libc::SYS_poll, libc::SYS_time];
    pub const FILES: &[libc::c_long] = &[
        libc::SYS_stat,
        libc::SYS_lstat,
        libc::SYS_open,
        libc::SYS_unlink,
        libc::SYS_rename,
        libc::SYS_link,
        libc::SYS_mkdir,
        libc::SYS_rmdir,
        libc::SYS_access,
    ];
    pub const BEGIN: &[libc::c_long] = &[libc::SYS_fork, libc::SYS_vfork];
}
#[cfg(not(target_arch = "x86_64"))]
mod legacy {
    pub const COMMON: &[libc::c_long] = &[];
    pub const FILES: &[libc::c_long] = &[];
    pub const BEGIN: &[libc::c_long] = &[];
}

/// The calls of one kind of process.
pub(super) struct Calls([&'static [libc::c_long]; 4]);

/// What the Agent may do, for good.
pub(super) const AGENT: Calls = Calls([COMMON, legacy::COMMON, FILES, legacy::FILES]);
/// What the launcher may do once the Agent runs.
pub(super) const LAUNCHER: Calls = Calls([COMMON, legacy::COMMON, CHILD, &[]]);

/// Installs the filter of a kind of process for good, and tries it.
pub(super) fn install(calls: &Calls) -> Result<(), String> {
    let program = program(calls).map_err(|e| format!("compile: {e}"))?;
    seccompiler::apply_filter(&program).map_err(|e| format!("install: {e}"))?;
    // A call that every list leaves out, and that what stood before the exec allows.
    match rustix::process::getpriority_process(None) {
        Err(rustix::io::Errno::PERM) => Ok(()),
        Err(other) => Err(format!("getpriority() failed for another reason: {other}")),
        Ok(_) => Err("a call that is not on the list is possible".into()),
    }
}

/// Compiles a filter. Every other call fails with EPERM, so that the TEE can say what it was refused; memory can be mapped
/// or protected, but never as executable.
fn program(calls: &Calls) -> Result<BpfProgram, seccompiler::Error> {
    let no_exec =
        SeccompCondition::new(2, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(libc::PROT_EXEC as u64), 0)?;
    let own_signal =
        SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, u64::from(std::process::id()))?;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        calls.0.into_iter().flatten().map(|call| (*call, Vec::new())).collect();
    rules.insert(libc::SYS_mmap, vec![SeccompRule::new(vec![no_exec.clone()])?]);
    rules.insert(libc::SYS_mprotect, vec![SeccompRule::new(vec![no_exec])?]);
    // abort() raises a signal in the process itself.
    rules.insert(libc::SYS_tgkill, vec![SeccompRule::new(vec![own_signal])?]);
    let refused = SeccompAction::Errno(libc::EPERM as u32);
    Ok(SeccompFilter::new(rules, refused, SeccompAction::Allow, std::env::consts::ARCH.try_into()?)?
        .try_into()?)
}

/// Calls that the Agent's process cannot make from its first instruction on. A list of what is forbidden, because a program
/// that begins needs what nobody can foresee; [`AGENT`] follows it.
const FORBIDDEN: &[libc::c_long] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_setns,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_io_uring_setup,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_userfaultfd,
    // One process, which ends with the launcher: none of its children would.
    libc::SYS_clone,
    libc::SYS_clone3,
];

/// Compiles the filter that stands before the Agent begins.
pub(super) fn before_exec() -> Result<BpfProgram, seccompiler::Error> {
    let rules = FORBIDDEN.iter().chain(legacy::BEGIN).map(|call| (*call, Vec::new())).collect();
    let refused = SeccompAction::Errno(libc::EPERM as u32);
    let filter =
        SeccompFilter::new(rules, SeccompAction::Allow, refused, std::env::consts::ARCH.try_into()?)?;
    Ok([no_x32(), filter.try_into()?].concat())
}

/// Instructions that refuse every call of the x32 interface, where there is one. Its numbers are those of other calls with
/// one bit more: a list of what is forbidden does not know them.
fn no_x32() -> BpfProgram {
    if !cfg!(target_arch = "x86_64") {
        return Vec::new();
    }
    let step = |code, jf, k| sock_filter { code: code as u16, jt: 0, jf, k };
    vec![
        // The number is the first field of what a filter sees.
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, 1, 0x4000_0000),
        step(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
    ]
}
