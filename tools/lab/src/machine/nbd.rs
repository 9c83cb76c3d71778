//! Network block device server for one client at a time.
//!
//! Read first: the NBD protocol, sections "Fixed newstyle negotiation" and "Transmission phase"
//! (<https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md>).

use std::io::{self, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Context as _, Result, bail, ensure};

use super::disk::VolatileDisk;

const OPTION_MAGIC: u64 = 0x4948_4156_454f_5054;
const OPTION_REPLY_MAGIC: u64 = 0x0003_e889_0455_65a9;
const REQUEST_MAGIC: u32 = 0x2560_9513;
const REPLY_MAGIC: u32 = 0x6744_6698;
/// Fixed newstyle, no zeroes after the export name.
const HANDSHAKE_FLAGS: u16 = 3;
/// Has flags, flush, forced unit access.
const TRANSMISSION_FLAGS: u16 = 1 | 4 | 8;
const OPTION_ABORT: u32 = 2;
const OPTION_GO: u32 = 7;
const REPLY_ACKNOWLEDGED: u32 = 1;
const REPLY_INFORMATION: u32 = 3;
const REPLY_UNSUPPORTED: u32 = 0x8000_0001;
const FORCED_UNIT_ACCESS: u16 = 1;
const INVALID: u32 = 22;
/// Longest request; qemu splits longer ones.
const MAX_REQUEST_BYTES: u32 = 32 << 20;

/// Server of a disk on a Unix socket. The thread ends with the process.
#[derive(Debug)]
pub struct DiskServer {
    disk: Arc<Mutex<VolatileDisk>>,
    socket: PathBuf,
    /// Held while a client is served.
    serving: Arc<Mutex<()>>,
}

impl DiskServer {
    /// Serves `disk` on a socket at `socket`.
    ///
    /// # Errors
    /// If the socket cannot be made.
    pub fn start(disk: VolatileDisk, socket: &Path) -> Result<Self> {
        let listener = UnixListener::bind(socket).with_context(|| socket.display().to_string())?;
        let disk = Arc::new(Mutex::new(disk));
        let serving = Arc::new(Mutex::new(()));
        let (shared, busy) = (Arc::clone(&disk), Arc::clone(&serving));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let _busy = locked(&busy);
                // A client that is killed ends in an error: that is the power cut.
                let _end = serve(&shared, &client);
            }
        });
        Ok(Self { disk, socket: socket.to_owned(), serving })
    }

    /// Path of the socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Number of sectors that a power cut could take now.
    #[must_use]
    pub fn unflushed(&self) -> usize {
        locked(&self.disk).unflushed()
    }

    /// Disk, once the last client's requests are done. Call it when that client has ended.
    pub fn disk(&self) -> MutexGuard<'_, VolatileDisk> {
        drop(locked(&self.serving));
        locked(&self.disk)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(disk: &Mutex<VolatileDisk>, client: &UnixStream) -> Result<()> {
    let (mut input, mut output) = (BufReader::new(client), client);
    negotiate(&mut input, &mut output, u64::try_from(locked(disk).len())?)?;
    while transmit(disk, &mut input, &mut output)? {}
    Ok(())
}

/// Negotiates until the client chooses the export, whatever its name.
fn negotiate(input: &mut impl Read, output: &mut impl Write, size: u64) -> Result<()> {
    output.write_all(
        &[&b"NBDMAGIC"[..], &OPTION_MAGIC.to_be_bytes(), &HANDSHAKE_FLAGS.to_be_bytes()].concat(),
    )?;
    let _client_flags = u32::from_be_bytes(array(input)?);
    loop {
        ensure!(u64::from_be_bytes(array(input)?) == OPTION_MAGIC, "not an option");
        let option = u32::from_be_bytes(array(input)?);
        let length = u32::from_be_bytes(array(input)?);
        ensure!(length <= 4_096, "an option of {length} bytes");
        let _export_and_questions = bytes(input, length)?;
        match option {
            OPTION_GO => {
                let export =
                    [&0_u16.to_be_bytes()[..], &size.to_be_bytes(), &TRANSMISSION_FLAGS.to_be_bytes()];
                answer(output, option, REPLY_INFORMATION, &export.concat())?;
                return answer(output, option, REPLY_ACKNOWLEDGED, &[]);
            }
            OPTION_ABORT => bail!("the client gave up"),
            _ => answer(output, option, REPLY_UNSUPPORTED, &[])?,
        }
    }
}

fn answer(output: &mut impl Write, option: u32, kind: u32, data: &[u8]) -> Result<()> {
    let length = u32::try_from(data.len())?;
    let head =
        [OPTION_REPLY_MAGIC.to_be_bytes().as_slice(), &option.to_be_bytes(), &kind.to_be_bytes()].concat();
    Ok(output.write_all(&[&head[..], &length.to_be_bytes(), data].concat())?)
}

