//! App packages: an app's files, and the file that says which TAs it needs before its first start.
//!
//! A package is a folder or, to be shipped, a tar archive of it. At its top lies [`DEPENDENCIES`]:
//!
//! ```json
//! { "name": "wallet", "needs": [
//!   { "ta": "com.acme/8d82573a-926d-4754-9353-32dc29997f74/ta", "minimum_sequence": 3,
//!     "tams": ["https://tam.example/tam"], "bundle": "ta/wallet.wasm" } ] }
//! ```
//!
//! Nothing in a package is trusted: what a bundled TA is good for a TAM's manifest decides.

mod archive;

pub use archive::{read_archive, write_archive};

use std::fmt;
use std::path::Path;

use tamarack_jose::json::{self, Json, Limits};
use tamarack_model::ComponentId;

/// Name of the dependency file.
pub const DEPENDENCIES: &str = "tamarack.json";
/// Most files in a package.
pub const MAX_FILES: usize = 4096;
/// Most bytes of all files of a package together.
pub const MAX_SIZE: u64 = 256 << 20;
/// Most TAs that an app needs.
const MAX_NEEDS: usize = 64;
/// Most TAMs that are named for one TA.
const MAX_TAMS: usize = 8;

/// An app's package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// The app's name.
    pub name: String,
    /// The TAs that it needs.
    pub needs: Vec<Dependency>,
    /// All of its files, the dependency file among them, by path.
    pub files: Vec<File>,
}

/// A file of a package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct File {
    /// Its path within the package: relative, with `/`, without `.` and `..`.
    pub path: String,
    /// Whether it is a program.
    pub executable: bool,
    /// Its content.
    pub content: Vec<u8>,
}

/// A TA that an app needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// Its component id.
    pub ta: ComponentId,
    /// Lowest sequence number of its manifest that will do.
    pub minimum_sequence: Option<u64>,
    /// Where to get it, the first that brings it; the device's own TAM if there is none.
    pub tams: Vec<String>,
    /// Its content, if the package brings it along.
    pub bundle: Option<Vec<u8>>,
}

impl Dependency {
    /// Any version, from the device's own TAM.
    pub fn new(ta: ComponentId) -> Self {
        Self { ta, minimum_sequence: None, tams: Vec::new(), bundle: None }
    }
}

/// Why something is no package, in a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageError(pub(crate) String);

impl fmt::Display for PackageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PackageError {}

pub(crate) fn wrong<T>(text: impl Into<String>) -> Result<T, PackageError> {
    Err(PackageError(text.into()))
}

impl Package {
    /// Reads a package: a folder, or a tar archive.
    pub fn read(path: &Path) -> Result<Self, PackageError> {
        let failed = |e: std::io::Error| PackageError(format!("{}: {e}", path.display()));
        if path.is_dir() {
            let mut files = Vec::new();
            walk(path, "", &mut files, &mut MAX_SIZE.clone())?;
            return Self::of_files(files);
        }
        // A pipe or device has no size, and no end perhaps.
        let archive = std::fs::metadata(path).map_err(failed)?;
        if !archive.is_file() {
            return wrong(format!("{} is neither a file nor a folder", path.display()));
        }
        if archive.len() > MAX_SIZE {
            return wrong(format!("{}: a package has at most {MAX_SIZE} bytes", path.display()));
        }
        Self::of_files(read_archive(&std::fs::read(path).map_err(failed)?)?)
    }

    /// Puts a package together from its files, of which the dependency file is one.
    pub fn of_files(mut files: Vec<File>) -> Result<Self, PackageError> {
        if let Some(file) = files.iter().find(|file| !stays_inside(&file.path)) {
            return wrong(format!("{:?} is no path within a package", file.path));
        }
        files.sort();
        if let Some(twice) = files.windows(2).find(|pair| pair[0].path == pair[1].path) {
            return wrong(format!("{} is in it twice", twice[0].path));
        }
        let content = |path: &str| files.iter().find(|file| file.path == path).map(|file| &file.content);
        let Some(dependencies) = content(DEPENDENCIES) else {
            return wrong(format!("it has no dependency file {DEPENDENCIES}"));
        };
        let (name, needs) = dependencies_of(dependencies, &|path| content(path).cloned())?;
        Ok(Self { name, needs, files })
    }

    /// The archive that [`read_archive`] reads; the same files give the same bytes.
    pub fn to_archive(&self) -> Result<Vec<u8>, PackageError> {
        write_archive(&self.files)
    }
}

/// Whether a path leads to a place below the folder that it is written under, and to one alone.
fn stays_inside(path: &str) -> bool {
    let good = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', '\0']);
    path.split('/').all(good) && !path.contains(char::is_control)
}

