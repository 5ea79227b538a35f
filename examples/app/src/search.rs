//! What the owner of a machine can look through for a secret: files, and the memory of processes.
//!
//! A search that finds nothing shows something only if it would have found what is there. So everything that is looked
//! through is searched for a control as well, and a search that misses its control has failed.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use tamarack_broker::SOCKET_NAME;

/// Begins every program. Programs were made before there was a secret.
const PROGRAM: &[u8] = b"\x7fELF";
/// Reserved address space that nobody touched is larger than any memory.
const LARGEST: u64 = 256 << 20;

/// Something to look through, with its name.
pub type Piece = (String, Vec<u8>);

/// How much was looked through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Files, messages or regions.
    pub pieces: usize,
    /// Their bytes.
    pub bytes: usize,
}

/// Looks for secrets, as they are and in the forms in which logs and protocols write bytes down.
pub struct Search {
    names: Vec<String>,
    /// A form, and whose it is.
    needles: Vec<(usize, Vec<u8>)>,
    /// A bit for each two bytes that a form begins with: what rules out nearly everything at one look.
    starts: [u64; 1024],
}

impl Search {
    /// For these secrets, by name.
    ///
    /// # Panics
    /// If a secret has fewer than 8 bytes: it would be found anywhere.
    pub fn new(secrets: &[(&str, &[u8])]) -> Self {
        let mut search = Self { names: Vec::new(), needles: Vec::new(), starts: [0; 1024] };
        for (name, secret) in secrets {
            assert!(secret.len() >= 8, "{name} is too short to be looked for");
            search.add(name, forms(secret));
        }
        search
    }

    fn add(&mut self, name: &str, forms: impl IntoIterator<Item = Vec<u8>>) {
        for form in forms {
            let (word, bit) = start(&form);
            self.starts[word] |= bit;
            self.needles.push((self.names.len(), form));
        }
        self.names.push(name.to_owned());
    }

    fn may_start(&self, pair: &[u8]) -> bool {
        let (word, bit) = start(pair);
        self.starts[word] & bit != 0
    }

    /// The name of a secret that `bytes` show.
    pub fn find(&self, bytes: &[u8]) -> Option<&str> {
        bytes.windows(2).enumerate().filter(|(_, pair)| self.may_start(pair)).find_map(|(at, _)| {
            let found = self.needles.iter().find(|(_, needle)| bytes[at..].starts_with(needle))?;
            Some(&*self.names[found.0])
        })
    }

    /// Looks through the pieces of `place`, one of which holds `control`.
    ///
    /// # Panics
    /// If `control` has fewer than 2 bytes.
    ///
    /// # Errors
    /// If a secret is there, or the control is not.
    pub fn through(
        &self,
        place: &str,
        control: &[u8],
        pieces: impl IntoIterator<Item = Piece>,
    ) -> Result<Looked> {
        let mut there = Self::new(&[]);
        there.add("the control", [control.to_vec()]);
        let (mut looked, mut found) = (Looked::default(), false);
        for (piece, bytes) in pieces {
            if let Some(secret) = self.find(&bytes) {
                bail!("{secret} is in {place}: {piece}");
            }
            found = found || there.find(&bytes).is_some();
            looked = Looked { pieces: looked.pieces + 1, bytes: looked.bytes + bytes.len() };
        }
        ensure!(found, "the search of {place} misses what must be there");
        Ok(looked)
    }

    /// Looks through what an owner of the rich OS has of a device: the files of its folder that this user can read, and the
    /// memory of `processes` if this user can. Says what came of it; `what` is who is looked for.
    ///
    /// # Errors
    /// If a secret is there, or a control is not.
    pub fn rich_os(&self, what: &str, device: &Path, processes: &[u32]) -> Result<()> {
        // `device.json` names the file of the root secret.
        let looked = self.through("the device's files", b"\"fuse\"", files(device))?;
        println!("refused: {what} in any of {} files that this user can read", looked.pieces);
        for process in processes {
            let place = format!("the memory of process {process}");
            match memory(*process) {
                Ok(regions) => {
                    let looked = self.through(&place, SOCKET_NAME.as_bytes(), regions)?;
                    println!("refused: {what} in {} KiB of {place}", looked.bytes >> 10);
                }
                Err(error) => println!("closed:  {place}: {error}"),
            }
        }
        Ok(())
    }
}

/// Where the bit of the first two bytes is.
fn start(bytes: &[u8]) -> (usize, u64) {
    let pair = usize::from(bytes[0]) << 8 | usize::from(bytes[1]);
    (pair / 64, 1 << (pair % 64))
}

