//! `tamarack app pack` and `install`: what an app store's tools do.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;
use tamarack_broker::package::{Dependency, File, Package, PackageError};
use tamarack_broker::{Client, Ensured};
use tamarack_channel::TaState;
use tamarack_model::codes;

use crate::fail::{self, Fail, Outcome};
use crate::out;

/// How long to wait before asking again.
const PAUSE: Duration = Duration::from_millis(500);

fn read(path: &Path) -> Outcome<Package> {
    std::fs::metadata(path).map_err(|e| {
        Fail::input(codes::FILE_UNREADABLE, format_args!("cannot read {}: {e}", path.display()))
    })?;
    Package::read(path).map_err(|e| invalid(path, &e))
}

fn invalid(path: &Path, error: &PackageError) -> Fail {
    Fail::input(codes::PACKAGE_INVALID, format_args!("{}: {error}", path.display()))
}

/// Makes the archive that ships.
pub(super) fn pack(folder: &Path, archive: &Path, json: bool) -> Outcome {
    let package = read(folder)?;
    let bytes = package.to_archive().map_err(|e| invalid(folder, &e))?;
    fail::write(archive, &bytes)?;
    let text =
        format!("{}: {} files, {} TAs needed", archive.display(), package.files.len(), package.needs.len());
    let needs: Vec<String> = package.needs.iter().map(|need| need.ta.to_string()).collect();
    super::done(json, &text, json!({ "name": package.name, "files": package.files.len(), "needs": needs }))
}

/// How to install.
pub(super) struct How {
    /// Where the app's files go.
    pub into: Option<PathBuf>,
    /// Leave what the package brings along.
    pub no_bundle: bool,
    /// For how long to ask again while no TAM is reached or the owner has not decided.
    pub wait: Duration,
    pub json: bool,
}

/// Resolves what an app needs, then puts its files where they go. The app is not there before its TAs are.
pub(super) fn install(client: &mut Client, path: &Path, how: &How) -> Outcome {
    let package = read(path)?;
    let deadline = Instant::now() + how.wait;
    let (mut states, mut deferred) = (Vec::new(), Vec::new());
    for need in &package.needs {
        let need = match how.no_bundle {
            true => Dependency { bundle: None, ..need.clone() },
            false => need.clone(),
        };
        let ensured = ensure(client, &need, deadline)?;
        let state = match ensured {
            Ensured::Installed => TaState::Installed,
            Ensured::Deferred => TaState::Deferred,
        };
        states.push(json!({ "ta": need.ta.to_string(), "state": state.name() }));
        if ensured == Ensured::Deferred {
            deferred.push(need.ta.to_string());
        }
    }
    let ready = deferred.is_empty();
    if let (Some(folder), true) = (&how.into, ready) {
        unpack(folder, &package.files)?;
    }
    let shown = json!({ "name": package.name, "ready": ready, "needs": states });
    if how.json {
        return out::json(&shown);
    }
    match ready {
        true => out::lines(&format!("{} can start: its TAs are there", package.name)),
        false => out::lines(&format!(
            "{} cannot start yet: {} waits for the consent of the device's owner (tamarack owner approve)",
            package.name,
            deferred.join(", ")
        )),
    }
}

fn ensure(client: &mut Client, need: &Dependency, deadline: Instant) -> Outcome<Ensured> {
    let show = std::io::stderr().is_terminal();
    loop {
        let ensured = client.ensure_ta(need, &mut |tam, progress| {
            if show {
                let total = progress.total.map_or(String::new(), |total| format!(" of {total}"));
                let bytes = match progress.received {
                    0 => String::new(),
                    received => format!("  {received}{total} bytes"),
                };
                eprintln!("{}  {}{bytes}  {}", need.ta, progress.state, tam.unwrap_or_default());
            }
        });
        let again = match &ensured {
            Ok(Ensured::Installed) => false,
            Ok(Ensured::Deferred) => true,
            Err(error) => error.code() == codes::HTTP_PEER,
        };
        if !again || Instant::now() + PAUSE > deadline {
            return ensured.map_err(|e| Fail::new(e.code(), e));
        }
        std::thread::sleep(PAUSE);
    }
}

/// Writes the app's files; their paths stay within the folder.
fn unpack(folder: &Path, files: &[File]) -> Outcome {
    use std::os::unix::fs::PermissionsExt;
    for file in files {
        let path = folder.join(&file.path);
        let written = std::fs::create_dir_all(path.parent().unwrap_or(folder))
            .and_then(|()| std::fs::write(&path, &file.content))
            .and_then(|()| {
                let mode = if file.executable { 0o755 } else { 0o644 };
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))
            });
        written.map_err(|e| {
            Fail::input(codes::FILE_UNWRITABLE, format_args!("cannot write {}: {e}", path.display()))
        })?;
    }
    Ok(())
}
