//! Control thread: log, uplink, local sockets, signals, and supervision of the workers.
//!
//! One thread with one executor; its threads, queues and rings are drawn in [`crate::worker`]. Its tasks:
//!
//! | task | waits for | does |
//! |---|---|---|
//! | main (`tasks`) | signals, a fault | reload at SIGHUP, orderly end at SIGTERM and SIGINT, end after a fault |
//! | intake (`tasks`) | eventfd of the alerts | queues of the workers into the spool |
//! | `uplink` | socket, new alerts, deadlines | spool to the collector, telemetry |
//! | `status_socket`, `command_socket` | connections | one answer each |
//! | `canary` | ten seconds | canary frames through the kernel |
//! | `console` | serial line, alerts | alerts and the status on the line |
//! | `supervision` | one second | interfaces that vanish and come back; sign of life for the watchdog |
//!
//! `watchdog` is a thread of its own: it finds workers and a control thread that hang.
//!
//! Shutdown: the workers end and close their incidents, intake empties the queues, the spool is flushed to flash, the uplink
//! has two seconds to deliver the rest, and the spool is flushed again.

pub(crate) mod accounting;
pub(crate) mod canary;
pub(crate) mod command_socket;
mod console;
mod json_object;
pub(crate) mod key_exchange;
pub(crate) mod notification;
pub(crate) mod reload;
pub(crate) mod route;
pub(crate) mod state;
pub(crate) mod status_socket;
pub(crate) mod supervision;
pub(crate) mod tasks;
pub(crate) mod telemetry_schedule;
pub(crate) mod uplink;
pub(crate) mod visibility;
pub(crate) mod watchdog;
pub(crate) mod worker_spawner;
pub(crate) mod workers;
