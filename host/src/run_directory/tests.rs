//! A run's folder: what it becomes, who may use it, and what may be replaced.

use super::*;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

const MARKER: &str = REPORT;

fn write(directory: &Path, content: &str) {
    fs::create_dir_all(directory).unwrap();
    let marker = serde_json::json!({ "wafermill": "1.2.3", "format": 1, "content": content });
    fs::write(directory.join(MARKER), marker.to_string()).unwrap();
}

fn read(directory: &Path) -> String {
    let marker: serde_json::Value = serde_json::from_slice(&fs::read(directory.join(MARKER)).unwrap()).unwrap();
    marker["content"].as_str().unwrap().to_owned()
}

fn entries(directory: &Path) -> usize {
    fs::read_dir(directory).unwrap().count()
}

#[test]
fn a_dataset_appears_at_its_destination_and_nothing_else_stays() {
    let home = tempfile::tempdir().unwrap();
    let destination = home.path().join("new/out");
    let run = RunDirectory::create(&destination, MARKER, false).unwrap();
    assert_eq!(fs::metadata(run.path()).unwrap().permissions().mode() & 0o777, 0o700);
    fs::write(run.path().join("spill"), "").unwrap();
    write(&run.data(), "1");
    assert!(!destination.exists());
    run.publish().unwrap();
    assert_eq!((read(&destination).as_str(), entries(&home.path().join("new"))), ("1", 1));
}

#[test]
fn a_dropped_run_leaves_no_debris() {
    let home = tempfile::tempdir().unwrap();
    let run = RunDirectory::create(&home.path().join("out"), MARKER, false).unwrap();
    write(&run.data().join("train"), "1");
    assert_eq!(entries(home.path()), 1);
    drop(run);
    assert_eq!(entries(home.path()), 0);
}

#[test]
fn what_a_killed_run_was_about_to_replace_is_put_back() {
    let home = tempfile::tempdir().unwrap();
    let destination = home.path().join("out");
    write(&destination, "old");
    let mut run = RunDirectory::create(&destination, MARKER, true).unwrap();
    fs::rename(&destination, run.path().join(REPLACED)).unwrap();
    run.keep();
    drop(run);
    let mut run = RunDirectory::reopen(&destination).unwrap();
    assert_eq!(read(&destination), "old");
    run.discard();
    drop(run);
    assert_eq!((read(&destination).as_str(), entries(home.path())), ("old", 1));
}

#[test]
fn what_was_replaced_does_not_come_back_once_the_dataset_had_appeared() {
    let home = tempfile::tempdir().unwrap();
    let destination = home.path().join("out");
    write(&destination, "old");
    let mut run = RunDirectory::create(&destination, MARKER, true).unwrap();
    write(&run.data(), "new");
    run.move_to_destination().unwrap();
    run.keep();
    drop(run);
    // Somebody has use for it elsewhere.
    fs::rename(&destination, home.path().join("elsewhere")).unwrap();
    RunDirectory::reopen(&destination).unwrap().remove().unwrap();
    assert_eq!((read(&home.path().join("elsewhere")).as_str(), entries(home.path())), ("new", 1));
}

#[test]
fn a_folder_of_somebody_else_is_neither_used_nor_emptied() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join(".out.run");
    write(&path, "mine");
    for mode in [0o700, 0o755] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert!(RunDirectory::create(&home.path().join("out"), MARKER, true).is_err());
        assert!(RunDirectory::reopen(&home.path().join("out")).is_err());
    }
    fs::remove_file(path.join(MARKER)).unwrap();
    assert!(RunDirectory::create(&home.path().join("out"), MARKER, true).is_err(), "others can read it");
    fs::remove_dir(&path).unwrap();
    std::os::unix::fs::symlink(home.path().join("elsewhere"), &path).unwrap();
    fs::create_dir(home.path().join("elsewhere")).unwrap();
    assert!(RunDirectory::create(&home.path().join("out"), MARKER, true).is_err());
}

#[test]
fn a_run_that_is_half_removed_is_neither_published_nor_resumed() {
    let home = tempfile::tempdir().unwrap();
    let destination = home.path().join("out");
    let run = RunDirectory::create(&destination, MARKER, false).unwrap();
    for name in [RECORD, PROGRESS] {
        fs::write(run.path().join(name), "{}").unwrap();
    }
    assert!(run.can_be_resumed() && !run.is_published());
    fs::remove_file(run.path().join(RECORD)).unwrap();
    assert!(!run.can_be_resumed() && !run.is_published());
    fs::remove_dir(run.data()).unwrap();
    assert!(!run.is_published());
}

