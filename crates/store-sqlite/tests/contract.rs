//! The SQLite backend keeps the contract of a store.

use tamarack_store_sqlite::SqliteStore;

#[test]
fn sqlite_store_keeps_the_contract() {
    let crypto = tamarack_crypto_aws_lc::provider();
    let folder = tempfile::tempdir().unwrap();
    let mut count = 0;
    tamarack_testkit::store_suite::contract(&crypto, || {
        count += 1;
        SqliteStore::open(&folder.path().join(count.to_string()), crypto).unwrap()
    });
}
