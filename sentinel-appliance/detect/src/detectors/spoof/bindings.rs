//! Judgement of claims: a station says that it holds an address which another one holds.
//!
//! Read first: RFC 826; RFC 5227 (announcements and probes); RFC 4861 section 7.2 (neighbour discovery) and 7.2.8 (proxies);
//! RFC 9568 section 8.3 (failover); Bruschi, Ornaghi, Rosti, "S-ARP: a Secure Address Resolution Protocol" (ACSAC 2003), for the
//! attacks.
//!
//! An address moves for good reasons every day. Forged is a claim that no good reason has:
//!
//! - an answer that nobody asked for, with another hardware address than before;
//! - a claim to the gateway's address while the gateway is active, other than the announcement of a failover;
//! - a request to one station in the name of an address that several stations use, while its holder is active;
//! - a holder that goes on after another announced that it took over, if the address is the gateway's or popular;
//! - four changes between two stations within a minute;
//! - an announced address that another station, which announced nothing, is asked for by several and answers.
//!
//! Explained is a move to the station that a trusted DHCP server leased the address to, an answer of the gateway for other stations
//! (proxy ARP), and a virtual router's announcement. What is neither is a takeover: of `low` severity, or none at all if the address
//! is that of an ordinary host and the new holder is a station that is known (a repeater that replaces MAC addresses, the other machine
//! of a pair).

use core::cmp::Reverse;
use core::time::Duration;

use sentinel_track::hash::HashKey;
use sentinel_track::neighbour::{Neighbour, Neighbours, Span, Tick};
use sentinel_units::{Address, Mac};

use super::gateways::Gateways;

/// Time within which an answer follows its request. Requests are repeated after a second (RFC 4861 section 10), which counts anew.
const ANSWER_TIME: Span = Span::at_least(Duration::from_secs(1));
/// Time within which a holder counts as active. Gateways of networks in use send more often.
const ACTIVE: Span = Span::at_least(Duration::from_secs(30));
/// Time for which a takeover is watched for the old holder.
const DISPUTE: Span = Span::at_least(Duration::from_secs(60));
/// Changes between two stations within [`DISPUTE`] that no failover, nor a device at the edge of two radio cells, makes.
const MAX_CHANGES: u8 = 4;
/// Requests that are remembered; the oldest is overwritten. 2,000 requests a second leave an answer 32 ms.
const PENDING: usize = 64;
/// Takeovers that are watched. One of an ordinary address makes room first.
const DISPUTES: usize = 16;

/// Form of a claim.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// To all stations: gratuitous ARP, an advertisement to all nodes.
    Announcement,
    /// Sender of a request or solicitation to all stations.
    Request,
    /// Sender of a request to one station.
    UnicastRequest,
    /// Reply, or advertisement to one station.
    Reply,
    /// Sender of a packet of another protocol.
    Traffic,
}

/// Claim of a station to hold an address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) link: u32,
    pub(super) address: Address,
    pub(super) mac: Mac,
    pub(super) form: Form,
    /// Station that the claim is sent to.
    pub(super) receiver: Mac,
}

/// Change of a binding that a person should know of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Change {
    pub(super) before: Mac,
    pub(super) after: Mac,
    /// Station that claims what is not its own, as far as that can be known.
    pub(super) suspect: Mac,
    /// True for an attack; false for a takeover without a known reason.
    pub(super) is_forged: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Request {
    hash: u64,
    requester: u16,
    at: Tick,
}

/// Takeover of an address.
#[derive(Clone, Copy, Debug, Default)]
struct Dispute {
    /// Hash of link and address; zero for none.
    hash: u64,
    link: u32,
    address: Address,
    /// Holder before, and the station that took over.
    held: Mac,
    taken: Mac,
    at: Tick,
    changes: u8,
    /// The address is the gateway's own.
    is_gateway: bool,
    /// The address is the gateway's or popular.
    is_strict: bool,
    /// Hash of the first station that was answered by `taken`, if `held` had only announced; zero otherwise.
    answered: u16,
}

/// Bindings, requests and takeovers of all links.
#[derive(Debug)]
pub(super) struct Bindings<'m> {
    neighbours: Neighbours<'m>,
    requests: [Request; PENDING],
    next_request: usize,
    disputes: [Dispute; DISPUTES],
    /// Disputes are open, possibly.
    has_disputes: bool,
    overwritten: u64,
}

impl<'m> Bindings<'m> {
    pub(super) fn new(slots: &'m mut [Neighbour]) -> Self {
        Self {
            neighbours: Neighbours::new(slots),
            requests: [Request::default(); PENDING],
            next_request: 0,
            disputes: [Dispute::default(); DISPUTES],
            has_disputes: false,
            overwritten: 0,
        }
    }

    /// Bindings evicted, and takeovers no longer watched for want of room.
    pub(super) const fn evictions(&self) -> u64 {
        self.neighbours.evictions() + self.overwritten
    }

    /// Returns false if no takeover is watched, so that packets of other protocols need not be shown.
    #[inline]
    pub(super) const fn has_disputes(&self) -> bool {
        self.has_disputes
    }

