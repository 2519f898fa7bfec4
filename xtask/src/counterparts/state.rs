//! Where the counterparts keep what they are, and the lock that lets one command at a time change it.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::Context as _;

/// State of the running counterparts. Fixed, because remains after a crash must be found from any checkout.
pub(super) const STATE: &str = "/var/lib/preview-counterparts";

const CACHE: &str = "/var/cache/preview-counterparts";
const LOCK: &str = "/run/lock/preview-counterparts.lock";
const TURN: &str = "/run/lock/preview-counterparts-turn.lock";

/// A path below the state folder.
pub(super) fn path(name: impl AsRef<Path>) -> PathBuf {
    Path::new(STATE).join(name)
}

/// The log of a component.
pub(super) fn log(component: &str) -> PathBuf {
    path("log").join(format!("{component}.log"))
}

/// The built binaries. They outlive `down`. `PREVIEW_COUNTERPARTS_CACHE` moves them, to rehearse a cold start.
pub(super) fn cache() -> PathBuf {
    env::var_os("PREVIEW_COUNTERPARTS_CACHE").map_or_else(|| CACHE.into(), PathBuf::from)
}

/// Writes a file below the state folder, and the folders above it.
pub(super) fn write(name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> anyhow::Result<()> {
    let path = path(name);
    let folder = path.parent().unwrap_or(Path::new(STATE));
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    fs::write(&path, content).with_context(|| format!("write {}", path.display()))
}

/// Held while the counterparts change, or are borrowed. The system gives it back when the process ends, however it
/// ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// Waits until no other command builds, starts or ends the counterparts.
pub(super) fn lock() -> anyhow::Result<Lock> {
    hold(LOCK, "another `cargo xtask counterparts`")
}

/// Waits until nobody else has borrowed the counterparts: who gives them back may end them.
pub(super) fn turn() -> anyhow::Result<Lock> {
    hold(
        TURN,
        "another `cargo xtask test --real` or `cargo xtask demo --real`",
    )
}

fn hold(lock: &str, holder: &str) -> anyhow::Result<Lock> {
    fs::create_dir_all("/run/lock").context("create /run/lock")?;
    let file = File::create(lock).with_context(|| format!("open the lock {lock}"))?;
    if file.try_lock().is_err() {
        eprintln!("waiting for {holder} ({lock})");
        file.lock().with_context(|| format!("lock {lock}"))?;
    }
    Ok(Lock { _file: file })
}

/// Whether another command builds, starts or ends the counterparts just now.
pub(super) fn is_locked() -> bool {
    File::open(LOCK).is_ok_and(|file| file.try_lock_shared().is_err())
}
