//! Memory that is there from the start.
//!
//! The system hands out a page when it is first written to, and would do so in the middle of an attack. So everything
//! that traffic can make the program write to is written to once before it says that it captures: tables by `analysis`,
//! the log's buffers by `ringlog`, and here queues and stacks.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use heapless::spsc::Queue;
use smol::Timer;

/// An empty queue for the life of the program. Of options, because a slot that nothing is in yet must hold something.
pub(crate) fn queue<T, const N: usize>() -> &'static mut Queue<Option<T>, N> {
    let queue: &'static mut Queue<Option<T>, N> = Box::leak(Box::default());
    for _ in 0..N {
        // One at a time, so that the queue goes once through all its slots.
        let _has_room = queue.enqueue(None);
        let _none = queue.dequeue();
    }
    queue
}

/// An empty list with room for so many, of options as well.
pub(crate) fn list<T>(capacity: usize) -> Vec<Option<T>> {
    let mut list = Vec::with_capacity(capacity);
    list.extend(std::iter::repeat_with(|| std::hint::black_box(None)).take(capacity));
    list.clear();
    list
}

/// Writes to the next `BYTES` of this thread's stack.
#[inline(never)]
pub(crate) fn stack<const BYTES: usize>() {
    std::hint::black_box(&mut [0_u8; BYTES]);
}

/// Starts what timers and sockets need: a thread of their own, which waits for them while this one is busy, with a stack
/// that was written to; and room for the tree of timers.
pub(crate) fn reactor() {
    have_reactor_write_to_its_stack();
    reserve_nodes_for_timers();
}

/// The thread is not ours: being woken by it is the only way to have it do something.
fn have_reactor_write_to_its_stack() {
    /// What the reactor takes below the frame in which it wakes, and as much again.
    const BYTES: usize = 8 * 1024;
    /// A thread that is unparked before it parks does not sleep. This bounds the harm if it is not unparked at all.
    const LOOK_ANYWAY: Duration = Duration::from_millis(5);
    struct Touch(Thread);
    impl Wake for Touch {
        fn wake(self: Arc<Self>) {
            stack::<BYTES>();
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Touch(std::thread::current())));
    let mut timer = pin!(Timer::after(Duration::from_micros(1)));
    while timer.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
        std::thread::park_timeout(LOOK_ANYWAY);
    }
}

/// At each turn the tree of timers takes a new node and frees one. Where the allocator had room for just one it would take
/// a page from the system and give it back every second. One block that is never freed keeps a page of such blocks.
fn reserve_nodes_for_timers() {
    /// Eleven keys and values, a parent, two lengths: a leaf of the standard library's tree.
    const NODE_BYTES: usize =
        11 * (size_of::<(std::time::Instant, usize)>() + size_of::<Waker>()) + 2 * size_of::<usize>();
    /// More than the allocator puts into one page.
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
    fn a_new_queue_is_empty_and_takes_what_fits() {
        let queue = queue::<u64, 4>();
        assert_eq!((queue.len(), queue.capacity()), (0, 3));
        assert!((1..=3).all(|number| queue.enqueue(Some(number)).is_ok()));
        assert!(queue.enqueue(Some(4)).is_err());
        assert_eq!(queue.dequeue().flatten(), Some(1));
    }

    #[test]
    fn a_new_list_is_empty_and_has_room() {
        let list = list::<u64>(100);
        assert!(list.is_empty() && list.capacity() >= 100);
    }

    #[test]
    fn the_reactor_wakes_us_without_an_executor() {
        reactor();
        reactor();
    }
}
