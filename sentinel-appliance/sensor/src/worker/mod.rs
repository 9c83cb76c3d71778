//! Analysis threads ("workers"): packet rings in, alerts and counters out.
//!
//! Threads, queues and rings of `sentinel run` with two workers and two interfaces:
//!
//! ```text
//!  br-lan ──fan-out by source address──┐      eth1 ──fan-out──┐            kernel
//!  ───────────────┬────────────────────┤       ───────┬───────┤ ─────────────────────
//!    TPACKET_V3   ring 0.0             ring 1.0       ring 0.1  ring 1.1    (worker.interface)
//!                 └──────────┐          └──────┐ ┌─────┘          │
//!                            │    ┌────────────┼─┘   ┌────────────┘
//!                  ┌─────────▼────▼──┐   ┌─────▼─────▼─────┐
//!                  │ worker 0        │   │ worker 1        │      one block of each ring
//!                  │ RingSet         │   │ RingSet         │      per iteration
//!                  │ Analyser        │◄──┤ Analyser        │  reports: SPSC, 256, one for
//!                  │ (own tables)    ├──►│ (own tables)    │  each ordered pair; watermarks
//!                  └─┬──┬───▲──┬─────┘   └─┬──┬───▲──┬─────┘
//!     alerts: SPSC,  │  │   │  │ snapshot   │  │   │  │         commands: SPSC, 4
//!     256 + eventfd  │  │   │  │ (seqlock)  │  │   │  │         replies: SPSC, 8 + eventfd
//!                  ┌─▼──▼───┴──▼────────────▼──▼───┴──▼─────┐
//!                  │ control thread, one executor           │
//!                  │  intake ──► spool ──► uplink task ─────┼──► collector (TCP)
//!                  │              │ sealed log, journal     │
//!                  │  status socket, control socket,        │
//!                  │  signals, reload, supervision          │
//!                  └────────────────────────────────────────┘
//! ```
//!
//! Numbers at the queues are slots; a queue holds one item less.
//!
//! A worker never waits for another thread: a full queue loses the item and counts it, and the snapshot is written
//! without a lock. The watchdog reads signs of life of workers and control thread. The reactor of the executor (timers, readiness of sockets) and a short-lived thread that resolves
//! the name of the collector are the only other threads.
//!
//! - `event_loop`: a worker: what it does with a block, a command, an idle moment, its end;
//! - `ring_set`: capture loop over the rings of several interfaces, also of `sentinel capture`;
//! - `interface`, `kernel_filters`, `fanout`, `idle`, `presence`: parts of that loop;
//! - `overlap`, `routes`: interfaces that would count the same frames, or the same routed packets, twice;
//! - `analyser`: engine of the detectors and its tables;
//! - `siblings`: hand-off of ambiguous flows between workers;
//! - `command`: commands and replies of the control thread; `snapshot`: counters for it;
//! - `devices`: stations that are known, which outlive a restart, by a queue each way;
//! - `pulse`: signs of life for the watchdog; `canary`: frames that go to it through the kernel;
//! - `packet_memory`: newest frames, for `sentinel ctl packets`.

pub(crate) mod analyser;
pub(crate) mod canary;
pub(crate) mod command;
pub(crate) mod devices;
pub(crate) mod event_loop;
pub(crate) mod fanout;
pub(crate) mod idle;
pub(crate) mod interface;
pub(crate) mod kernel_filters;
pub(crate) mod memory;
pub(crate) mod overlap;
pub(crate) mod packet_memory;
pub(crate) mod presence;
pub(crate) mod pulse;
pub(crate) mod ring_set;
pub(crate) mod routes;
pub(crate) mod siblings;
pub(crate) mod snapshot;
