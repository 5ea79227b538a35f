use serde_json::Value;

use crate::fail::Outcome;

/// Prints one JSON document to standard output. A closed pipe is not an error of the command.
pub fn json(value: &Value) -> Outcome {
    lines(&format!("{value:#}"))
}

/// Prints text to standard output, ending in one newline.
pub fn lines(text: &str) -> Outcome {
    use std::io::Write;
    let _ = writeln!(std::io::stdout().lock(), "{}", text.trim_end_matches('\n'));
    Ok(())
}

/// Prints a list: as JSON, or a line for each item; `none` says that there is none.
pub fn list(items: Vec<Value>, json: bool, none: &str, line: impl FnMut(&Value) -> String) -> Outcome {
    if json {
        return self::json(&Value::Array(items));
    }
    if items.is_empty() {
        eprintln!("{none}");
        return Ok(());
    }
    lines(&items.iter().map(line).collect::<Vec<_>>().join("\n"))
}

/// Logs of a service go to standard error. A subscriber that is there already is kept.
pub fn log(json: bool) {
    use std::io::IsTerminal;
    let filter = tracing_subscriber::EnvFilter::try_from_env("TAMARACK_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    let _ = if json { log.json().try_init() } else { log.try_init() };
}

/// The one line with which a service says that it is ready.
pub fn ready(scheme: &str, address: std::net::SocketAddr) {
    use std::io::Write;
    let line = serde_json::json!({
        "ready": true, "address": address.to_string(), "url": format!("{scheme}://{address}"),
        "pid": std::process::id(),
    });
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
