//! The person at the devices: a panel whose answers the story decides.

use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use tamarack_tee_sandbox::panel;

/// Waits at a socket, as `tamarack panel` does.
pub struct Panel {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    answer: bool,
    asked: Vec<String>,
}

impl Panel {
    /// Opens the panel. It says no until it is told otherwise.
    pub fn open(path: &str) -> Result<Self> {
        let listener = UnixListener::bind(path).with_context(|| format!("cannot wait at {path}"))?;
        let state = Arc::new(Mutex::new(State::default()));
        let shown = Arc::clone(&state);
        // It ends with the demo; the device is told by the end of its connection.
        std::thread::spawn(move || {
            while let Ok((mut device, _)) = listener.accept() {
                let shown = Arc::clone(&shown);
                std::thread::spawn(move || {
                    // Its error is that the device went away.
                    let _ = panel::serve(&mut device, |text| {
                        let mut state = shown.lock().unwrap_or_else(PoisonError::into_inner);
                        state.asked.push(text.to_owned());
                        Ok(state.answer)
                    });
                });
            }
        });
        Ok(Self { state })
    }

    /// What the person says from now on.
    pub fn answer(&self, answer: bool) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).answer = answer;
    }

    /// What was shown since the last time.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner).asked)
    }
}
