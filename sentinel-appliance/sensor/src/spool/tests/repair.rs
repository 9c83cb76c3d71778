//! Starts from damaged directories, on the path of `sentinel run`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::*;
use crate::spool::repair::{self, State};
use crate::system::damage::crashing;

const FILES: [&str; 5] = ["sensor.key", "log.key", "collector", MAIN_FILE, JOURNAL_FILE];
const DAMAGES: [&str; 8] =
    ["empty", "cut", "longer", "random", "erased", "directory", "full directory", "link"];

/// Directories of a sensor that was enrolled, and killed with alerts in main and in the journal; 5 in each.
fn used() -> Place {
    let place = place();
    let state = &place.settings.state_dir;
    let key = sentinel_uplink::KeyPair::from_bytes(&[7; 32]).public();
    keys::store_collector(state, &keys::Collector { address: "collector.example:4430".into(), key }).unwrap();
    let mut spool = repair::open(&place.settings).unwrap().spool;
    for number in 1..=10 {
        spool.enqueue(&alert(number, Severity::Medium), NOW);
        if number == 5 {
            spool.flush();
        }
    }
    place
}

fn path(place: &Place, file: &str) -> PathBuf {
    let settings = &place.settings;
    if file == JOURNAL_FILE { settings.run_dir.join(file) } else { settings.state_dir.join(file) }
}

fn damage(path: &Path, kind: &str) {
    let bytes = fs::read(path).unwrap();
    let noise = (0..bytes.len()).map(|at| u8::try_from((at * 89 + 41) % 251).unwrap());
    match kind {
        "empty" => fs::write(path, "").unwrap(),
        "cut" => fs::write(path, &bytes[..bytes.len() / 2]).unwrap(),
        "longer" => fs::write(path, [&bytes[..], b"more"].concat()).unwrap(),
        "random" => fs::write(path, noise.collect::<Vec<_>>()).unwrap(),
        "erased" => fs::write(path, vec![0xff; bytes.len()]).unwrap(),
        _ => fs::remove_file(path).unwrap(),
    }
    match kind {
        "directory" => fs::create_dir(path).unwrap(),
        "full directory" => fs::create_dir_all(path.join("more")).unwrap(),
        "link" => symlink("/etc/passwd", path).unwrap(),
        _ => {}
    }
}

/// Texts of the alerts about damage that wait for the collector, and the number of the other alerts.
fn told_and_others(spool: &mut Spool) -> (BTreeSet<String>, usize) {
    let (mut told, mut others) = (BTreeSet::new(), 0);
    spool.unsent(|_, item| {
        match item {
            Item::Alert(_, alert) => match alert.evidence {
                Evidence::Damage { what } => drop(told.insert(what.as_str().to_owned())),
                _ => others += 1,
            },
            Item::Gap(_) | Item::End(_) => {}
        }
        true
    });
    (told, others)
}

/// Checks that the sensor watches: an alert is stored, and goes to flash.
fn watches(spool: &mut Spool) {
    spool.enqueue(&alert(1_000, Severity::High), NOW);
    spool.flush();
    assert_eq!((spool.counts().lost(), spool.last_error()), (0, None));
}

/// Files that must be moved aside for this damage, besides those that belong to them; none if the file is used as far as it is
/// good.
fn must_move(file: &str, kind: &str) -> bool {
    match (file, kind) {
        // A log that was wiped or cut off is told, or found by its head; there is nothing in it to be kept. Bytes behind its end
        // are left over from earlier writes.
        (MAIN_FILE, "empty" | "cut" | "longer") => false,
        // As after a power cut, and after a kill.
        (JOURNAL_FILE, "empty" | "cut" | "longer") => false,
        // Half of a line of the enrollment is no line; the key file without its checksum is one of an earlier version.
        _ => true,
    }
}

