//! Destination of a writer, with a count of the bytes that reached it.

use std::io::{self, Write};

/// Passes bytes on and counts them.
#[derive(Debug)]
pub(super) struct CountingWriter<W> {
    out: W,
    written: u64,
}

impl<W: Write> CountingWriter<W> {
    pub(super) const fn new(out: W) -> Self {
        Self { out, written: 0 }
    }

    /// Writes one record or block with one call, so that an unbuffered file is valid after each.
    ///
    /// # Errors
    /// The error of the destination, which may then hold part of `bytes`.
    pub(super) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.written += u64::try_from(bytes.len()).unwrap_or(0);
        Ok(())
    }

    pub(super) const fn written(&self) -> u64 {
        self.written
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    pub(super) fn into_inner(self) -> W {
        self.out
    }
}

/// The methods that both writers share, over their field `out`.
macro_rules! writer_tail {
    ($writer:ident) => {
        impl<W: std::io::Write> $writer<W> {
            /// Bytes written so far, the header included.
            pub const fn written(&self) -> u64 {
                self.out.written()
            }

            /// Flushes the destination.
            ///
            /// # Errors
            /// The error of the destination.
            pub fn flush(&mut self) -> std::io::Result<()> {
                self.out.flush()
            }

            /// Returns the destination, for example to close it.
            pub fn into_inner(self) -> W {
                self.out.into_inner()
            }
        }
    };
}
pub(super) use writer_tail;
