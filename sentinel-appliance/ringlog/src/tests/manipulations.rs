//! List of manipulations, and what finds each: the device alone (key file, main, journal), or with the head that the collector
//! remembers. `FORMAT.md` ("Detection of changes") has the same list.

use sentinel_seal::{Chain, Recipient, RecipientSecret};

use super::*;
use crate::Head;

/// State of a device: both storages and the key file.
#[derive(Clone)]
struct Device {
    image: Image,
    key: LogKey,
}

/// A device whose ring has wrapped and whose older segments are delivered, at three times.
struct Scene {
    /// Two segments earlier.
    before: Device,
    /// A block earlier, in the segment that is open now.
    recent: Device,
    now: Device,
    /// Head that the collector had from `now`.
    head: Head,
}

fn secret() -> RecipientSecret {
    RecipientSecret::from_bytes([0x33; 32])
}

const SEGMENT: usize = 16_384;
const PAGE: usize = 4096;

/// Three blocks of four records in each segment; everything but the last ten records is delivered; two records are in the
/// journal.
fn scene() -> Scene {
    let (mut log, _) = Image::default().open(four_segments(), 1);
    log.seal_to(Some(Recipient::new(secret().public()).unwrap()));
    let mut states = Vec::new();
    let mut key = first_key();
    for number in 0..74 {
        log.append(&record(number)).unwrap();
        if number % 4 == 3 {
            log.flush().unwrap();
            key = log.advance_key(RecordId(number.saturating_sub(10))).clone();
        }
        if matches!(number, 45 | 69 | 73) {
            let (main, journal) = log.into_storages();
            let mut image = Image { main: main.bytes().to_vec(), journal: journal.bytes().to_vec() };
            image.main.resize(4 * SEGMENT, 0);
            states.push(Device { image: image.clone(), key: key.clone() });
            log = image.open_with(four_segments(), key.clone(), number, &Power::lasting()).0;
            log.seal_to(Some(Recipient::new(secret().public()).unwrap()));
        }
        if number % 12 == 11 && number < 71 {
            log.rotate().unwrap();
        }
    }
    let head = log.head();
    let [before, recent, now] = states.try_into().unwrap_or_else(|_| panic!());
    Scene { before, recent, now, head }
}

/// Findings on the device, with its key file; with `head` as the collector remembers it.
fn findings(device: &Device, head: Option<&Head>) -> u64 {
    let power = Power::lasting();
    let storage = |bytes: &[u8]| FaultyStorage::new(bytes.to_vec(), &power);
    let (main, journal) = (storage(&device.image.main), storage(&device.image.journal));
    match RingLog::open(main, journal, four_segments(), device.key.clone(), Mode::ReadOnly) {
        Ok((mut log, recovery)) => {
            let found = log.verify(head, &mut |_| ()).unwrap().findings;
            found + u64::from(recovery.damaged_segments) + recovery.missing_records
        }
        // A log that does not open is found to be another one.
        Err(_) => 1,
    }
}

/// Seals a log again with the key file of the device: from its epoch on, without every record for which `is_dropped`.
fn resealed(device: &Device, is_dropped: impl Fn(u64) -> bool) -> Device {
    let (mut log, _) = device.image.open_with(four_segments(), device.key.clone(), 90, &Power::lasting());
    let kept: Vec<_> =
        read_from(&mut log, 0).into_iter().filter(|(number, _)| !is_dropped(*number)).collect();
    let first = kept[0].0;
    let mut image = Image { journal: Vec::new(), ..device.image.clone() };
    // The segments that the key opens are removed, and written again behind the delivered ones.
    for slot in 0..4_u64 {
        let start = usize::try_from(slot).unwrap() * SEGMENT;
        let epoch = u64::from_be_bytes(image.main[start + 24..start + 32].try_into().unwrap());
        if epoch >= device.key.epoch() {
            image.main[start..start + SEGMENT].fill(0);
        }
    }
    let (mut log, _) = image.open_with(four_segments(), device.key.clone(), 91, &Power::lasting());
    log.seal_to(Some(Recipient::new(secret().public()).unwrap()));
    log.skip_to(RecordId(first));
    for (index, (_, bytes)) in kept.iter().enumerate() {
        log.append(bytes).unwrap();
        if index % 4 == 3 {
            log.flush().unwrap();
        }
    }
    log.flush().unwrap();
    Device { image: Image::of(log), key: device.key.clone() }
}

