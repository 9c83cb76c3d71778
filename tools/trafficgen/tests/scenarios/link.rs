//! Reference for the kinds of the link, with unlimited memory, by fixed offsets. It states the definitions, not the detectors' ways.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sentinel_trafficgen::TimedFrame;

type Mac = [u8; 6];
/// Outer and inner VLAN.
type Vlans = [u16; 2];

const HOUR: Duration = Duration::from_secs(3_600);

#[derive(Default)]
pub(crate) struct LinkOracle {
    owners: BTreeMap<(Vlans, Vec<u8>), Mac>,
    /// Stations that claimed any address.
    stations: BTreeSet<Mac>,
    /// Time of the last request of a station for an address.
    requests: BTreeMap<(Vlans, Vec<u8>, Mac), Duration>,
    leases: BTreeSet<(Vec<u8>, Mac)>,
    /// Server that came first, with router and resolver.
    server: Option<(Mac, [u8; 4], [u8; 4])>,
    router: Option<[u8; 16]>,
    clients: Vec<(Duration, Mac, Mac)>,
    senders: BTreeMap<Mac, Duration>,
    /// Beginning of the last time for which a universal address was seen every hour, and its end.
    steady: BTreeMap<Mac, (Duration, Duration)>,
    raised: BTreeSet<&'static str>,
}

