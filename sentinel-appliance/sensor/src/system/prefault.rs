//! Prefaulting: every page that traffic can make the program write to is written to before the sensor reports that it captures.
//!
//! The kernel backs a page with memory when it is first written to, so resident memory would otherwise grow in the middle of
//! an attack. Tables are prefaulted by `worker::analyser`, buffers of the log by `ringlog`, queues and stacks here. A new
//! queue or table must do the same; the performance tests of the lab compare resident memory before and after a flood.

use std::fs::{self, File};
use std::future::Future;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use heapless::spsc::Queue;
use smol::Timer;

/// Makes an empty queue for the life of the program, with every slot written once. Of options, because a slot must be written
/// with some value before there is one.
pub(crate) fn queue<T, const N: usize>() -> &'static mut Queue<Option<T>, N> {
    let queue: &'static mut Queue<Option<T>, N> = Box::leak(Box::default());
    for _ in 0..N {
        // One at a time, so that the ring buffer of the queue passes through all its slots.
        let _has_room = queue.enqueue(None);
        let _none = queue.dequeue();
    }
    queue
}

/// Makes an empty list for `capacity` values, every slot written once; of options for the same reason.
pub(crate) fn list<T>(capacity: usize) -> Vec<Option<T>> {
    let mut list = Vec::with_capacity(capacity);
    list.extend(std::iter::repeat_with(|| std::hint::black_box(None)).take(capacity));
    list.clear();
    list
}

/// Writes to the next `BYTES` of this thread's stack. Not inlined, so that the array is below the caller's frame.
#[inline(never)]
pub(crate) fn stack<const BYTES: usize>() {
    std::hint::black_box(&mut [0_u8; BYTES]);
}

/// Maps every page of the program's file that the sensor may run: code that runs first in the middle of an attack would otherwise be
/// mapped then. Code of the other commands and of the start stays out of memory, and without `is_enrolled` that of the connection to a
/// collector: `ci/sections.ld` places it between functions.
///
/// The kernel maps a page of a file that is in memory when it is first accessed, and its neighbours within 64 KiB with it. A read through
/// `/proc/self/mem` does that without a pointer into the code. A system without `/proc` only maps the pages later.
pub(crate) fn program(is_enrolled: bool) {
    let (Ok(maps), Ok(memory)) = (fs::read_to_string("/proc/self/maps"), File::open("/proc/self/mem")) else {
        return;
    };
    let left_out = [address_of(left_out_from(is_enrolled)), address_of(apart_end)];
    // The kernel lists mappings in ascending order; the file of the first one is the program.
    let file = |line: &str| line.split_ascii_whitespace().nth(5).map(str::to_owned);
    let program = maps.lines().next().and_then(file);
    for line in maps.lines().filter(|line| file(line) == program) {
        let Some((from, to)) = line.split(' ').next().and_then(|range| range.split_once('-')) else { return };
        let (Ok(from), Ok(to)) = (u64::from_str_radix(from, 16), u64::from_str_radix(to, 16)) else { return };
        for address in reads(from..to, left_out) {
            let _mapped_later_on_error = memory.read_at(&mut [0], address);
        }
    }
}

/// Addresses to read so that all pages of `mapping` are mapped, but for those within `left_out`.
fn reads(mapping: Range<u64>, [begin, end]: [u64; 2]) -> impl Iterator<Item = u64> {
    /// `fault_around_bytes` of Linux unless it was changed: the neighbours that are mapped with a page.
    const FAULT_AROUND_BYTES: u64 = 64 * 1024;
    const PAGE_BYTES: u64 = 4096;
    let past = |address: u64, block: u64| (address | (block - 1)).saturating_add(1);
    let skipped =
        move |address| if (begin..end).contains(&address) { past(end, PAGE_BYTES) } else { address };
    let next = move |address: &u64| Some(skipped(past(*address, FAULT_AROUND_BYTES)));
    std::iter::successors(Some(skipped(mapping.start)), next)
        .take_while(move |address| *address < mapping.end)
}

/// Gives back the code that ran at the start, or for a command of the operator, and the stack below it. Nothing that traffic can make the sensor do is in
/// it: the memory check of the bench counts what is mapped again under floods as growth.
pub(crate) fn give_back_start(is_enrolled: bool) {
    // Without effect where the linker did not place that code.
    let _stays_mapped_on_error = sentinel_privilege::code::give_back(left_out_from(is_enrolled), apart_end);
    let _stays_mapped_on_error = sentinel_privilege::code::give_back_stack();
}

