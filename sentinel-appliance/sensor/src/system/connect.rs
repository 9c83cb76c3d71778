//! TCP connections to the collector: name resolution, then each address in turn.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use smol::{Async, Timer, future};

use crate::system::disconnect_reason::DisconnectReason;
use crate::system::thread;

/// Limit of name resolution, and of connecting to one address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;
/// Address space for the resolver of the C library. Pages that it does not touch take no memory.
const RESOLVER_STACK_BYTES: usize = 2 * 1024 * 1024;

/// Resolves the name on a thread of its own, because `getaddrinfo(3)` blocks, then connects.
pub(crate) async fn connect(address: &str) -> Result<Async<TcpStream>, DisconnectReason> {
    let resolution = Arc::new(Resolution::default());
    let (name, resolved) = (address.to_owned(), Arc::clone(&resolution));
    let resolve = move || resolved.set(name.to_socket_addrs().map(Iterator::collect));
    thread::start("resolve", RESOLVER_STACK_BYTES, Box::new(resolve))?;
    let resolved = async { Ok(poll_fn(|context| resolution.poll(context)).await) };
    let timeout = async {
        Timer::after(CONNECT_TIMEOUT).await;
        Err(DisconnectReason::ResolveTimeout(address.to_owned(), CONNECT_TIMEOUT))
    };
    let addresses = future::or(resolved, timeout).await??;
    if addresses.is_empty() {
        return Err(DisconnectReason::NoAddress(address.to_owned()));
    }
    let stream = first_reachable(&addresses, CONNECT_TIMEOUT, Async::<TcpStream>::connect).await?;
    stream.get_ref().set_nodelay(true)?;
    Ok(stream)
}

type Addresses = std::io::Result<Vec<SocketAddr>>;

/// Result of the thread that resolves, and the task that waits for it.
#[derive(Default)]
struct Resolution(Lock<(Option<Addresses>, Option<Waker>)>);

#[expect(clippy::disallowed_types, reason = "between the control thread and the resolver; no worker has it")]
type Lock<T> = std::sync::Mutex<T>;

impl Resolution {
    fn set(&self, addresses: Addresses) {
        // Poisoned by a panic only, of which there is none under the lock; the timeout ends the wait.
        let Ok(mut shared) = self.0.lock() else { return };
        shared.0 = Some(addresses);
        shared.1.take().into_iter().for_each(Waker::wake);
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<Addresses> {
        let Ok(mut shared) = self.0.lock() else { return Poll::Pending };
        if let Some(addresses) = shared.0.take() {
            return Poll::Ready(addresses);
        }
        shared.1 = Some(context.waker().clone());
        Poll::Pending
    }
}

/// Tries one address after the other, each with a timeout of its own: where IPv6 is configured and leads nowhere,
/// the first address would otherwise use up the time of all others.
async fn first_reachable<T>(
    addresses: &[SocketAddr],
    timeout: Duration,
    connect: impl AsyncFn(SocketAddr) -> std::io::Result<T>,
) -> Result<T, DisconnectReason> {
    let mut last = DisconnectReason::Socket(ErrorKind::AddrNotAvailable.into());
    for address in addresses.iter().take(MAX_ADDRESSES) {
        let expired = async {
            Timer::after(timeout).await;
            Err(ErrorKind::TimedOut.into())
        };
        match future::or(connect(*address), expired).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = DisconnectReason::Unreachable(*address, error),
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An unreachable first address used up the ten seconds that all addresses shared.
    #[test]
    fn an_unreachable_address_does_not_block_the_next() {
        let addresses: [SocketAddr; 3] =
            ["[2001:db8::1]:1", "192.0.2.1:2", "192.0.2.1:3"].map(|text| text.parse().unwrap());
        let connect = async |address: SocketAddr| match address.port() {
            1 => future::pending().await,
            2 => Err(ErrorKind::ConnectionRefused.into()),
            port => Ok(port),
        };
        let timeout = Duration::from_millis(5);
        assert_eq!(smol::block_on(first_reachable(&addresses, timeout, connect)).unwrap(), 3);
        let reason = smol::block_on(first_reachable(&addresses[..2], timeout, connect)).unwrap_err();
        assert_eq!(reason.to_string(), "192.0.2.1:2: connection refused");
    }
}