impl LinkOracle {
    pub(crate) fn observe(&mut self, frame: &TimedFrame) {
        let bytes = &frame.bytes;
        let source: Mac = bytes[6..12].try_into().unwrap();
        if source != [0; 6] {
            self.senders.entry(source).or_insert(frame.offset);
            let steady = self.steady.entry(source).or_insert((frame.offset, frame.offset));
            let begin = if frame.offset - steady.1 > HOUR { frame.offset } else { steady.0 };
            *steady = (begin, frame.offset);
        }
        let (mut vlans, mut depth, mut at) = (Vlans::default(), 0, 12);
        while matches!(bytes[at..at + 2], [0x81, 0] | [0x88, 0xa8]) {
            if let Some(vlan) = vlans.get_mut(depth) {
                *vlan = u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]) & 0xfff;
            }
            (depth, at) = (depth + 1, at + 4);
        }
        let packet = &bytes[at + 2..];
        match bytes[at..at + 2] {
            [8, 6] => self.arp(frame.offset, vlans, bytes[0] & 1 == 0, packet),
            [8, 0] if packet[9] == 17 && packet[6] & 0x3f == 0 => {
                self.dhcp(frame.offset, source, &packet[20..]);
            }
            [0x86, 0xdd] if packet[6] == 58 && packet[7] == 255 => {
                self.neighbour(frame.offset, vlans, bytes[..6].try_into().unwrap(), packet);
            }
            _ => {}
        }
    }

    pub(crate) fn raised(self) -> BTreeSet<&'static str> {
        let mut raised = self.raised;
        let within = |span: Duration, times: &[Duration], count: usize| {
            times.windows(count).any(|window| window[count - 1] - window[0] < span)
        };
        let begin = self.senders.values().min().copied().unwrap_or_default();
        if self.senders.values().any(|first| *first >= begin + Duration::from_secs(600)) {
            raised.insert("new_device");
        }
        let end = self.steady.values().map(|(_, last)| *last).max().unwrap_or_default();
        let is_silent =
            |(begin, last): &(Duration, Duration)| *last - *begin >= 7 * 24 * HOUR && end - *last >= 3 * HOUR;
        if self.steady.iter().any(|(mac, steady)| mac[0] & 2 == 0 && is_silent(steady)) {
            raised.insert("device_offline");
        }
        let mut first = BTreeMap::new();
        for (at, client, sender) in &self.clients {
            first.entry((*client, *sender)).or_insert(*at);
        }
        let senders: BTreeSet<_> = first.keys().map(|(_, sender)| *sender).collect();
        let times = |wanted: Option<Mac>| {
            let mut times: Vec<_> = first
                .iter()
                .filter(|((_, sender), _)| wanted.is_none_or(|wanted| wanted == *sender))
                .map(|(_, at)| *at)
                .collect();
            times.sort_unstable();
            times
        };
        let ten = Duration::from_secs(10);
        let of_one = senders.iter().any(|sender| within(ten, &times(Some(*sender)), 20));
        if of_one || within(ten, &times(None), 60) {
            raised.insert("dhcp_starvation");
        }
        let mut new: Vec<_> = self.senders.into_values().collect();
        new.sort_unstable();
        if within(Duration::from_secs(1), &new, 501) {
            raised.insert("mac_flood");
        }
        raised
    }

    fn arp(&mut self, at: Duration, vlans: Vlans, is_unicast: bool, packet: &[u8]) {
        let (mac, address) = (packet[8..14].try_into().unwrap(), packet[14..18].to_vec());
        let (receiver, target): (Mac, _) = (packet[18..24].try_into().unwrap(), packet[24..28].to_vec());
        let is_reply = packet[7] == 2;
        if !is_reply && target != address {
            self.requests.insert((vlans, target.clone(), mac), at);
        }
        let is_announcement = !is_unicast && target == address;
        if address != [0; 4] {
            let asked = self.requests.get(&(vlans, address.clone(), receiver));
            let is_unasked = is_reply
                && !is_announcement
                && asked.is_none_or(|asked| at - *asked > Duration::from_secs(1));
            self.claim("arp_spoof", (vlans, address), mac, is_unasked);
        }
    }

    /// A claim. Another station than before needs a reason: a lease, a virtual address, or that it is a known station; an answer that
    /// nobody asked for has none.
    fn claim(&mut self, kind: &'static str, address: (Vlans, Vec<u8>), mac: Mac, is_unasked: bool) {
        let is_leased = self.leases.contains(&(address.1.clone(), mac));
        let before = self.owners.insert(address, mac);
        let is_virtual = mac.starts_with(&[0, 0, 0x5e, 0, 1]);
        let is_known = is_virtual || self.stations.contains(&mac);
        if before.is_some_and(|before| before != mac) && !is_leased && (is_unasked || !is_known) {
            self.raised.insert(kind);
        }
        self.stations.insert(mac);
    }

    fn dhcp(&mut self, at: Duration, sender: Mac, datagram: &[u8]) {
        let (ports, message) = ((datagram[1], datagram[3]), &datagram[8..]);
        if datagram[0] != 0 || datagram[2] != 0 || !matches!(ports, (67, 68) | (68, 67)) {
            return;
        }
        let client: Mac = message[28..34].try_into().unwrap();
        let kind = message[242];
        if message[0] == 1 {
            self.clients.push((at, client, sender));
            return;
        }
        if kind == 5 {
            self.leases.insert((message[16..20].to_vec(), client));
        }
        let option = |wanted: u8| {
            let mut rest = &message[240..];
            while let [number, length, more @ ..] = rest {
                if *number == wanted {
                    return more[..4].try_into().unwrap();
                }
                rest = &more[usize::from(*length)..];
            }
            [0; 4]
        };
        let named = (sender, option(3), option(6));
        let (server, router, resolver) = *self.server.get_or_insert(named);
        if server != sender && (router, resolver) != (named.1, named.2) {
            self.raised.insert("rogue_dhcp");
        } else if server == sender && resolver != named.2 {
            self.raised.insert("rogue_dns");
        }
    }

    fn neighbour(&mut self, at: Duration, vlans: Vlans, receiver: Mac, packet: &[u8]) {
        let (source, message) = (packet[8..24].to_vec(), &packet[40..]);
        match message[0] {
            134 if message[6..8] != [0, 0] => {
                let source = packet[8..24].try_into().unwrap();
                if *self.router.get_or_insert(source) != source {
                    self.raised.insert("rogue_ra");
                }
            }
            135 => {
                let mac = message[26..32].try_into().unwrap();
                self.requests.insert((vlans, message[8..24].to_vec(), mac), at);
                self.claim("ndp_spoof", (vlans, source), mac, false);
            }
            136 => {
                let address = message[8..24].to_vec();
                let asked = self.requests.get(&(vlans, address.clone(), receiver));
                let is_unasked = asked.is_none_or(|asked| at - *asked > Duration::from_secs(1));
                self.claim("ndp_spoof", (vlans, address), message[26..32].try_into().unwrap(), is_unasked);
            }
            _ => {}
        }
    }
}
