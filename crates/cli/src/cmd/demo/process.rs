//! The processes of the demo: each is this program with other arguments.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value as Json;

/// A process that runs until it is dropped.
pub struct Process {
    child: Child,
    /// What it said when it was ready.
    pub ready: Json,
}

impl Process {
    /// Starts the program with `args` and waits for its JSON. What it has to say goes to `log`.
    pub fn start(args: &[&str], log: &Path) -> Result<Self> {
        let mut child = program()?
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::options().create(true).append(true).open(log)?)
            .spawn()
            .with_context(|| format!("cannot start tamarack {}", args.join(" ")))?;
        let ready = child.stdout.take().and_then(|stdout| read_json(&mut BufReader::new(stdout)));
        match ready {
            Some(ready) => Ok(Self { child, ready }),
            None => {
                let _ = child.kill();
                let _ = child.wait();
                let said = std::fs::read_to_string(log).unwrap_or_default();
                let said = said.lines().rev().find(|line| line.starts_with("error")).unwrap_or("nothing");
                bail!("tamarack {} did not start; it said: {said}", args.join(" "))
            }
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// Waits for a process that is not a child: a TEE ends by itself when its Broker is gone.
pub fn wait_for_end(pid: u32) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(5);
    // What has ended and was not waited for has no command line any more.
    while std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty()) {
        if Instant::now() > until {
            bail!("process {pid} does not end");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// One JSON value, which may have several lines; None if the output ends before it does.
fn read_json(output: &mut impl BufRead) -> Option<Json> {
    let mut text = String::new();
    while output.read_line(&mut text).ok()? > 0 {
        if let Ok(value) = serde_json::from_str(&text) {
            return Some(value);
        }
    }
    None
}

/// This program once more.
pub fn program() -> Result<Command> {
    Ok(Command::new(std::env::current_exe().context("cannot find this program")?))
}

/// Runs the program to its end; an error if it fails. Gives what it printed.
pub fn run(args: &[&str], log: &Path) -> Result<Vec<u8>> {
    let output = program()?.args(args).stdin(Stdio::null()).output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let _ = File::options()
        .create(true)
        .append(true)
        .open(log)
        .and_then(|mut file| std::io::Write::write_all(&mut file, &output.stderr));
    if !output.status.success() {
        bail!("tamarack {}: {}", args.join(" "), text.trim());
    }
    Ok(output.stdout)
}
