//! Messages to the service manager that started the sensor: `sd_notify(3)`, a datagram to the socket `NOTIFY_SOCKET`.
//!
//! The socket is connected before the sensor gives up its privileges: a datagram to a connected peer is allowed under every version
//! of Landlock, also one to an abstract address outside. Without the variable nothing is sent. It stays in the environment,
//! because the sensor starts no program that could inherit it.

use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use crate::terminal::log;

/// Connection to the service manager.
#[derive(Debug)]
pub(crate) struct ServiceManager {
    socket: UnixDatagram,
    /// Time within which it wants a sign of life, if it watches the sensor.
    pub(crate) watchdog: Option<Duration>,
}

impl ServiceManager {
    /// Connects to the service manager that the environment names; `None` if it names none. One that cannot be reached is logged:
    /// it will end the sensor sooner or later, and nobody else would say why.
    pub(crate) fn from_environment() -> Option<Self> {
        let address = std::env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty())?;
        let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        // Of another process, whose environment this one inherited.
        let is_other = number("WATCHDOG_PID").is_some_and(|pid| pid != u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|micros| *micros > 0 && !is_other);
        match connect(&address) {
            Ok(socket) => Some(Self { socket, watchdog: watchdog.map(Duration::from_micros) }),
            Err(error) => {
                let shown = OsString::from(&address);
                log::warn(format_args!("NOTIFY_SOCKET {}: {error}", shown.display()));
                None
            }
        }
    }

    /// As [`Self::from_environment`], at this path.
    #[cfg(test)]
    pub(crate) fn to(path: &std::path::Path, watchdog: Option<Duration>) -> Self {
        Self { socket: connect(path.as_os_str()).unwrap(), watchdog }
    }

    /// Reports that the sensor runs.
    pub(crate) fn ready(&self) {
        self.send("READY=1");
    }

    /// Reports that the settings are read again; [`Self::ready`] follows.
    pub(crate) fn reloading(&self) {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let mut text = heapless::String::<64>::new();
        // Of 64 characters 49 are used at most.
        let _fits =
            write!(text, "RELOADING=1\nMONOTONIC_USEC={}", now.tv_sec * 1_000_000 + now.tv_nsec / 1_000);
        self.send(&text);
    }

    /// Reports that the sensor ends.
    pub(crate) fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// Gives a sign of life.
    pub(crate) fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    fn send(&self, text: &str) {
        // A manager that is busy gets the next sign of life; nothing here waits for it.
        let _is_full = self.socket.send(text.as_bytes());
    }
}

/// Connects to a path, or to an abstract address, which begins with `@`.
fn connect(address: &OsStr) -> std::io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    match address.as_bytes().strip_prefix(b"@") {
        Some(name) => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        None => socket.connect(address)?,
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(listener: &UnixDatagram) -> Vec<String> {
        listener.set_nonblocking(true).unwrap();
        let mut buffer = [0; 128];
        let mut all = Vec::new();
        while let Ok(length) = listener.recv(&mut buffer) {
            all.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
        }
        all
    }

    #[test]
    fn messages_arrive_at_paths_and_abstract_addresses() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("sentinel-notify-test-{}", std::process::id());
        let listeners = [
            (UnixDatagram::bind(&path).unwrap(), path.clone().into_os_string()),
            (
                UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap(),
                OsString::from(format!("@{name}")),
            ),
        ];
        for (listener, address) in listeners {
            let manager = ServiceManager { socket: connect(&address).unwrap(), watchdog: None };
            manager.ready();
            manager.alive();
            manager.reloading();
            manager.stopping();
            let [ready, alive, reloading, stopping] = messages(&listener).try_into().unwrap();
            assert_eq!([ready, alive, stopping], ["READY=1", "WATCHDOG=1", "STOPPING=1"]);
            let micros = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
            assert!(micros.parse::<u64>().unwrap() > 0);
        }
    }

    #[test]
    fn a_manager_that_reads_nothing_holds_up_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let _silent = UnixDatagram::bind(&path).unwrap();
        let manager = ServiceManager { socket: connect(path.as_os_str()).unwrap(), watchdog: None };
        for _ in 0..10_000 {
            manager.alive();
        }
        assert!(connect(folder.path().join("absent").as_os_str()).is_err());
    }
}
