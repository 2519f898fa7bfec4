//! Files out of Debian's (or Ubuntu's) packages, which are downloaded and unpacked but never installed: installing
//! PostgreSQL would start a server on this machine.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};

use super::{cache, layer::Layer};

/// Where packages keep shared libraries.
const LIBRARIES: [&str; 2] = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];
/// Where a program of the platform looks for its loader.
const LOADER: &str = "lib64/ld-linux-x86-64.so.2";
/// Libraries that are large, and needed only by parts of PostgreSQL that an image does without (its JIT compiler).
const WITHOUT: [&str; 1] = ["libllvm"];

/// Packages, unpacked into one folder.
#[derive(Debug)]
pub(super) struct Packages {
    root: PathBuf,
}

impl Packages {
    /// Downloads `names`, and the libraries that they depend on, in the versions that apt would install, and unpacks
    /// them. Kept until apt knows newer versions.
    ///
    /// # Errors
    /// When there is no apt, apt does not know a package, or it cannot be downloaded.
    pub(super) fn unpacked(names: &[&str]) -> anyhow::Result<Self> {
        let wanted = closure(names)?;
        let archives = archives(&wanted)?;
        let _lock = cache::lock()?;
        let root = cache::folder("debian", archives.join("\n").as_bytes(), |root| {
            for archive in download(&archives, &wanted)? {
                let mut unpack = Command::new("dpkg-deb");
                cache::output(unpack.arg("--extract").arg(archive).arg(root))?;
            }
            Ok(())
        })?;
        Ok(Self { root })
    }

    /// The folder that all were unpacked into.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Puts programs and libraries into an image at their places, with every library that they need.
    ///
    /// # Errors
    /// When a file, or a library that it needs, is in none of the packages.
    pub(super) fn take(&self, layer: &mut Layer, programs: &[PathBuf]) -> anyhow::Result<()> {
        let mut needed = BTreeSet::new();
        for program in programs {
            layer.file(
                &program.to_string_lossy(),
                0o755,
                cache::read(&self.root.join(program))?,
            );
            needed.extend(self.needs(program)?);
        }
        layer.file(LOADER, 0o755, cache::read(&self.loader()?)?);
        for library in needed {
            let name = library.file_name().unwrap_or_default().to_string_lossy();
            let content = cache::read(&library)?;
            layer.file(&format!("{}/{name}", LIBRARIES[0]), 0o644, content);
        }
        Ok(())
    }

    /// The packages' own loader: libraries are looked up among the packages, not on this machine.
    fn loader(&self) -> anyhow::Result<PathBuf> {
        let places = [LOADER, "usr/lib64/ld-linux-x86-64.so.2"].map(|place| self.root.join(place));
        let mut found = places.iter().filter_map(|place| {
            // In the package this may be a link that is right only where it is installed.
            let target = fs::read_link(place).ok()?;
            let name = target.file_name()?;
            LIBRARIES
                .iter()
                .map(|folder| self.root.join(folder).join(name))
                .find(|path| path.exists())
        });
        let plain = || places.iter().find(|place| place.is_file()).cloned();
        found
            .next()
            .or_else(plain)
            .context("the package libc6 holds no loader")
    }

    /// The libraries of a program, and theirs.
    fn needs(&self, program: &Path) -> anyhow::Result<Vec<PathBuf>> {
        let folders = LIBRARIES.map(|folder| self.root.join(folder).display().to_string());
        let mut list = Command::new(self.loader()?);
        list.arg("--library-path").arg(folders.join(":"));
        let listed = cache::output(list.arg("--list").arg(self.root.join(program)))?;
        libraries(&listed, &self.root)
            .with_context(|| format!("find the libraries of {}", program.display()))
    }
}

/// Reads what a loader lists: `NAME => PATH (ADDRESS)`, `NAME => not found`, or no arrow for what is no file, and for
/// the loader itself.
fn libraries(listed: &str, root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for line in listed.lines() {
        let Some((name, place)) = line.trim().split_once(" => ") else {
            continue;
        };
        let place = Path::new(place.split(" (").next().unwrap_or(place));
        match name {
            name if Path::new(name).is_absolute() => {}
            _ if place.starts_with(root) => found.push(place.to_owned()),
            name => bail!("{name} is in none of the packages"),
        }
    }
    Ok(found)
}

/// The major version of PostgreSQL that apt would install, such as `15`.
///
/// # Errors
/// When there is no apt, or it does not know PostgreSQL.
pub(super) fn server_version() -> anyhow::Result<String> {
    let package = "postgresql";
    let known = show(&BTreeSet::from([package.to_owned()]))?;
    let needed = known.get(package).map_or(&[][..], Vec::as_slice);
    let version = needed
        .iter()
        .find_map(|name| name.strip_prefix("postgresql-"));
    let version = version.context("apt knows no package postgresql; run: apt-get update")?;
    Ok(version.to_owned())
}

/// The packages of `names`, and the libraries that they need, by apt's knowledge.
fn closure(names: &[&str]) -> anyhow::Result<BTreeSet<String>> {
    let mut closed = BTreeSet::new();
    let mut open: BTreeSet<String> = names.iter().map(|&name| name.to_owned()).collect();
    while !open.is_empty() {
        let known = show(&open)?;
        for name in &open {
            if !known.contains_key(name) {
                bail!("apt knows no package {name}; run: apt-get update");
            }
        }
        closed.append(&mut open);
        let needed = known.into_values().flatten();
        open = needed
            .filter(|name| is_library(name) && !closed.contains(name))
            .collect();
    }
    Ok(closed)
}

