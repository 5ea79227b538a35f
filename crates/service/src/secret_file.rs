//! Files that only their owner reads.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::Error;

/// Writes a new file with mode 0600, refusing to replace one.
pub fn create(path: &Path, text: &str) -> Result<(), Error> {
    write(path, text.as_bytes()).map_err(|e| Error::unwritable(path, &e))
}

fn write(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Replaces a file as a whole: after a power cut there is the old one or the new one.
pub fn replace(path: &Path, content: impl AsRef<[u8]>) -> Result<(), Error> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = Path::new(&name);
    let _ = fs::remove_file(new);
    write(new, content.as_ref())
        .and_then(|()| fs::rename(new, path))
        .and_then(|()| {
            let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            fs::File::open(folder)?.sync_all()
        })
        .map_err(|e| Error::unwritable(path, &e))
}
