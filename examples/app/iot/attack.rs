//! An attacker who owns the device's rich OS: he has the apps' socket and all that can be said on it, and wants to move the
//! valve without its TA.
#![forbid(unsafe_code)]

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Parser;
use example_apps::iot::{Command, Controller, position, valve};
use example_apps::{Place, Session};
use tamarack_broker::SOCKET_NAME;
use tamarack_channel::{Message, Reply, Request, receive};
use tamarack_tee::Param;

#[derive(Parser)]
#[command(about = "Attacks on the valve from the rich OS; succeeds if all of them fail")]
struct Args {
    #[command(flatten)]
    place: Place,
}

fn main() -> Result<()> {
    let Place { device, domain } = Args::parse().place;
    // A controller that works all the time: the attacks fail while there is somebody who could move the valve.
    let session = Session::open(&device, &valve(&domain))?;
    let number = session.number();
    let mut controller = Controller(session);
    let at_first = controller.command(Command::Status)?;
    let before = position(&device)?;
    let open = |session| Request::Invoke { session, command: 1, params: vec![Param::ValueOutput(0, 0)] };
    // A session is its app's, and its number easily guessed.
    let sessions = (0..16).filter(|session| *session != number).map(|session| frames(open(session)));
    let attempts = [
        ("an operation that moves the valve, which there is none of", vec![no_such_operation()]),
        ("a forged Update", vec![frames(Request::ProcessTeepMessage(b"open the valve".to_vec()))?]),
        ("a piece of a payload", vec![frames(Request::Chunk { fetch: 1, data: vec![0; 64], last: true })?]),
        (
            "an order that binds the valve to another TA",
            vec![frames(Request::ChangeAnchor(b"valve=mine".to_vec()))?],
        ),
        ("an order of the owner, unsigned", vec![frames(Request::OwnerOrder(b"allow everything".to_vec()))?]),
        ("a message of a TAM that nobody knows", vec![frames(Request::ProcessOtrpMessage(b"{}".to_vec()))?]),
        ("the controller's session with the TA", vec![frames(open(number))?]),
        ("any other session that might be there", sessions.collect::<Result<_>>()?),
    ];
    for (what, messages) in attempts {
        for frames in messages {
            ensure!(!accepted(&device, &frames)?, "{what}: accepted");
            ensure!(position(&device)? == before, "{what}: the valve has moved");
        }
        println!("refused: {what}");
    }
    ensure!(controller.command(Command::Status)? == at_first, "the controller finds the valve elsewhere");
    println!("the valve is where it was; only {} moves it", valve(&domain));
    Ok(())
}

fn frames(request: Request) -> Result<Vec<u8>> {
    Ok(Message { id: 1, body: request }.to_frames()?)
}

/// `[version 1, id 1, op 99, ["valve", "open"]]`.
fn no_such_operation() -> Vec<u8> {
    let body = b"\x84\x01\x01\x18\x63\x82\x65valve\x64open";
    [&(body.len() as u32).to_be_bytes()[..], body].concat()
}

/// Whether anything but a refusal comes back.
fn accepted(device: &Path, frames: &[u8]) -> Result<bool> {
    let mut stream = UnixStream::connect(device.join(SOCKET_NAME))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(frames)?;
    stream.shutdown(std::net::Shutdown::Write)?;
    loop {
        match receive::<Reply, std::io::Error>(|buffer| stream.read_exact(buffer)) {
            // The connection was closed on it.
            Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
            Ok(Err(error)) => return Err(error.into()),
            Ok(Ok(reply)) => {
                let failed =
                    reply.body.actions.iter().any(|action| {
                        matches!(action, tamarack_channel::Action::Finished { failure: Some(_) })
                    });
                if reply.body.result.is_err() || failed {
                    return Ok(false);
                }
                if reply.body.actions.is_empty() {
                    return Ok(true);
                }
            }
        }
    }
}
