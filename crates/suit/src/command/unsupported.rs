//! Commands that are known by name and argument, and not carried out. One that comes to be carried out gets a file of its
//! own and leaves this one.

use super::{ArgumentKind, Class, Command};

// Dependencies (draft-ietf-suit-trust-domains).
pub(super) const DEPENDENCY_INTEGRITY: Command = condition(7, "dependency-integrity", true);
pub(super) const IS_DEPENDENCY: Command = condition(8, "is-dependency", true);
pub(super) const PROCESS_DEPENDENCY: Command =
    directive(11, "process-dependency", ArgumentKind::Policy, false);

// Exchange of two components.
pub(super) const SWAP: Command = directive(31, "swap", ArgumentKind::Policy, false);

// Update management (draft-ietf-suit-update-management).
pub(super) const USE_BEFORE: Command = condition(4, "use-before", true);
pub(super) const IMAGE_NOT_MATCH: Command = condition(25, "image-not-match", true);
pub(super) const MINIMUM_BATTERY: Command = condition(26, "minimum-battery", true);
pub(super) const UPDATE_AUTHORIZED: Command = condition(27, "update-authorized", true);
pub(super) const VERSION: Command = condition(28, "version", true);
pub(super) const WAIT: Command = directive(29, "wait", ArgumentKind::Policy, false);
pub(super) const OVERRIDE_MULTIPLE: Command =
    directive(34, "override-multiple", ArgumentKind::ParametersByIndex, true);
pub(super) const COPY_PARAMS: Command = directive(35, "copy-params", ArgumentKind::LabelsByIndex, true);

const fn condition(code: i64, name: &'static str, in_shared: bool) -> Command {
    Command { code, name, class: Class::Condition, argument: ArgumentKind::Policy, in_shared, run: None }
}

const fn directive(code: i64, name: &'static str, argument: ArgumentKind, in_shared: bool) -> Command {
    Command { code, name, class: Class::Directive, argument, in_shared, run: None }
}
