use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tamarack_tee_tpm::{Address, Pcrs};

/// A TPM as `--root` and `device.json` write it: `tpm:ADDRESS`, and behind it `,pcrs=N+N..`, without which it is sealed to
/// the PCRs of a PC's boot.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct RootAddress {
    /// Where it is.
    pub tpm: Address,
    /// What the root secret is sealed to, besides the launcher's own PCR.
    pub pcrs: Pcrs,
}

impl RootAddress {
    /// The same from whichever folder the device is started.
    pub fn absolute(self) -> std::io::Result<Self> {
        let tpm = match self.tpm {
            Address::Device(path) => Address::Device(std::path::absolute(path)?),
            Address::Unix(path) => Address::Unix(std::path::absolute(path)?),
            tcp @ Address::Tcp(..) => tcp,
        };
        Ok(Self { tpm, ..self })
    }
}

impl FromStr for RootAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = text.strip_prefix("tpm:").ok_or_else(|| format!("{text:?}: expected tpm:ADDRESS"))?;
        let (address, pcrs) = match address.rsplit_once(",pcrs=") {
            Some((address, pcrs)) => (address, pcrs.parse()?),
            None => (address, Pcrs::BOOT),
        };
        Ok(Self { tpm: address.parse().map_err(|e: tamarack_tee_tpm::AddressError| e.to_string())?, pcrs })
    }
}

impl fmt::Display for RootAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tpm:{},pcrs={}", self.tpm, self.pcrs)
    }
}

impl TryFrom<String> for RootAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<RootAddress> for String {
    fn from(root: RootAddress) -> Self {
        root.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tpm_is_read_and_written() {
        for (text, written) in [
            ("tpm:device:/dev/tpmrm0", Some("tpm:device:/dev/tpmrm0,pcrs=0+2+4+7")),
            ("tpm:swtpm:host=a,port=1,pcrs=7", Some("tpm:swtpm:host=a,port=1,pcrs=7")),
            ("file", None),
            ("tpm:", None),
            ("tpm:device:/dev/tpm0,pcrs=24", None),
        ] {
            let read: Option<RootAddress> = text.parse().ok();
            assert_eq!(read.map(|root| root.to_string()).as_deref(), written, "{text}");
        }
        let here = std::env::current_dir().unwrap();
        let relative: RootAddress = "tpm:swtpm:path=tpm/socket,pcrs=7".parse().unwrap();
        let written = format!("tpm:swtpm:path={}/tpm/socket,pcrs=7", here.display());
        assert_eq!(relative.absolute().unwrap().to_string(), written);
    }
}