/// A damaged key or log ended the program; a damaged enrollment ended it as well.
#[test]
fn the_sensor_watches_and_tells_whatever_is_damaged() {
    for (file, kind) in FILES.iter().flat_map(|file| DAMAGES.map(|kind| (*file, kind))) {
        let place = used();
        let at = path(&place, file);
        damage(&at, kind);
        let damaged = fs::read(&at).ok();
        let State { keys: own, collector, enrollment_problem, mut spool, .. } =
            repair::open(&place.settings).unwrap_or_else(|error| panic!("{file} {kind}: {error}"));
        let found: Vec<_> =
            spool.damages().iter().map(|damage| (damage.file, damage.moved_in.is_some())).collect();
        let (told, others) = told_and_others(&mut spool);
        assert_eq!(told.len(), found.len(), "{file} {kind}: {told:?} of {found:?}");
        assert!(own.is_some(), "{file} {kind}");
        assert_eq!(collector.is_none(), file == "collector", "{file} {kind}");
        assert_eq!(
            enrollment_problem.is_some_and(|what| what.contains("sentinel enroll TOKEN")),
            file == "collector"
        );
        let moved_path = PathBuf::from(format!("{}.damaged", at.display()));
        if must_move(file, kind) {
            assert!(found.contains(&(file, true)), "{file} {kind}: {found:?}");
            assert!(told.iter().any(|what| what.starts_with(file)), "{file} {kind}: {told:?}");
            let moved = fs::symlink_metadata(&moved_path).unwrap_or_else(|_| panic!("{file} {kind}"));
            if moved.is_file() {
                assert_eq!(moved.permissions().mode() & 0o777, 0o600, "{file} {kind}");
                assert_eq!(fs::read(&moved_path).ok(), damaged, "{file} {kind}: nothing of it is lost");
            }
        } else {
            assert!(found.iter().all(|(_, is_moved)| !is_moved), "{file} {kind}: {found:?}");
        }
        // Everything that can be kept is: alerts in main need key and log, those in the journal need key and journal.
        match file {
            "sensor.key" | "collector" => assert_eq!(others, 10, "{file} {kind}"),
            JOURNAL_FILE => assert!(others >= 5, "{file} {kind}: {others}"),
            MAIN_FILE if kind != "longer" => assert!(others >= 5, "{file} {kind}: {others}"),
            _ => {}
        }
        watches(&mut spool);
        drop(spool);
        // The next start finds nothing new, moves nothing, and has the alerts about the damage still.
        let mut again = repair::open(&place.settings).unwrap().spool;
        assert_eq!(again.damages(), [], "{file} {kind}");
        assert_eq!(told_and_others(&mut again).0, told, "{file} {kind}");
        assert!(!fs::read_to_string("/etc/passwd").unwrap().is_empty(), "no link was followed");
    }
}

/// Names and inodes of all files.
fn files(place: &Place) -> BTreeMap<PathBuf, u64> {
    use std::os::unix::fs::MetadataExt;
    let directories = [&place.settings.state_dir, &place.settings.run_dir];
    let entries = directories.into_iter().flat_map(|directory| fs::read_dir(directory).unwrap());
    entries.map(|entry| entry.unwrap()).map(|entry| (entry.path(), entry.metadata().unwrap().ino())).collect()
}

#[test]
fn what_is_not_damaged_is_never_moved() {
    let place = used();
    let before = files(&place);
    for _ in 0..3 {
        let state = repair::open(&place.settings).unwrap();
        assert_eq!(state.spool.damages(), []);
        assert!(state.enrollment_problem.is_none());
        // A second sensor moves nothing either, whatever it would find.
        let refused = repair::open(&place.settings).map(|_| ()).unwrap_err().to_string();
        assert!(refused.contains("another sensor uses this directory"), "{refused}");
    }
    assert_eq!(files(&place), before);

    // Nor while the first one runs and its file is damaged under it.
    let state = repair::open(&place.settings).unwrap();
    damage(&path(&place, "log.key"), "random");
    assert!(repair::open(&place.settings).is_err());
    assert!(!path(&place, "log.key.damaged-new").exists());
    drop(state);
}

/// Files of versions before the checksum.
#[test]
fn keys_without_a_checksum_are_read() {
    let place = used();
    let state = &place.settings.state_dir;
    let public = repair::open(&place.settings).unwrap().keys.unwrap().own.public();
    for (file, length) in [("sensor.key", 32), ("log.key", 40)] {
        let bytes = fs::read(state.join(file)).unwrap();
        fs::write(state.join(file), &bytes[..length]).unwrap();
    }
    let mut opened = repair::open(&place.settings).unwrap();
    assert_eq!((opened.keys.unwrap().own.public(), opened.spool.damages()), (public, &[][..]));
    assert_eq!(told_and_others(&mut opened.spool).1, 10);
}

