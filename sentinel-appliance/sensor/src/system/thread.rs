//! Start of threads, and their state as the kernel sees it.

use std::fmt::Write;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::sync::{Arc, OnceLock};
use std::thread::{Builder, JoinHandle};

/// Starts a thread. Boxed, because `Builder::spawn` is compiled for each type of closure: 3 KiB of flash each.
///
/// # Errors
/// The kernel refuses the thread or its stack.
pub(crate) fn start(
    name: &str,
    stack_bytes: usize,
    work: Box<dyn FnOnce() + Send>,
) -> io::Result<JoinHandle<()>> {
    Builder::new().name(name.into()).stack_size(stack_bytes).spawn(work)
}

/// Runs `make` on a thread of its own, whose stack is unmapped when it has ended: what is built through long frames leaves nothing on
/// the stack of the caller.
///
/// # Errors
/// The kernel refuses the thread or its stack.
pub(crate) fn aside<T: Send + Sync + 'static>(
    stack_bytes: usize,
    make: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let slot = Arc::new(OnceLock::new());
    let filled = Arc::clone(&slot);
    let work = Box::new(move || {
        let _is_empty = filled.set(make());
    });
    // An error means that it panicked; then the slot is empty.
    let _ended = start("start", stack_bytes, work)?.join();
    Arc::into_inner(slot).and_then(OnceLock::into_inner).ok_or_else(|| ErrorKind::Other.into())
}

/// State of a thread of this process, from `/proc`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ThreadState {
    /// Letter of the state: `R` running or waiting for a processor, `D` waiting for a device, `S` asleep, `T` or `t` stopped.
    pub(crate) letter: u8,
    /// Processor time so far, to 10 ms.
    pub(crate) cpu_ms: u32,
}

/// Reads the state of thread `thread`; `None` without `/proc`. Allocates nothing: a thread that hangs may hold the lock of the
/// allocator.
pub(crate) fn state(thread: u32) -> Option<ThreadState> {
    let mut path = heapless::String::<64>::new();
    write!(path, "/proc/self/task/{thread}/stat").ok()?;
    let mut text = [0; 256];
    let length = File::open(path.as_str()).ok()?.read(&mut text).ok()?;
    parse(text.get(..length)?)
}

/// Reads a line of `/proc/PID/stat`: number, name in parentheses, state, and numbers, of which the 14th and 15th field are the
/// ticks in user and kernel mode, a hundred a second on every machine (`USER_HZ`).
fn parse(text: &[u8]) -> Option<ThreadState> {
    let name_end = text.iter().rposition(|byte| *byte == b')')?;
    let mut fields = text.get(name_end + 2..)?.split(|byte| *byte == b' ');
    let letter = *fields.next()?.first()?;
    let mut ticks = || -> Option<u32> { std::str::from_utf8(fields.next()?).ok()?.parse().ok() };
    // The ten fields between are not all positive.
    for _ in 0..10 {
        let _skipped = ticks();
    }
    let cpu_ticks = ticks()?.wrapping_add(ticks()?);
    Some(ThreadState { letter, cpu_ms: cpu_ticks.wrapping_mul(10) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_aside_arrives() {
        let caller = std::thread::current().id();
        let make = move || Box::new((std::thread::current().id() != caller, 7));
        assert_eq!(*aside(64 * 1024, make).unwrap(), (true, 7));
    }

    #[test]
    fn the_state_of_a_thread_is_read() {
        let line =
            b"812 (a) b (c)) S 1 812 812 0 -1 4194560 210 0 3 0 17 25 0 0 20 0 3 0 5117 2363392 902 18446";
        assert_eq!(parse(line), Some(ThreadState { letter: b'S', cpu_ms: 420 }));
        for end in 0..line.len() - 40 {
            assert!(parse(&line[..end]).is_none_or(|state| state.letter == b'S'), "{end} bytes");
        }
        assert_eq!(parse(b""), None);
        let own = rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs();
        assert_eq!(state(own).unwrap().letter, b'R');
        assert_eq!(state(u32::MAX), None);
    }
}
