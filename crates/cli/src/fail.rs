use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use tamarack_model::{Code, codes};

/// Why a command ended without doing what it was asked: a stable code and a sentence that says what was wrong, where,
/// and what to do.
#[derive(Debug)]
pub struct Fail {
    code: Code,
    message: String,
    /// The command line or an input is wrong, rather than the operation refused.
    usage: bool,
}

/// What every command returns.
pub type Outcome<T = ()> = Result<T, Fail>;

impl Fail {
    /// The operation was refused or failed.
    pub fn new(code: Code, message: impl fmt::Display) -> Self {
        Self { code, message: message.to_string(), usage: false }
    }

    /// The command line or an input file is wrong.
    pub fn input(code: Code, message: impl fmt::Display) -> Self {
        Self { usage: true, ..Self::new(code, message) }
    }

    /// The stable code.
    #[allow(dead_code)]
    pub fn code(&self) -> Code {
        self.code
    }

    /// Prints "error[TMK-nnnn]: sentence" and where to read more to standard error.
    pub fn print(&self) {
        eprintln!("error[{}]: {}", self.code, self.message);
        if let Some(info) = self.code.info() {
            eprintln!("  fix: {}", info.fix);
        }
    }

    /// 1, or 2 for wrong input.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(if self.usage { 2 } else { 1 })
    }
}

impl fmt::Display for Fail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fail {}

/// Reads a whole file, or standard input for `-`.
pub fn read(path: &Path) -> Outcome<Vec<u8>> {
    use std::io::Read;
    let result = if path.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        std::fs::read(path)
    };
    result
        .map_err(|e| Fail::input(codes::FILE_UNREADABLE, format_args!("cannot read {}: {e}", path.display())))
}

/// Writes a whole file.
#[allow(dead_code)]
pub fn write(path: &Path, bytes: &[u8]) -> Outcome {
    std::fs::write(path, bytes).map_err(|e| {
        Fail::input(codes::FILE_UNWRITABLE, format_args!("cannot write {}: {e}", path.display()))
    })
}
