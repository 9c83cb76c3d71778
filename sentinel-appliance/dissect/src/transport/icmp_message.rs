//! The eight bytes that ICMP and `ICMPv6` share, and the message types that both have under different numbers.
//!
//! Read first: RFC 792; RFC 4443 section 2.1; RFC 4884 section 4 (bytes four to eight).

/// Defines a message type: its fields, its parser, and a predicate for each type number that both versions have.
macro_rules! icmp_message {
    (
        $(#[$doc:meta])*
        $name:ident {
            unreachable: $unreachable:literal,
            time_exceeded: $time_exceeded:literal,
            echo_request: $echo_request:literal,
            echo_reply: $echo_reply:literal,
            redirect: $redirect:literal,
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub struct $name<'p> {
            /// Type, by its number in IANA's registry.
            pub kind: u8,
            /// Code; its meaning depends on the type.
            pub code: u8,
            /// Bytes four to eight: identifier and sequence number of an echo, gateway of an ICMP redirect, flags of a
            /// neighbour advertisement.
            pub rest_of_header: u32,
            /// Captured bytes behind the eight of the header.
            pub payload: &'p [u8],
            /// Bytes behind the header on the wire.
            pub payload_wire_len: u32,
        }

        impl<'p> $name<'p> {
            /// Reads a header.
            ///
            /// # Errors
            /// [`Malformed::BadLength`](crate::Malformed::BadLength) if the message is shorter than eight bytes,
            /// [`Malformed::Truncated`](crate::Malformed::Truncated) if the capture is.
            #[inline]
            pub(crate) fn parse(
                slice: crate::read::CapturedSlice<'p>,
            ) -> Result<Self, crate::read::Malformed> {
                let [kind, code, _, _, rest_of_header @ ..] = *slice.header::<8>()?;
                let payload = slice.after(8);
                Ok(Self {
                    kind,
                    code,
                    rest_of_header: u32::from_be_bytes(rest_of_header),
                    payload: payload.captured,
                    payload_wire_len: payload.wire_len,
                })
            }

            /// Returns true for an echo request (ping).
            #[inline]
            #[must_use]
            pub const fn is_echo_request(&self) -> bool {
                self.kind == $echo_request
            }

            /// Returns true for the answer to an echo request.
            #[inline]
            #[must_use]
            pub const fn is_echo_reply(&self) -> bool {
                self.kind == $echo_reply
            }

            /// Returns true for destination unreachable. A closed UDP port is code 3 of ICMP, code 4 of `ICMPv6`.
            #[must_use]
            pub const fn is_unreachable(&self) -> bool {
                self.kind == $unreachable
            }

            /// Returns true for time exceeded: out of hops (traceroute), or a fragment that never came.
            #[must_use]
            pub const fn is_time_exceeded(&self) -> bool {
                self.kind == $time_exceeded
            }

            /// Returns true for a redirect to another router, with which an attacker can draw traffic to itself.
            #[must_use]
            pub const fn is_redirect(&self) -> bool {
                self.kind == $redirect
            }

            /// Identifier of an echo.
            #[must_use]
            pub const fn identifier(&self) -> u16 {
                let [high, low, _, _] = self.rest_of_header.to_be_bytes();
                u16::from_be_bytes([high, low])
            }

            /// Sequence number of an echo.
            #[must_use]
            pub const fn sequence(&self) -> u16 {
                let [_, _, high, low] = self.rest_of_header.to_be_bytes();
                u16::from_be_bytes([high, low])
            }
        }
    };
}

pub(super) use icmp_message;
