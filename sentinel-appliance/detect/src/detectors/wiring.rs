//! The macro behind the table of detectors: storage, settings and dispatch from one entry each.
//!
//! Every detector has `new(table, list or spare bytes, config of each section)`, `configure(config of each section)` and, with a table,
//! `evictions()`. The methods that its needs call:
//!
//! | need | methods |
//! |---|---|
//! | `Requests` | `segment`, called by `Detectors::contact` |
//! | `FirstPacket` | `segment`, `watched_ports`, `may_match` |
//! | `WatchedRequests` | `segment`, `watched_ports` |
//! | `Payload` | `segment`, `message`, `reads`, `enable_reassembly` |
//! | `Questions` | `question`, `message`, `enable_reassembly` |
//! | `NewFlow` | `new_flow` |
//! | `DatagramsFrom` | `segment`, `reads` |
//! | `UnansweredDatagrams` | `datagram`, `response`, `needs_response` |
//! | `Destinations` | `concerns_segment`, `tcp`, `concerns_datagram`, `datagram`, `response` |
//! | `Contacts` | `Detectors::contact` |
//! | `Sender` | `segment`, `reads` |
//! | `FirstPayloads` | `concerns`, `segment`, `concerns_datagram`, `datagram`, and `Detectors::first_payload` |
//! | `Elsewhere` | none: another entry reads its settings |
//! | `Length` | `segment`, `packet`, `is_egress`, `count_egress` |
//! | `Icmp`, `Arp` | `packet` |
//!
//! The helper macros below expand to code for some needs and to nothing for all others, so that a detector has only the
//! methods of its own needs and no call is generated for the rest.

/// Calls `make` in a frame of its own. In one frame all detectors would take more than 32 KiB, which MIPS does not address in one
/// instruction.
#[inline(never)]
pub(super) fn apart<T>(make: impl FnOnce() -> T) -> T {
    make()
}

