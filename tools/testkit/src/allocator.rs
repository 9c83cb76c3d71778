//! Global allocator that counts allocations of each thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    // Constant and without destructor: reading it allocates nothing, and it is there as long as the thread.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static HELD_BYTES: Cell<usize> = const { Cell::new(0) };
}

/// Global allocator that counts what the calling thread allocates and passes every call on to the system's allocator.
///
/// Counts are kept for each thread, so that the threads of a test harness do not disturb each other.
#[derive(Clone, Copy, Debug)]
pub struct CountingAllocator;

/// Returns the number of allocations and reallocations of the calling thread so far.
#[must_use]
pub fn allocations() -> usize {
    ALLOCATIONS.get()
}

/// Returns the bytes that the calling thread has allocated and not freed; wraps if it frees what another thread allocated.
#[must_use]
pub fn held_bytes() -> usize {
    HELD_BYTES.get()
}

// SAFETY: every call is passed on to the system's allocator with unchanged arguments. `realloc` is the provided one, which
// calls `alloc` and `dealloc`, so that growing counts as one allocation.
#[allow(unsafe_code, reason = "an allocator cannot be written without")]
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        HELD_BYTES.set(HELD_BYTES.get().wrapping_add(layout.size()));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD_BYTES.set(HELD_BYTES.get().wrapping_sub(layout.size()));
        // SAFETY: the caller keeps the contract of `dealloc`, and the pointer came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[global_allocator]
    static ALLOCATOR: CountingAllocator = CountingAllocator;

    #[test]
    fn allocating_growing_and_freeing_are_counted() {
        let (count, held) = (allocations(), held_bytes());
        let mut bytes: Vec<u8> = Vec::with_capacity(10);
        assert_eq!((allocations() - count, held_bytes() - held), (1, 10));
        bytes.reserve_exact(30);
        assert_eq!((allocations() - count, held_bytes() - held), (2, 30));
        drop(bytes);
        assert_eq!((allocations() - count, held_bytes() - held), (2, 0));
    }

    #[test]
    fn other_threads_do_not_count() {
        // Starting a thread allocates here, so the count is taken while it runs.
        let (ready, go) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
        std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                ready.wait();
                let before = allocations();
                drop(vec![0_u8; 100]);
                let counted = allocations() - before;
                go.wait();
                counted
            });
            ready.wait();
            let before = allocations();
            go.wait();
            let counted_here = allocations() - before;
            assert_eq!((other.join().unwrap(), counted_here), (1, 0));
        });
    }
}
