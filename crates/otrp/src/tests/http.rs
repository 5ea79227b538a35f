use crate::http::{Request, STATUS, Situation, names_jose, names_otrp, request};

#[test]
fn requests_are_sorted_before_their_body_is_read() {
    let otrp = Some("application/otrp+json");
    let cases = [
        ("POST", otrp, None, true, Ok(Request::Connect)),
        ("POST", Some("application/*;q=0.5, text/html"), None, true, Ok(Request::Connect)),
        ("POST", otrp, Some("application/OTrP+json; charset=utf-8"), false, Ok(Request::Message)),
        ("GET", otrp, None, true, Err(Situation::Method)),
        ("POST", None, None, true, Err(Situation::NotAcceptable)),
        ("POST", Some("application/teep+cbor"), None, true, Err(Situation::NotAcceptable)),
        ("POST", Some("application/otrp+json;q=0"), None, true, Err(Situation::NotAcceptable)),
        ("POST", otrp, None, false, Err(Situation::MediaType)),
        ("POST", otrp, Some("application/json"), false, Err(Situation::MediaType)),
    ];
    for (method, accept, content_type, empty, expected) in cases {
        assert_eq!(
            request(method, accept, content_type, empty),
            expected,
            "{method} {accept:?} {content_type:?}"
        );
    }
}

#[test]
fn types_are_asked_for_by_name() {
    assert!(names_otrp("application/jose+json, application/otrp+json"));
    assert!(names_jose("application/otrp+json, application/jose+json;q=0.1"));
    for range in ["*/*", "application/*", "application/teep+cbor", "application/otrp+json;q=0.0"] {
        assert!(!names_otrp(range) && !names_jose(range), "{range}");
    }
}

#[test]
fn every_situation_has_a_status_and_errors_have_a_code() {
    for (situation, status) in STATUS {
        assert_eq!(situation.status(), status);
        assert_eq!(situation.code().is_some(), status >= 400, "{situation:?}");
    }
}
