//! The part of tar (POSIX.1-1988 ustar, and GNU's of the same shape) that a package needs: files and folders.

use super::{File, MAX_FILES, MAX_SIZE, PackageError, stays_inside, wrong};

/// Everything in an archive comes in blocks of this size.
const BLOCK: usize = 512;
/// Most bytes of a path: what the header has in one place.
const MAX_PATH: usize = 100;

/// Reads the files of an archive, whole or not at all. Links, devices and extensions are refused, and so is every path that
/// leads out of the package.
pub fn read_archive(bytes: &[u8]) -> Result<Vec<File>, PackageError> {
    let mut files = Vec::new();
    let (mut rest, mut room) = (bytes, MAX_SIZE);
    loop {
        let Some((header, tail)) = rest.split_first_chunk::<BLOCK>() else {
            return wrong("the archive ends in the middle");
        };
        if header.iter().all(|byte| *byte == 0) {
            return match tail.iter().all(|byte| *byte == 0) {
                true => Ok(files),
                false => wrong("something follows the end of the archive"),
            };
        }
        let Header { path, kind, mode, size } = Header::read(header)?;
        room = room
            .checked_sub(size)
            .ok_or_else(|| PackageError(format!("a package has at most {MAX_SIZE} bytes")))?;
        let size = size as usize;
        let padded = size.next_multiple_of(BLOCK);
        let (Some(content), Some(next)) = (tail.get(..size), tail.get(padded..)) else {
            return wrong(format!("{path}: the archive ends in the middle"));
        };
        rest = next;
        match kind {
            b'0' | 0 => {
                if files.len() >= MAX_FILES {
                    return wrong(format!("a package has at most {MAX_FILES} files"));
                }
                files.push(File { path, executable: mode & 0o111 != 0, content: content.to_vec() });
            }
            // A folder is there with its files.
            b'5' if size == 0 => {}
            b'x' | b'g' | b'L' | b'K' => {
                return wrong("the archive has extensions; names have at most 100 bytes");
            }
            _ => return wrong(format!("{path} is neither a file nor a folder")),
        }
    }
}

struct Header {
    path: String,
    kind: u8,
    mode: u64,
    size: u64,
}

impl Header {
    fn read(header: &[u8; BLOCK]) -> Result<Self, PackageError> {
        let is_tar = header[257..263] == *b"ustar\0" || header[257..265] == *b"ustar  \0";
        if !is_tar || octal(&header[148..156]) != Some(checksum(header)) {
            return wrong("it is no tar archive, or a header of it is damaged");
        }
        let kind = header[156];
        // Elsewhere in the header GNU keeps times.
        if header[257..263] == *b"ustar\0" && header[345] != 0 {
            return wrong("a name has more than 100 bytes");
        }
        let name = header[..MAX_PATH].split(|byte| *byte == 0).next().unwrap_or_default();
        let Ok(name) = core::str::from_utf8(name) else { return wrong("a name is not UTF-8") };
        let (Some(mode), Some(size)) = (octal(&header[100..108]), octal(&header[124..136])) else {
            return wrong(format!("{name}: mode or size are no numbers"));
        };
        let path = match kind {
            b'5' => String::new(),
            _ => path(name)?,
        };
        Ok(Self { path, kind, mode, size })
    }
}

/// A path that stays within the package.
fn path(name: &str) -> Result<String, PackageError> {
    let path = name.strip_prefix("./").unwrap_or(name);
    match path.len() <= MAX_PATH && stays_inside(path) {
        true => Ok(path.into()),
        false => wrong(format!("{name:?} is no path within a package")),
    }
}

/// A number in octal digits, which spaces or zeros end.
fn octal(field: &[u8]) -> Option<u64> {
    let text = core::str::from_utf8(field).ok()?.trim_matches(|c| c == ' ' || c == '\0');
    u64::from_str_radix(text, 8).ok()
}

/// The sum of a header's bytes, its own place counted as spaces.
fn checksum(header: &[u8; BLOCK]) -> u64 {
    let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
    let own: u64 = header[148..156].iter().map(|byte| u64::from(*byte)).sum();
    sum - own + 8 * u64::from(b' ')
}

/// Writes files as an archive, without times and owners.
pub fn write_archive(files: &[File]) -> Result<Vec<u8>, PackageError> {
    let mut archive = Vec::new();
    for file in files {
        let path = path(&file.path)?;
        let mut header = [0; BLOCK];
        header[..path.len()].copy_from_slice(path.as_bytes());
        let mode = if file.executable { 0o755 } else { 0o644 };
        let mut put = |at: usize, text: String| header[at..at + text.len()].copy_from_slice(text.as_bytes());
        put(100, format!("{mode:07o}"));
        put(108, format!("{:07o}", 0));
        put(116, format!("{:07o}", 0));
        put(124, format!("{:011o}", file.content.len()));
        put(136, format!("{:011o}", 0));
        put(156, "0".into());
        put(257, "ustar\0".into());
        put(263, "00".into());
        let sum = checksum(&header);
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        archive.extend_from_slice(&header);
        archive.extend_from_slice(&file.content);
        archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    }
    archive.resize(archive.len() + 2 * BLOCK, 0);
    Ok(archive)
}
