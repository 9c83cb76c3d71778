//! From the address of a collector to a connection.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use smol::{Async, Timer, future};

use crate::control::uplink::DisconnectReason;
use crate::system::thread;

/// Looking a name up and connecting to one of its addresses are given up if they take longer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;
/// What the C library needs is its own affair; what it does not touch is not taken.
const RESOLVER_STACK_BYTES: usize = 2 * 1024 * 1024;

/// Looks the name up on a thread of its own, because the C library blocks, then connects.
pub(crate) async fn connect(address: &str) -> Result<Async<TcpStream>, DisconnectReason> {
    let (sender, receiver) = smol::channel::bounded(1);
    let name = address.to_owned();
    let work = move || {
        let _nobody_waits_any_more =
            sender.try_send(name.to_socket_addrs().map(Iterator::collect::<Vec<SocketAddr>>));
    };
    thread::start("resolve", RESOLVER_STACK_BYTES, Box::new(work))?;
    let resolved =
        async { receiver.recv().await.map_err(|error| DisconnectReason::Socket(error.to_string())) };
    let late = async {
        Timer::after(CONNECT_TIMEOUT).await;
        Err(DisconnectReason::Socket(format!(
            "{address}: not resolved within {} s",
            CONNECT_TIMEOUT.as_secs()
        )))
    };
    let addresses = future::or(resolved, late).await??;
    if addresses.is_empty() {
        return Err(DisconnectReason::Socket(format!("{address}: the name has no address")));
    }
    let stream = first_reachable(&addresses, CONNECT_TIMEOUT, Async::<TcpStream>::connect).await?;
    stream.get_ref().set_nodelay(true)?;
    Ok(stream)
}

/// Tries one address after the other, each for its own time: where IPv6 is configured and leads nowhere, the
/// first address would otherwise use up the time of the second for ever.
async fn first_reachable<T>(
    addresses: &[SocketAddr],
    patience: Duration,
    connect: impl AsyncFn(SocketAddr) -> std::io::Result<T>,
) -> Result<T, DisconnectReason> {
    let mut last = DisconnectReason::Socket("no address".into());
    for address in addresses.iter().take(MAX_ADDRESSES) {
        let late = async {
            Timer::after(patience).await;
            Err(ErrorKind::TimedOut.into())
        };
        match future::or(connect(*address), late).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = DisconnectReason::Socket(format!("{address}: {error}")),
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first address swallowed packets for the ten seconds that all of them had together.
    #[test]
    fn an_address_that_leads_nowhere_does_not_hide_the_next() {
        let addresses: [SocketAddr; 3] =
            ["[2001:db8::1]:1", "192.0.2.1:2", "192.0.2.1:3"].map(|text| text.parse().unwrap());
        let connect = async |address: SocketAddr| match address.port() {
            1 => future::pending().await,
            2 => Err(ErrorKind::ConnectionRefused.into()),
            port => Ok(port),
        };
        let patience = Duration::from_millis(5);
        assert_eq!(smol::block_on(first_reachable(&addresses, patience, connect)).unwrap(), 3);
        let end = smol::block_on(first_reachable(&addresses[..2], patience, connect)).unwrap_err();
        assert_eq!(end.to_string(), "192.0.2.1:2: connection refused");
    }
}
