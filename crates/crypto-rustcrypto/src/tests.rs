use tamarack_testkit::crypto_suite;

#[test]
fn passes_the_conformance_suite() {
    crypto_suite::check_provider(&crate::provider());
}

#[test]
fn strict_points_are_those_that_dalek_does_not_call_weak() {
    for point in crypto_suite::small_order_points() {
        let weak = ed25519_dalek::VerifyingKey::from_bytes(&point).is_ok_and(|key| key.is_weak());
        assert!(weak, "{point:02x?}");
    }
}
