//! Hidden subcommand of the demo: tries to read another process, and says what it got. It runs under the user id of whoever
//! is supposed not to be able to.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value as Json, json};

/// Hidden first argument.
pub const SUBCOMMAND: &str = "__peek";
/// At least so many attempts are made.
pub const LEAST_ATTEMPTS: usize = 6;

/// Tries, and prints a JSON list of `{what, result, bytes}`.
pub fn main(mut args: impl Iterator<Item = std::ffi::OsString>) -> ExitCode {
    let pid = args.next().and_then(|pid| pid.into_string().ok()).unwrap_or_default();
    let storage = PathBuf::from(args.next().unwrap_or_default());
    let fuse = PathBuf::from(args.next().unwrap_or_default());
    let proc = PathBuf::from(format!("/proc/{pid}"));
    let tried = vec![
        attempt("/proc/PID/mem", read_memory(&proc)),
        attempt("/proc/PID/maps", read(&proc.join("maps"))),
        attempt("/proc/PID/environ", read(&proc.join("environ"))),
        attempt("/proc/PID/auxv", read(&proc.join("auxv"))),
        attempt("/proc/PID/root", list(&proc.join("root"))),
        attempt("/proc/PID/cwd", list(&proc.join("cwd"))),
        attempt("/proc/PID/fd", list(&proc.join("fd"))),
        storage_files(&storage),
        attempt("root secret file", read(&fuse)),
    ];
    println!("{}", Json::Array(tried));
    ExitCode::SUCCESS
}

fn attempt(what: &str, result: std::io::Result<usize>) -> Json {
    match result {
        Ok(bytes) => json!({ "what": what, "result": format!("{bytes} bytes"), "bytes": bytes }),
        Err(error) => json!({ "what": what, "result": error.to_string(), "bytes": 0 }),
    }
}

fn read(path: &Path) -> std::io::Result<usize> {
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes)
}

/// Reads where the kernel says that memory is, or, if it does not say, where programs usually begin.
fn read_memory(proc: &Path) -> std::io::Result<usize> {
    let mut memory = File::open(proc.join("mem"))?;
    let maps = std::fs::read_to_string(proc.join("maps")).unwrap_or_else(|_| "400000-401000 r".into());
    let starts = maps.lines().filter_map(|line| u64::from_str_radix(line.split('-').next()?, 16).ok());
    let (mut total, mut last) = (0, None);
    for start in starts {
        let mut page = [0; 4096];
        match memory.seek(SeekFrom::Start(start)).and_then(|_| memory.read(&mut page)) {
            Ok(read) => total += read,
            Err(error) => last = Some(error),
        }
    }
    match (total, last) {
        (0, Some(error)) => Err(error),
        _ => Ok(total),
    }
}

/// How many entries a folder shows.
fn list(path: &Path) -> std::io::Result<usize> {
    Ok(std::fs::read_dir(path)?.count())
}

/// What no sealed file may show: names of components, and code of TAs.
const MARKS: [&[u8]; 3] = [b"com.acme", b"com.globex", b"\0asm"];

/// The storage folder: files that can be read and show nothing are no leak, they are sealed.
fn storage_files(folder: &Path) -> Json {
    let mut content = Vec::new();
    let result = files(folder, &mut content).map(|()| content.len());
    let shows = MARKS.iter().any(|mark| content.windows(mark.len()).any(|window| window == *mark));
    match result {
        Ok(bytes) if !shows => {
            json!({ "what": "storage files", "result": format!("{bytes} bytes, all sealed"), "bytes": 0 })
        }
        result => attempt("storage files", result),
    }
}

/// Everything that can be read under a folder.
fn files(folder: &Path, content: &mut Vec<u8>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files(&path, content)?;
        } else {
            File::open(&path)?.read_to_end(content)?;
        }
    }
    Ok(())
}
