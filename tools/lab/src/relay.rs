//! TCP relay from the loopback of this machine into a namespace.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result};

use crate::lab::Lab;

/// TCP relay that accepts on 127.0.0.1 and forwards bytes in both directions, until dropped.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl Relay {
    /// Opens `port` of the loopback, or any free one if it is taken, towards `inside` in the collector's namespace.
    ///
    /// # Errors
    /// If no port can be opened.
    pub fn open(lab: &Lab, port: u16, inside: &str) -> Result<Self> {
        let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        let listener = bind(port).or_else(|_| bind(0)).context("a port on 127.0.0.1")?;
        let address = listener.local_addr()?;
        let stopping = Arc::new(AtomicBool::new(false));
        let inside: SocketAddr = inside.parse()?;
        let handle = lab.network.collector.handle()?;
        let stop = Arc::clone(&stopping);
        let (entered, has_entered) = mpsc::channel();
        let acceptor = thread::spawn(move || {
            // The listener stays in the namespace of this machine; sockets that this thread opens from now on do not.
            let moved = handle.enter();
            let failed = moved.is_err();
            if entered.send(moved).is_err() || failed {
                return;
            }
            for client in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                // A client that disconnects at once, or a collector that is down, ends only this connection.
                if let (Ok(client), Ok(server)) = (client, TcpStream::connect(inside)) {
                    let _out_of_descriptors = pass_both_ways(&client, &server);
                }
            }
        });
        has_entered.recv().context("the relay ended")??;
        Ok(Self { address, stopping, acceptor: Some(acceptor) })
    }

    /// Address at which it accepts.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        // Wakes the acceptor.
        if TcpStream::connect(self.address).is_ok() {
            let _ended = self.acceptor.take().map(JoinHandle::join);
        }
    }
}

fn pass_both_ways(client: &TcpStream, server: &TcpStream) -> io::Result<()> {
    for (from, to) in [(client, server), (server, client)] {
        let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
        thread::spawn(move || {
            let _either_end_closed = io::copy(&mut from, &mut to);
            let _closed_already = to.shutdown(Shutdown::Write);
        });
    }
    Ok(())
}
