use std::io;
use std::ptr::NonNull;

use rustix::mm::{MapFlags, ProtFlags};
use zeroize::Zeroize;

/// A few pages for secrets. Where the kernel offers memfd_secret(2) they are not even in the kernel's own mapping, so
/// that neither another process nor a bug that reads kernel memory reaches them; elsewhere they are locked against
/// swapping and left out of core files. Wiped when dropped.
#[derive(Debug)]
pub struct SecretMemory {
    start: NonNull<u8>,
    mapped: usize,
    len: usize,
    hidden: bool,
}

// SAFETY: the mapping belongs to this value alone, and access to it follows the borrow of the value.
unsafe impl Send for SecretMemory {}
// SAFETY: as above; through a shared reference it is only read.
unsafe impl Sync for SecretMemory {}

impl SecretMemory {
    /// Makes room for `len` bytes, all zero. Fails if there is no memory or the limit of locked memory is reached.
    pub fn new(len: usize) -> io::Result<Self> {
        // The kernel rounds up further where its pages are larger.
        let mapped = len.max(1).next_multiple_of(4096);
        if let Ok(start) = map_hidden(mapped) {
            return Ok(Self { start, mapped, len, hidden: true });
        }
        let start = map_locked(mapped)?;
        Ok(Self { start, mapped, len, hidden: false })
    }

    /// Makes room and puts `secret` there, wiping where it came from.
    pub fn take(secret: &mut [u8]) -> io::Result<Self> {
        let mut memory = Self::new(secret.len())?;
        memory.expose_mut().copy_from_slice(secret);
        secret.zeroize();
        Ok(memory)
    }

    /// Whether memfd_secret(2) holds it.
    pub fn is_hidden(&self) -> bool {
        self.hidden
    }

    /// The secret.
    pub fn expose(&self) -> &[u8] {
        // SAFETY: `start` is a live mapping of at least `len` readable bytes, owned by `self`, initialised with zeros.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    /// The secret, to be written in place.
    pub fn expose_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `expose`; the mapping is writable and `self` is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Drop for SecretMemory {
    fn drop(&mut self) {
        self.expose_mut().zeroize();
        // SAFETY: the mapping was made by this value with this length and nothing refers to it any more.
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.mapped) };
    }
}

fn map_hidden(mapped: usize) -> io::Result<NonNull<u8>> {
    use std::os::fd::{FromRawFd, OwnedFd};
    // SAFETY: the call takes flags only and gives a new descriptor or -1.
    let fd = unsafe { libc::syscall(libc::SYS_memfd_secret, libc::O_CLOEXEC) };
    let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0).ok_or_else(io::Error::last_os_error)?;
    // SAFETY: `fd` was just opened and nothing else owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    rustix::fs::ftruncate(&fd, mapped as u64)?;
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping at an address that the kernel chooses overlaps nothing.
    let start =
        unsafe { rustix::mm::mmap(std::ptr::null_mut(), mapped, protection, MapFlags::SHARED, &fd, 0)? };
    NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory.into())
}

fn map_locked(mapped: usize) -> io::Result<NonNull<u8>> {
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new anonymous mapping at an address that the kernel chooses overlaps nothing.
    let start =
        unsafe { rustix::mm::mmap_anonymous(std::ptr::null_mut(), mapped, protection, MapFlags::PRIVATE)? };
    // SAFETY: the range is the mapping just made. Advice and lock change no content; where they are refused the memory
    // is as good as any other, and the layer is reported as missing.
    unsafe {
        let _ = rustix::mm::madvise(start, mapped, rustix::mm::Advice::LinuxDontDump);
        let _ = rustix::mm::mlock(start, mapped);
    }
    NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory.into())
}
