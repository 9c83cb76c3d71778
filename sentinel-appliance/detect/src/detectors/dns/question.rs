//! Question of a DNS message, read once for all detectors of this folder.
//!
//! Read first: RFC 1035 sections 3.1 and 4.1.2.

use sentinel_dissect::dns::{Message, RecordType};

use super::information::labels_of;
use super::suffix::Labels;

/// Bytes of the header.
pub(super) const HEADER_LEN: usize = 12;
/// Bytes of a name on the wire, the root included.
const MAX_NAME_LEN: usize = 255;

/// Question of a message, without its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// Type of the records.
    pub(super) qtype: RecordType,
    /// Position behind the question; the end of the message if the name is compressed.
    pub(super) end: usize,
    /// Characters of the name in text form, without a dot at the end.
    pub(super) characters: usize,
}

/// Fills `labels` with those of the first question, most specific first, and gives all else; `None` if the message has none that is sound. `bytes` are those of the message.
pub(crate) fn read_question<'m>(
    message: &Message<'m>,
    bytes: &'m [u8],
    labels: &mut Labels<'m>,
) -> Option<Asked> {
    if message.question_count() == 0 {
        return None;
    }
    let mut rest = bytes.get(HEADER_LEN..)?;
    while let Some((&len, behind)) = rest.split_first() {
        if len == 0 {
            let end = bytes.len() - behind.len();
            let ([high, low, _, _], _) = behind.split_first_chunk()?;
            let name_len = end - HEADER_LEN;
            return (name_len <= MAX_NAME_LEN).then(|| Asked {
                qtype: RecordType(u16::from_be_bytes([*high, *low])),
                end: end + 4,
                characters: name_len.saturating_sub(2),
            });
        }
        // A pointer, which could only lead into the header: left to the general walk.
        let Some((label, behind)) = behind.split_at_checked(usize::from(len)).filter(|_| len < 64) else {
            return read_compressed(message, bytes, labels);
        };
        // More labels than a name can have.
        labels.push(label).ok()?;
        rest = behind;
    }
    None
}

/// Gives the end of the message for the position behind the question.
#[cold]
fn read_compressed<'m>(message: &Message<'m>, bytes: &[u8], labels: &mut Labels<'m>) -> Option<Asked> {
    let question = message.question().ok()??;
    labels.clear();
    labels_of(&question.name, labels);
    Some(Asked { qtype: question.qtype, end: bytes.len(), characters: question.name.character_count() })
}

/// Returns true for a label in punycode (RFC 5890 section 2.3.2.1).
#[inline]
pub(super) fn is_encoded(label: &[u8]) -> bool {
    matches!(label, [b'x' | b'X', b'n' | b'N', b'-', b'-', _, ..])
}
