//! Signed objects that the TAM judges: Evidence, the certificates under it, reference values.

use tamarack_model::permission::{Action, Place, Role};
use tamarack_store::TenantId;

use crate::device::{certifier, key};
use crate::matrix::Observed;
use crate::pair::{NOW, Pair};
use crate::rest::corim;

pub fn try_all(observed: &mut Observed) {
    for action in Action::ALL.iter().copied().filter(|action| action.place() == Place::Tam) {
        for role in Role::ALL {
            observed.note_whether(action, role, attempt(role, action));
        }
    }
}

fn attempt(role: Role, action: Action) -> bool {
    let mut pair = Pair::new();
    pair.publish(1, 1);
    let number = 100 + role as u8;
    match action {
        Action::EvidenceSign => {
            // The certificates of a device that the TAM would take, over Evidence by a key of one's own.
            let chain = pair.chain_of_the_device();
            pair.pose(number, chain);
            pair.request();
            assert_eq!(pair.device().is_some(), pair.installed().is_some());
            pair.installed().is_some()
        }
        Action::DeviceCertify => {
            let authority = certifier(role, &pair, "TEE CA");
            let chain = pair.certify(number, &authority);
            pair.pose(number, chain);
            pair.request();
            pair.installed().is_some()
        }
        Action::ReferenceSign => {
            let signed = corim(&*key(role), 1);
            pair.tam.add_reference(&pair.store, &TenantId::default(), &signed, NOW).is_ok()
        }
        other => panic!("{} is not the TAM's to judge", other.id()),
    }
}
