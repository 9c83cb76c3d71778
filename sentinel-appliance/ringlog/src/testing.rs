//! A storage that loses power or runs full where a test wants it to. For tests of this crate and of its users.

use core::cell::{Cell, RefCell};
use core::fmt;
use std::rc::Rc;

use embedded_io::{ErrorKind, ErrorType, Read, Seek, SeekFrom, Write};

use crate::storage::RamStorage;

/// Bytes that reach the medium together or not at all when the power fails.
const SECTOR: usize = 512;

/// How many more bytes are written before everything that shares this supply stops.
#[derive(Clone, Debug, Default)]
pub struct Power {
    left: Rc<Cell<Option<u64>>>,
    written: Rc<RefCell<Vec<u8>>>,
}

impl Power {
    /// A supply that lasts.
    #[must_use]
    pub fn lasting() -> Self {
        Self::default()
    }

    /// A supply that ends after `bytes` more bytes: the write that reaches it is cut there, all later ones fail.
    #[must_use]
    pub fn ending_after(bytes: u64) -> Self {
        let power = Self::default();
        power.end_after(bytes);
        power
    }

    /// Ends the supply after `bytes` more bytes.
    pub fn end_after(&self, bytes: u64) {
        self.left.set(Some(bytes));
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.left.get() == Some(0)
    }

    /// All bytes written with this supply, in order.
    #[must_use]
    pub fn written(&self) -> Vec<u8> {
        self.written.borrow().clone()
    }

    /// Those of `wanted` bytes that can still be written.
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

/// Why a [`FaultyStorage`] refuses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// The power is off.
    Off,
    /// No room.
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

/// Memory that knows which bytes are durable, runs out of power, and may have an end.
#[derive(Debug)]
pub struct FaultyStorage {
    current: RamStorage,
    durable: Vec<u8>,
    power: Power,
    capacity: Rc<Cell<u64>>,
}

impl FaultyStorage {
    /// A storage that holds `bytes`, all durable, and draws from `power`.
    #[must_use]
    pub fn new(bytes: Vec<u8>, power: &Power) -> Self {
        let capacity = Rc::new(Cell::new(u64::MAX));
        Self { durable: bytes.clone(), current: RamStorage::new(bytes), power: power.clone(), capacity }
    }

    /// The end of the storage, which may be changed while a log owns it: writes stop there with [`Fault::Full`].
    #[must_use]
    pub fn capacity(&self) -> Rc<Cell<u64>> {
        Rc::clone(&self.capacity)
    }

    /// What another program would read now. A killed program leaves this.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.current.bytes()
    }

    /// Changes a byte, durably.
    pub fn overwrite(&mut self, at: usize, byte: u8) {
        for bytes in [self.current.bytes_mut(), &mut self.durable] {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
    }

    /// What a power cut leaves: of the sectors written since the last flush, those that `reaches` says, which is asked once
    /// for each.
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
