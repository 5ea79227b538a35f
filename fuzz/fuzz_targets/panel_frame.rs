//! The panel's socket from both ends: questions of a taken-over Agent, and answers of whoever sits at the panel.
#![no_main]

use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use tamarack_cbor::Encoder;
use tamarack_fuzz::{Said, frame, frames, seeds};
use tamarack_tee_sandbox::panel::{Panel, serve};

fn answer(number: u64, yes: bool) -> Vec<u8> {
    let mut e = Encoder::new();
    e.array(2).uint(number).bool(yes);
    frame(&e.into_bytes())
}

fn question(number: u64, text: &str) -> Vec<u8> {
    let mut e = Encoder::new();
    e.array(2).uint(number).text(text);
    frame(&e.into_bytes())
}

fn examples() -> Vec<Vec<u8>> {
    vec![
        question(1, "Pay 5?"),
        [question(2, "a\u{1b}[2J\u{202e}b"), question(300, "")].concat(),
        answer(1, true),
        [answer(7, true), answer(1, false)].concat(),
    ]
}

fuzz_target!(init: seeds(examples), |data: &[u8]| {
    let (mut stream, mut asked) = (Said::new(data), 0);
    let end = serve(&mut stream, |text| {
        assert!(text.len() <= 3 * data.len() && !text.contains(char::is_control));
        asked += 1;
        Ok(true)
    });
    let answers = frames(&stream.answered).expect("whole frames are answered");
    assert_eq!(answers.len(), asked);
    assert!(end.is_err() || frames(data).is_some_and(|frames| frames.len() == asked));

    // What fits into the socket; the other end has said all then.
    let data = &data[..data.len().min(4096)];
    let (ours, mut theirs) = UnixStream::pair().expect("a pair of sockets");
    theirs.write_all(data).expect("it fits");
    theirs.shutdown(Shutdown::Write).expect("it is open");
    let said_yes = Panel::new(ours).with_timeout(Duration::from_secs(5)).ask("Pay 5?") == Ok(true);
    let yes = answer(1, true);
    assert!(!said_yes || data.windows(yes.len()).any(|window| window == yes));
});
