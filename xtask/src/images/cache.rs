//! What is built or downloaded for images is kept below `target/images`, named by what it was made of.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};

use super::layout::digest;

/// This project's folder.
pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map_or_else(PathBuf::new, Path::to_owned)
}

/// A folder or file of the cache.
pub(super) fn path(name: &str) -> PathBuf {
    root().join("target/images").join(name)
}

/// The folder `NAME-` and the hash of `inputs`, filled by `make` unless it is there. A folder that was not finished
/// is never taken for a whole one.
///
/// # Errors
/// When `make` fails, or the cache cannot be written.
pub(super) fn folder(
    name: &str,
    inputs: &[u8],
    make: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<PathBuf> {
    let hash = digest(inputs);
    let whole = path(&format!("{name}-{}", &hash["sha256:".len()..][..12]));
    if whole.exists() {
        return Ok(whole);
    }
    let parent = path("");
    fs::create_dir_all(&parent).with_context(|| format!("create {}", parent.display()))?;
    let unfinished = tempfile::tempdir_in(&parent)
        .with_context(|| format!("make a folder in {}", parent.display()))?;
    make(unfinished.path())?;
    fs::rename(unfinished.path(), &whole)
        .with_context(|| format!("put {} in its place", whole.display()))?;
    Ok(whole)
}

/// Waits until no other command makes images. The system gives the lock back when the file is closed.
///
/// # Errors
/// When the lock's file cannot be opened.
pub(super) fn lock() -> anyhow::Result<File> {
    let lock = path("lock");
    fs::create_dir_all(path("")).with_context(|| format!("create {}", path("").display()))?;
    let file = File::create(&lock).with_context(|| format!("open {}", lock.display()))?;
    file.lock()
        .with_context(|| format!("lock {}", lock.display()))?;
    Ok(file)
}

/// Runs a command to its end and gives what it wrote to standard output.
///
/// # Errors
/// When it cannot be started or fails; the error quotes what it wrote to standard error.
pub(super) fn output(command: &mut Command) -> anyhow::Result<String> {
    let done = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("start {}", command.get_program().display()))?;
    if !done.status.success() {
        bail!(
            "{command:?}: {}: {}",
            done.status,
            String::from_utf8_lossy(&done.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// A file's content.
///
/// # Errors
/// When it cannot be read.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("read {}", path.display()))
}

/// The regular files below a folder, as paths relative to it, sorted. Links are followed.
///
/// # Errors
/// When a folder cannot be listed.
pub(super) fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(inside) = folders.pop() {
        let what = || format!("list {}", folder.join(&inside).display());
        for entry in fs::read_dir(folder.join(&inside)).with_context(what)? {
            let path = inside.join(entry.with_context(what)?.file_name());
            match fs::metadata(folder.join(&path)) {
                Ok(it) if it.is_dir() => folders.push(path),
                Ok(it) if it.is_file() => found.push(path),
                // A link to nowhere, such as into a package that is not taken.
                _ => {}
            }
        }
    }
    found.sort();
    Ok(found)
}