/// Executes one request; returns false after the last one.
fn transmit(disk: &Mutex<VolatileDisk>, input: &mut impl Read, output: &mut impl Write) -> Result<bool> {
    ensure!(u32::from_be_bytes(array(input)?) == REQUEST_MAGIC, "not a request");
    let (flags, kind) = (u16::from_be_bytes(array(input)?), u16::from_be_bytes(array(input)?));
    let handle: [u8; 8] = array(input)?;
    let offset = usize::try_from(u64::from_be_bytes(array(input)?))?;
    let length = u32::from_be_bytes(array(input)?);
    ensure!(length <= MAX_REQUEST_BYTES, "a request of {length} bytes");
    let end = offset.saturating_add(usize::try_from(length)?);
    let mut data = Vec::new();
    let outcome = match kind {
        0 => locked(disk).read(offset..end).map(|content| data.extend_from_slice(content)),
        1 => {
            let content = bytes(input, length)?;
            locked(disk).write(offset, &content, flags & FORCED_UNIT_ACCESS != 0)
        }
        2 => return Ok(false),
        3 => {
            locked(disk).flush();
            Ok(())
        }
        _ => Err(anyhow::anyhow!("request {kind}")),
    };
    let error = if outcome.is_ok() { 0 } else { INVALID };
    let head = [REPLY_MAGIC.to_be_bytes(), error.to_be_bytes()].concat();
    output.write_all(&[&head[..], &handle, &data].concat())?;
    Ok(true)
}

fn array<const N: usize>(input: &mut impl Read) -> io::Result<[u8; N]> {
    let mut buffer = [0; N];
    input.read_exact(&mut buffer)?;
    Ok(buffer)
}

fn bytes(input: &mut impl Read, length: u32) -> Result<Vec<u8>> {
    let mut buffer = vec![0; usize::try_from(length)?];
    input.read_exact(&mut buffer)?;
    Ok(buffer)
}

#[cfg(test)]
mod tests {
    use super::super::disk::Kept;
    use super::*;

    fn request(kind: u16, flags: u16, offset: u64, length: u32) -> Vec<u8> {
        let head =
            [REQUEST_MAGIC.to_be_bytes().as_slice(), &flags.to_be_bytes(), &kind.to_be_bytes()].concat();
        [&head[..], b"handle 1", &offset.to_be_bytes(), &length.to_be_bytes()].concat()
    }

    #[test]
    fn a_client_reads_what_it_wrote_and_a_cut_takes_what_it_did_not_flush() {
        let folder = tempfile::tempdir().unwrap();
        let server =
            DiskServer::start(VolatileDisk::new(vec![0; 2_048]), &folder.path().join("disk")).unwrap();
        let mut client = UnixStream::connect(server.socket()).unwrap();
        let greeting: [u8; 18] = array(&mut client).unwrap();
        assert!(greeting.starts_with(b"NBDMAGICIHAVEOPT"));
        client.write_all(&3_u32.to_be_bytes()).unwrap();
        // An option that is not known, then the choice of the export "".
        for (option, data) in [(8_u32, &[][..]), (OPTION_GO, &[0; 6][..])] {
            client.write_all(&OPTION_MAGIC.to_be_bytes()).unwrap();
            client.write_all(&option.to_be_bytes()).unwrap();
            client.write_all(&u32::try_from(data.len()).unwrap().to_be_bytes()).unwrap();
            client.write_all(data).unwrap();
        }
        let answers: [u8; 20 + 20 + 12 + 20] = array(&mut client).unwrap();
        assert_eq!(answers[12..16], REPLY_UNSUPPORTED.to_be_bytes());
        assert_eq!(answers[42..50], 2_048_u64.to_be_bytes(), "the size");

        let mut exchange = |request: &[u8], data: &[u8], answer_len: u32| {
            client.write_all(request).unwrap();
            client.write_all(data).unwrap();
            bytes(&mut client, 16 + answer_len).unwrap()
        };
        exchange(&request(1, 0, 0, 512), &[1; 512], 0);
        exchange(&request(3, 0, 0, 0), &[], 0);
        exchange(&request(1, 0, 512, 512), &[2; 512], 0);
        let read = exchange(&request(0, 0, 0, 1_024), &[], 1_024);
        assert_eq!((read[16], read[16 + 512]), (1, 2));
        let refused = exchange(&request(0, 0, 2_048, 512), &[], 0);
        assert_eq!(refused[4..8], INVALID.to_be_bytes());
        drop(client);
        let mut disk = server.disk();
        assert_eq!(disk.cut(Kept::Nothing, &mut || 0), (1, 1));
        assert_eq!(disk.read(0..513).unwrap()[511..], [1, 0]);
    }
}