/// A program that is killed at any step of the repair: nothing of the damaged file is lost, the others stay as they are, and the
/// next start tells.
#[test]
fn a_kill_during_the_repair_hides_nothing() {
    let mut kills = 0;
    for (file, kind) in
        FILES.iter().flat_map(|file| ["random", "directory", "link"].map(|kind| (*file, kind)))
    {
        for number in 0.. {
            let place = used();
            let at = path(&place, file);
            damage(&at, kind);
            let damaged = fs::read(&at).ok();
            let enrolled = fs::read(path(&place, "collector")).ok();
            // Dropped here, as a kill would.
            let is_killed =
                crashing::until(number, || drop(repair::open(&place.settings).unwrap())).is_none();
            let mut state = repair::open(&place.settings).unwrap();
            let (told, others) = told_and_others(&mut state.spool);
            assert!(told.iter().any(|what| what.starts_with(file)), "{file} {kind} {number}: {told:?}");
            let moved_path = PathBuf::from(format!("{}.damaged", at.display()));
            assert!(fs::symlink_metadata(&moved_path).is_ok(), "{file} {kind} {number}");
            if kind == "random" {
                assert_eq!(fs::read(&moved_path).ok(), damaged, "{file} {number}");
            }
            if file != "collector" {
                assert_eq!(fs::read(path(&place, "collector")).ok(), enrolled, "{file} {kind} {number}");
            }
            if ["sensor.key", "collector"].contains(&file) {
                assert_eq!(others, 10, "{file} {kind} {number}");
            }
            watches(&mut state.spool);
            if !is_killed {
                break;
            }
            kills += 1;
        }
    }
    assert!(kills > 60, "{kills}");
    println!("{kills} kills during a repair");
}

/// Damage again and again: an attacker, or a flash that fails.
#[test]
fn repeated_damage_does_not_fill_the_flash() {
    let place = used();
    let mut largest = 0;
    for round in 0..20 {
        for file in FILES {
            let at = path(&place, file);
            if at.exists() && fs::metadata(&at).unwrap().len() > 0 {
                damage(&at, if round % 2 == 0 { "random" } else { "directory" });
            }
        }
        let mut state = repair::open(&place.settings).unwrap();
        watches(&mut state.spool);
        largest = largest.max(files(&place).len());
    }
    // Five files moved aside, and five new ones but the enrollment.
    assert_eq!(largest, 2 * FILES.len() - 1);
}

/// A directory that is full, read-only or not there: the sensor did not start.
#[test]
fn without_a_state_directory_the_sensor_watches_and_uses_it_once_it_can() {
    let mut place = place();
    place.settings.state_dir = place.settings.run_dir.join("mounted later");
    let mut state = repair::open(&place.settings).unwrap();
    assert!(state.keys.is_none() && state.enrollment_problem.is_none());
    assert!(state.spool.notice().unwrap().contains("alerts are in memory until it can be written"));
    let spool = &mut state.spool;
    spool.welcome(None, PROTOCOL_VERSION);
    let later = |seconds| NOW.after(Duration::from_secs(seconds));
    for number in 1..=50 {
        spool.enqueue(&alert(number, Severity::High), later(1));
    }
    assert_eq!((told_and_others(spool), spool.counts().lost()), ((BTreeSet::new(), 50), 0));
    (2..30).for_each(|second| spool.tick(later(second)));
    assert!(spool.last_error().is_some());

    fs::create_dir(&place.settings.state_dir).unwrap();
    (30..120).for_each(|second| spool.tick(later(second)));
    assert_eq!(spool.last_error(), None);
    spool.end_run(EndCause::Stopped);
    spool.flush();
    drop(state);
    let mut state = repair::open(&place.settings).unwrap();
    assert_eq!(told_and_others(&mut state.spool), (BTreeSet::new(), 50));
    assert_eq!(state.spool.damages(), [], "log and key belong together");
}

/// A log that cannot be read for now is neither moved nor written.
#[test]
fn an_unreadable_key_of_the_log_leaves_the_log_alone() {
    let place = used();
    // Damaged, and in the way of being moved: what is left is to do without.
    damage(&path(&place, "log.key"), "random");
    fs::create_dir_all(path(&place, "log.key.damaged-new/full")).unwrap();
    let before = fs::read(path(&place, MAIN_FILE)).unwrap();
    let journal = fs::read(path(&place, JOURNAL_FILE)).unwrap();
    let key = fs::read(path(&place, "log.key")).unwrap();
    let mut state = repair::open(&place.settings).unwrap();
    assert!(
        state.spool.notice().unwrap().contains("alerts are in memory only"),
        "{:?}",
        state.spool.notice()
    );
    state.spool.welcome(None, PROTOCOL_VERSION);
    for number in 1..=3_000 {
        state.spool.enqueue(&alert(number, Severity::High), NOW.after(Duration::from_secs(number.into())));
        deliver_all(&mut state.spool);
    }
    assert_eq!((state.spool.books().delivered >= 3_000, state.spool.counts().lost()), (true, 0));
    state.spool.flush_at_end();
    drop(state);
    assert_eq!(fs::read(path(&place, MAIN_FILE)).unwrap(), before);
    assert_eq!(fs::read(path(&place, JOURNAL_FILE)).unwrap(), journal);
    assert_eq!(fs::read(path(&place, "log.key")).unwrap(), key);
}
