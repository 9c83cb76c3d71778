//! Fault-injecting storage: loses power or runs full after a given byte. For tests of this crate and of its users.

use core::cell::{Cell, RefCell};
use core::fmt;
use std::rc::Rc;

use embedded_io::{ErrorKind, ErrorType, Read, Seek, SeekFrom, Write};

use crate::storage::RamStorage;

/// Unit of a torn write: these bytes reach the medium together or not at all when the power fails.
const SECTOR: usize = 512;

/// Power supply shared by storages: a budget of bytes, after which all of them fail, and a log of all bytes written.
#[derive(Clone, Debug, Default)]
pub struct Power {
    left: Rc<Cell<Option<u64>>>,
    written: Rc<RefCell<Vec<u8>>>,
}

impl Power {
    /// Makes a supply that does not end.
    #[must_use]
    pub fn lasting() -> Self {
        Self::default()
    }

    /// Makes a supply that ends after `bytes` more bytes: the write that reaches that byte is cut there, all later ones fail.
    #[must_use]
    pub fn ending_after(bytes: u64) -> Self {
        let power = Self::default();
        power.end_after(bytes);
        power
    }

    /// Sets the supply to end after `bytes` more bytes.
    pub fn end_after(&self, bytes: u64) {
        self.left.set(Some(bytes));
    }

    /// Returns true if the supply has ended.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.left.get() == Some(0)
    }

    /// Bytes written with this supply, in order.
    #[must_use]
    pub fn written(&self) -> Vec<u8> {
        self.written.borrow().clone()
    }

    /// Takes up to `wanted.len()` bytes from the budget and returns the part of `wanted` that is written.
    fn draw<'b>(&self, wanted: &'b [u8]) -> &'b [u8] {
        let left = self.left.get();
        let granted =
            left.map_or(wanted.len(), |left| usize::try_from(left).unwrap_or(usize::MAX).min(wanted.len()));
        self.left.set(left.map(|left| left.saturating_sub(u64::try_from(granted).unwrap_or(left))));
        let granted = wanted.get(..granted).unwrap_or_default();
        self.written.borrow_mut().extend_from_slice(granted);
        granted
    }
}

/// Reason why a [`FaultyStorage`] fails.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// The power is off.
    Off,
    /// The end of the storage is reached.
    Full,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Off => "the power is off",
            Self::Full => "no space left",
        })
    }
}

impl core::error::Error for Fault {}

impl embedded_io::Error for Fault {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Off => ErrorKind::Other,
            Self::Full => ErrorKind::OutOfMemory,
        }
    }
}

/// Storage in memory that records which bytes are durable, draws on a [`Power`] supply, and may have an end.
#[derive(Debug)]
pub struct FaultyStorage {
    current: RamStorage,
    durable: Vec<u8>,
    power: Power,
    capacity: Rc<Cell<u64>>,
}

impl FaultyStorage {
    /// Makes a storage that holds `bytes`, all durable, and draws on `power`.
    #[must_use]
    pub fn new(bytes: Vec<u8>, power: &Power) -> Self {
        let capacity = Rc::new(Cell::new(u64::MAX));
        Self { durable: bytes.clone(), current: RamStorage::new(bytes), power: power.clone(), capacity }
    }

    /// End of the storage, which can be changed while a log owns it: writes fail there with [`Fault::Full`].
    #[must_use]
    pub fn capacity(&self) -> Rc<Cell<u64>> {
        Rc::clone(&self.capacity)
    }

    /// Bytes that another program would read now, and that a killed program leaves.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.current.bytes()
    }

    /// Changes a byte, current and durable.
    pub fn overwrite(&mut self, at: usize, byte: u8) {
        for bytes in [self.current.bytes_mut(), &mut self.durable] {
            if let Some(slot) = bytes.get_mut(at) {
                *slot = byte;
            }
        }
    }

    /// Bytes that a power cut leaves: the durable ones, and of the sectors written since the last flush those for which
    /// `reaches` returns true; it is called once for each.
    #[must_use]
    pub fn after_power_cut(&self, reaches: &mut dyn FnMut() -> bool) -> Vec<u8> {
        let mut left = self.durable.clone();
        for (index, sector) in self.bytes().chunks(SECTOR).enumerate() {
            let start = index * SECTOR;
            let is_same = left.get(start..start + sector.len()) == Some(sector);
            if !is_same && reaches() {
                left.resize(left.len().max(start + sector.len()), 0);
                for (to, from) in left.iter_mut().skip(start).zip(sector) {
                    *to = *from;
                }
            }
        }
        left
    }
}

impl ErrorType for FaultyStorage {
    type Error = Fault;
}

impl Read for FaultyStorage {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Fault> {
        let Ok(count) = self.current.read(buf);
        Ok(count)
    }
}

impl Write for FaultyStorage {
    fn write(&mut self, buf: &[u8]) -> Result<usize, Fault> {
        let Ok(at) = self.current.seek(SeekFrom::Current(0));
        let room = usize::try_from(self.capacity.get().saturating_sub(at)).unwrap_or(usize::MAX);
        let fitting = buf.get(..room.min(buf.len())).unwrap_or_default();
        if fitting.is_empty() && !buf.is_empty() {
            return Err(Fault::Full);
        }
        let granted = self.power.draw(fitting);
        if granted.is_empty() && !buf.is_empty() {
            return Err(Fault::Off);
        }
        let Ok(count) = self.current.write(granted);
        Ok(count)
    }

    fn flush(&mut self) -> Result<(), Fault> {
        if self.power.is_off() {
            return Err(Fault::Off);
        }
        self.durable.clear();
        self.durable.extend_from_slice(self.current.bytes());
        Ok(())
    }
}

impl Seek for FaultyStorage {
    fn seek(&mut self, to: SeekFrom) -> Result<u64, Fault> {
        let Ok(at) = self.current.seek(to);
        Ok(at)
    }
}
