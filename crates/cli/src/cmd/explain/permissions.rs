//! The permission matrix, as a table for people and as the document `docs/permissions.md`.

use serde_json::json;
use tamarack_model::codes;
use tamarack_model::permission::{Action, Grant, Place, Role, enforced, permits};

use crate::fail::{Fail, Outcome};
use crate::out;

pub fn run(role: Option<&str>, json: bool, markdown: bool) -> Outcome {
    let role = match role {
        None => None,
        Some(name) => Some(Role::parse(name).ok_or_else(|| {
            let names: Vec<&str> = Role::ALL.iter().map(|role| role.name()).collect();
            Fail::input(
                codes::USAGE,
                format_args!("there is no role '{name}'; give one of {}", names.join(", ")),
            )
        })?),
    };
    if json {
        let roles = role.map_or(Role::ALL.to_vec(), |role| vec![role]);
        let cell = |action: Action, role: Role| {
            json!({
                "action": action.id(), "what": action.what(), "role": role.name(),
                "grant": permits(role, action).name(), "enforced": enforced(role, action),
            })
        };
        let cells = Action::ALL.iter().flat_map(|action| roles.iter().map(move |role| cell(*action, *role)));
        return out::json(&cells.collect());
    }
    match role {
        _ if markdown => out::lines(document().trim_end()),
        None => out::lines(matrix().trim_end()),
        Some(role) => out::lines(one(role).trim_end()),
    }
}

fn mark(grant: Grant) -> &'static str {
    match grant {
        Grant::Denied => "-",
        Grant::Own => "own",
        Grant::Allowed => "yes",
    }
}

fn of(place: Place) -> impl Iterator<Item = Action> {
    Action::ALL.iter().copied().filter(move |action| action.place() == place)
}

/// All roles, as columns of text.
fn matrix() -> String {
    let mut text = format!("{:<31}", "");
    for role in Role::ALL {
        text += &format!(" {:>9}", role.name());
    }
    for place in Place::ALL {
        text += &format!("\n\n{}", place.title());
        for action in of(place) {
            text += &format!("\n{:<31}", action.id());
            for role in Role::ALL {
                text += &format!(" {:>9}", mark(permits(role, action)));
            }
        }
    }
    text + "\n\nown: what is the caller's own. `tamarack explain permissions ROLE` says where each is enforced.\n"
}

/// One role, and where each of its cells is enforced.
fn one(role: Role) -> String {
    let mut text = format!("{} holds {}\n", role.name(), role.holds());
    for place in Place::ALL {
        text += &format!("\n{}\n", place.title());
        for action in of(place) {
            let (grant, check) = (permits(role, action), enforced(role, action));
            text += &format!("{:<8} {:<31} {}\n{:9}{check}\n", grant.name(), action.id(), action.what(), "");
        }
    }
    text
}

/// The whole of `docs/permissions.md`.
fn document() -> String {
    let mut text = String::from(
        "# Who may do what\n\n\
         Made by `tamarack explain permissions --markdown` from `crates/model/src/permission`, which is also what dispatchers decide by; a test\n\
         keeps the two the same, and another tries every cell against the real parts: the TAM's REST interface with tokens of every role, the\n\
         Broker's socket, the TEE's channel, the device's panel, and an Agent and a TAM that are given objects signed with every role's key.\n\n\
         `yes` is allowed, `own` is allowed for what is the caller's own, an empty cell is denied. What is refused to a valid token is in the\n\
         tenant's audit log (action `refused`), once a minute for each token and action.\n\n\
         | role | holds |\n|---|---|\n",
    );
    for role in Role::ALL {
        text += &format!("| {} | {} |\n", role.name(), role.holds());
    }
    for place in Place::ALL {
        text += &format!("\n## {}\n\n| action | what |", place.title());
        for role in Role::ALL {
            text += &format!(" {} |", role.name());
        }
        text += &format!(" where |\n|---|---|{}---|\n", "---|".repeat(Role::ALL.len()));
        for action in of(place) {
            text += &format!("| `{}` | {} |", action.id(), action.what());
            for role in Role::ALL {
                let grant = permits(role, action);
                text += if grant.is_some() { format!(" {} |", mark(grant)) } else { " |".into() }.as_str();
            }
            text += &format!(" {} |\n", action.check());
        }
        text += &format!("\n{}\n", decided(place));
    }
    text
}

/// What decides at a place, where its rows say no more than "by this table".
fn decided(place: Place) -> &'static str {
    match place {
        Place::Rest => {
            "By this table: `tam-server/http/api/call.rs` finds the token by its hash, then looks role and action up here, before a body is read. \
             Callers without a token are answered 401. A provider's token sees and changes only its provider's things (`visible`)."
        }
        Place::Endpoint => "These are open by design; what they give out protects itself.",
        Place::Socket => {
            "By this table: the Broker (`broker/server.rs`) looks up each request of an app, the TEE (`tee-host/host.rs`) each request on its \
             channel. Whoever holds the channel of a device that is not enrolled is its maker; afterwards it is a Broker, for good. Another user \
             of the machine gets neither: the folder is 0700 and the Broker asks the kernel who calls. Carrying is not deciding: what is carried \
             is signed, and judged as the next table says."
        }
        Place::Device => {
            "A key serves one purpose (rule K5), and an anchor sealed in the device vouches for it; an object that another role's key signed is \
             refused and changes nothing."
        }
        Place::Verifier => {
            "By this table: it has one token, its operator's, and who shows that one is the verifier; a TAM's tokens are worth nothing here."
        }
        Place::Panel => {
            "By this table: `tee-sandbox/panel.rs` asks the kernel who is at the panel before the TEE takes it for one. The user id that normal \
             apps and the Broker have is theirs, and they may not confirm; any other is a person's. A TEE that is not started by root shares its \
             user's id: nobody can be told apart there, and its Evidence says so."
        }
        Place::Tam => "The same at the TAM, with the authorities and keys of its configuration.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_of_the_permission_matrix_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/permissions.md");
        let written = std::fs::read_to_string(path).unwrap_or_default();
        let help = "tamarack explain permissions --markdown > docs/permissions.md";
        assert!(written == document(), "docs/permissions.md is not what the table says; {help}");
    }

    #[test]
    fn every_role_is_explained_in_full() {
        for role in Role::ALL {
            let text = one(role);
            assert!(Action::ALL.iter().all(|action| text.contains(action.id())), "{}", role.name());
        }
        assert_eq!(matrix().lines().filter(|line| line.contains('.')).count(), Action::ALL.len() + 1);
    }
}
