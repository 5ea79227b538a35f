#[derive(Default)]
pub(crate) struct Otrp;
pub(crate) struct Pending;
