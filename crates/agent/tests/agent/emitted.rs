//! What the Agent sends validates against the specifications' CDDL.

use tamarack_agent::Input;
use tamarack_cbor::{Encode, Limits};
use tamarack_cose::Sign1;
use tamarack_teep::{Message, SignedMessage};
use tamarack_testkit::cddl::Rules;
use tamarack_testkit::specs::specs_dir;

use crate::world::*;

/// Messages of every kind that an Agent sends, with every option that this one uses.
fn conversation() -> Vec<Vec<u8>> {
    let mut world = World::new();
    let mut sent = Vec::new();
    let query = Message::QueryRequest(world.query_request());
    world.drive(Input::RequestTa { component: wallet("ta"), tam_uri: None });
    sent.push(world.send(&query).bytes);
    sent.push(world.exchange(Script::install(wallet_envelope(2))).bytes);
    sent.push(world.exchange(Script::install(wallet_envelope(1))).bytes);
    world.agent.handle(NOW, Input::UnrequestTa { component: wallet("ta") }).unwrap();
    sent.push(world.send(&query).bytes);
    sent.push(world.exchange(Script::remove(wallet("suit"))).bytes);
    let mut nothing_in_common = world.query_request();
    nothing_in_common.versions = vec![9];
    sent.push(world.send(&Message::QueryRequest(nothing_in_common)).bytes);
    world.tam = key(66, "tam");
    sent.push(world.send(&query).bytes);
    sent
}

#[test]
fn messages_and_reports_validate() {
    let Some(specs) = specs_dir() else { return };
    // The rewritten set has no sockets to plug the Update binding into.
    let rules = Rules::load_edited(&specs, "teep-message", Some("teep-message-signed"), |set| {
        let option = "? 9 => [ + ext-info ]";
        assert_eq!(set.matches(option).count(), 1);
        set.replace(option, &format!("? 256 => bstr .size 16, {option}"))
    });
    let reports = Rules::load(&specs, "suit-report", Some("SUIT_Report"));
    let (mut kinds, mut checked) = (Vec::new(), 0);
    for bytes in conversation() {
        let message = SignedMessage::parse(&bytes, &Limits::default()).unwrap().unverified().unwrap();
        let name = message.message_type().name();
        assert_eq!(rules.check(&bytes), Ok(()), "{name}");
        kinds.push(name);
        let list = match message {
            Message::Success(success) => success.suit_reports,
            Message::Error(error) => error.suit_reports,
            _ => Vec::new(),
        };
        for report in list {
            let report = Sign1::parse(&report, &Limits::default()).unwrap();
            assert_eq!(reports.check(report.unverified_payload().unwrap()), Ok(()), "{name}");
            checked += 1;
        }
    }
    let expected = ["QueryResponse", "Success", "Error", "QueryResponse", "Success", "Error", "Error"];
    assert_eq!((kinds, checked), (expected.to_vec(), 3));
}

#[test]
fn anchor_orders_read_back() {
    use tamarack_agent::{AnchorChange, AnchorOrder, AnchorState, Subject};
    use tamarack_cbor::Decode;
    for subject in [Subject::Tam(OWNER), Subject::Provider("acme".into())] {
        for state in [AnchorState::Active, AnchorState::LoadOnly, AnchorState::Revoked] {
            let order =
                AnchorOrder { sequence: 7, subject: subject.clone(), change: AnchorChange::State(state) };
            assert_eq!(AnchorOrder::from_cbor(&order.to_cbor(), &Limits::default()), Ok(order));
        }
    }
}