    /// `requester` asks for `address`; `is_probe` if it does not use what it learns.
    pub(super) fn ask(&mut self, key: &HashKey, claim: &Claim, address: Address, is_probe: bool, now: Tick) {
        let (hash, requester) = (hash(key, claim.link, address), station(key, claim.mac));
        if let Some(slot) = self.requests.get_mut(self.next_request) {
            *slot = Request { hash, requester, at: now };
        }
        self.next_request = (self.next_request + 1) % PENDING;
        if !is_probe && let Some(binding) = self.neighbours.find(hash, now) {
            binding.ask(requester);
        }
    }

    /// A trusted DHCP server leased `address` to `client`.
    pub(super) fn lease(&mut self, key: &HashKey, (link, address): (u32, Address), client: Mac, now: Tick) {
        if let Some((_, binding)) = self.neighbours.entry(hash(key, link, address), client, now) {
            binding.lease = station(key, client);
        }
    }

    /// Holder of an address.
    pub(super) fn holder(&mut self, key: &HashKey, link: u32, address: Address, now: Tick) -> Option<Mac> {
        self.neighbours.find(hash(key, link, address), now).map(|binding| binding.mac)
    }

    /// Records and judges a claim. `is_internal` if the address is one of this network, `is_known_gateway` if the address is known to be the gateway's by other means than traffic.
    pub(super) fn claim(
        &mut self,
        key: &HashKey,
        claim: &Claim,
        gateways: &mut Gateways,
        (is_internal, is_known_gateway): (bool, bool),
        now: Tick,
    ) -> Option<Change> {
        let hash = hash(key, claim.link, claim.address);
        let receiver = station(key, claim.receiver);
        let is_answer = claim.form == Form::Reply
            && self.requests.iter().any(|request| {
                (request.hash, request.requester) == (hash, receiver)
                    && now.distance(request.at) <= ANSWER_TIME
            });
        let (is_new, binding) = self.neighbours.entry(hash, claim.mac, now)?;
        let user = (claim.form != Form::Reply && is_internal).then_some(claim.mac);
        let is_own = gateways.is_own((claim.link, hash, claim.address.is_v4()), user, now);
        let is_gateway = is_own || is_known_gateway;
        if is_gateway {
            binding.pin();
        }
        // Who floods the table with announcements or requests cannot push out what was told to one station.
        if is_answer || is_new && claim.form == Form::Reply {
            binding.ask(receiver);
        }
        if is_new || binding.mac == claim.mac {
            binding.confirm(now, is_answer);
            return if is_answer { self.second_answer(hash, receiver, claim, now) } else { None };
        }
        let before = *binding;
        if !is_gateway && is_explained(key, &before, claim, gateways, now) {
            if before.lease == station(key, claim.mac) {
                binding.take_over(claim.mac, now);
            }
            return None;
        }
        // The proven gateway uses its own address: who claimed that before it is the forger.
        let is_recent = now.distance(before.seen) <= ACTIVE && claim.form != Form::Announcement;
        if is_own && is_recent && gateways.mac(claim.link, now) == Some(claim.mac) {
            self.restore(hash, claim.mac, now);
            return Some(Change { suspect: before.mac, ..forged(before.mac, claim.mac) });
        }
        self.change(hash, key, claim, (&before, is_gateway, is_answer), now)
    }

    /// A claim of another station than the holder, without an explanation.
    fn change(
        &mut self,
        hash: u64,
        key: &HashKey,
        claim: &Claim,
        (before, is_gateway, is_answer): (&Neighbour, bool, bool),
        now: Tick,
    ) -> Option<Change> {
        let idle = now.distance(before.seen);
        let is_strict = is_gateway || before.is_popular();
        let open = self.dispute(hash, now).copied();
        let returns = open.filter(|open| open.held == claim.mac);
        let changes = open.map_or(0, |open| open.changes).saturating_add(1);
        let is_unasked = claim.form == Form::Reply && !is_answer;
        // The holder before goes on as if nothing had happened: it was the other one's claim that was forged.
        if let Some(open) = returns
            && (open.is_strict && claim.form != Form::Announcement || is_unasked || changes >= MAX_CHANGES)
        {
            self.restore(hash, claim.mac, now);
            return Some(Change {
                before: open.held,
                after: open.taken,
                suspect: open.taken,
                is_forged: true,
            });
        }
        let is_active = idle <= ACTIVE;
        let is_forged = is_unasked
            || changes >= MAX_CHANGES
            || is_active && is_gateway && claim.form != Form::Announcement
            || is_active && is_strict && claim.form == Form::UnicastRequest;
        // The binding of an active holder stays, so that the forged claim explains nothing later.
        if is_forged && idle <= DISPUTE {
            return Some(forged(before.mac, claim.mac));
        }
        let is_known = before.former == station(key, claim.mac) || self.neighbours.holds_any(claim.mac, now);
        let is_worth_telling = is_strict || !is_known;
        let had_announced = !before.has_answered() && before.lease != station(key, before.mac);
        let is_recent = now.distance(before.since) <= DISPUTE;
        let answered = if is_answer && had_announced && is_recent { station(key, claim.receiver) } else { 0 };
        self.open(Dispute {
            hash,
            link: claim.link,
            address: claim.address,
            held: before.mac,
            taken: claim.mac,
            at: open.map_or(now, |open| open.at),
            changes,
            is_gateway,
            is_strict,
            answered,
        });
        let binding = self.neighbours.find(hash, now)?;
        binding.former = station(key, before.mac);
        binding.take_over(claim.mac, now);
        binding.confirm(now, is_answer);
        let is_virtual = claim.mac.is_virtual_router() && (is_answer || claim.form == Form::Announcement);
        match (is_forged, is_worth_telling && !is_virtual) {
            (true, _) => Some(forged(before.mac, claim.mac)),
            (false, true) => Some(Change { is_forged: false, ..forged(before.mac, claim.mac) }),
            (false, false) => None,
        }
    }

