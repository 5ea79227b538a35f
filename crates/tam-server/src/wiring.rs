//! The one place where engine, store, listener and HTTP come together.

use std::net::SocketAddr;
use std::sync::Arc;

use tamarack_service::{Running, Service};

use crate::app::App;
use crate::{Config, Error, http, listener};

/// Serves until SIGTERM or SIGINT, then ends what has begun. `ready` is told the address once connections are accepted.
pub fn run(config: &Config, ready: impl FnOnce(SocketAddr)) -> Result<(), Error> {
    tamarack_service::run(|| service(config), ready)
}

/// Starts a TAM on threads of this process and waits until it accepts connections.
pub fn start(config: &Config) -> Result<Running, Error> {
    let config = config.clone();
    tamarack_service::start(move || service(&config))
}

fn service(config: &Config) -> Result<Service, Error> {
    config.check_plain_http(config.listen)?;
    let tls = listener::tls(config.document(), config.tls.as_ref(), config.profile)?;
    let app = Arc::new(App::open(config)?);
    let keeper = app.clone();
    Ok(Service {
        name: "TAM",
        listen: config.listen,
        tls,
        connections: config.limits.connections,
        housekeeping: Arc::new(move || keeper.housekeeping()),
        router: http::router(app),
    })
}
