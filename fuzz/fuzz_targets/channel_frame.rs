//! Streams of frames, as either end of the Broker channel reads them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tamarack_channel::{Message, Reply, Request, receive};
use tamarack_fuzz::{seeds, wallet};

fn examples() -> Vec<Vec<u8>> {
    let requests = [
        Request::RequestTa { component: wallet("suit"), tam_uri: Some("https://tam.example/tam".into()) },
        Request::ProcessTeepMessage(vec![1; 100]),
        Request::Chunk { fetch: 1, data: vec![2; 100], last: true },
        Request::Status,
    ];
    let frames = |body| Message { id: 7, body }.to_frames().expect("a small message");
    let mut examples: Vec<_> = requests.into_iter().map(frames).collect();
    examples.push(Message { id: 7, body: Reply::done() }.to_frames().expect("a small message"));
    examples.push(examples.concat());
    examples
}

fuzz_target!(init: seeds(examples), |data: &[u8]| {
    let take = |rest: &mut &[u8], out: &mut [u8]| {
        let (taken, tail) = rest.split_at_checked(out.len()).ok_or(())?;
        out.copy_from_slice(taken);
        *rest = tail;
        Ok(())
    };
    let mut rest = data;
    while let Ok(Ok(message)) = receive::<Request, ()>(|out| take(&mut rest, out)) {
        let mut written = &message.to_frames().expect("it came in frames")[..];
        assert_eq!(receive(|out| take(&mut written, out)), Ok(Ok(message)));
    }
    let mut rest = data;
    while let Ok(Ok(message)) = receive::<Reply, ()>(|out| take(&mut rest, out)) {
        let mut written = &message.to_frames().expect("it came in frames")[..];
        assert_eq!(receive(|out| take(&mut written, out)), Ok(Ok(message)));
    }
});