    /// The holder answered a second station, after another had announced the address: the announcement was forged.
    fn second_answer(&mut self, hash: u64, receiver: u16, claim: &Claim, now: Tick) -> Option<Change> {
        let open = self.dispute(hash, now)?;
        if open.taken != claim.mac || open.answered == 0 || open.answered == receiver {
            return None;
        }
        let change = Change { before: open.held, after: open.taken, suspect: open.held, is_forged: true };
        *open = Dispute::default();
        Some(change)
    }

    /// A packet of another protocol from `source`, sent by `mac`, while takeovers are watched. `is_external` if the source is an external
    /// host, whose packets only gateways send. Returns the claim or change that it makes.
    pub(super) fn traffic(
        &mut self,
        (link, source): (u32, Address),
        mac: Mac,
        is_external: bool,
        now: Tick,
    ) -> Option<Traffic> {
        let is_open = |open: &Dispute| open.hash != 0 && now.distance(open.at) <= DISPUTE;
        self.has_disputes = self.disputes.iter().any(is_open);
        let open = self.disputes.iter().find(|open| {
            is_open(open) && (open.link, open.held) == (link, mac) && (is_external || open.address == source)
        })?;
        if !is_external {
            return Some(Traffic::Claim(Claim {
                link,
                address: source,
                mac,
                form: Form::Traffic,
                receiver: mac,
            }));
        }
        // Gateways with a virtual address go on forwarding from their own.
        let (hash, address) = (open.hash, open.address);
        let change = forged(open.held, open.taken);
        if !open.is_gateway || open.taken.is_virtual_router() {
            return None;
        }
        self.restore(hash, mac, now);
        Some(Traffic::Change(address, change))
    }

    /// Gives the address back to `mac`.
    fn restore(&mut self, hash: u64, mac: Mac, now: Tick) {
        if let Some(binding) = self.neighbours.find(hash, now) {
            binding.take_over(mac, now);
        }
        if let Some(open) = self.dispute(hash, now) {
            *open = Dispute::default();
        }
    }

    fn dispute(&mut self, hash: u64, now: Tick) -> Option<&mut Dispute> {
        self.disputes.iter_mut().find(|open| open.hash == hash && now.distance(open.at) <= DISPUTE)
    }

    fn open(&mut self, new: Dispute) {
        self.has_disputes = true;
        let now = new.at;
        let order = |open: &Dispute| {
            let is_over = open.hash == 0 || now.distance(open.at) > DISPUTE;
            let is_other = u8::from(open.hash != new.hash);
            (is_other + u8::from(!is_over && is_other > 0), open.is_strict, Reverse(now.distance(open.at)))
        };
        if let Some(slot) = self.disputes.iter_mut().min_by_key(|open| order(open)) {
            let (rank, ..) = order(slot);
            self.overwritten += u64::from(rank > 1);
            *slot = new;
        }
    }
}

/// Evidence that a packet of another protocol gives about a takeover.
#[derive(Clone, Copy, Debug)]
pub(super) enum Traffic {
    /// The holder before uses the address.
    Claim(Claim),
    /// The gateway before goes on forwarding: the takeover of its address was forged.
    Change(Address, Change),
}

const fn forged(before: Mac, after: Mac) -> Change {
    Change { before, after, suspect: after, is_forged: true }
}

/// Returns true if the move is that of a lease, or an answer of the gateway for another station.
fn is_explained(
    key: &HashKey,
    before: &Neighbour,
    claim: &Claim,
    gateways: &mut Gateways,
    now: Tick,
) -> bool {
    before.lease == station(key, claim.mac)
        || claim.form == Form::Reply && gateways.mac(claim.link, now) == Some(claim.mac)
}

/// Hash of an address on a link.
fn hash(key: &HashKey, link: u32, address: Address) -> u64 {
    let [a, b, c, d] = address.words();
    key.hash64([a, b, c, d, link, 0])
}

/// Hash of a station, never zero.
#[expect(clippy::as_conversions, reason = "the upper half of 32 bits")]
fn station(key: &HashKey, mac: Mac) -> u16 {
    let [a, b, c, d, e, f] = mac.0;
    (key.hash32([u32::from_be_bytes([a, b, c, d]), u32::from(u16::from_be_bytes([e, f]))]) >> 16) as u16 | 1
}