/// Collects the files below a folder. What is neither file nor folder is refused: a link would lead out of the package.
fn walk(folder: &Path, prefix: &str, files: &mut Vec<File>, room: &mut u64) -> Result<(), PackageError> {
    use std::os::unix::fs::PermissionsExt;
    let failed = |e: std::io::Error| PackageError(format!("{}: {e}", folder.display()));
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Ok(name) = entry.file_name().into_string() else {
            return wrong(format!("{}: a name is not UTF-8", folder.display()));
        };
        let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        let kind = entry.metadata().map_err(failed)?;
        if kind.is_dir() {
            walk(&entry.path(), &path, files, room)?;
        } else if kind.is_file() {
            *room = room
                .checked_sub(kind.len())
                .ok_or_else(|| PackageError(format!("a package has at most {MAX_SIZE} bytes")))?;
            if files.len() >= MAX_FILES {
                return wrong(format!("a package has at most {MAX_FILES} files"));
            }
            let content = std::fs::read(entry.path()).map_err(failed)?;
            files.push(File { path, executable: kind.permissions().mode() & 0o111 != 0, content });
        } else {
            return wrong(format!("{path} is neither a file nor a folder"));
        }
    }
    Ok(())
}

/// Reads a dependency file. `file` gives the content of another file of the package.
fn dependencies_of(
    text: &[u8],
    file: &dyn Fn(&str) -> Option<Vec<u8>>,
) -> Result<(String, Vec<Dependency>), PackageError> {
    let json =
        json::parse(text, &Limits::default()).map_err(|e| PackageError(format!("{DEPENDENCIES}: {e}")))?;
    let members = Members { json: &json, place: DEPENDENCIES.into() };
    members.only(&["name", "needs"])?;
    let name = members.text("name")?;
    if !is_plain(&name) {
        return wrong(format!("{DEPENDENCIES}: name is 1 to 64 letters, digits, '.', '-' and '_'"));
    }
    let Some(listed) = json.get("needs").and_then(Json::as_array) else {
        return wrong(format!("{DEPENDENCIES}: needs is a list of TAs"));
    };
    if listed.len() > MAX_NEEDS {
        return wrong(format!("{DEPENDENCIES}: an app needs at most {MAX_NEEDS} TAs"));
    }
    let mut needs: Vec<Dependency> = Vec::new();
    for (n, json) in listed.iter().enumerate() {
        let need = dependency(&Members { json, place: format!("{DEPENDENCIES}: needs[{n}]") }, file)?;
        if needs.iter().any(|other| other.ta == need.ta) {
            return wrong(format!("{DEPENDENCIES}: {} is needed twice", need.ta));
        }
        needs.push(need);
    }
    Ok((name, needs))
}

fn dependency(
    members: &Members<'_>,
    file: &dyn Fn(&str) -> Option<Vec<u8>>,
) -> Result<Dependency, PackageError> {
    members.only(&["ta", "minimum_sequence", "tams", "bundle"])?;
    let place = &members.place;
    let ta = members.text("ta")?;
    let ta = ComponentId::parse_text(&ta).map_err(|e| PackageError(format!("{place}: ta: {e}")))?;
    let minimum_sequence = match members.json.get("minimum_sequence") {
        None => None,
        Some(json) => match json.as_u64() {
            Some(minimum) => Some(minimum),
            None => return wrong(format!("{place}: minimum_sequence is a whole number")),
        },
    };
    let mut tams = Vec::new();
    if let Some(json) = members.json.get("tams") {
        let list = json.as_array().filter(|list| list.len() <= MAX_TAMS);
        let Some(list) = list else {
            return wrong(format!("{place}: tams is a list of at most {MAX_TAMS} addresses"));
        };
        for uri in list {
            match uri.as_str().filter(|uri| uri.starts_with("https://") || uri.starts_with("http://")) {
                Some(uri) => tams.push(uri.into()),
                None => return wrong(format!("{place}: tams: expected https:// addresses")),
            }
        }
    }
    let bundle = match members.json.get("bundle") {
        None => None,
        Some(_) => {
            let path = members.text("bundle")?;
            match file(&path) {
                Some(content) => Some(content),
                None => return wrong(format!("{place}: there is no file {path}")),
            }
        }
    };
    Ok(Dependency { ta, minimum_sequence, tams, bundle })
}

/// An object of the dependency file.
struct Members<'j> {
    json: &'j Json,
    place: String,
}

impl Members<'_> {
    /// A member that is not known could be one that was mistyped.
    fn only(&self, known: &[&str]) -> Result<(), PackageError> {
        let Some(members) = self.json.as_object() else {
            return wrong(format!("{}: expected an object", self.place));
        };
        match members.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            Some((name, _)) => {
                wrong(format!("{}: {name} is not known; known are {}", self.place, known.join(", ")))
            }
            None => Ok(()),
        }
    }

    fn text(&self, name: &str) -> Result<String, PackageError> {
        match self.json.get(name).and_then(Json::as_str) {
            Some(text) => Ok(text.into()),
            None => wrong(format!("{}: {name} is a text", self.place)),
        }
    }
}

fn is_plain(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b".-_".contains(&b);
    (1..=64).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('.')
}

#[cfg(test)]
mod tests;
