//! `/artifacts`: payloads that manifests name by URI. They are stored by digest; the answer says where they are served.

use serde_json::json;
use tamarack_store::Store;

use super::{Answer, Call, Done, Problem};

pub(super) fn upload(call: &Call) -> Done {
    if call.body.is_empty() {
        return Err(Problem::invalid("the body: it is empty"));
    }
    let digest = hex::encode(call.app.store.put_artifact(&call.body)?);
    call.change(Vec::new(), "artifact.upload", &digest, &format!("{} bytes", call.body.len()))?;
    Ok(Answer::created(json!({
        "sha256": digest, "size": call.body.len(), "path": format!("/artifacts/{digest}"),
    })))
}
