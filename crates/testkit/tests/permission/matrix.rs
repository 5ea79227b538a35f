//! What was seen, against what the table says and what people expect.

use std::collections::BTreeMap;

use tamarack_model::permission::{Action, Grant, Role, permits};

const EXPECTED: &str = include_str!("expected.txt");

/// What the tries have shown.
#[derive(Default)]
pub struct Observed(BTreeMap<(Action, Role), Grant>);

impl Observed {
    /// Notes what came of trying `action` as `role`.
    pub fn note(&mut self, action: Action, role: Role, grant: Grant) {
        let twice = self.0.insert((action, role), grant);
        assert!(twice.is_none(), "{} as {} was tried twice", action.id(), role.name());
    }

    /// The same where nothing is anybody's own.
    pub fn note_whether(&mut self, action: Action, role: Role, allowed: bool) {
        self.note(action, role, if allowed { Grant::Allowed } else { Grant::Denied });
    }

    /// How many cells were tried.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Every cell was tried, and all three agree; and the table could not be another one.
    pub fn check(&self) {
        let expected = expected();
        let wrong = self.differences(&expected, permits);
        assert!(wrong.is_empty(), "{} cells:\n{}", wrong.len(), wrong.join("\n"));
        for (action, role) in Action::ALL.iter().flat_map(|action| Role::ALL.map(|role| (*action, role))) {
            for flipped in [Grant::Denied, Grant::Own, Grant::Allowed] {
                if flipped == permits(role, action) {
                    continue;
                }
                let table = |r, a| if (r, a) == (role, action) { flipped } else { permits(r, a) };
                let seen = self.differences(&expected, table).len();
                assert_eq!(seen, 1, "{} as {} {flipped:?} was not noticed", action.id(), role.name());
            }
        }
    }

    fn differences(
        &self,
        expected: &BTreeMap<(String, Role), Grant>,
        table: impl Fn(Role, Action) -> Grant,
    ) -> Vec<String> {
        let mut wrong = Vec::new();
        for action in Action::ALL {
            for role in Role::ALL {
                let says = table(role, *action);
                let tried = self.0.get(&(*action, role)).copied();
                let wanted = expected.get(&(action.id().to_string(), role)).copied();
                if tried != Some(says) || wanted != Some(says) {
                    wrong.push(format!(
                        "{} as {}: the table says {says:?}, the try showed {tried:?}, expected.txt wants {wanted:?}",
                        action.id(),
                        role.name()
                    ));
                }
            }
        }
        wrong
    }
}

/// Reads `expected.txt`: an action and a letter for each role.
fn expected() -> BTreeMap<(String, Role), Grant> {
    let mut cells = BTreeMap::new();
    for line in EXPECTED.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (id, letters) = line.split_once(' ').unwrap_or_else(|| panic!("{line}"));
        let letters: Vec<char> = letters.trim().chars().filter(|c| !c.is_whitespace()).collect();
        assert_eq!(letters.len(), Role::ALL.len(), "{line}");
        for (role, letter) in Role::ALL.into_iter().zip(letters) {
            let grant = match letter {
                '-' => Grant::Denied,
                'o' => Grant::Own,
                'y' => Grant::Allowed,
                _ => panic!("{line}: {letter}"),
            };
            assert!(cells.insert((id.to_string(), role), grant).is_none(), "{id} stands twice");
        }
    }
    assert_eq!(
        cells.len(),
        Action::ALL.len() * Role::ALL.len(),
        "expected.txt has rows that the table has not"
    );
    cells
}
