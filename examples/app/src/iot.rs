//! A valve in a field: the actuator is bound to one TA, and the device has nobody at it. What brings the TA is a policy check.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use tamarack_broker::{Client, SOCKET_NAME, Target};
use tamarack_model::ComponentId;
use tamarack_tee::Param;

/// UUID of the valve TA (`examples/ta/valve`).
pub const VALVE: [u8; 16] = *b"\x51\x0b\x1e\x5c\x0f\x5a\x4b\x0a\x8a\x7e\x4e\x6b\x0c\x7d\x11\x02";

/// Commands of the valve TA (`examples/ta/valve/valve.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Opens the valve.
    Open = 1,
    /// Closes it.
    Close = 2,
    /// Asks where it is.
    Status = 3,
}

/// Where the valve is, as its TA says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Whether it is open.
    pub open: bool,
    /// How often the TA has moved it since it was installed.
    pub moved: u32,
}

/// `[domain, uuid, kind]` of the valve TA; an error if the domain is not one segment.
pub fn valve(domain: &str, kind: &str) -> Result<ComponentId> {
    ComponentId::tamarack(domain, VALVE, kind).map_err(|e| anyhow::anyhow!("domain {domain}: {e}"))
}

/// The controller: one command in a session of its own.
pub fn command(device: &Path, domain: &str, command: Command) -> Result<Position> {
    let mut app = Client::connect(device.join(SOCKET_NAME))?;
    let session = app.open_session(Target::Component(valve(domain, "ta")?), None, Vec::new())?;
    let returned = app.invoke(session, command as u32, vec![Param::ValueOutput(0, 0)]);
    app.close_session(session)?;
    let returned = returned?;
    ensure!(returned.code == 0, "the valve TA returned {:#010x}", returned.code);
    match returned.params.as_slice() {
        [Param::ValueOutput(open, moved)] => Ok(Position { open: *open == 1, moved: *moved }),
        other => bail!("the valve TA answered {other:?}"),
    }
}

/// Where the valve is, as the device's own status says: whoever answers for the TA.
pub fn position(device: &Path) -> Result<Vec<u8>> {
    let status = Client::connect(device.join(SOCKET_NAME))?.status()?;
    let found = status.peripherals.into_iter().find(|(name, _)| name == "valve");
    Ok(found.context("the device has no valve")?.1)
}
