//! RFC 9457 problem details with a stable code, a request id and a fix.

use serde_json::{Value, json};
use tamarack_model::Code;

/// The body of an error under `application/problem+json`.
pub fn problem_json(code: Code, status: u16, detail: &str, instance: &str, request_id: &str) -> Value {
    let (title, fix) = code.info().map_or(("", ""), |info| (info.title, info.fix));
    let code = code.to_string();
    json!({
        "type": format!("urn:tamarack:error:{code}"),
        "title": title,
        "status": status,
        "detail": detail,
        "instance": instance,
        "code": code,
        "request_id": request_id,
        "fix": fix,
    })
}
