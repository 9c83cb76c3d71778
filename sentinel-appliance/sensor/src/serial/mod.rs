//! Serial console: alerts as they come, and the status when somebody presses Enter, on a line that nobody has to watch.
//!
//! In: alerts, bytes of the line. Out: lines of at most 79 characters of ASCII, without colour. Memory: one buffer of 3 KiB while
//! the setting `console_device` names a device. Nothing here waits: what the line does not take is left out and counted.
//!
//! - `console`: what is printed and when, over the traits of embedded-io; no system call, no allocation;
//! - `port`: the device: opened in raw mode, unless somebody logs in there.

pub(crate) mod console;
pub(crate) mod port;
