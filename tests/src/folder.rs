//! Everything that is in a folder, to tell whether a command changed it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The contents of all files below a folder, and its empty folders.
///
/// # Panics
/// Where something cannot be read.
pub fn contents(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        let mut entries = fs::read_dir(&folder).expect("a folder of the test can be read").peekable();
        if entries.peek().is_none() {
            found.insert(folder, None);
            continue;
        }
        for entry in entries {
            let path = entry.expect("a folder of the test can be read").path();
            if let Ok(target) = fs::read_link(&path) {
                found.insert(path, Some(target.into_os_string().into_encoded_bytes()));
            } else if path.is_dir() {
                open.push(path);
            } else {
                let bytes = fs::read(&path).expect("a file of the test can be read");
                found.insert(path, Some(bytes));
            }
        }
    }
    found
}

/// Copies all that is in a folder to another one, which is made.
///
/// # Panics
/// Where something cannot be copied.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder can be made");
    for entry in fs::read_dir(from).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        let target = to.join(path.file_name().expect("an entry has a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).expect("a file can be copied");
        }
    }
}
