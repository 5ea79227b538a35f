use crate::fail::Outcome;

/// Prints one JSON document to standard output. A closed pipe is not an error of the command.
pub fn json(value: &serde_json::Value) -> Outcome {
    lines(&format!("{value:#}"))
}

/// Prints text to standard output, ending in one newline.
pub fn lines(text: &str) -> Outcome {
    use std::io::Write;
    let _ = writeln!(std::io::stdout().lock(), "{}", text.trim_end_matches('\n'));
    Ok(())
}
