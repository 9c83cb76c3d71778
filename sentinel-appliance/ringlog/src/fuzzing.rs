//! Fuzz bodies. `tools/fuzz` calls them with made-up bytes; a test replays the committed corpus.

use core::convert::Infallible;

use sentinel_seal::Key;

use crate::format::Packing;
use crate::pack::Unpacker;
use crate::{Cursor, Geometry, LogKey, MAX_RECORD, Mode, RamStorage, RecordId, RingLog, Salt};

type Log = RingLog<RamStorage, RamStorage>;

/// Fuzz body: its name, which is that of its folder in `tests/fuzz-corpus`, and the function.
pub type Body = (&'static str, fn(&[u8]));

/// Every body of this crate.
pub const BODIES: &[Body] = &[("open_anything", open_anything), ("open_changed", open_changed), ("unpack", unpack)];

fn geometry() -> Geometry {
    // The smallest that there is, so that never the default.
    Geometry::new(Geometry::MIN_SEGMENT_BYTES, Geometry::MIN_SEGMENTS).unwrap_or_else(|_| unreachable!())
}

fn key() -> LogKey {
    LogKey::new(0, Key::from_bytes([0x5a; 32]))
}

fn open(main: Vec<u8>, journal: Vec<u8>, salt: u8) -> Option<Log> {
    let (main, journal) = (RamStorage::new(main), RamStorage::new(journal));
    RingLog::open(main, journal, geometry(), key(), Mode::Append(Salt([salt; 16]))).ok().map(|(log, _)| log)
}

/// Reads everything; gives each record to `each`.
fn read(log: &mut Log, each: &mut dyn FnMut(RecordId, &[u8])) {
    let mut cursor = Cursor::new(RecordId(0));
    let mut buf = [0; MAX_RECORD];
    let mut last = None;
    while let Some((id, len)) = no_error(log.read_next(&mut cursor, &mut buf)) {
        assert!(last < Some(id), "numbers go up");
        last = Some(id);
        each(id, buf.get(..len).unwrap_or_default());
    }
}

/// Memory does not fail, and the buffer is large enough.
fn no_error<T>(result: Result<T, crate::ReadError<Infallible>>) -> T {
    result.unwrap_or_else(|error| unreachable!("{error}"))
}

/// Goes through all there is, then writes, and looks whether that can be read again.
fn exercise(mut log: Log) {
    no_error(log.list(&mut |_| ()));
    no_error(log.verify(None, &mut |_| ()));
    let next = log.next_id();
    if next.0 > u64::MAX / 2 {
        return;
    }
    assert_eq!(log.append(b"after"), Ok(next));
    assert_eq!(log.flush(), Ok(()));
    let (main, journal) = log.into_storages();
    let again = open(main.bytes().to_vec(), journal.bytes().to_vec(), 2);
    let mut found = false;
    if let Some(mut log) = again {
        read(&mut log, &mut |id, record| found |= id == next && record == b"after");
    }
    assert!(found, "what was flushed is there");
}

/// Opens two storages of any bytes: two bytes say where main ends and the journal begins.
pub fn open_anything(data: &[u8]) {
    let Some((len, rest)) = data.split_first_chunk::<2>() else { return };
    let (main, journal) = rest.split_at(usize::from(u16::from_be_bytes(*len)).min(rest.len()));
    if let Some(mut log) = open(main.to_vec(), journal.to_vec(), 1) {
        read(&mut log, &mut |_, _| ());
        exercise(log);
    }
}

/// Changes a good log as `data` says (storage and offset, byte to flip with; three bytes each) and opens it: whatever comes out
/// was once put in.
pub fn open_changed(data: &[u8]) {
    let record = |id: RecordId| format!("record {id} of the log that is changed").into_bytes();
    let Some(mut log) = open(Vec::new(), Vec::new(), 1) else { return };
    for number in 0..60 {
        assert_eq!(log.append(&record(RecordId(number))), Ok(RecordId(number)));
        if number % 8 == 7 {
            assert_eq!(log.flush(), Ok(()));
        }
    }
    let (main, journal) = log.into_storages();
    let (mut main, mut journal) = (main.bytes().to_vec(), journal.bytes().to_vec());
    for change in data.chunks_exact(3) {
        let &[high, low, flip] = change else { return };
        let at = usize::from(u16::from_be_bytes([high & 0x7f, low]));
        let bytes = if high & 0x80 == 0 { &mut main } else { &mut journal };
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= flip;
        }
    }
    if let Some(mut log) = open(main, journal, 3) {
        read(&mut log, &mut |id, found| assert_eq!(found, record(id)));
        exercise(log);
    }
}

/// Unpacks any bytes as a block: the first byte says how it is packed.
pub fn unpack(data: &[u8]) {
    let Some((packing, packed)) = data.split_first() else { return };
    let packing = if packing % 2 == 0 { Packing::Stored } else { Packing::Deflated };
    let mut unpacker = Unpacker::default();
    unpacker.begin(packing);
    // A block has a count; without one, an endless run of empty records is cut here.
    for _ in 0..10_000 {
        match unpacker.record(packed) {
            Some(record) => assert!(record.len() <= MAX_RECORD),
            None => return,
        }
    }
}
