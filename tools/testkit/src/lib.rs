//! Helpers that tests of several crates share; a dev-dependency only, never linked into a program.
//!
//! [`CountingAllocator`] proves that a path allocates nothing: a test binary makes it the global allocator and compares
//! [`allocations`] before and after.
//!
//! ```
//! use sentinel_testkit::{CountingAllocator, allocations};
//!
//! #[global_allocator]
//! static ALLOCATOR: CountingAllocator = CountingAllocator;
//!
//! let before = allocations();
//! let text = String::with_capacity(10);
//! assert_eq!((allocations() - before, text.len()), (1, 0));
//! ```

mod allocator;

pub use allocator::{CountingAllocator, allocations, held_bytes};