fn is_library(package: &str) -> bool {
    let named = package.starts_with("lib") || package.starts_with("zlib1g");
    named && !WITHOUT.iter().any(|without| package.starts_with(without))
}

/// What each package depends on.
fn show(names: &BTreeSet<String>) -> anyhow::Result<BTreeMap<String, Vec<String>>> {
    let mut show = Command::new("apt-cache");
    show.args(["show", "--no-all-versions"]).args(names);
    let shown = show.output().context(
        "missing: apt-cache; PostgreSQL's files are taken from Debian's or Ubuntu's packages",
    )?;
    // It fails when one of many is unknown; which one that is, our caller sees.
    Ok(dependencies(&String::from_utf8_lossy(&shown.stdout)))
}

/// Reads the control fields of packages. Of alternatives the first counts: that is what apt would take.
/// <https://www.debian.org/doc/debian-policy/ch-relationships.html>
fn dependencies(shown: &str) -> BTreeMap<String, Vec<String>> {
    let mut packages = BTreeMap::<String, Vec<String>>::new();
    let mut package = String::new();
    for line in shown.lines() {
        match line.split_once(": ") {
            Some(("Package", name)) => {
                name.clone_into(&mut package);
                packages.entry(package.clone()).or_default();
            }
            Some(("Depends" | "Pre-Depends", list)) => {
                let names = list.split(',').filter_map(|one| {
                    let first = one.trim().split([' ', '|', ':']).next()?;
                    Some(first.to_owned())
                });
                packages.entry(package.clone()).or_default().extend(names);
            }
            _ => {}
        }
    }
    packages
}

/// The file names of the packages' archives, which tell their versions, sorted.
fn archives(packages: &BTreeSet<String>) -> anyhow::Result<Vec<String>> {
    let listed = cache::output(
        Command::new("apt-get")
            .args(["download", "--print-uris"])
            .args(packages),
    )?;
    // 'ADDRESS' FILE SIZE HASH
    let files = listed.lines().filter(|line| line.starts_with('\''));
    let mut files: Vec<String> = files
        .filter_map(|line| line.split_whitespace().nth(1))
        .map(str::to_owned)
        .collect();
    files.sort();
    if files.len() != packages.len() {
        bail!(
            "apt-get names {} archives for {} packages; run: apt-get update",
            files.len(),
            packages.len()
        );
    }
    Ok(files)
}

/// Downloads what is not there yet, and gives the archives' places.
fn download(archives: &[String], packages: &BTreeSet<String>) -> anyhow::Result<Vec<PathBuf>> {
    let folder = cache::path("debs");
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let places: Vec<PathBuf> = archives.iter().map(|name| folder.join(name)).collect();
    let is_here = |package: &str| {
        let start = format!("{package}_");
        let mut of_package = archives.iter().filter(|name| name.starts_with(&start));
        of_package.any(|name| folder.join(name).exists())
    };
    let missing: Vec<_> = packages.iter().filter(|name| !is_here(name)).collect();
    if !missing.is_empty() {
        eprintln!(
            "downloading {} packages ({})",
            missing.len(),
            folder.display()
        );
        // As root, apt would change to a user who may not write here, and complain.
        let mut download = Command::new("apt-get");
        download.args(["download", "--quiet", "--option", "APT::Sandbox::User=root"]);
        cache::output(download.args(missing).current_dir(&folder))
            .context("download packages; apt's lists may be too old: apt-get update")?;
    }
    for place in &places {
        if !place.exists() {
            bail!("apt-get did not download {}", place.display());
        }
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn of_what_a_package_depends_on_the_libraries_are_followed() {
        let shown = "Package: server\nVersion: 15\nPre-Depends: init:any (>= 1)\nDepends: locales | locales-all, \
                     libc6 (>= 2.34), libllvm14, zlib1g (>= 1:1.1.4), libssl3 | libssl1.1\n\nPackage: libc6\n";
        let packages = dependencies(shown);
        assert_snapshot!(packages["server"].join(" "), @"init locales libc6 libllvm14 zlib1g libssl3");
        assert!(packages["libc6"].is_empty());
        let followed: Vec<_> = packages["server"]
            .iter()
            .filter(|name| is_library(name))
            .cloned()
            .collect();
        assert_snapshot!(followed.join(" "), @"libc6 zlib1g libssl3");
    }

    #[test]
    fn only_the_packages_own_libraries_count() {
        let listed = "\tlinux-vdso.so.1 (0x7f)\n\tlibpq.so.5 => /root/lib/libpq.so.5 (0x7f)\n\t/lib64/ld.so => /root/lib64/ld.so (0x7f)\n";
        let found = libraries(listed, Path::new("/root")).unwrap();
        assert_eq!(found, [Path::new("/root/lib/libpq.so.5")]);
        let refused = |elsewhere: &str| {
            let listed = format!("\tlibxml2.so.2 => {elsewhere}\n");
            libraries(&listed, Path::new("/root")).unwrap_err()
        };
        assert_snapshot!(refused("/lib/libxml2.so.2 (0x7f)"), @"libxml2.so.2 is in none of the packages");
        assert_snapshot!(refused("not found"), @"libxml2.so.2 is in none of the packages");
    }
}