/// First function of the code that stays out of memory.
fn left_out_from(is_enrolled: bool) -> fn() -> u8 {
    if is_enrolled { apart_begin } else { uplink_begin }
}

/// Start of the code of the connection to a collector, which ends where the next begins.
#[inline(never)]
fn uplink_begin() -> u8 {
    std::hint::black_box(b'u')
}

/// Start of the code that only other commands and the start of `run` use. The linker places it, in the order of
/// `ci/sections.ld`; without that, the two functions are somewhere, and close to each other.
#[inline(never)]
fn apart_begin() -> u8 {
    std::hint::black_box(b'b')
}

/// End of the code that only other commands and the start of `run` use.
#[inline(never)]
fn apart_end() -> u8 {
    std::hint::black_box(b'e')
}

fn address_of(function: fn() -> u8) -> u64 {
    #[expect(clippy::as_conversions, reason = "the address of a function is a number only by a cast")]
    let address = function as usize;
    u64::try_from(address).unwrap_or(u64::MAX)
}

/// Starts the reactor thread of the executor, which polls timers and sockets, prefaults its stack, and reserves memory for
/// the tree of timers.
pub(crate) fn reactor() {
    prefault_reactor_stack();
    reserve_timer_nodes();
}

/// Prefaults the stack of the reactor thread. A library owns that thread, so code runs there only in a waker that it calls.
fn prefault_reactor_stack() {
    /// Twice the stack that the reactor needs below the frame that calls wakers.
    const BYTES: usize = 8 * 1024;
    /// Longest wait for the reactor's call. An unpark before the park is not lost, so this is for a call that never comes.
    const PARK_TIMEOUT: Duration = Duration::from_millis(5);
    struct StackPrefaulter(Thread);
    impl Wake for StackPrefaulter {
        fn wake(self: Arc<Self>) {
            stack::<BYTES>();
            self.0.unpark();
        }
    }
    // Polled by hand, without an executor: the first poll registers the waker with the reactor, which calls it from its own
    // thread when the timer fires.
    let waker = Waker::from(Arc::new(StackPrefaulter(std::thread::current())));
    let mut timer = pin!(Timer::after(Duration::from_micros(1)));
    while timer.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
        std::thread::park_timeout(PARK_TIMEOUT);
    }
}

/// Each iteration of the reactor allocates a node of the tree of timers and frees one. With space for only one in the
/// allocator's page, it would map and unmap a page every second. One block that is never freed keeps such a page mapped.
fn reserve_timer_nodes() {
    /// Leaf of the standard library's B-tree: eleven keys and values, a parent, two lengths.
    const NODE_BYTES: usize =
        11 * (size_of::<(std::time::Instant, usize)>() + size_of::<Waker>()) + 2 * size_of::<usize>();
    /// More nodes than the allocator puts into one page.
    const NODES: usize = 16;
    let mut nodes: Vec<Box<[u8; NODE_BYTES]>> = (0..NODES).map(|_| Box::new([0; NODE_BYTES])).collect();
    if let Some(last) = nodes.pop() {
        let _never_freed = Box::leak(last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_queue_is_empty_and_accepts_its_capacity() {
        let queue = queue::<u64, 4>();
        assert_eq!((queue.len(), queue.capacity()), (0, 3));
        assert!((1..=3).all(|number| queue.enqueue(Some(number)).is_ok()));
        assert!(queue.enqueue(Some(4)).is_err());
        assert_eq!(queue.dequeue().flatten(), Some(1));
    }

    #[test]
    fn a_new_list_is_empty_with_its_capacity() {
        let list = list::<u64>(100);
        assert!(list.is_empty() && list.capacity() >= 100);
    }

    #[test]
    fn reads_reach_every_window_but_those_of_other_commands() {
        let all = |mapping, left_out| reads(mapping, left_out).collect::<Vec<_>>();
        assert_eq!(all(0x1_1000..0x3_2000, [0, 0]), [0x1_1000, 0x2_0000, 0x3_0000]);
        // The window in which the commands begin is read for what is before them, the one in which they end for what follows.
        assert_eq!(all(0x1_1000..0x6_2000, [0x2_1000, 0x5_0100]), [0x1_1000, 0x2_0000, 0x5_1000, 0x6_0000]);
        assert_eq!(all(0x1_1000..0x5_1000, [0x2_1000, 0x5_0100]), [0x1_1000, 0x2_0000]);
        assert_eq!(all(0x3_0000..0x4_0000, [0x2_1000, 0x5_0100]), []);
    }

    #[test]
    fn the_reactor_wakes_a_thread_without_an_executor() {
        reactor();
        reactor();
    }
}
