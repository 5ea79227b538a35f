//! What is served over HTTP.

mod api;
mod artifacts;
mod exchange;
mod health;
mod protocol;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::routing::{any, get};
use http_body_util::BodyExt;
use tokio::time::timeout;

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

/// Why a body was not read.
enum BodyError {
    TooLarge,
    TooSlow,
    Broken,
}

/// What is read beyond a limit and thrown away, in bytes, so that a client that writes before it reads still learns why it
/// is refused.
const DRAIN: u64 = 4 << 20;

/// Reads a body of at most `most` bytes that arrives within `time`.
async fn read_body(mut body: Body, most: usize, time: Duration) -> Result<Bytes, BodyError> {
    let most = most as u64;
    if body.size_hint().lower() > most + DRAIN {
        return Err(BodyError::TooLarge);
    }
    let mut read = Vec::new();
    let mut total = 0;
    let all = async {
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
            total += data.len() as u64;
            if total <= most {
                read.extend_from_slice(&data);
            } else if total > most + DRAIN {
                return Err(BodyError::TooLarge);
            }
        }
        Ok(())
    };
    let outcome = timeout(time, all).await;
    match outcome {
        _ if total > most => Err(BodyError::TooLarge),
        Err(_) => Err(BodyError::TooSlow),
        Ok(Err(e)) => Err(e),
        Ok(Ok(())) => Ok(read.into()),
    }
}