/// Generates from the table: [`DETECTORS`](super::DETECTORS), `Configs`, `Tables`, `TableCapacities` and `Detectors`.
///
/// `detects` names the settings sections of the entry (two detectors may share one table), `reads` those of other entries that it
/// reads as well, `table` a set-associative table with
/// its share of the memory, `list` a list of fixed size, `spare` the bytes that all other tables leave, at least as many as it says. Two entries, or two thresholds, cannot be mistaken for each other: all
/// code that takes them apart is generated from the same names in the same order.
macro_rules! detectors {
    ($(
        $field:ident: $type:ty {
            detects: [$($name:ident: $declared:ident),+],
            $(reads: [$($read:ident),+],)?
            $(table: $table:ident [$set:ty; share $share:literal],)?
            $(list: $list:ident [$entry:ty; entries $entries:literal $(, tiny $tiny:literal)?],)*
            $(spare: $spare:ident [bytes $least:literal],)?
            needs: [$($need:ident $(($port:ident))?),+]
        }
    )+) => {
        /// All detectors, in the order of [`Kind::ALL`](sentinel_alert::Kind::ALL).
        pub const DETECTORS: [$crate::registry::Detector; [$($(stringify!($name)),+),+].len()] =
            [$($($declared::DETECTOR),+),+];

        /// The configuration of every detector, in the order of [`DETECTORS`].
        pub type Configs = [$crate::registry::DetectorConfig; DETECTORS.len()];

        /// Storage for the tables of the detectors, lent by the program for as long as the engine lives.
        #[derive(Debug)]
        pub struct Tables<'m> {
            $($(
                #[doc = concat!("For [`TableCapacities::", stringify!($table), "`].")]
                pub $table: &'m mut [$set],
            )?
            $(
                #[doc = concat!("For [`TableCapacities::", stringify!($list), "`].")]
                pub $list: &'m mut [$entry],
            )*
            $(
                #[doc = concat!("For [`TableCapacities::", stringify!($spare), "`].")]
                pub $spare: &'m mut [u8],
            )?)+
        }

        impl<'m> Tables<'m> {
            /// As much of each as `capacities` says.
            pub fn allocate(
                capacities: &TableCapacities,
                allocator: &mut impl sentinel_track::allocator::TableAllocator<'m>,
            ) -> Self {
                Self {
                    $($($table: allocator.allocate_default(capacities.$table / sentinel_track::table::WAYS),)?
                    $($list: allocator.allocate_default(capacities.$list),)*
                    $($spare: allocator.allocate_bytes(capacities.$spare),)?)+
                }
            }
        }

        /// Entries of each table of the detectors.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub struct TableCapacities {
            $($(
                #[doc = concat!("Entries of `", stringify!($table), "`, a power of two.")]
                pub $table: usize,
            )?
            $(
                #[doc = concat!("Entries of `", stringify!($list), "`.")]
                pub $list: usize,
            )*
            $(
                #[doc = concat!("Bytes of `", stringify!($spare), "`: what the other tables leave.")]
                pub $spare: usize,
            )?)+
        }

        impl TableCapacities {
            /// Sum of the shares of all tables.
            pub(crate) const SHARES: usize = 0 $($(+ $share)?)+;

            /// Bytes of the lists, of which there are two sizes.
            pub(crate) const fn fixed_bytes(is_tiny: bool) -> usize {
                0 $($(+ $crate::detectors::wiring::entries!(is_tiny, $entries $(, $tiny)?) * size_of::<$entry>())* $(+ $least)?)+
            }

            /// The shares of `bytes`, of which there are `shares` in all.
            pub(crate) const fn within(bytes: usize, shares: usize, is_tiny: bool) -> Self {
                Self {
                    $($($table: $crate::shared::table_size::slots::<$set>(bytes, $share, shares),)?
                    $($list: $crate::detectors::wiring::entries!(is_tiny, $entries $(, $tiny)?),)*
                    $($spare: $least,)?)+
                }
            }

            /// Gives `bytes` more, which the tables leave, to the detector that has a use for them.
            pub(crate) const fn with_spare(self, bytes: usize) -> Self {
                Self { $($($spare: self.$spare + bytes,)?)+ ..self }
            }

            /// As many entries of each table and list.
            #[must_use]
            pub const fn uniform(entries: usize) -> Self {
                Self { $($($table: entries,)? $($list: entries,)* $($spare: entries,)?)+ }
            }

            /// Each table with its size.
            pub(crate) const fn sizes(
                &self,
            ) -> [$crate::shared::table_size::TableSize;
                [$($(stringify!($table),)? $(stringify!($list),)* $(stringify!($spare),)?)+].len()] {
                use $crate::shared::table_size::TableSize;
                [
                    $($(TableSize::of_sets::<$set>(stringify!($table), self.$table),)?
                    $(TableSize::of_list::<$entry>(stringify!($list), self.$list),)*
                    $(TableSize::of_list::<u8>(stringify!($spare), self.$spare),)?)+
                ]
            }
        }

        /// The detectors, and the ports whose connection requests some of them must see in full.
        #[derive(Debug)]
        pub(crate) struct Detectors<'m> {
            $($field: $type,)+
            watched_ports: $crate::shared::port_bloom::PortBloom,
            /// [`Event::session`](crate::shared::event::Event) of the next segment or datagram.
            pub(crate) session: u32,
            /// [`Self::counts_length`] of the last segment or datagram, if its sender is the initiator.
            pub(crate) is_egress: bool,
        }

        impl<'m> Detectors<'m> {
            #[inline(never)] // runs once
            pub(crate) fn new(tables: Tables<'m>, configs: &Configs) -> Self {
                use $crate::detectors::wiring::apart;
                let [$($($name),+),+] = configs;
                let mut new = Self {
                    $($field: apart(|| <$type>::new($(tables.$table,)? $(tables.$list,)* $(tables.$spare,)? $($name),+ $(, $($read),+)?)),)+
                    watched_ports: $crate::shared::port_bloom::PortBloom::default(),
                    session: 0,
                    is_egress: false,
                };
                new.configured(configs);
                new
            }

            /// Takes over new settings. Tables stay.
            pub(crate) fn configure(&mut self, configs: &Configs) {
                let [$($($name),+),+] = configs;
                $(self.$field.configure($($name),+ $(, $($read),+)?);)+
                self.configured(configs);
            }

            /// Entries evicted from all tables while they were live.
            pub(crate) fn evictions(&self) -> u64 {
                0 $($(+ $crate::detectors::wiring::first!(self.$field.evictions(), $table))?
                    $(+ $crate::detectors::wiring::first!(self.$field.evictions(), $spare))?)+
            }

            pub(crate) fn update_watched_ports(&mut self) {
                let mut ports = $crate::shared::port_bloom::PortBloom::default();
                $($($crate::detectors::wiring::watched_ports! {
                    $need $($port)? { ports.extend(self.$field.watched_ports()); } { ports }
                })+)+
                self.watched_ports = ports;
            }

            /// From now on messages over TCP come through [`Self::message`].
            pub(crate) fn enable_reassembly(&mut self) {
                $($($crate::detectors::wiring::payload! { $need { self.$field.enable_reassembly(); } })+)+
            }

            /// Shows a segment or datagram to the detectors that need it: first to those that take both, then to those
            /// that take one of them, and to those that count lengths last. Alerts of one packet come in that order.
            /// `inspection` is that of the packet's direction: `Full` for the first packet, and as long as a detector needs
            /// every packet; otherwise the packet is shown only because it follows a silence. Returns true if a detector needs
            /// the further datagrams of the flow, and its response; of TCP the next segment of the other direction.
            #[inline(never)] // the fast path stays short without it
            pub(crate) fn segment(
                &mut self,
                setting: $crate::shared::event::Setting<'_>,
                packet: &sentinel_dissect::PacketSummary<'_>,
                role: sentinel_track::flow::Role,
                inspection: sentinel_track::flow::Inspection,
                findings: &mut $crate::incident::Findings<'_, '_>,
            ) -> bool {
                let source_hash = setting.key.address(packet.tuple.source);
                let mut is_unanswered = false;
                // Of all other ports those that read payloads look at nothing here.
                let may_be_read = Self::may_be_read(&packet.tuple);
                let session = core::mem::take(&mut self.session);
                // Once for all detectors that ask which way the packet goes.
                let is_egress =
                    self.counts_length(setting.home_net, packet.tuple.source, packet.tuple.destination);
                self.is_egress = is_egress;
                let event = &$crate::shared::event::Event { setting, packet, role, source_hash, session, is_egress, question: core::cell::Cell::default(), tail: core::cell::Cell::default() };
                $($($crate::detectors::wiring::contacts! {
                    $need { is_unanswered |= self.contact(event, inspection, findings); }
                })+)+
                $($(
                    $crate::detectors::wiring::both! { $need { self.$field.segment(event, findings); } }
                    $crate::detectors::wiring::reading! {
                        $need { if may_be_read { self.$field.segment(event, findings); } }
                    }
                )+)+
                if may_be_read {
                    $($($crate::detectors::wiring::questions! { $need { self.$field.question(event, findings); } })+)+
                }
                $($($crate::detectors::wiring::new_flow! { $need { self.$field.new_flow(event, findings); } })+)+
                if let Some(flags) = event.packet.tuple.tcp_flags {
                    $($($crate::detectors::wiring::tcp! {
                        $need { is_unanswered |= self.$field.segment(event, findings); }
                    })+)+
                    $($($crate::detectors::wiring::destinations! {
                        $need {
                            if self.$field.concerns_segment(event, flags) {
                                is_unanswered |= self.$field.tcp(event, flags, findings);
                            }
                        }
                    })+)+
                    $($($crate::detectors::wiring::first_payloads! {
                        $need {
                            if self.$field.concerns(event, flags) {
                                is_unanswered |= self.$field.segment(event, flags, findings);
                                self.first_payload(event, findings);
                            }
                        }
                    })+)+
                } else {
                    $($($crate::detectors::wiring::first_payloads! {
                        $need {
                            if <$type>::concerns_datagram(event) {
                                self.$field.datagram(event, findings);
                            }
                        }
                    })+)+
                    $($($crate::detectors::wiring::udp! { $need { self.$field.segment(event, findings); } })+)+
                    if inspection == sentinel_track::flow::Inspection::Full {
                        $($($crate::detectors::wiring::unanswered! {
                            $need { is_unanswered |= self.$field.datagram(event, findings); }
                        })+)+
                    }
                    $($($crate::detectors::wiring::destinations! {
                        $need {
                            if self.$field.concerns_datagram(event, is_unanswered) {
                                is_unanswered |= self.$field.datagram(event, is_unanswered, findings);
                            }
                        }
                    })+)+
                }
                $($($crate::detectors::wiring::length! {
                    $need { is_unanswered |= self.$field.segment(event, findings); }
                })+)+
                is_unanswered
            }

            /// Shows a packet without ports to the detectors that need it.
            #[inline]
            pub(crate) fn packet(
                &mut self,
                event: &$crate::shared::event::OtherEvent<'_, '_>,
                findings: &mut $crate::incident::Findings<'_, '_>,
            ) {
                use sentinel_dissect::Transport;
                match event.packet.transport {
                    Transport::Icmp(_) | Transport::Icmpv6(_) => {
                        $($($crate::detectors::wiring::icmp! { $need { self.$field.packet(event, findings); } })+)+
                    }
                    _ => {
                        $($($crate::detectors::wiring::arp! { $need { self.$field.packet(event, findings); } })+)+
                    }
                }
                $($($crate::detectors::wiring::length! { $need { self.$field.packet(event, findings); } })+)+
            }

            /// Shows a reassembled message to the detectors that read payloads. `packet` is one of those that carried it.
            pub(crate) fn message(
                &mut self,
                setting: $crate::shared::event::Setting<'_>,
                packet: &sentinel_dissect::PacketSummary<'_>,
                message: &[u8],
                findings: &mut $crate::incident::Findings<'_, '_>,
            ) {
                $($($crate::detectors::wiring::payload! {
                    $need { self.$field.message(setting, packet, message, findings); }
                })+)+
            }

            /// Shows the first packet of a flow, which another worker saw, to the detectors that look at first packets.
            pub(crate) fn first_packet(
                &mut self,
                event: &$crate::shared::event::Event<'_, '_>,
                findings: &mut $crate::incident::Findings<'_, '_>,
            ) {
                $($($crate::detectors::wiring::first_packet! { $need { self.$field.segment(event, findings); } })+)+
            }

            /// Returns false if no detector of first packets raises anything for a flow with this responder port.
            pub(crate) fn may_match(&self, responder: sentinel_units::Port) -> bool {
                $($($crate::detectors::wiring::first_packet! {
                    $need {
                        if self.$field.may_match(responder) {
                            return true;
                        }
                    }
                })+)+
                false
            }

            /// Returns true if the response to the initiator must be reported to the engine that owns the initiator.
            pub(crate) fn needs_response(&self, response: &sentinel_dissect::FiveTuple) -> bool {
                let _used_by_some = response;
                false $($(|| $crate::detectors::wiring::if_unanswered! {
                    $need (self.$field.needs_response(response))
                })+)+
            }

            /// Another engine has seen a datagram from `responder` to `initiator`. `is_known` if their flow is recorded as
            /// answered.
            pub(crate) fn response(
                &mut self,
                setting: $crate::shared::event::Setting<'_>,
                initiator: sentinel_units::Address,
                responder: sentinel_units::Address,
                is_known: bool,
            ) {
                let _used_by_some = (setting, initiator, responder, is_known);
                $($($crate::detectors::wiring::unanswered! {
                    $need { self.$field.response(setting, initiator, responder, is_known); }
                })+)+
                $($($crate::detectors::wiring::destinations! {
                    $need { self.$field.response(setting, initiator, responder); }
                })+)+
            }

            /// Returns how closely ordinary packets of this direction must be inspected: those that neither open a flow
            /// nor come after a silence. `is_unanswered` is what [`Self::segment`] returned, `is_counted` true for packets of the
            /// initiator for which [`Self::counts_length`] holds. `may_be_read` is that of the flow.
            #[inline]
            pub(crate) fn inspection(
                &self,
                tuple: &sentinel_dissect::FiveTuple,
                may_be_read: bool,
                is_counted: bool,
                is_unanswered: bool,
            ) -> sentinel_track::flow::Inspection {
                use sentinel_track::flow::Inspection;
                if is_unanswered || may_be_read && self.reads(tuple) {
                    Inspection::Full
                } else if is_counted {
                    Inspection::LengthOnly
                } else {
                    Inspection::Bypass
                }
            }

            /// Returns true if a detector reads every packet of this direction. Never for ports for which
            /// [`Self::may_be_read`] does not hold.
            #[inline(never)]
            pub(crate) fn reads(&self, tuple: &sentinel_dissect::FiveTuple) -> bool {
                $($($crate::detectors::wiring::full! {
                    $need {
                        if self.$field.reads(tuple) {
                            return true;
                        }
                    }
                })+)+
                false
            }

            /// Returns true if the lengths of packets between these hosts count, provided that the source is the initiator.
            #[inline]
            pub(crate) fn counts_length(
                &self,
                home_net: &$crate::shared::home_net::HomeNet,
                source: sentinel_units::Address,
                destination: sentinel_units::Address,
            ) -> bool {
                false $($(|| $crate::detectors::wiring::if_length! {
                    $need (self.$field.is_egress(home_net, source, destination))
                })+)+
            }

            /// Counts the length of a packet for which [`Self::counts_length`] holds.
            #[inline(always)] // once for each address family
            pub(crate) fn length(
                &mut self,
                now: sentinel_units::Timestamp,
                source_hash: u32,
                packet: &$crate::shared::event::Counted<'_>,
                key: &sentinel_track::hash::HashKey,
                findings: &mut $crate::incident::Findings<'_, '_>,
            ) {
                $($($crate::detectors::wiring::length! {
                    $need { self.$field.count_egress(now, source_hash, packet, key, findings); }
                })+)+
            }

            /// Returns true if payloads sent to this port are read, so that no packet to it is an ordinary one.
            #[inline]
            pub(crate) const fn is_payload_port(port: sentinel_units::Port) -> bool {
                false $($(|| $crate::detectors::wiring::if_payload_port! { $need $($port)? (port) })+)+
            }
        }

        const _: () = {
            let (mut index, mut kind) = (0, 0);
            #[expect(
                clippy::indexing_slicing,
                clippy::as_conversions,
                reason = "a constant expression: wrong means no build"
            )]
            while kind < sentinel_alert::Kind::ALL.len() {
                if !sentinel_alert::Kind::ALL[kind].is_detected() {
                    kind += 1;
                    continue;
                }
                assert!(DETECTORS[index].kind as usize == kind, "the table must stand in the order of Kind::ALL");
                assert!(DETECTORS[index].thresholds.len() <= $crate::registry::MAX_THRESHOLDS);
                (index, kind) = (index + 1, kind + 1);
            }
            assert!(DETECTORS.len() == index, "every detector raises another kind");
        };
    };
}

