//! Behaviours: what the devices of a household do, by name, so that an alert can be traced to what caused it.

/// Declares [`Behaviour`] from one line for each: its name in reports and a description in one sentence.
macro_rules! behaviours {
    ($($behaviour:ident { $name:literal, $about:literal },)+) => {
        /// Ordinary behaviour that a frame of a household belongs to.
        #[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
        pub enum Behaviour {
            $(#[doc = concat!("Behaviour `", $name, "`.")] $behaviour,)+
        }

        impl Behaviour {
            /// Every behaviour.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$behaviour),+];

            /// Name in reports.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$behaviour => $name,)+
                }
            }

            /// Description in one sentence.
            #[must_use]
            pub const fn about(self) -> &'static str {
                match self {
                    $(Self::$behaviour => $about,)+
                }
            }
        }
    };
}

behaviours! {
    Web { "web", "pages from a dozen hosts over TCP and QUIC, both address families" },
    BrowserProbes { "browser_probes", "three random single-label names at the start of a browser" },
    Push { "push", "push connections of phones, kept alive for hours" },
    Mail { "mail", "mail client that polls four folders every five minutes" },
    VideoCall { "video_call", "call with ICE checks, audio and video over UDP both ways" },
    Game { "game", "console or PC in a match, after a lobby that contacts every player" },
    SpeedTest { "speed_test", "speed test: latency to ten servers, eight connections down and up" },
    Television { "television", "television streaming video in segments" },
    IptvUnicast { "iptv_unicast", "tuner that streams a channel by UDP without a response" },
    Discovery { "discovery", "mDNS, SSDP, LLMNR, NetBIOS, WSD, and descriptions fetched from each device" },
    PrinterDriver { "printer_driver", "printer driver that looks for its printer by SNMP and by its ports" },
    Torrent { "torrent", "BitTorrent: DHT, uTP, many peers that are gone, seeding" },
    LanDistribution { "lan_distribution", "updates fetched from other machines, most of which are off" },
    CloudBackup { "cloud_backup", "backup or photos sent to a cloud service" },
    NasBackup { "nas_backup", "backup to a network drive" },
    StaleDrive { "stale_drive", "network drive that no longer exists, tried again and again" },
    Thing { "thing", "small device that calls its service at a fixed period" },
    DeadService { "dead_service", "small device whose service was switched off for good, called again and again" },
    CameraUpload { "camera_upload", "camera that streams to its service" },
    CameraLocal { "camera_local", "camera that streams RTP to a recorder" },
    CameraPeer { "camera_peer", "camera that keeps holes open to rendezvous servers" },
    Ntp { "ntp", "clock synchronisation with four servers" },
    Vpn { "vpn", "WireGuard, OpenVPN or IPsec tunnel with traffic both ways" },
    VpnFallback { "vpn_fallback", "laptop that tries the ports of its company's gateway and servers in vain" },
    Pings { "pings", "monitoring by echo requests to many hosts" },
    Checks { "checks", "monitoring of services: HTTP, TCP and SNMP checks of many hosts" },
    Exporter { "exporter", "syslog, NetFlow and sFlow sent without a response" },
    PassiveFtp { "passive_ftp", "FTP client that fetches files in passive mode" },
    Netboot { "netboot", "PXE start and provisioning by TFTP" },
    Traceroute { "traceroute", "traceroute by UDP, ICMP and TCP" },
    ConnectionPool { "connection_pool", "application that opens a pool of database connections" },
    SshAutomation { "ssh_automation", "configuration tool with a connection for each task" },
    FlashCrowd { "flash_crowd", "many visitors of a home server at once" },
    GameServer { "game_server", "game server with players from outside" },
    Blocklists { "blocklists", "mail server that asks DNS blocklists and reverse names" },
    Antivirus { "antivirus", "antivirus and content network lookups: hashes in long names" },
    SearchDomains { "search_domains", "containers that try every search domain" },
    Outage { "outage", "attempts of all devices while the Internet is down" },
    BrokenIpv6 { "broken_ipv6", "IPv6 attempts without a route beyond the gateway" },
    Dhcp { "dhcp", "leases, renewals, an address that goes to another device, renumbering" },
    RandomMac { "random_mac", "phone that comes back with another random MAC address" },
    Roaming { "roaming", "device behind a repeater that replaces its MAC address" },
    Arp { "arp", "ARP requests and replies of the household" },
    Slaac { "slaac", "router advertisements, duplicate address detection, privacy addresses" },
    VirtualRouter { "virtual_router", "VRRP or CARP with a virtual MAC address, failing over" },
    Keepalived { "keepalived", "failover of an address between two machines with their own MAC addresses" },
    TwoVlans { "two_vlans", "two VLANs whose gateways have the same address" },
    ProxyArp { "proxy_arp", "gateway that answers for hosts which answer too" },
    Multicast { "multicast", "IGMP, MLD and a multicast stream" },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct() {
        let mut names: Vec<_> = Behaviour::ALL.iter().map(|behaviour| behaviour.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Behaviour::ALL.len());
    }
}