/// A secret as it is, in hexadecimal, as a list of decimal numbers and inside a base64 text, wherever it stands there.
fn forms(secret: &[u8]) -> BTreeSet<Vec<u8>> {
    let hex = hex::encode(secret);
    let decimal = |between: &str| secret.iter().map(u8::to_string).collect::<Vec<_>>().join(between);
    let texts = [hex.to_uppercase(), hex, decimal(", "), decimal(",")];
    let mut forms: BTreeSet<_> = texts.into_iter().map(String::into_bytes).collect();
    forms.insert(secret.to_vec());
    for skipped in 0..3 {
        let bytes = [&[0; 2][..skipped], secret].concat();
        // Characters of which every bit is the secret's.
        let inside = (skipped * 8).div_ceil(6)..bytes.len() * 8 / 6;
        for text in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            forms.insert(text.as_bytes()[inside.clone()].to_vec());
        }
    }
    forms
}

/// Everything under a folder that this user can read and that is no program.
pub fn files(folder: &Path) -> impl Iterator<Item = Piece> {
    let mut paths = Vec::new();
    list(folder, &mut paths);
    paths.into_iter().filter_map(|path| {
        let bytes = read(&path).ok()??;
        Some((path.display().to_string(), bytes))
    })
}

fn list(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => list(&entry.path(), paths),
            Ok(kind) if kind.is_file() => paths.push(entry.path()),
            _ => {}
        }
    }
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut file = File::open(path)?;
    let mut bytes = Vec::new();
    (&mut file).take(PROGRAM.len() as u64).read_to_end(&mut bytes)?;
    if bytes == PROGRAM {
        return Ok(None);
    }
    file.read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// All that a process can write to: heap, stacks, and what it has mapped.
///
/// # Errors
/// If this user may not read it.
pub fn memory(process: u32) -> io::Result<Vec<Piece>> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps"))?;
    let mut memory = File::open(format!("/proc/{process}/mem"))?;
    let mut regions = Vec::new();
    for line in maps.lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(range), Some(rights)) = (words.next(), words.next()) else { continue };
        let bound = |text: &str| u64::from_str_radix(text, 16).ok();
        let Some((Some(from), Some(to))) = range.split_once('-').map(|(a, b)| (bound(a), bound(b))) else {
            continue;
        };
        if !rights.starts_with("rw") || to - from > LARGEST {
            continue;
        }
        let mut bytes = vec![0; (to - from) as usize];
        // What is reserved and was never touched ends the reading.
        let read = memory.seek(SeekFrom::Start(from)).and_then(|_| memory.read(&mut bytes));
        bytes.truncate(read.unwrap_or(0));
        if !bytes.is_empty() {
            regions.push((range.to_owned(), bytes));
        }
    }
    Ok(regions)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"4012888888881881";

    fn search() -> Search {
        Search::new(&[("the card", SECRET), ("the key", &[0xfb; 32])])
    }

    #[test]
    fn every_form_of_a_secret_is_found_and_nothing_else() {
        let search = search();
        let decimal = SECRET.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
        for text in ["4012888888881881".into(), hex::encode(SECRET), hex::encode_upper(SECRET), decimal] {
            assert_eq!(search.find(format!("of {text}.").as_bytes()), Some("the card"), "{text}");
        }
        for before in 0..4 {
            let bytes = [&vec![b'x'; before][..], &[0xfb; 32], b"yz"].concat();
            for text in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
                assert_eq!(search.find(text.as_bytes()), Some("the key"), "{text}");
            }
        }
        for other in ["", "4", "401288888888188", "**** 1881"] {
            assert_eq!(search.find(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn a_search_that_would_find_nothing_fails() {
        let search = search();
        let piece = |text: &str| ("a".to_owned(), text.as_bytes().to_vec());
        let looked = search.through("files", b"control", [piece("one"), piece("a control")]).unwrap();
        assert_eq!(looked, Looked { pieces: 2, bytes: 12 });
        let missed = search.through("files", b"control", [piece("one")]).unwrap_err();
        assert!(missed.to_string().contains("misses what must be there"));
        let found = search.through("files", b"control", [piece("a control of 4012888888881881")]);
        assert_eq!(found.unwrap_err().to_string(), "the card is in files: a");
    }

    #[test]
    fn files_and_memory_are_read() {
        // In two halves, so that it stands only where it is put.
        let secret = [b"found in ".as_slice(), b"memory!!"].concat();
        let search = Search::new(&[("it", &secret)]);
        let pieces = memory(std::process::id()).unwrap();
        assert!(
            search.through("memory", b"unlikely", pieces).unwrap_err().to_string().starts_with("it is in")
        );
        let folder = std::env::temp_dir().join(format!("tamarack-search-{}", std::process::id()));
        fs::create_dir_all(folder.join("deep")).unwrap();
        fs::write(folder.join("deep/file"), &secret).unwrap();
        fs::write(folder.join("program"), [PROGRAM, &secret].concat()).unwrap();
        let names: Vec<_> = files(&folder).map(|(name, _)| name).collect();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(names, [folder.join("deep/file").display().to_string()]);
    }
}
