//! Who may do what: one matrix of roles and actions, from which dispatchers decide and of which people read.
//!
//! Where requests come through a dispatcher (the REST interface, the socket of normal apps, the channel to the TEE) it looks
//! the caller's role up here. Where an object's signature decides, there is nobody to ask: the check that [`Action::check`]
//! names looks at the key's one purpose (security rule K5) and at the anchor that vouches for it. Tests try every cell
//! against the real parts.

mod action;

pub use action::Action;

use alloc::format;
use alloc::string::String;

/// Who acts. A role is what somebody holds at that moment; one person or company may have several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// A person with the device in hand, or anybody else on its machine or in the network: no key, no token, another user id.
    User,
    /// A normal app of the device's user: the socket of the Broker.
    App,
    /// The Broker, and with it the rich OS: the channel to the TEE, and every byte on its way.
    Broker,
    /// Who writes TAs and signs their manifests.
    Developer,
    /// A service provider's account at the TAM: an API token of that role.
    Provider,
    /// Who runs the TAM: its keys, and an API token of that role.
    Operator,
    /// Who looks and changes nothing: an API token of that role.
    Auditor,
    /// Whose device it is: the owner's key.
    DeviceOwner,
    /// The device's maker: the blank device, the key of the device authority, the key that signs reference values.
    Maker,
    /// The authority that certifies devices' attestation keys.
    TeeCa,
    /// Who appraises Evidence for a TAM: the key that signs Attestation Results, and the token of the verifier's operator.
    Verifier,
}

impl Role {
    /// All of them, in the order of the matrix.
    pub const ALL: [Self; 11] = [
        Self::User,
        Self::App,
        Self::Broker,
        Self::Developer,
        Self::Provider,
        Self::Operator,
        Self::Auditor,
        Self::DeviceOwner,
        Self::Maker,
        Self::TeeCa,
        Self::Verifier,
    ];

    /// Its name, as `tamarack explain permissions` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::App => "app",
            Self::Broker => "broker",
            Self::Developer => "developer",
            Self::Provider => "provider",
            Self::Operator => "operator",
            Self::Auditor => "auditor",
            Self::DeviceOwner => "owner",
            Self::Maker => "maker",
            Self::TeeCa => "tee-ca",
            Self::Verifier => "verifier",
        }
    }

    /// What makes somebody have this role.
    pub fn holds(self) -> &'static str {
        match self {
            Self::User => "nothing: another user id on the machine, no key, no token",
            Self::App => "the user id of the Broker, and so its socket for normal apps",
            Self::Broker => "the channel to the TEE, and every message on its way",
            Self::Developer => "the key that signs manifests",
            Self::Provider => "an API token of role provider",
            Self::Operator => "the TAM's keys, and an API token of role operator",
            Self::Auditor => "an API token of role auditor",
            Self::DeviceOwner => "the owner's key, enrolled in the device",
            Self::Maker => "the blank device, the device authority's key, the key for reference values",
            Self::TeeCa => "the key of a TEE CA that the TAM lists",
            Self::Verifier => {
                "the key for Attestation Results that the TAM lists, and its own operator's token"
            }
        }
    }

    /// Reads what [`Role::name`] gives.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// What stands in a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// Not allowed.
    Denied,
    /// Allowed for what is the caller's own, and for nothing else.
    Own,
    /// Allowed.
    Allowed,
}

impl Grant {
    /// Whether there is anything at all that the caller may do.
    pub fn is_some(self) -> bool {
        self != Self::Denied
    }

    /// Its name in documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Own => "own",
            Self::Allowed => "allowed",
        }
    }
}

/// Where an action is asked for, and so what decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The REST interface of the TAM: the token's role is looked up in this matrix.
    Rest,
    /// The TAM's other endpoints.
    Endpoint,
    /// The socket of normal apps and the channel to the TEE: both look the operation up in this matrix.
    Socket,
    /// A signed object that the Agent in the TEE judges.
    Device,
    /// A signed object that the TAM judges.
    Tam,
    /// The verifier over HTTP: its operator's token makes a caller the verifier, whose role is looked up in this matrix.
    Verifier,
    /// The device's own panel: the role of whoever is there is looked up in this matrix.
    Panel,
}

impl Place {
    /// All of them, in the order of the matrix.
    pub const ALL: [Self; 7] =
        [Self::Rest, Self::Endpoint, Self::Socket, Self::Device, Self::Tam, Self::Verifier, Self::Panel];

    /// A heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Rest => "REST interface of the TAM",
            Self::Endpoint => "Other endpoints of the TAM",
            Self::Socket => "Socket of normal apps, channel to the TEE",
            Self::Device => "Signed objects, judged by the Agent in the TEE",
            Self::Tam => "Signed objects, judged by the TAM",
            Self::Verifier => "The verifier over HTTP",
            Self::Panel => "The device's own panel",
        }
    }
}

/// What `role` may do of `action`. Everything that is not written down is denied.
pub fn permits(role: Role, action: Action) -> Grant {
    let row = action.row();
    if row.allowed.contains(&role) {
        Grant::Allowed
    } else if row.own.contains(&role) {
        Grant::Own
    } else {
        Grant::Denied
    }
}

/// Where a cell is enforced: the file and the check.
pub fn enforced(role: Role, action: Action) -> String {
    let row = action.row();
    match (row.place, role) {
        (Place::Rest, Role::Provider | Role::Operator | Role::Auditor) => {
            let own = if row.own.contains(&role) { "; `visible` narrows it to its own" } else { "" };
            format!("`tam-server/http/api/call.rs`: the token's role, by this table{own}")
        }
        (Place::Rest, _) => "`tam-server/http/api/call.rs` `authenticate`: it has no token".into(),
        (Place::Socket, Role::App) => {
            let own = if row.own.contains(&role) {
                "; sessions of other connections are unknown to it"
            } else {
                ""
            };
            format!("`broker/server.rs`: by this table{own}")
        }
        (Place::Socket, Role::Broker | Role::Maker) => {
            "`tee-host/host.rs`: by this table; the maker's until the device is enrolled, then the Broker's"
                .into()
        }
        (Place::Socket, _) => "`broker/server.rs` `is_ours`: another user id; the folder is 0700".into(),
        (Place::Verifier, _) if row.check == action::TABLE => {
            "`verifier/http.rs`: by this table; its operator's token makes the caller the verifier".into()
        }
        (Place::Panel, Role::User | Role::App | Role::Broker) => {
            "`tee-sandbox/panel.rs` `may_confirm`: by this table, by the user id of whoever is at the panel".into()
        }
        (Place::Panel, _) => {
            "`tee-host/launcher.rs`: what it holds opens no way to the panel, which is connected before all else"
                .into()
        }
        (Place::Endpoint | Place::Device | Place::Tam | Place::Verifier, _) => row.check.into(),
    }
}

#[cfg(test)]
mod tests;
