//! Checkpoints of the write-ahead log, on a thread beside the writer: no acknowledgement waits for one.
//!
//! A checkpoint flushes the log, copies its pages into the database and flushes that. `SQLite` does it inside a commit once the log
//! has [`LOG_PAGES`], and every acknowledgement waits for that commit. Here the commit only wakes the
//! thread; the writer goes on appending to the log meanwhile, and starts it anew when all of it is copied. Where it
//! never is, because there is always another commit, the writer makes the checkpoint itself at [`MAX_LOG_PAGES`].

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::{io, thread};

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use crate::log::Log;

/// Length of the log in pages of 4 KiB from which on it is copied.
const LOG_PAGES: i32 = 1_000;
/// Length of the log at which the writer waits for the copy: 64 MiB, to which its file is cut.
const MAX_LOG_PAGES: i32 = 16_384;
/// Copies in a row, each of what was written during the one before.
const MAX_ROUNDS: usize = 4;

/// The thread.
#[derive(Debug)]
pub(super) struct Checkpoints(thread::JoinHandle<()>);

impl Checkpoints {
    /// Starts the thread, which copies on `connection` what `writer` commits. It ends when the hook of `writer` is removed.
    ///
    /// # Errors
    /// Errors of starting a thread or of registering the hook.
    pub(super) fn start(writer: &mut Connection, connection: Connection, log: Log) -> io::Result<Self> {
        let (wake, wakes) = sync_channel(1);
        let run = move || copy_when_woken(&connection, &wakes, &log);
        let thread = thread::Builder::new().name("checkpoint".into()).spawn(run)?;
        follow(writer, wake).map_err(io::Error::other)?;
        Ok(Self(thread))
    }

    /// Waits for the copy under way, and ends the thread.
    pub(super) fn stop(self, writer: &mut Connection) {
        let ended = writer.wal_hook(None::<fn(&mut Wal, i32) -> rusqlite::Result<()>>);
        if ended.is_ok() {
            let _ = self.0.join(); // a panic of the thread has been printed by its own hook
        }
    }
}

fn follow(writer: &mut Connection, wake: SyncSender<()>) -> rusqlite::Result<()> {
    writer.wal_hook(Some(move |log: &mut Wal, pages| {
        if pages >= LOG_PAGES {
            let _ = wake.try_send(()); // full: it is awake
        }
        if pages >= MAX_LOG_PAGES {
            // An error is that of a copy under way. Whatever it is, the transaction is committed.
            let _ = log.checkpoint();
        }
        Ok(())
    }))
}

fn copy_when_woken(connection: &Connection, wakes: &Receiver<()>, log: &Log) {
    while wakes.recv().is_ok() {
        if let Err(error) = copy(connection) {
            log.limited_warn("checkpoint", format_args!("the write-ahead log cannot be copied: {error}"));
        }
    }
}

fn copy(connection: &Connection) -> rusqlite::Result<()> {
    for _ in 0..MAX_ROUNDS {
        let pages = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
        let (written, copied) = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], pages)?;
        // Less is copied while a reader still needs an older page: it is later.
        if written <= copied {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::store::schema;
    use crate::store::testing::{key, open};

    fn len(path: &Path) -> u64 {
        path.metadata().unwrap().len()
    }

    #[test]
    fn the_log_is_copied_beside_the_writer_and_starts_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        let mut writer = open(&path);
        let log = Log::open(Some(&directory.path().join("log"))).unwrap();
        let own = schema::open_reader(&path, &key()).unwrap();
        let checkpoints = Checkpoints::start(&mut writer, own, log).unwrap();
        writer.execute_batch("CREATE TABLE pages (bytes BLOB)").unwrap();
        let fill = || writer.execute("INSERT INTO pages VALUES (randomblob(5000000))", []).unwrap();
        fill();
        let until = Instant::now() + Duration::from_secs(20);
        while len(&path) < 5_000_000 {
            assert!(Instant::now() < until, "nothing was copied");
            thread::sleep(Duration::from_millis(10));
        }
        let wal = directory.path().join("db-wal");
        let first = len(&wal);
        for _ in 0..3 {
            thread::sleep(Duration::from_millis(200)); // as between two bursts; the copy takes a part of it
            fill();
        }
        assert!(len(&wal) < 4 * first, "{} bytes: the log never started anew", len(&wal));
        checkpoints.stop(&mut writer);
    }

    #[test]
    fn the_writer_copies_a_log_that_the_thread_cannot_follow() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        let mut writer = open(&path);
        let (wake, _nobody) = sync_channel(1);
        follow(&mut writer, wake).unwrap();
        writer.execute_batch("CREATE TABLE pages (bytes BLOB)").unwrap();
        writer.execute("INSERT INTO pages VALUES (randomblob(30000000))", []).unwrap();
        assert!(len(&path) < 1_000_000, "left to the thread");
        writer.execute("INSERT INTO pages VALUES (randomblob(40000000))", []).unwrap();
        assert!(len(&path) > 70_000_000);
    }
}
