//! A valve in a field: the actuator is bound to one TA, and the device has nobody at it. What brings the TA is a policy check.

use std::path::Path;

use anyhow::{Context, Result, bail};
use tamarack_broker::{Client, SOCKET_NAME};
use tamarack_model::ComponentId;
use tamarack_tee::Param;

use crate::Carrier;

/// UUID of the valve TA (`examples/ta/valve`).
pub const VALVE: [u8; 16] = *b"\x51\x0b\x1e\x5c\x0f\x5a\x4b\x0a\x8a\x7e\x4e\x6b\x0c\x7d\x11\x02";

/// Commands of the valve TA (`examples/ta/valve/valve.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Command {
    /// Open the valve
    Open = 1,
    /// Close it
    Close = 2,
    /// Ask where it is
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

/// The component id of the valve TA in the domain of its provider.
///
/// # Panics
/// If `domain` is empty or longer than 64 bytes.
pub fn valve(domain: &str) -> ComponentId {
    ComponentId::tamarack(domain, VALVE, "ta").expect("a domain of 1 to 64 bytes")
}

/// The controller's way to the valve.
pub struct Controller<C>(pub C);

impl<C: Carrier> Controller<C> {
    /// One command.
    ///
    /// # Errors
    /// If the TA could not be asked, or refused.
    pub fn command(&mut self, command: Command) -> Result<Position> {
        let returned = self.0.invoke(command as u32, vec![Param::ValueOutput(0, 0)])?;
        match returned.as_deref() {
            Ok([Param::ValueOutput(open, moved)]) => Ok(Position { open: *open == 1, moved: *moved }),
            Ok(other) => bail!("the valve TA answered {other:?}"),
            Err(code) => bail!("the valve TA returned {code:#010x}"),
        }
    }
}

/// Where the valve is, as the device's own status says: whoever answers for the TA.
///
/// # Errors
/// If the device cannot be asked, or has no valve.
pub fn position(device: &Path) -> Result<Vec<u8>> {
    let status = Client::connect(device.join(SOCKET_NAME))?.status()?;
    let found = status.peripherals.into_iter().find(|(name, _)| name == "valve");
    Ok(found.context("the device has no valve")?.1)
}
