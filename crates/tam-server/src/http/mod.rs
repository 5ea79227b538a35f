//! What is served over HTTP.

mod api;
mod artifacts;
mod health;
mod teep;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::{any, get};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;

pub(crate) use api::Idempotency;

use crate::app::App;

pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/tam", any(teep::default_tenant))
        .route("/t/{tenant}/tam", any(teep::named_tenant))
        .route("/artifacts/{digest}", get(artifacts::get))
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .nest("/api/v1", api::router(app.clone()))
        .with_state(app)
}

/// Why a body was not read.
enum BodyError {
    TooLarge,
    TooSlow,
    Broken,
}

/// Reads a body of at most `most` bytes that arrives within `time`.
async fn read_body(body: Body, most: usize, time: Duration) -> Result<Bytes, BodyError> {
    match timeout(time, Limited::new(body, most).collect()).await {
        Err(_) => Err(BodyError::TooSlow),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(e)) if e.is::<LengthLimitError>() => Err(BodyError::TooLarge),
        Ok(Err(_)) => Err(BodyError::Broken),
    }
}