/// A new log with the stolen key, whose numbers begin where the attacker likes.
fn written_anew(device: &Device, first: u64, epoch: u64) -> Device {
    let key = device.key.advance_to(epoch).unwrap();
    let (mut log, _) = Image::default().open_with(four_segments(), key.clone(), 92, &Power::lasting());
    let chain = Chain::START.link(&[b"made up"]);
    log.continue_after(&Head { next_id: RecordId(first), epoch, chain }, RecordId(first));
    log.append(b"all quiet").unwrap();
    log.flush().unwrap();
    Device { image: Image::of(log), key: device.key.clone() }
}

fn slot_bytes(device: &Device, slot: usize) -> Vec<u8> {
    device.image.main[slot * SEGMENT..(slot + 1) * SEGMENT].to_vec()
}

fn put_slot(device: &mut Device, slot: usize, bytes: &[u8]) {
    device.image.main[slot * SEGMENT..(slot + 1) * SEGMENT].copy_from_slice(bytes);
}

/// Name, changed device, found by the device alone, found with the head.
type Case = (String, Device, bool, bool);

fn cases(scene: &Scene) -> Vec<Case> {
    let mut cases = Vec::new();
    cut_and_rolled_back(scene, &mut cases);
    moved(scene, &mut cases);
    sealed_again(scene, &mut cases);
    for bit in 0..40 {
        // Spread over headers, blocks and tags of all segments, and over the journal.
        let mut device = scene.now.clone();
        let at = [20, 100, 120, 190, 230, 245, 300, 360, 420, PAGE + 70][bit % 10] + (bit / 10) * SEGMENT;
        device.image.main[at] ^= 1 << (bit % 8);
        cases.push((format!("bit flipped in main, byte {at}"), device, true, true));
    }
    for at in [3, 30, 60, 100, 118, 140] {
        let mut device = scene.now.clone();
        device.image.journal[at] ^= 1;
        cases.push((format!("bit flipped in the journal, byte {at}"), device, true, true));
    }
    cases
}

fn cut_and_rolled_back(scene: &Scene, cases: &mut Vec<Case>) {
    let now = &scene.now;
    for page in 0..16 {
        let mut device = now.clone();
        device.image.main.truncate(page * PAGE);
        cases.push((format!("main cut off at page {page}"), device, page < 15, page < 15));
    }
    cases.retain(|(name, device, ..)| {
        *name != "main cut off at page 15" || device.image.main.len() % SEGMENT == 0
    });
    let rolled_back = |main: &Device, journal: Option<&Device>, key: &Device| Device {
        image: Image {
            main: main.image.main.clone(),
            journal: journal.map(|device| device.image.journal.clone()).unwrap_or_default(),
        },
        key: key.key.clone(),
    };
    let (before, recent) = (&scene.before, &scene.recent);
    for (name, device, alone) in [
        ("main rolled back by two segments", rolled_back(before, Some(now), now), true),
        ("main rolled back by a block", rolled_back(recent, Some(now), now), true),
        ("main and journal rolled back by two segments", rolled_back(before, Some(before), now), true),
        // The key file is that of the state it is rolled back to, as after a power cut: only the head shows it.
        ("main and journal rolled back by a block", rolled_back(recent, Some(recent), now), false),
        ("main, journal and key rolled back", rolled_back(before, Some(before), before), false),
        ("main rolled back by a block, RAM journal lost", rolled_back(recent, None, now), false),
        ("main and key rolled back, RAM journal lost", rolled_back(before, None, before), false),
        ("main rolled back by two segments, RAM journal lost", rolled_back(before, None, now), true),
    ] {
        cases.push((name.into(), device, alone, true));
    }
    let mut wiped = now.clone();
    wiped.image = Image::default();
    cases.push(("main and journal wiped".into(), wiped.clone(), true, true));
    wiped.key = first_key();
    cases.push(("main and journal wiped, key file renewed".into(), wiped, false, true));
}

