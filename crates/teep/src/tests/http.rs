use crate::http::*;

#[test]
fn requests_are_told_apart_by_method_headers_and_body() {
    let teep = Some(MEDIA_TYPE);
    let cases = [
        ("POST", teep, None, true, Ok(Request::Connect)),
        ("POST", teep, teep, true, Ok(Request::Connect)),
        ("POST", Some("*/*"), None, true, Ok(Request::Connect)),
        ("POST", teep, teep, false, Ok(Request::Message)),
        ("POST", teep, Some("Application/TEEP+cbor; x=1"), false, Ok(Request::Message)),
        ("POST", teep, None, false, Err(Situation::MediaType)),
        ("POST", teep, Some("application/cbor"), false, Err(Situation::MediaType)),
        ("POST", None, teep, false, Err(Situation::NotAcceptable)),
        ("POST", Some("text/html"), teep, false, Err(Situation::NotAcceptable)),
        ("POST", Some("application/teep+cbor;q=0"), teep, false, Err(Situation::NotAcceptable)),
        ("POST", Some("text/html, application/*;q=0.5"), teep, false, Ok(Request::Message)),
        ("GET", teep, None, true, Err(Situation::Method)),
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
fn every_situation_has_one_status_and_errors_have_codes() {
    for (situation, status) in STATUS {
        assert_eq!(situation.status(), status);
        assert_eq!(situation.code().is_none(), status < 300, "{situation:?}");
    }
    assert!(STATUS.windows(2).all(|w| w[0].1 < w[1].1));
}
