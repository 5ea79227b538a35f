//! A disk in memory that loses what was not synced when the power goes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::rc::Rc;

use tamarack_tee::Error;

use crate::sealed::{Disk, Slots, storage};

/// What a power cut leaves of what was not synced.
#[derive(Clone, Copy, Debug)]
pub struct Survivor {
    /// Whether creations, renamings and removals reached the disk.
    pub names: bool,
    /// What became of appended bytes.
    pub data: Unsynced,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsynced {
    Lost,
    Kept,
    /// Half of it is there.
    Half,
    /// The file has its new length, but zeros for the new content.
    Zeros,
}

impl Survivor {
    pub fn all() -> impl Iterator<Item = Self> {
        let data = [Unsynced::Lost, Unsynced::Kept, Unsynced::Half, Unsynced::Zeros];
        data.into_iter().flat_map(|data| [false, true].map(|names| Self { names, data }))
    }
}

#[derive(Clone, Default)]
pub struct CrashDisk(Rc<RefCell<State>>);

#[derive(Clone, Default)]
struct State {
    files: Vec<Inode>,
    /// Names as programs see them, and as they are on the disk.
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Number of changing operations so far, and after how many the power goes.
    operations: usize,
    cut_at: Option<usize>,
    dead: bool,
    room: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Power {
    On,
    Failing,
    Off,
}

fn off() -> io::Error {
    io::Error::other("the power is off")
}

#[derive(Clone, Default)]
struct Inode {
    now: Vec<u8>,
    durable: Vec<u8>,
}

impl State {
    /// Counts one changing operation. The one during which the power goes may still do part of its work.
    fn power(&mut self) -> Power {
        if self.dead {
            return Power::Off;
        }
        if self.cut_at == Some(self.operations) {
            self.dead = true;
            return Power::Failing;
        }
        self.operations += 1;
        Power::On
    }

    fn tick(&mut self) -> io::Result<()> {
        if self.power() == Power::On { Ok(()) } else { Err(off()) }
    }

    fn file(&self, name: &str) -> io::Result<&Inode> {
        self.names.get(name).map(|inode| &self.files[*inode]).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn file_mut(&mut self, name: &str) -> &mut Inode {
        let next = self.files.len();
        let inode = *self.names.entry(name.to_string()).or_insert(next);
        if inode == next {
            self.files.push(Inode::default());
        }
        &mut self.files[inode]
    }
}

impl CrashDisk {
    /// A copy with its own fate.
    pub fn fork(&self) -> Self {
        Self(Rc::new(RefCell::new(self.0.borrow().clone())))
    }

    pub fn operations(&self) -> usize {
        self.0.borrow().operations
    }

    /// Lets `operations` more changing operations pass, the next one begin, and none after it.
    pub fn cut_after(&self, operations: usize) {
        let mut state = self.0.borrow_mut();
        state.cut_at = Some(state.operations + operations);
    }

    /// Bytes that may still be appended.
    pub fn room(&self, bytes: Option<usize>) {
        self.0.borrow_mut().room = bytes;
    }

    /// The power comes back: what is on the disk is what survived.
    pub fn restart(&self, survivor: Survivor) {
        let mut state = self.0.borrow_mut();
        if !survivor.names {
            state.names = state.durable_names.clone();
        }
        for file in &mut state.files {
            let synced = file.durable.len();
            let grown = file.now.len().saturating_sub(synced);
            let only_grew = file.now.starts_with(&file.durable);
            match survivor.data {
                Unsynced::Lost => file.now = file.durable.clone(),
                Unsynced::Half if only_grew => file.now.truncate(synced + grown / 2),
                Unsynced::Zeros if only_grew => file.now[synced..].fill(0),
                Unsynced::Kept | Unsynced::Half | Unsynced::Zeros => {}
            }
            file.durable = file.now.clone();
        }
        state.durable_names = state.names.clone();
        (state.cut_at, state.dead) = (None, false);
    }

    pub fn content(&self, name: &str) -> Vec<u8> {
        self.0.borrow().file(name).unwrap().now.clone()
    }

    pub fn set(&self, name: &str, content: Vec<u8>) {
        let mut state = self.0.borrow_mut();
        *state.file_mut(name) = Inode { now: content.clone(), durable: content };
        state.durable_names = state.names.clone();
    }

    pub fn size(&self) -> u64 {
        let state = self.0.borrow();
        state.names.values().map(|inode| state.files[*inode].now.len() as u64).sum()
    }
}

impl Disk for CrashDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.borrow().names.keys().cloned().collect())
    }

    fn read_at(&self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let state = self.0.borrow();
        let data = state.file(name)?.now.get(offset as usize..).unwrap_or_default();
        let length = data.len().min(buffer.len());
        buffer[..length].copy_from_slice(&data[..length]);
        Ok(length)
    }

    fn length(&self, name: &str) -> io::Result<u64> {
        Ok(self.0.borrow().file(name)?.now.len() as u64)
    }

    fn append(&mut self, name: &str, data: &[u8]) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        let power = state.power();
        if power == Power::Off {
            return Err(off());
        }
        let fits = state.room.map_or(data.len(), |room| room.min(data.len()));
        state.file_mut(name).now.extend_from_slice(&data[..fits]);
        state.room = state.room.map(|room| room - fits);
        match power {
            Power::On if fits == data.len() => Ok(()),
            Power::On => Err(ErrorKind::StorageFull.into()),
            Power::Failing | Power::Off => Err(off()),
        }
    }

    fn truncate(&mut self, name: &str, length: u64) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.tick()?;
        state.file_mut(name).now.truncate(length as usize);
        Ok(())
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.tick()?;
        let file = state.file_mut(name);
        file.durable = file.now.clone();
        Ok(())
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.tick()?;
        state.durable_names = state.names.clone();
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.tick()?;
        let inode = state.names.remove(from).ok_or(ErrorKind::NotFound)?;
        state.names.insert(to.to_string(), inode);
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        if state.names.contains_key(name) {
            state.tick()?;
            state.names.remove(name);
        }
        Ok(())
    }
}

impl Slots for CrashDisk {
    fn read(&self, slot: usize, length: usize) -> Result<Vec<u8>, Error> {
        let mut data = self.0.borrow().file(&slot.to_string()).map(|f| f.now.clone()).unwrap_or_default();
        data.truncate(length);
        Ok(data)
    }

    fn write(&mut self, slot: usize, _commit: u64, data: &[u8]) -> Result<(), Error> {
        let mut state = self.0.borrow_mut();
        let power = state.power();
        let content = match power {
            Power::On => data.to_vec(),
            Power::Failing => [&data[..data.len() / 2], &[0xff; 8]].concat(),
            Power::Off => return Err(storage(off())),
        };
        *state.file_mut(&slot.to_string()) = Inode { now: content.clone(), durable: content };
        state.durable_names = state.names.clone();
        if power == Power::On { Ok(()) } else { Err(storage(off())) }
    }
}
