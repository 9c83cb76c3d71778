//! Reader of capture files: pcap and pcapng, in either byte order, from any [`Read`](std::io::Read).
//!
//! Read first: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng; `sf-pcap.c` in libpcap for what old writers
//! did.

mod byte_order;
mod error;
mod input;
mod link_type;
mod pcap;
mod pcapng;
mod reader;
mod record;

pub use error::{FileError, FileErrorReason};
pub use reader::{FileKind, Reader};
pub use record::{MAX_FRAME, MAX_INTERFACES};
