//! What is served over HTTP.

mod api;
mod artifacts;
mod exchange;
mod health;
mod protocol;

use std::sync::Arc;

use axum::Router;
use axum::routing::{any, get};
use tamarack_service::{BodyError, read_body};

pub(crate) use api::{Idempotency, Refusals};

use crate::app::App;

pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/tam", any(exchange::default_tenant))
        .route("/t/{tenant}/tam", any(exchange::named_tenant))
        .route("/artifacts/{digest}", get(artifacts::get))
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .nest("/api/v1", api::router(app.clone()))
        .with_state(app)
}
