//! The memory backend keeps the contract of a store.

use tamarack_store::MemoryStore;

#[test]
fn memory_store_keeps_the_contract() {
    let crypto = tamarack_crypto_aws_lc::provider();
    tamarack_testkit::store_suite::contract(&crypto, || MemoryStore::new(crypto));
}
