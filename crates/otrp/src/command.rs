/// What a TAM asks of a TEE (section 7.7). The names of the four forms of a message follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Command {
    /// Tell the state of the device (section 9.1).
    GetDeviceState,
    /// Make a Security Domain (section 9.2.1).
    CreateSd,
    /// Change a Security Domain (section 9.2.2).
    UpdateSd,
    /// Remove a Security Domain (section 9.2.3).
    DeleteSd,
    /// Install a TA (section 9.3.1).
    InstallTa,
    /// Replace a TA or its personalization data (section 9.3.2).
    UpdateTa,
    /// Remove a TA (section 9.3.3).
    DeleteTa,
}

/// Command, signed request, request to be signed, signed response, response to be signed.
type Row = (Command, &'static str, &'static str, &'static str, &'static str);

const NAMES: [Row; 7] = [
    (
        Command::GetDeviceState,
        "GetDeviceStateRequest",
        "GetDeviceStateTBSRequest",
        "GetDeviceTEEStateResponse",
        "GetDeviceTEEStateTBSResponse",
    ),
    (Command::CreateSd, "CreateSDRequest", "CreateSDTBSRequest", "CreateSDResponse", "CreateSDTBSResponse"),
    (Command::UpdateSd, "UpdateSDRequest", "UpdateSDTBSRequest", "UpdateSDResponse", "UpdateSDTBSResponse"),
    (Command::DeleteSd, "DeleteSDRequest", "DeleteSDTBSRequest", "DeleteSDResponse", "DeleteSDTBSResponse"),
    (
        Command::InstallTa,
        "InstallTARequest",
        "InstallTATBSRequest",
        "InstallTAResponse",
        "InstallTATBSResponse",
    ),
    (Command::UpdateTa, "UpdateTARequest", "UpdateTATBSRequest", "UpdateTAResponse", "UpdateTATBSResponse"),
    (Command::DeleteTa, "DeleteTARequest", "DeleteTATBSRequest", "DeleteTAResponse", "DeleteTATBSResponse"),
];

/// Name of the array of responses of several TEEs that answers a GetDeviceStateRequest (section 9.1.5).
pub(crate) const DEVICE_STATE_RESPONSE: &str = "GetDeviceStateResponse";

impl Command {
    /// All of them, in the order of the draft.
    pub const ALL: [Self; 7] = [
        Self::GetDeviceState,
        Self::CreateSd,
        Self::UpdateSd,
        Self::DeleteSd,
        Self::InstallTa,
        Self::UpdateTa,
        Self::DeleteTa,
    ];

    /// Name of the signed request, such as `CreateSDRequest`.
    pub fn request(self) -> &'static str {
        self.row().1
    }

    /// Name of the request to be signed, such as `CreateSDTBSRequest`.
    pub fn tbs_request(self) -> &'static str {
        self.row().2
    }

    /// Name of the response that one TEE signed, such as `CreateSDResponse`.
    pub fn response(self) -> &'static str {
        self.row().3
    }

    /// Name of the response to be signed, such as `CreateSDTBSResponse`.
    pub fn tbs_response(self) -> &'static str {
        self.row().4
    }

    /// Whether the request carries a TA.
    pub fn carries_ta(self) -> bool {
        matches!(self, Self::InstallTa | Self::UpdateTa)
    }

    pub(crate) fn of_request(name: &str) -> Option<Self> {
        NAMES.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    pub(crate) fn of_response(name: &str) -> Option<Self> {
        NAMES.iter().find(|row| row.3 == name).map(|row| row.0)
    }

    fn row(self) -> &'static Row {
        // One row for each, in the order of the enum.
        &NAMES[self as usize]
    }
}
