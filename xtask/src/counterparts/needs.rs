//! What must be there before anything is built or started, said in one line with the command that mends it.

use std::{env, path::Path};

use anyhow::bail;

use super::build;

/// The oldest Go that builds the pinned versions.
const GO: (u32, u32) = (1, 26);

/// A file that some Debian (and Ubuntu) package brings.
struct Need {
    /// A program looked up in `PATH`, or an absolute path.
    file: &'static str,
    package: &'static str,
}

const TO_BUILD: &[Need] = &[
    Need {
        file: "gcc",
        package: "gcc",
    },
    Need {
        file: "/usr/include/stdlib.h",
        package: "libc6-dev",
    },
    Need {
        file: "pkg-config",
        package: "pkg-config",
    },
    Need {
        file: "/usr/include/seccomp.h",
        package: "libseccomp-dev",
    },
];

const TO_START: &[Need] = &[
    Need {
        file: "docker-registry",
        package: "docker-registry",
    },
    Need {
        file: "ip",
        package: "iproute2",
    },
    Need {
        file: "iptables",
        package: "iptables",
    },
    Need {
        file: "/usr/lib/cni/ptp",
        package: "containernetworking-plugins",
    },
    Need {
        file: "/bin/busybox",
        package: "busybox-static",
    },
    Need {
        file: "nsenter",
        package: "util-linux",
    },
    Need {
        file: "mount",
        package: "mount",
    },
];

/// Refuses, naming all that is missing, unless everything can be built.
pub(super) fn to_build() -> anyhow::Result<()> {
    check(TO_BUILD.iter())
}

/// Refuses, naming all that is missing, unless everything can be built and started.
pub(super) fn to_start() -> anyhow::Result<()> {
    check(TO_BUILD.iter().chain(TO_START))
}

fn check(needs: impl Iterator<Item = &'static Need>) -> anyhow::Result<()> {
    root()?;
    let missing: Vec<_> = needs.filter(|need| !exists(need.file)).collect();
    if !missing.is_empty() {
        bail!("{}", advice(&missing));
    }
    match build::go_version() {
        Ok(version) if is_new_enough(&version) => Ok(()),
        Ok(version) => bail!(
            "{version} is too old; install Go {}.{} or later: https://go.dev/dl/",
            GO.0,
            GO.1
        ),
        Err(_) => bail!(
            "missing: go; install Go {}.{} or later: https://go.dev/dl/",
            GO.0,
            GO.1
        ),
    }
}

/// Refuses unless we are root: namespaces, mounts and cgroups are root's.
pub(super) fn root() -> anyhow::Result<()> {
    if !rustix::process::geteuid().is_root() {
        let arguments: Vec<_> = env::args().skip(1).collect();
        bail!(
            "the counterparts need root; run: sudo env \"PATH=$PATH\" \"HOME=$HOME\" cargo xtask {}",
            arguments.join(" ")
        );
    }
    Ok(())
}

fn advice(missing: &[&Need]) -> String {
    let files: Vec<_> = missing.iter().map(|need| need.file).collect();
    let packages: Vec<_> = missing.iter().map(|need| need.package).collect();
    format!(
        "missing: {}; install: apt-get install -y --no-install-recommends {}",
        files.join(", "),
        packages.join(" ")
    )
}

fn exists(file: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    // An absolute file joined to a folder is the file itself.
    Path::new(file).exists() || env::split_paths(&path).any(|folder| folder.join(file).exists())
}

fn is_new_enough(version: &str) -> bool {
    let mut parts = version
        .trim_start_matches("go")
        .split(['.', 'r', '-'])
        .map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (parts.next(), parts.next()) else {
        return false;
    };
    (major, minor) >= GO
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn what_is_missing_is_said_in_one_line_with_the_command_that_installs_it() {
        assert_snapshot!(advice(&[&TO_START[0], &TO_START[3]]), @"missing: docker-registry, /usr/lib/cni/ptp; install: apt-get install -y --no-install-recommends docker-registry containernetworking-plugins");
    }

    #[test]
    fn go_is_compared_by_number() {
        assert!(is_new_enough("go1.26.8"));
        assert!(is_new_enough("go1.100"));
        assert!(is_new_enough("go1.27rc1"));
        assert!(!is_new_enough("go1.9.7"));
        assert!(!is_new_enough("devel"));
    }
}
