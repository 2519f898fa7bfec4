//! cargo, started as from a shell although cargo has started us.

use std::{
    env,
    ffi::{OsStr, OsString},
    process::Command,
};

/// Runs cargo with the environment of whoever started us.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for name in told() {
        cargo.env_remove(name);
    }
    cargo
}

/// What cargo has put into our environment. A build script that asks for one of these (ring's does) would see a change,
/// and whatever is built upon it would be built anew: by us, and then once more by the next cargo from a shell.
pub(crate) fn told() -> Vec<OsString> {
    let names = env::vars_os().map(|(name, _)| name);
    names.filter(|name| is_told(name)).collect()
}

/// <https://doc.rust-lang.org/cargo/reference/environment-variables.html#environment-variables-cargo-sets-for-crates>
fn is_told(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let prefixes = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"];
    let names = ["CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE", "OUT_DIR"];
    prefixes.iter().any(|prefix| name.starts_with(prefix)) || names.contains(&&*name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_tells_a_test_is_not_told_to_the_next_cargo() {
        assert!(env::var_os("CARGO_MANIFEST_DIR").is_some());
        let cargo = cargo();
        let removed: Vec<_> = cargo
            .get_envs()
            .filter(|(_, value)| value.is_none())
            .map(|(name, _)| name)
            .collect();
        assert!(
            removed.contains(&OsStr::new("CARGO_MANIFEST_DIR")),
            "{removed:?}"
        );
        assert!(!is_told(OsStr::new("CARGO_TARGET_DIR")), "a user's setting");
    }
}
