use std::thread;

use proptest::collection::vec;
use proptest::prelude::*;

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
        FRAMES.receive(&mut stream).unwrap();
        FRAMES.send(&mut stream, &[0xf5]).unwrap();
    };
    assert_eq!(ask(&["anybody?"], garbage), [Err(Error::NoPanel)]);
    let endless = |mut stream: UnixStream| {
        FRAMES.receive(&mut stream).unwrap();
        stream.write_all(&[0xff; 64]).unwrap();
    };
    assert_eq!(ask(&["anybody?"], endless), [Err(Error::NoPanel)]);
    assert_eq!(ask(&[&"x".repeat(MAX_TEXT + 1)], drop), [Err(Error::Quota)]);
}

/// Whatever sits at the other end has its time and no more: it can neither trickle, nor talk without end, nor leave its
/// questions unread until nothing more can be sent.
#[test]
fn a_panel_cannot_hold_the_agent_up() {
    let begun = Instant::now();
    let trickles = |mut stream: UnixStream| {
        for byte in [0, 0, 0, 3, 0x82, 0x01].into_iter().cycle() {
            thread::sleep(Duration::from_millis(80));
            if stream.write_all(&[byte]).is_err() {
                break;
            }
        }
    };
    assert_eq!(ask(&["anybody?"], trickles), [Ok(false)]);
    let talks = |mut stream: UnixStream| {
        // Answers to another question.
        while FRAMES.send(&mut stream, &[0x82, 0x18, 0xff, 0xf5]).is_ok() {}
    };
    assert_eq!(ask(&["anybody?"], talks), [Ok(false)]);
    assert!(begun.elapsed() < TIMEOUT / 10, "{:?}", begun.elapsed());

    let (ours, _theirs) = UnixStream::pair().unwrap();
    let agent = Panel::new(ours).with_timeout(Duration::from_millis(1));
    let text = "x".repeat(MAX_TEXT);
    let mut answers = std::iter::repeat_with(|| agent.ask(&text)).take(100_000);
    assert_eq!(answers.find(|answer| *answer != Ok(false)), Some(Err(Error::NoPanel)));
}

/// A stream whose other end said all that it has to say, and takes what it is told.
struct Said<'b>(&'b [u8], Vec<u8>);

impl Read for Said<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Said<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

proptest! {
    #[test]
    fn any_bytes_are_questions_with_plain_text_or_the_end(frames in vec(vec(any::<u8>(), 0..40), 0..4), raw: Vec<u8>) {
        let mut bytes = Vec::new();
        frames.iter().for_each(|frame| FRAMES.send(&mut bytes, frame).unwrap());
        bytes.extend(raw);
        let (mut stream, mut asked) = (Said(&bytes, Vec::new()), 0);
        let _ = serve(&mut stream, |text| {
            asked += 1;
            assert!(text.len() <= FRAMES.0 && !text.contains(char::is_control));
            Ok(true)
        });
        // One answer to each, and each is one.
        let mut answers = &stream.1[..];
        for _ in 0..asked {
            let answer = FRAMES.receive(&mut answers).unwrap().unwrap();
            prop_assert!(read_answer(&answer).unwrap().1);
        }
        prop_assert!(answers.is_empty());
    }

    #[test]
    fn any_bytes_are_a_yes_only_if_they_are_that(frame in vec(any::<u8>(), 0..12)) {
        let mut expected = Encoder::new();
        expected.array(2).uint(1).bool(true);
        let is_yes = frame == expected.into_bytes();
        let answer = ask(&["Pay 5?"], move |mut stream| {
            FRAMES.receive(&mut stream).unwrap();
            let _ = FRAMES.send(&mut stream, &frame);
        });
        prop_assert_eq!(answer == [Ok(true)], is_yes);
    }
}

#[test]
fn what_asks_cannot_paint_over_the_question() {
    let shown = "a\u{1b}[2Jb\r\nc\u{202e}d\u{2028}e";
    assert_eq!(plain(shown), "a\u{fffd}[2Jb\u{fffd}\u{fffd}c\u{fffd}d\u{fffd}e");
}