/// Entries of a list: of the second size, if it has one, with little memory.
macro_rules! entries {
    ($is_tiny:ident, $entries:literal) => {
        $entries
    };
    ($is_tiny:ident, $entries:literal, $tiny:literal) => {
        if $is_tiny { $tiny } else { $entries }
    };
}

/// Expands to the first of its arguments.
macro_rules! first {
    ($expression:expr, $table:ident) => {
        $expression
    };
}

/// Declares a macro that expands to its block for some needs, and to nothing for all others.
macro_rules! for_needs {
    ($dollar:tt $name:ident: $($chosen:ident)+) => {
        macro_rules! $name {
            $(($chosen { $dollar($dollar code:tt)* }) => { $dollar($dollar code)* };)+
            ($dollar other:ident { $dollar($dollar code:tt)* }) => {};
        }
        pub(crate) use $name;
    };
}

for_needs!($ both: FirstPacket Sender);
for_needs!($ reading: Payload);
for_needs!($ tcp: WatchedRequests);
for_needs!($ questions: Questions);
for_needs!($ new_flow: NewFlow);
for_needs!($ udp: DatagramsFrom);
for_needs!($ unanswered: UnansweredDatagrams);
for_needs!($ destinations: Destinations);
for_needs!($ first_payloads: FirstPayloads);
for_needs!($ icmp: Icmp);
for_needs!($ arp: Arp);
for_needs!($ length: Length);
for_needs!($ contacts: Contacts);
for_needs!($ payload: Payload Questions);
for_needs!($ first_packet: FirstPacket);
for_needs!($ full: Payload DatagramsFrom Sender);

