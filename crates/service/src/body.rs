//! Bodies of requests, bounded in size and time.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use http_body_util::BodyExt;
use tokio::time::timeout;

/// Why a body was not read.
pub enum BodyError {
    /// It has more bytes than allowed.
    TooLarge,
    /// It did not arrive in time.
    TooSlow,
    /// It broke off.
    Broken,
}

/// What is read beyond a limit and thrown away, in bytes, so that a client that writes before it reads still learns why it
/// is refused.
const DRAIN: u64 = 4 << 20;

/// Reads a body of at most `most` bytes that arrives within `time`.
pub async fn read_body(mut body: Body, most: usize, time: Duration) -> Result<Bytes, BodyError> {
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
