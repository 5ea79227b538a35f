#[test]
fn passes_the_conformance_suite() {
    tamarack_testkit::crypto_suite::check_provider(&crate::provider());
}
