//! Notification and mutual exclusion between tasks of one thread, without atomics and locks.
//!
//! Those of smol work between threads: 8 KiB on MIPS for the same.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// Notification: a flag that tasks wait for. Notifications before the next wait wake once; of several tasks that wait, one.
#[derive(Debug, Default)]
pub(crate) struct Notify {
    is_set: Cell<bool>,
    /// Wakers of tasks that wait, or have waited and were dropped: they wake once for nothing.
    waiting: RefCell<Vec<Waker>>,
}

impl Notify {
    /// Sets the flag.
    pub(crate) fn notify(&self) {
        self.is_set.set(true);
        // All of them, because a task that is woken may be dropped before it runs; the first that runs clears the flag.
        let mut waiting = self.waiting.take();
        waiting.drain(..).for_each(Waker::wake);
        // The memory is used again.
        self.waiting.replace(waiting);
    }

    /// Waits until the flag is set, and clears it.
    pub(crate) async fn wait(&self) {
        poll_fn(|context| {
            if self.is_set.replace(false) {
                return Poll::Ready(());
            }
            let mut waiting = self.waiting.borrow_mut();
            if !waiting.iter().any(|known| known.will_wake(context.waker())) {
                waiting.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}

/// Mutual exclusion of tasks: one has its turn at a time.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    is_taken: Cell<bool>,
    ended: Notify,
}

/// Turn of a task; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'t>(&'t Turns);

impl Turns {
    /// Waits for a turn.
    pub(crate) async fn next(&self) -> Turn<'_> {
        while self.is_taken.replace(true) {
            self.ended.wait().await;
        }
        Turn(self)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.is_taken.set(false);
        self.0.ended.notify();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::rc::Rc;

    use smol::{LocalExecutor, future};

    use super::*;

    #[test]
    fn notifications_before_a_wait_wake_once() {
        smol::block_on(async {
            let notify = Notify::default();
            notify.notify();
            notify.notify();
            notify.wait().await;
            assert!(future::poll_once(notify.wait()).await.is_none());
        });
    }

    #[test]
    fn a_dropped_task_takes_no_notification() {
        let executor = LocalExecutor::new();
        smol::block_on(executor.run(async {
            let notify = Rc::new(Notify::default());
            let waiter = || {
                let notify = Rc::clone(&notify);
                executor.spawn(async move { notify.wait().await })
            };
            let (dropped, waiting) = (waiter(), waiter());
            future::yield_now().await;
            notify.notify();
            drop(dropped);
            waiting.await;
        }));
    }

    #[test]
    fn one_task_has_its_turn_at_a_time() {
        let executor = LocalExecutor::new();
        smol::block_on(executor.run(async {
            let (turns, running) = (Rc::new(Turns::default()), Rc::new(Cell::new(0)));
            let tasks: Vec<_> = (0..5)
                .map(|_| {
                    let (turns, running) = (Rc::clone(&turns), Rc::clone(&running));
                    executor.spawn(async move {
                        let _turn = turns.next().await;
                        running.set(running.get() + 1);
                        for _ in 0..3 {
                            future::yield_now().await;
                            assert_eq!(running.get(), 1);
                        }
                        running.set(0);
                    })
                })
                .collect();
            for task in tasks {
                task.await;
            }
            let mut next = pin!(turns.next());
            assert!(future::poll_once(next.as_mut()).await.is_some());
        }));
    }
}
