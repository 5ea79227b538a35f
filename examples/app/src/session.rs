//! How a normal app reaches a TA on its device.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use tamarack_broker::{Client, SOCKET_NAME, Target};
use tamarack_model::ComponentId;
use tamarack_tee::{Param, Params};

/// Which device, and whose TA on it: what every program of the examples is told.
#[derive(Clone, Debug, clap::Args)]
pub struct Place {
    /// Folder of the device
    #[arg(long)]
    pub device: PathBuf,
    /// Security Domain of the TA's provider
    #[arg(long, default_value = "com.acme", value_parser = domain)]
    pub domain: String,
}

/// A domain on a command line.
///
/// # Errors
/// If it is none.
pub fn domain(text: &str) -> Result<String, String> {
    match text.len() {
        1..=64 => Ok(text.to_owned()),
        _ => Err("a domain has 1 to 64 bytes".into()),
    }
}

/// Whatever carries calls to a TA: an app's session, or a test.
pub trait Carrier {
    /// Invokes a command; gives its parameters afterwards, or what the TA returned instead of success.
    ///
    /// # Errors
    /// If the TA could not be asked.
    fn invoke(&mut self, command: u32, params: Params) -> Result<Result<Params, u32>>;
}

/// A session with a TA through the Broker of its device; it ends with this value.
pub struct Session {
    client: Client,
    session: u32,
}

impl Session {
    /// Opens a session with the TA `ta` of the device in this folder.
    ///
    /// # Errors
    /// If the Broker cannot be reached or there is no such TA.
    pub fn open(device: &Path, ta: &ComponentId) -> Result<Self> {
        let mut client = Client::connect(device.join(SOCKET_NAME))?;
        let session = client.open_session(Target::Component(ta.clone()), None, Params::new());
        Ok(Self { client, session: session.map_err(with_code)? })
    }

    /// Its number, which is no secret.
    pub fn number(&self) -> u32 {
        self.session
    }
}

impl Carrier for Session {
    fn invoke(&mut self, command: u32, params: Params) -> Result<Result<Params, u32>> {
        let returned = self.client.invoke(self.session, command, params).map_err(with_code)?;
        Ok(if returned.code == 0 { Ok(returned.params) } else { Err(returned.code) })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // One that the device has ended is gone already.
        let _ = self.client.close_session(self.session);
    }
}

/// An error with the code that `tamarack explain` knows.
fn with_code(error: tamarack_broker::Error) -> anyhow::Error {
    anyhow::anyhow!("{error} ({})", error.code())
}

/// Asks the TAM of the device in this folder for the TA `ta`, and then for what it has for the TA. Says how it goes.
///
/// # Errors
/// If the Broker cannot be reached, or the TA is not there in the end.
pub fn install(device: &Path, ta: &ComponentId) -> Result<()> {
    let mut client = Client::connect(device.join(SOCKET_NAME))?;
    for progress in client.request_ta(ta, None)? {
        println!("{}", progress?.state);
    }
    Ok(client.policy_check()?)
}

/// What a TA left in an output of memory.
pub(crate) fn memory(params: Params, index: usize) -> Result<Vec<u8>> {
    match params.into_iter().nth(index) {
        Some(Param::MemrefOutput { data, .. }) => Ok(data),
        other => bail!("the TA answered {other:?}"),
    }
}