#[test]
fn only_what_wafermill_wrote_is_overwritten_and_only_on_demand() {
    let home = tempfile::tempdir().unwrap();
    let destination = home.path().join("out");
    write(&destination, "old");
    let error = RunDirectory::create(&destination, MARKER, false).err().unwrap();
    assert!(error.hint_text().unwrap().contains("--overwrite"));
    assert!(RunDirectory::create(&destination, "other.json", true).is_err());
    let run = RunDirectory::create(&destination, MARKER, true).unwrap();
    write(&run.data(), "new");
    assert_eq!(read(&destination), "old");
    run.publish().unwrap();
    assert_eq!((read(&destination).as_str(), entries(home.path())), ("new", 1));
}

#[test]
fn an_empty_directory_may_be_the_destination_and_a_file_may_not() {
    let home = tempfile::tempdir().unwrap();
    let run = RunDirectory::create(home.path(), MARKER, false).unwrap();
    write(&run.data(), "1");
    run.publish().unwrap();
    assert_eq!(read(home.path()), "1");
    assert!(RunDirectory::create(&home.path().join(MARKER), MARKER, true).is_err());
    assert!(RunDirectory::create(Path::new("/"), MARKER, true).is_err());
}

#[test]
fn what_appears_meanwhile_is_kept_and_so_is_the_dataset() {
    let home = tempfile::tempdir().unwrap();
    let destination = home.path().join("out");
    let run = RunDirectory::create(&destination, MARKER, false).unwrap();
    let data = run.data();
    write(&data, "mine");
    write(&destination, "theirs");
    let error = run.publish().unwrap_err();
    assert!(error.hint_text().unwrap().contains(data.to_str().unwrap()));
    assert_eq!((read(&destination).as_str(), read(&data).as_str()), ("theirs", "mine"));
}