/// Expands to the block for needs that watch ports; inserts the port of a payload.
macro_rules! watched_ports {
    (WatchedRequests { $($code:tt)* } { $ports:ident }) => { $($code)* };
    (FirstPacket { $($code:tt)* } { $ports:ident }) => { $($code)* };
    (Payload $port:ident { $($code:tt)* } { $ports:ident }) => {
        $ports.insert($crate::shared::event::$port);
    };
    ($other:ident $($port:ident)? { $($code:tt)* } { $ports:ident }) => {};
}

/// Expands to the expression for `Length`, to false for all other needs.
macro_rules! if_length {
    (Length ($condition:expr)) => {
        $condition
    };
    ($other:ident ($condition:expr)) => {
        false
    };
}

/// Expands to the expression for `UnansweredDatagrams`, to false for all other needs.
macro_rules! if_unanswered {
    (UnansweredDatagrams ($condition:expr)) => {
        $condition
    };
    ($other:ident ($condition:expr)) => {
        false
    };
}

/// Expands to a comparison with the port for `Payload`, to false for all other needs.
macro_rules! if_payload_port {
    (Payload $port:ident ($tested:ident)) => {
        $tested.0 == $crate::shared::event::$port.0
    };
    ($other:ident $($port:ident)? ($tested:ident)) => {
        false
    };
}

pub(crate) use {detectors, entries, first, if_length, if_payload_port, if_unanswered, watched_ports};
