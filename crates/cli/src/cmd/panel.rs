//! `tamarack panel`: the stand-in for a device's own screen and keys. Run it as a user that the rich OS cannot become.

use std::io::{BufRead, ErrorKind, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use tamarack_model::codes;
use tamarack_tee_sandbox::panel;

use crate::fail::{Fail, Outcome};
use crate::out;

#[derive(clap::Args)]
pub struct Args {
    /// The socket to wait at, which `tamarack agent run --panel` connects to; only this user may
    path: PathBuf,
    /// Answer every question so, instead of asking a person
    #[arg(long, value_enum)]
    answer: Option<Answer>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Answer {
    /// Confirm
    Yes,
    /// Refuse
    No,
}

pub fn run(args: Args) -> Outcome {
    let listener = bind(&args.path).map_err(|e| {
        let path = args.path.display();
        let text = match e.kind() {
            ErrorKind::AddrInUse => format!("{path} is there already and is no socket"),
            _ => format!("cannot make the socket {path}: {e}"),
        };
        Fail::input(codes::FILE_UNWRITABLE, text)
    })?;
    out::lines(&serde_json::json!({ "ready": true, "panel": args.path }).to_string())?;
    loop {
        let connection = listener.accept();
        let (mut device, _) = connection.map_err(|e| Fail::new(codes::TEE_NO_PANEL, e))?;
        // One device at a time has the panel; whoever else asks waits for it.
        if let Err(error) = panel::serve(&mut device, |text| ask(text, args.answer)) {
            eprintln!("the device's connection ended: {error}");
        }
    }
}

/// Takes the place of what an earlier run left.
fn bind(path: &Path) -> std::io::Result<UnixListener> {
    if std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket()) {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

fn ask(text: &str, answer: Option<Answer>) -> std::io::Result<bool> {
    let mut screen = std::io::stdout().lock();
    writeln!(screen, "{text}")?;
    if let Some(answer) = answer {
        let word = if answer == Answer::Yes { "yes" } else { "no" };
        writeln!(screen, "answered {word}")?;
        return Ok(answer == Answer::Yes);
    }
    write!(screen, "confirm? [yes/no] ")?;
    screen.flush()?;
    let mut line = String::new();
    match std::io::stdin().lock().read_line(&mut line) {
        Ok(_) => Ok(line.trim() == "yes"),
        Err(error) if error.kind() == ErrorKind::Interrupted => Ok(false),
        Err(error) => Err(error),
    }
}
