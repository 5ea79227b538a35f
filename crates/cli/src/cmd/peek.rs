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
    let proc = PathBuf::from(format!("/proc/{pid}"));
    let tried = vec![
        attempt("/proc/PID/mem", read_memory(&proc)),
        attempt("/proc/PID/maps", read(&proc.join("maps"))),
        attempt("/proc/PID/environ", read(&proc.join("environ"))),
        attempt("/proc/PID/auxv", read(&proc.join("auxv"))),
        attempt("/proc/PID/root", list(&proc.join("root"))),
        attempt("/proc/PID/cwd", list(&proc.join("cwd"))),
        attempt("/proc/PID/fd", list(&proc.join("fd"))),
        attempt("storage files", files(&storage)),
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

/// How many bytes of files can be read under a folder.
fn files(folder: &Path) -> std::io::Result<usize> {
    let mut total = 0;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        total += if path.is_dir() { files(&path)? } else { read(&path)? };
    }
    Ok(total)
}
