//! The device's owner, as TAMs that speak OTrP meet it.

use tamarack_agent::{Error, Input, Seed};
use tamarack_model::{Outcome, OwnerSays};
use tamarack_otrp::{ErrorCode, WithheldTa};
use tamarack_owner::{Change, Effect, Selector};
use tamarack_testkit::otrp_pki::OtrpPki;

use crate::otrp_world::*;
use crate::owner::{deny_acme, owner, rule};
use crate::world::*;

fn owned() -> Otrp {
    let pki = OtrpPki::new(&provider(), 2);
    let seed = Seed { device_owner: Some(owner().public_key()), ..otrp_seed(&pki) };
    Otrp::with(pki, &seed)
}

#[test]
fn a_denied_provider_gets_no_ta_and_the_tam_is_told() {
    let mut otrp = owned();
    otrp.state();
    // A domain runs nothing.
    otrp.create_sd(SD, SP).expect_pass();
    otrp.order(vec![deny_acme()]).unwrap();
    let answer = otrp.install_ta(wallet_envelope(1));
    assert_eq!(answer.error(), ErrorCode::DevStateMismatch, "what was told is not so any more");
    otrp.state();
    let answer = otrp.install_ta(wallet_envelope(1));
    assert_eq!(
        (answer.error(), answer.outcome()),
        (ErrorCode::TamNotAuthorized, Some(&Outcome::RefusedByOwner))
    );
    let reason = answer.content.unwrap().reason.unwrap();
    assert!(reason.message.unwrap().starts_with("TMK-5020: "));
    let told = otrp.state().tee.withheldtalist;
    let (taid, sdname) = (WALLET_TAID.to_string(), SD.to_string());
    assert_eq!(told, [WithheldTa { taid, sdname, why: OwnerSays::Refused, seq: None }]);
}

#[test]
fn consent_defers_a_command_until_it_is_given() {
    let mut otrp = owned();
    otrp.order(vec![rule(Selector::Component(None), Effect::Consent)]).unwrap();
    otrp.state();
    otrp.create_sd(SD, SP).expect_pass();
    let envelope = wallet_envelope(1);
    let answer = otrp.install_ta(envelope.clone());
    assert_eq!((answer.error(), answer.outcome()), (ErrorCode::TamNotAuthorized, Some(&Outcome::Deferred)));
    assert!(answer.content.unwrap().reason.unwrap().message.unwrap().starts_with("TMK-5021: "));
    let told = otrp.state().tee.withheldtalist;
    assert_eq!((told.len(), told[0].why, told[0].seq), (1, OwnerSays::Deferred, Some(1)));
    let waiting = otrp.order(Vec::new()).unwrap().waiting;
    let one = waiting.into_iter().next().unwrap();
    otrp.order(vec![Change::Approve { tam: one.tam, manifest: one.manifest, digest: one.digest }]).unwrap();
    assert!(otrp.state().tee.withheldtalist.is_empty());
    otrp.install_ta(envelope).expect_pass();
    assert_eq!(otrp.count(), 1);
    // Deleting needs nobody's consent.
    otrp.delete_ta().expect_pass();
}

#[test]
fn e5_a_denied_tam_hears_nothing_in_otrp() {
    let mut otrp = owned();
    otrp.state();
    otrp.create_sd(SD, SP).expect_pass();
    otrp.install_ta(wallet_envelope(1)).expect_pass();
    otrp.count();
    otrp.order(vec![rule(Selector::Tam(Some(TAM_URI.into())), Effect::Deny)]).unwrap();
    let request = otrp.state_request();
    let message = otrp.sign_state(&request);
    let reply = otrp.drive(Input::ProcessOtrpMessage(message));
    assert!(reply.bytes.is_empty() && matches!(reply.outcome(), Some(Outcome::Refused(_))), "{reply:?}");
    let answer = otrp.delete_ta();
    assert!(answer.content.is_none(), "{answer:?}");
    assert!(matches!(otrp.call(COUNT, &mut Vec::new()), Err(Error::DeniedByOwner(_))));
}
