//! The steps, one file per group. A new step is a function and a row in [`STEPS`].

mod attacks_on_device;
mod attacks_on_tam;
mod attacks_on_tee;
mod life;
mod relay_attacks;
mod replay;
mod setup;

use anyhow::Result;

use super::story::Story;
use super::world::World;

/// One step.
pub struct Step {
    /// Its id, stable.
    pub id: &'static str,
    /// What it is about.
    pub title: &'static str,
    /// Whether the screen shows all of it: the cast, and the eight that matter most.
    pub shown: bool,
    /// Does it.
    pub run: fn(&mut World, &mut Story) -> Result<()>,
}

const fn step(id: &'static str, title: &'static str, run: fn(&mut World, &mut Story) -> Result<()>) -> Step {
    Step { id, title, shown: false, run }
}

const fn shown(id: &'static str, title: &'static str, run: fn(&mut World, &mut Story) -> Result<()>) -> Step {
    Step { id, title, shown: true, run }
}

/// The story, in order.
pub const STEPS: [Step; 21] = [
    step("pki", "Separate authorities for TAMs, TEEs and developers", setup::pki),
    step("tam-up", "A TAM starts", setup::tam_up),
    shown("tee-up", "Two devices start: Brokers and TEEs in processes of their own", setup::tee_up),
    step("publish-v1", "A developer publishes TAs", setup::publish_v1),
    shown("request-install", "An app asks for its TA, and gets it", life::request_install),
    step("attested", "Only fresh Evidence proves what is installed", life::attested),
    shown("invoke-v1", "The TA pays, and a merchant checks the receipt", life::invoke_v1),
    step("valve-actuate", "The valve obeys the TA and not the rich OS", life::valve_actuate),
    step("publish-v2", "The developer publishes version 2", life::publish_v2),
    step("policy-update", "The device fetches the update", life::policy_update),
    shown("state-survived", "Key and counter of the wallet live on", life::state_survived),
    shown("refuse-downgrade", "Stolen TAM key: back to the old version", attacks_on_device::downgrade),
    shown("refuse-replay", "Old messages, sent again", replay::replay),
    step("refuse-tampered-payload", "Stolen TAM key: a changed payload", attacks_on_device::tampered_payload),
    step("refuse-wrong-signer", "A developer signs for another's TA", attacks_on_device::wrong_signer),
    shown("refuse-rogue-tam", "A TAM that the device does not know", attacks_on_device::rogue_tam),
    shown("refuse-unattested-device", "Devices that cannot prove what they are", attacks_on_tam::unattested),
    step("refuse-tampered-relay", "The Broker flips bits", relay_attacks::tampered_relay),
    shown(
        "refuse-memory-read",
        "The Broker's user reads the TEE's memory and files",
        attacks_on_tee::memory_read,
    ),
    step("unrequest-delete", "The app is done with its TA: its data is erased", life::unrequest_delete),
    step("tam-restart", "SIGKILL for the TAM in the middle of a session", relay_attacks::tam_restart),
];
