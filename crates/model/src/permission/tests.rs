use alloc::collections::BTreeSet;

use super::*;

#[test]
fn every_action_has_a_name_of_its_own_and_says_who_decides() {
    let mut names = BTreeSet::new();
    for action in Action::ALL {
        assert!(names.insert(action.id()), "{}", action.id());
        assert!(!action.what().is_empty() && !action.check().is_empty());
        for role in Role::ALL {
            assert!(!enforced(role, *action).is_empty());
        }
        let row = action.row();
        assert!(row.own.iter().all(|role| !row.allowed.contains(role)), "{}: twice", action.id());
    }
    assert!(Action::ALL.windows(2).all(|pair| pair[0].place() <= pair[1].place()), "grouped by place");
}

#[test]
fn names_of_roles_are_read_back() {
    for role in Role::ALL {
        assert_eq!(Role::parse(role.name()), Some(role));
    }
    assert_eq!(Role::parse("root"), None);
}

#[test]
fn an_auditor_changes_nothing() {
    for action in Action::ALL.iter().filter(|action| permits(Role::Auditor, **action).is_some()) {
        let reads = ["list", "show", "read", "ask", "fetch", "appraise", "decryption-key"]
            .iter()
            .any(|verb| action.id().ends_with(verb));
        assert!(reads, "{}", action.id());
    }
}
