//! Recovery of records from the journal at opening.

use crate::account::Recovery;
use crate::journal::{Journal, Replay};
use crate::key::LogKey;
use crate::pending::Pending;
use crate::storage::Storage;

/// Moves the records of the journal that main lacks into `pending`.
///
/// Records that main has (a kill between flush and reset) come first and are skipped. If the first record or the recorded end
/// of main lies beyond the end of main, main has lost its end since: the numbers between are skipped, because they were
/// assigned once, and counted as missing.
pub(super) fn replay_journal<J: Storage>(
    journal: &mut Journal<J>,
    key: &LogKey,
    pending: &mut Pending,
    recovery: &mut Recovery,
) -> Result<Replay, J::Error> {
    let replay = journal.replay(key, &mut |id, record| {
        // Only the first record that main lacks may leave a gap: those behind it were journaled one after the
        // other.
        if id > pending.next() && pending.count() == 0 {
            recovery.missing_records += id.since(pending.next());
            pending.set_next(id);
        }
        if id == pending.next() {
            pending.push(record);
        }
    })?;
    // The header of a section records the end of main, so a journal without records shows a loss as well.
    let lost_end = replay.main_end.filter(|end| end.next_id > pending.next() && pending.count() == 0);
    if let Some(end) = lost_end {
        recovery.missing_records += end.next_id.since(pending.next());
        pending.set_next(end.next_id);
    }
    journal.resume(&replay, pending.count());
    recovery.torn_writes += u32::from(replay.is_torn);
    recovery.journal_unreadable = replay.is_unreadable();
    recovery.from_journal = u64::from(pending.count());
    Ok(replay)
}
