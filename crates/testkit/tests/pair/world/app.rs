//! The wallet on the device, as an application uses it.

use tamarack_agent::{SessionId, TaName};
use tamarack_tee::Param;

use super::{Pair, WALLET};

const PAYEE: &[u8] = b"Bakery";

impl Pair {
    /// Public key, number of payments and amount spent, as the wallet says.
    pub fn wallet_state(&mut self) -> (Vec<u8>, u32, u32) {
        let session = self.open();
        let mut key = vec![Param::MemrefOutput { capacity: 64, data: vec![] }];
        self.agent.invoke(self.now, session, 1, &mut key).unwrap();
        let mut status = vec![Param::ValueOutput(0, 0), Param::ValueOutput(0, 0)];
        self.agent.invoke(self.now, session, 3, &mut status).unwrap();
        self.agent.close_session(self.now, session).unwrap();
        match (key.remove(0), status.remove(0), status.remove(0)) {
            (
                Param::MemrefOutput { data, .. },
                Param::ValueOutput(payments, _),
                Param::ValueOutput(spent, _),
            ) => (data, payments, spent),
            other => panic!("{other:?}"),
        }
    }

    /// Pays; gives the receipt.
    pub fn pay(&mut self, amount: u32) -> Vec<u8> {
        let session = self.open();
        let mut params = vec![
            Param::ValueInput(amount, 0),
            Param::MemrefInput(PAYEE.to_vec()),
            Param::MemrefInput(b"order 0001".to_vec()),
            Param::MemrefOutput { capacity: 320, data: vec![] },
        ];
        self.agent.invoke(self.now, session, 2, &mut params).unwrap();
        self.agent.close_session(self.now, session).unwrap();
        match params.pop() {
            Some(Param::MemrefOutput { data, .. }) => data,
            other => panic!("{other:?}"),
        }
    }

    fn open(&mut self) -> SessionId {
        self.agent.open_session(self.now, &TaName::Uuid(WALLET), None, &mut Vec::new()).unwrap()
    }
}
