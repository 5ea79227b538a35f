//! The permission matrix, cell by cell: every action is tried as every role against the real parts, and what comes of it is
//! compared with the table and with `expected.txt`, which was written by hand. The test starts itself again as the TEE and as
//! other users of the machine.

mod device;
mod matrix;
#[path = "../pair/world/mod.rs"]
#[allow(dead_code)]
mod pair;
mod panel;
mod rest;
mod socket;
mod tam;
mod verifier;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Instant;

use matrix::Observed;
use tamarack_tee_host::{AGENT_SUBCOMMAND, LAUNCHER_SUBCOMMAND};

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    match args.first().and_then(|first| first.to_str()) {
        Some(LAUNCHER_SUBCOMMAND) => tamarack_tee_host::launcher_main(args[1..].to_vec()),
        Some(AGENT_SUBCOMMAND) => tamarack_tee_host::agent_main(args[1..].to_vec()),
        Some(socket::STRANGER) => socket::stranger(&args[1..]),
        Some(panel::PERSON) => panel::person(&args[1..]),
        Some(panel::INTRUDER) => panel::intruder(&args[1..]),
        // What cargo's test runner passes selects nothing here: there is one table.
        Some("--list") => ExitCode::SUCCESS,
        _ => {
            every_cell_of_the_permission_matrix_is_enforced();
            ExitCode::SUCCESS
        }
    }
}

fn every_cell_of_the_permission_matrix_is_enforced() {
    let mut observed = Observed::default();
    let mut timed = |what: &str, part: &mut dyn FnMut(&mut Observed)| {
        let begun = Instant::now();
        let before = observed.count();
        part(&mut observed);
        println!("{what}: {} cells in {:?}", observed.count() - before, begun.elapsed());
    };
    let world = rest::World::new();
    timed("REST interface and endpoints", &mut |observed| world.try_all(observed));
    timed("the verifier", &mut |observed| verifier::try_all(&world, observed));
    // Another TAM, without what was tried on the first.
    let world = rest::World::new();
    timed("socket and channel", &mut |observed| socket::try_all(&world, observed));
    timed("the device's own panel", &mut panel::try_all);
    timed("signed objects on the device", &mut device::try_all);
    timed("signed objects at the TAM", &mut tam::try_all);
    observed.check();
    println!("permission: ok, {} cells", observed.count());
}
