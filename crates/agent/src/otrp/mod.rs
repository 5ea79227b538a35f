pub(crate) mod state;
use crate::{
    Error,
    agent::Agent,
    engine::{Refused, Transaction},
    trust::TamAnchor,
};
use tamarack_model::UnixTime;
use tamarack_tee::Platform;
impl<P: Platform> Agent<P> {
    pub(crate) fn process_otrp(&mut self, _: UnixTime, _: &[u8]) -> Result<(), Error> {
        Err(Error::Intent)
    }
    pub(crate) fn end_command(
        &mut self,
        _: UnixTime,
        _: Transaction,
        _: state::Pending,
    ) -> Result<(), Error> {
        Err(Error::Intent)
    }
    pub(crate) fn fail_command(
        &mut self,
        _: &TamAnchor,
        _: Refused,
        _: &state::Pending,
    ) -> Result<(), Error> {
        Err(Error::Intent)
    }
}
