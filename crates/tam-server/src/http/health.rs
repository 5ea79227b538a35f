//! `/livez`, `/readyz`, `/metrics`.

use std::sync::Arc;

use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tamarack_store::Read;

use super::api;
use crate::app::App;
use crate::listener::Peer;

/// The process runs.
pub(super) async fn live() -> &'static str {
    "ok\n"
}

/// The store answers.
pub(super) async fn ready(State(app): State<Arc<App>>) -> Response {
    match tokio::task::spawn_blocking(move || app.store.time()).await {
        Ok(Ok(_)) => "ok\n".into_response(),
        Ok(Err(e)) => {
            tracing::error!(code = %e.code(), error = %e, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", e.code())).into_response()
        }
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// Metrics, for a client on this machine or one with a token.
pub(super) async fn metrics(
    State(app): State<Arc<App>>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    headers: HeaderMap,
) -> Response {
    let text = tokio::task::spawn_blocking(move || {
        let allowed = peer.ip().is_loopback() || api::authenticate(&app, &headers).is_ok();
        allowed.then(|| app.metrics.render())
    });
    match text.await {
        Ok(Some(text)) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Ok(None) => StatusCode::UNAUTHORIZED.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
