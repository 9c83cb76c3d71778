//! The wires of the lab.

use std::net::Ipv4Addr;

use anyhow::Result;

use crate::namespace::Namespace;

/// Where the collector is, on the management wire. From TEST-NET-1, which no network uses.
pub const COLLECTOR_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// Where the collector takes in sensors.
pub const COLLECTOR_PORT: u16 = 4477;

/// Four namespaces: a bridge with two machines on it, and a collector on a wire of its own.
///
/// Addresses are those of `trafficgen`'s default cast: attacker 10.20.30.66, victim 10.20.30.10.
#[derive(Debug)]
pub struct Network {
    /// Has `eth0` on the bridge; traffic is sent from here.
    pub attacker: Namespace,
    /// Has `eth0` on the bridge.
    pub victim: Namespace,
    /// Has the bridge `br-lan` with ports `lan-attacker` and `lan-victim`, and `mgmt0`.
    pub router: Namespace,
    /// Has `mgmt0`.
    pub collector: Namespace,
}

impl Network {
    /// Makes the namespaces `PREFIX-attacker` and so on, and joins them.
    ///
    /// # Errors
    /// What `ip` says; what was made until then is deleted.
    pub fn build(prefix: &str) -> Result<Self> {
        let namespace = |role: &str| Namespace::add(format!("{prefix}-{role}"));
        let network = Self {
            attacker: namespace("attacker")?,
            victim: namespace("victim")?,
            router: namespace("router")?,
            collector: namespace("collector")?,
        };
        let Self { attacker, victim, router, collector } = &network;
        network.add_bridge()?;
        network.plug(attacker, "lan-attacker", "02:00:0a:14:1e:42", "10.20.30.66/24")?;
        network.plug(victim, "lan-victim", "02:00:0a:14:1e:0a", "10.20.30.10/24")?;
        collector.ip(&[
            "link",
            "add",
            "mgmt0",
            "type",
            "veth",
            "peer",
            "name",
            "mgmt0",
            "netns",
            router.name(),
        ])?;
        collector.ip(&["address", "add", "192.0.2.1/30", "dev", "mgmt0"])?;
        router.ip(&["address", "add", "192.0.2.2/30", "dev", "mgmt0"])?;
        collector.ip(&["link", "set", "mgmt0", "up"])?;
        router.ip(&["link", "set", "mgmt0", "up"])?;
        Ok(network)
    }

    /// Makes `br-lan`, without ports.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn add_bridge(&self) -> Result<()> {
        // Not the address of the cast's gateway: a bridge wonders about frames from its own address.
        self.router.ip(&["link", "add", BRIDGE, "address", "02:00:00:00:00:fe", "type", "bridge"])?;
        self.router.ip(&["link", "set", BRIDGE, "up"])
    }

    /// Deletes `br-lan`; the ports stay.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn delete_bridge(&self) -> Result<()> {
        self.router.ip(&["link", "delete", BRIDGE])
    }

    /// Puts both ports onto the bridge.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn add_ports(&self) -> Result<()> {
        for port in ["lan-attacker", "lan-victim"] {
            self.router.ip(&["link", "set", port, "master", BRIDGE, "up"])?;
        }
        Ok(())
    }

    /// Takes the bridge down or up.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn set_bridge(&self, up: bool) -> Result<()> {
        self.router.ip(&["link", "set", BRIDGE, if up { "up" } else { "down" }])
    }

    /// Cuts or mends the wire between sensor and collector.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn set_management(&self, up: bool) -> Result<()> {
        self.collector.ip(&["link", "set", "mgmt0", if up { "up" } else { "down" }])
    }

    fn plug(&self, machine: &Namespace, port: &str, mac: &str, address: &str) -> Result<()> {
        let router = self.router.name();
        let pair = ["type", "veth", "peer", "name", port, "netns", router];
        machine.ip(&[&["link", "add", "eth0", "address", mac], pair.as_slice()].concat())?;
        self.router.ip(&["link", "set", port, "master", BRIDGE, "up"])?;
        machine.ip(&["address", "add", address, "dev", "eth0"])?;
        machine.ip(&["link", "set", "eth0", "up"])
    }
}

/// What the sensor captures on.
const BRIDGE: &str = "br-lan";
