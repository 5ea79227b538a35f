use std::thread;

use super::*;

/// What the Agent gets when the panel does this with its end.
fn ask(texts: &[&str], panel: impl FnOnce(UnixStream) + Send + 'static) -> Vec<Result<bool, Error>> {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let end = thread::spawn(move || panel(theirs));
    let agent = Panel::new(ours).with_timeout(Duration::from_millis(200));
    let answers = texts.iter().map(|text| agent.ask(text)).collect();
    drop(agent);
    end.join().unwrap();
    answers
}

#[test]
fn the_person_answers() {
    let answers = ask(&["Pay 5?", "Pay 5000?"], |mut stream| {
        serve(&mut stream, |text| Ok(text == "Pay 5?")).unwrap();
    });
    assert_eq!(answers, [Ok(true), Ok(false)]);
}

#[test]
fn silence_is_a_no_and_a_late_answer_answers_nothing() {
    let answers = ask(&["first", "second"], |mut stream| {
        let mut late = true;
        let _ = serve(&mut stream, |_| {
            if std::mem::take(&mut late) {
                thread::sleep(Duration::from_millis(300));
                return Ok(true);
            }
            Ok(false)
        });
    });
    assert_eq!(answers, [Ok(false), Ok(false)], "the late yes is not of the second question");
}

#[test]
fn nobody_there_is_no_panel() {
    assert_eq!(ask(&["anybody?"], drop), [Err(Error::NoPanel)]);
    let garbage = |mut stream: UnixStream| {
        receive(&mut stream).unwrap();
        send(&mut stream, &[0xf5]).unwrap();
    };
    assert_eq!(ask(&["anybody?"], garbage), [Err(Error::NoPanel)]);
    let endless = |mut stream: UnixStream| {
        receive(&mut stream).unwrap();
        stream.write_all(&[0xff; 64]).unwrap();
    };
    assert_eq!(ask(&["anybody?"], endless), [Err(Error::NoPanel)]);
    assert_eq!(ask(&[&"x".repeat(MAX_TEXT + 1)], drop), [Err(Error::Quota)]);
}

#[test]
fn what_asks_cannot_paint_over_the_question() {
    let shown = "a\u{1b}[2Jb\r\nc\u{202e}d";
    assert_eq!(plain(shown), "a\u{fffd}[2Jb\u{fffd}\u{fffd}c\u{fffd}d");
}
