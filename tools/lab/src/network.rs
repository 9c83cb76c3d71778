//! Network of the lab.

use std::net::Ipv4Addr;

use anyhow::Result;

use crate::namespace::Namespace;

/// Address of the collector on the management link. From TEST-NET-1 (RFC 5737), which no network uses.
pub const COLLECTOR_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// Port on which the collector accepts sensors.
pub const COLLECTOR_PORT: u16 = 4477;

/// Four namespaces: a bridge with two hosts, and a collector on a link of its own.
///
/// Addresses are those of `trafficgen`'s default topology: attacker 10.20.30.66, victim 10.20.30.10.
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
    /// Creates the namespaces `PREFIX-attacker` and so on, and connects them.
    ///
    /// # Errors
    /// The message of `ip`; namespaces created until then are deleted.
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

    /// Creates `br-lan`, without ports.
    ///
    /// # Errors
    /// The message of `ip`.
    pub fn add_bridge(&self) -> Result<()> {
        // Not the MAC address of the topology's gateway: a bridge drops frames whose source is its own address.
        self.router.ip(&["link", "add", BRIDGE, "address", "02:00:00:00:00:fe", "type", "bridge"])?;
        self.router.ip(&["link", "set", BRIDGE, "up"])
    }

    /// Deletes `br-lan`; the ports stay.
    ///
    /// # Errors
    /// The message of `ip`.
    pub fn delete_bridge(&self) -> Result<()> {
        self.router.ip(&["link", "delete", BRIDGE])
    }

    /// Adds both ports to the bridge.
    ///
    /// # Errors
    /// The message of `ip`.
    pub fn add_ports(&self) -> Result<()> {
        for port in ["lan-attacker", "lan-victim"] {
            self.router.ip(&["link", "set", port, "master", BRIDGE, "up"])?;
        }
        Ok(())
    }

    /// Takes the bridge down or up.
    ///
    /// # Errors
    /// The message of `ip`.
    pub fn set_bridge(&self, up: bool) -> Result<()> {
        self.router.ip(&["link", "set", BRIDGE, if up { "up" } else { "down" }])
    }

    /// Takes the link between sensor and collector down or up.
    ///
    /// # Errors
    /// The message of `ip`.
    pub fn set_management(&self, up: bool) -> Result<()> {
        self.collector.ip(&["link", "set", "mgmt0", if up { "up" } else { "down" }])
    }

    /// Connects a host to the bridge by a pair of virtual interfaces.
    fn plug(&self, machine: &Namespace, port: &str, mac: &str, address: &str) -> Result<()> {
        let router = self.router.name();
        let pair = ["type", "veth", "peer", "name", port, "netns", router];
        machine.ip(&[&["link", "add", "eth0", "address", mac], pair.as_slice()].concat())?;
        self.router.ip(&["link", "set", port, "master", BRIDGE, "up"])?;
        machine.ip(&["address", "add", address, "dev", "eth0"])?;
        machine.ip(&["link", "set", "eth0", "up"])
    }
}

/// Interface on which the sensor captures.
const BRIDGE: &str = "br-lan";