#[test]
fn a_marker_that_wafermill_did_not_write_protects_its_folder() {
    let home = tempfile::tempdir().unwrap();
    let destination = home.path().join("out");
    fs::create_dir(&destination).unwrap();
    for content in
        ["", "{}", "[]", "null", r#"{"format":1}"#, r#"{"wafermill":"","format":1}"#, r#"{"wafermill":"1.2.3"}"#]
    {
        fs::write(destination.join(MARKER), content).unwrap();
        let error = RunDirectory::create(&destination, MARKER, true).err().unwrap();
        assert!(error.message().contains("none that wafermill wrote"), "{content}: {error:?}");
    }
    fs::write(destination.join(MARKER), r#"{"wafermill":"0.9.0","format":7,"rows":1}"#).unwrap();
    assert!(RunDirectory::create(&destination, MARKER, true).is_ok());
}

/// What is left of a run that ended well, killed when so many of its entries had been removed.
fn killed_after_publishing(home: &Path, removed: usize) -> PathBuf {
    let destination = home.join(format!("out-{removed}"));
    let run = RunDirectory::create(&destination, MARKER, false).unwrap();
    fs::write(run.path().join(RECORD), "{}").unwrap();
    fs::write(run.path().join(PROGRESS), "{}").unwrap();
    write(&run.data(), "1");
    run.move_to_destination().unwrap();
    if removed > 0 {
        File::create(run.path().join(PUBLISHED)).unwrap();
    }
    for name in [RECORD, PROGRESS, PUBLISHED, LOCK].into_iter().take(removed.saturating_sub(1)) {
        fs::remove_file(run.path().join(name)).unwrap();
    }
    std::mem::forget(run);
    destination
}

#[test]
fn a_run_that_was_killed_once_its_dataset_had_appeared_is_known_to_be_complete() {
    let home = tempfile::tempdir().unwrap();
    for removed in 0..=5 {
        let destination = killed_after_publishing(home.path(), removed);
        // `forget` keeps the lock, as a killed process would not.
        let run = unlocked(&destination);
        assert!(run.is_published() && !run.can_be_resumed(), "{removed}");
        run.remove().unwrap();
        assert_eq!(read(&destination), "1");
        assert!(RunDirectory::reopen(&destination).is_err());
    }
}

/// Takes a run over whose lock this very process holds.
fn unlocked(destination: &Path) -> RunDirectory {
    let (_, path) = places(destination).unwrap();
    if let Ok(lock) = fs::read(path.join(LOCK)) {
        fs::remove_file(path.join(LOCK)).unwrap();
        fs::write(path.join(LOCK), lock).unwrap();
    }
    RunDirectory::reopen(destination).unwrap()
}

#[test]
fn an_empty_folder_of_a_run_without_a_dataset_is_none_of_a_complete_run() {
    let home = tempfile::tempdir().unwrap();
    let destination = home.path().join("out");
    let run = RunDirectory::create(&destination, MARKER, false).unwrap();
    run.empty().unwrap();
    assert!(run.is_empty() && !run.is_published());
    fs::create_dir(&destination).unwrap();
    fs::write(destination.join(MARKER), "{}").unwrap();
    assert!(!run.is_published());
}

#[test]
fn what_cannot_be_removed_is_an_error() {
    let home = tempfile::tempdir().unwrap();
    let run = RunDirectory::create(&home.path().join("out"), MARKER, false).unwrap();
    fs::remove_dir_all(run.path()).unwrap();
    assert!(run.remove().is_err());
}

#[test]
fn trying_out_whether_the_destination_can_be_moved_leaves_it_where_it_is() {
    let home = tempfile::tempdir().unwrap();
    let destination = home.path().join("out");
    for content in [None, Some("old")] {
        fs::create_dir_all(&destination).unwrap();
        content.into_iter().for_each(|content| write(&destination, content));
        let before = fs::metadata(&destination).unwrap();
        let run = RunDirectory::create(&destination, MARKER, true).unwrap();
        let after = fs::metadata(&destination).unwrap();
        assert_eq!((before.ino(), before.mtime_nsec()), (after.ino(), after.mtime_nsec()));
        assert_eq!(entries(run.path()), 2, "the lock and the dataset");
    }
}

#[test]
fn what_lies_in_a_destination_or_in_the_folder_of_its_run_meets_it() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    fs::create_dir(at("real")).unwrap();
    std::os::unix::fs::symlink(at("real"), at("link")).unwrap();
    let out = at("link/out");
    for within in ["real/out", "link/out/x/y", "real/.out.run/x", "link/.out.run", "real", "real/../real/out/x"] {
        assert!(RunDirectory::meets(&out, &at(within)), "{within}");
    }
    for beside in ["real/out2", "real/x", "out", "real/out.prom", "real/.out2.run"] {
        assert!(!RunDirectory::meets(&out, &at(beside)), "{beside}");
    }
    fs::create_dir(at("real/out")).unwrap();
    assert!(RunDirectory::meets(&at("real/out"), &out.join("x")));
}

#[test]
fn links_and_pipes_in_a_runs_folder_are_neither_followed_nor_published() {
    let home = tempfile::tempdir().unwrap();
    let (destination, elsewhere) = (home.path().join("out"), home.path().join("elsewhere"));
    fs::write(&elsewhere, "secret").unwrap();
    let link = |path: PathBuf| std::os::unix::fs::symlink(&elsewhere, path).unwrap();
    let pipe = |path: PathBuf| {
        rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    };
    let put: [(&str, &dyn Fn(PathBuf)); 3] = [("data/train/x", &link), ("fit.json", &link), ("data/y", &pipe)];
    for (name, put) in put {
        let mut run = RunDirectory::create(&destination, MARKER, true).unwrap();
        write(&run.data().join("train"), "1");
        run.check_plain().unwrap();
        put(run.path().join(name));
        let error = run.check_plain().unwrap_err();
        assert_eq!(error.place().file, Some(run.path().join(name)));
        assert!(error.hint_text().unwrap().contains("wafermill clean"));
        if name.starts_with("data") {
            assert_eq!(run.publish().unwrap_err().place().file, Some(error.place().file.clone().unwrap()));
        } else {
            run.discard();
        }
        assert!(!destination.exists());
        RunDirectory::reopen(&destination).map(RunDirectory::remove).ok();
    }
    let mut run = RunDirectory::create(&destination, MARKER, false).unwrap();
    run.keep();
    let lock = run.path().join(LOCK);
    drop(run);
    fs::remove_file(&lock).unwrap();
    link(lock.clone());
    assert_eq!(RunDirectory::reopen(&destination).err().unwrap().place().file, Some(lock));
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "secret");
}
