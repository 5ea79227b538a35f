//! Downloads by digest: what payloads by URI point to. Whoever knows a digest may have the bytes; what protects them is in
//! the manifest.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tamarack_store::{Read, StoreError};

use crate::app::App;

pub(super) async fn get(State(app): State<Arc<App>>, Path(digest): Path<String>) -> Response {
    let mut bytes = [0; 32];
    if hex::decode_to_slice(&digest, &mut bytes).is_err() {
        return StatusCode::NOT_FOUND.into_response();
    }
    let read = tokio::task::spawn_blocking(move || app.store.artifact(&bytes));
    match read.await {
        Ok(Ok(artifact)) => {
            let headers = [
                (header::CONTENT_TYPE, "application/octet-stream"),
                (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            ];
            (headers, artifact).into_response()
        }
        Ok(Err(StoreError::ArtifactMissing(_))) => StatusCode::NOT_FOUND.into_response(),
        Ok(Err(e)) => {
            tracing::error!(code = %e.code(), error = %e, "artifact not served");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
