//! The steps, one file per group. A new step is a function and a row in the table of its cast: `TEEP`, `OTRP` or `BOTH`.

mod attacks_on_device;
mod attacks_on_tam;
mod attacks_on_tee;
mod both;
mod card;
mod governed;
mod life;
mod measured;
mod otrp;
mod owner;
mod relay_attacks;
mod replay;
mod setup;
mod storage;
mod vault;

use anyhow::Result;

use super::story::Story;
use super::world::{Cast, World};

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

/// The story with this cast, in order.
pub fn steps(cast: Cast) -> &'static [Step] {
    match cast {
        Cast::Teep => &TEEP,
        Cast::Otrp => &OTRP,
        Cast::Both => &BOTH,
    }
}

const TEEP: [Step; 29] = [
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
    shown("wallet-card", "Card data from the bank, and a person's word for a payment", card::wallet_card),
    shown("owner-denies", "The device's owner is asked, approves and denies", owner::denies),
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
    shown("vault-release", "A tenant's key for a TA that proves itself, and for nobody else", vault::release),
    shown("refuse-stolen-storage", "A thief has a device's disk", storage::stolen_storage),
    shown("refuse-clone", "A copy of everything that can be copied", storage::clone),
    step("unrequest-delete", "The app is done with its TA: its data is erased", life::unrequest_delete),
    step("revoke-ta", "A revoked TA loses the actuator at once", governed::revoke_ta),
    shown("two-makers", "Another maker's device joins: one TAM, one TA published once", governed::two_makers),
    // From here on a maker's values are in force: what another maker's devices run, nobody has released.
    shown(measured::STEP, "An Agent with one letter changed", measured::modified_agent),
    step("tam-restart", "SIGKILL for the TAM in the middle of a session", relay_attacks::tam_restart),
];

const OTRP: [Step; 28] = [
    step("pki", "Separate authorities for TAMs, TEEs, firmware and developers", setup::pki),
    step("tam-up", "A TAM starts, with an OCSP responder for its certificate", setup::tam_up),
    shown("tee-up", "Two devices start: Brokers and TEEs in processes of their own", setup::tee_up),
    step("publish-v1", "A developer publishes TAs", setup::publish_v1),
    shown("create-domain", "A Security Domain for the developer", otrp::domains::create),
    shown("request-install", "An app asks for its TA, and gets it", otrp::life::request_install),
    step("attested", "Only fresh Evidence proves what is installed", otrp::life::attested),
    shown("get-ta-information", "An app checks its TA by keys of its TAM", otrp::life::get_ta_information),
    shown("invoke-v1", "The TA pays, and a merchant checks the receipt", life::invoke_v1),
    step("valve-actuate", "The valve obeys the TA and not the rich OS", life::valve_actuate),
    step("publish-v2", "The developer publishes version 2", life::publish_v2),
    step("policy-update", "The device fetches the update", life::policy_update),
    shown("state-survived", "Key and counter of the wallet live on", life::state_survived),
    shown("update-domain-signer", "A guest in the domain, for a while", otrp::domains::update_signer),
    shown("refuse-downgrade", "Stolen TAM key: back to the old version", otrp::attacks_on_device::downgrade),
    shown("refuse-replay", "Old messages, sent again", otrp::replay::replay),
    shown(
        "refuse-stale-state",
        "Stolen TAM key: commands by an old state",
        otrp::attacks_on_device::stale_state,
    ),
    step(
        "refuse-tampered-payload",
        "Stolen TAM key: a changed payload",
        otrp::attacks_on_device::tampered_payload,
    ),
    step("refuse-wrong-signer", "A developer signs for another's TA", otrp::attacks_on_device::wrong_signer),
    shown("refuse-rogue-tam", "A TAM that the device does not know", otrp::strangers::rogue_tam),
    shown("refuse-other-tam", "Another TAM of the same device", otrp::attacks_on_device::other_tam),
    shown("refuse-revoked-tam", "A TAM whose certificate is not good any more", otrp::strangers::revoked_tam),
    shown(
        "refuse-unattested-device",
        "Devices that cannot prove what they are",
        otrp::attacks_on_tam::unattested,
    ),
    step("refuse-tampered-relay", "The Broker alters messages", otrp::relay_attacks::tampered_relay),
    shown(
        "refuse-memory-read",
        "The Broker's user reads the TEE's memory and files",
        attacks_on_tee::memory_read,
    ),
    step("unrequest-delete", "The app is done with its TA: its data is erased", otrp::life::unrequest_delete),
    step("tam-restart", "SIGKILL for the TAM in the middle of an exchange", otrp::relay_attacks::tam_restart),
    shown("delete-domain", "The domain is deleted, with all that is in it", otrp::domains::delete),
];

const BOTH: [Step; 14] = [
    step("pki", "Separate authorities, two of them for the TEEs of two makers", setup::pki),
    step("tam-up", "One TAM starts, for both protocols", setup::tam_up),
    shown("tee-up", "Two makers' devices start: one speaks TEEP, one OTrP", setup::tee_up),
    step("publish-v1", "A developer publishes TAs, once", setup::publish_v1),
    shown("request-install", "Apps on both devices ask for the same TA", both::request_install),
    step("attested", "One view of both devices", both::attested),
    shown("get-ta-information", "An app checks its TA by keys of its TAM", otrp::life::get_ta_information),
    shown("invoke-v1", "The TA pays on both devices", both::invoke_v1),
    step("publish-v2", "The developer publishes version 2, once", both::publish_v2),
    shown("policy-update", "Both devices fetch the update", both::policy_update),
    shown(
        "refuse-stale-state",
        "A change through one protocol voids what was told in the other",
        both::stale_state,
    ),
    shown(
        "refuse-wrong-protocol",
        "Messages of one device's protocol, sent to the other",
        both::wrong_protocol,
    ),
    step("unrequest-delete", "The apps are done with their TA", both::unrequest_delete),
    shown("delete-domain", "The domain is deleted", otrp::domains::delete),
];
