//! Capture files: pcap and pcapng, in either byte order, from anything that can be read.
//!
//! Read first: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng; `sf-pcap.c` in libpcap for what old writers did.

mod byte_order;
mod fault;
mod input;
mod pcap;
mod pcapng;
mod reader;

pub use fault::{FileError, FileFault};
pub use input::MAX_FRAME;
pub use pcapng::MAX_INTERFACES;
pub use reader::{FileKind, Reader};