fn moved(scene: &Scene, cases: &mut Vec<Case>) {
    let now = &scene.now;
    for (one, other) in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)] {
        let mut device = now.clone();
        put_slot(&mut device, one, &slot_bytes(now, other));
        put_slot(&mut device, other, &slot_bytes(now, one));
        cases.push((format!("segments of slots {one} and {other} swapped"), device, true, true));
    }
    for slot in 0..4 {
        let mut device = now.clone();
        put_slot(&mut device, slot, &[0; SEGMENT]);
        cases.push((format!("segment in slot {slot} removed"), device, true, true));
        let mut device = now.clone();
        put_slot(&mut device, slot, &slot_bytes(now, (slot + 1) % 4));
        cases.push((format!("segment in slot {slot} replaced by its neighbour"), device, true, true));
        let old = slot_bytes(&scene.before, slot);
        if old != slot_bytes(now, slot) {
            let mut device = now.clone();
            put_slot(&mut device, slot, &old);
            cases.push((format!("segment in slot {slot} replaced by an older one"), device, true, true));
        }
        // Slot 1 is the open one, and has a block and a half-used page.
        if slot != 1 {
            let at = slot * SEGMENT + PAGE;
            let mut device = now.clone();
            device.image.main[at..at + 2 * PAGE].rotate_left(PAGE);
            cases.push((format!("blocks 2 and 3 of slot {slot} swapped"), device, true, true));
            let mut device = now.clone();
            device.image.main.copy_within(at..at + PAGE, at + PAGE);
            cases.push((format!("block 2 of slot {slot} repeated"), device, true, true));
            let mut device = now.clone();
            device.image.main[at..at + PAGE].fill(0);
            cases.push((format!("block 2 of slot {slot} removed"), device, true, true));
        }
    }
    // The same key and numbers, other records.
    let (mut other, _) = Image::default().open(four_segments(), 77);
    for number in 0..72 {
        other.append(&record(number + 1000)).unwrap();
        if number % 12 == 11 {
            other.rotate().unwrap();
        }
    }
    let mut other = Device { image: Image::of(other), key: now.key.clone() };
    other.image.main.resize(4 * SEGMENT, 0);
    for slot in 0..4 {
        let mut device = now.clone();
        put_slot(&mut device, slot, &slot_bytes(&other, slot));
        cases.push((format!("segment in slot {slot} spliced from another history"), device, true, true));
    }
    let mut device = now.clone();
    device.image.journal = other.image.journal;
    cases.push(("journal of another history".into(), device, true, true));
}

fn sealed_again(scene: &Scene, cases: &mut Vec<Case>) {
    let now = &scene.now;
    let third = |number: u64| number % 3 == 1;
    cases.push(("sealed again without every third record".into(), resealed(now, third), false, true));
    cases.push((
        "sealed again without the last three records".into(),
        resealed(now, |n| n > 70),
        false,
        true,
    ));
    cases.push(("sealed again, all records".into(), resealed(now, |_| false), false, true));
    let epoch = now.key.epoch();
    for (name, first, epoch) in [
        ("a new log from number 0", 0, epoch),
        ("a new log with the numbers of this one", 71, epoch + 1),
        ("a new log with higher numbers and this epoch", 500, scene.head.epoch),
    ] {
        cases.push((
            format!("{name}, sealed with the stolen key"),
            written_anew(now, first, epoch),
            false,
            true,
        ));
    }
    // Delivered segments, whose key is gone: header and checksum of the next one changed to match.
    let mut device = now.clone();
    device.image.main[2 * SEGMENT + 300] ^= 1;
    cases.push(("delivered segment changed".into(), device, true, true));
}

#[test]
fn what_finds_each_manipulation() {
    let scene = scene();
    assert_eq!((findings(&scene.now, None), findings(&scene.now, Some(&scene.head))), (0, 0));
    assert!(scene.now.key.epoch() > scene.before.key.epoch(), "segments were delivered in between");
    let cases = cases(&scene);
    let (mut alone, mut with_head, mut wrong) = (0, 0, Vec::new());
    for (name, device, expected_alone, expected_with_head) in &cases {
        let found = (findings(device, None) > 0, findings(device, Some(&scene.head)) > 0);
        alone += u32::from(found.0);
        with_head += u32::from(found.1);
        println!("{name}: device {}, with head {}", found.0, found.1);
        if found != (*expected_alone, *expected_with_head) {
            wrong.push((name, found));
        }
    }
    println!("{} manipulations: {alone} found by the device, {with_head} with the head", cases.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(cases.len() > 93);
}
