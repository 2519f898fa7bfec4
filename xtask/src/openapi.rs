//! `cargo xtask openapi`: GitHub's OpenAPI description, cut down to what the sandbox judges by.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use xshell::{Shell, cmd};

const PACKAGE: &str = "@octokit/openapi";
const VERSION: &str = "23.0.2";
/// As the npm registry states it for this version; `npm pack` checks the tarball against what it prints.
const INTEGRITY: &str = "sha512-pV8M7L9GY23AybNvTmo2nyjmpmnt6+2sRE/tqr0ZLQcPS4lnw7u5eZGNmwRNkBC3D7gZXbFx5AHzLUVRBXGDhg==";
const MEMBER: &str = "package/generated/api.github.com.json";
const COPY: &str = "crates/sandbox/openapi/github.json";

/// Arguments of `cargo xtask openapi`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only say whether the copy in the repository is current; fails when it is not.
    #[arg(long)]
    check: bool,
    /// Print the path of the whole description, fetched where it is missing, and do nothing else.
    #[arg(long, conflicts_with = "check")]
    whole: bool,
}

/// Runs `cargo xtask openapi`.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let whole = whole_description()?;
    if arguments.whole {
        println!("{}", whole.display());
        return Ok(());
    }
    let text = cut_down(&whole)?;
    let copy = root().join(COPY);
    let current = fs::read_to_string(&copy).is_ok_and(|present| present == text);
    match (current, arguments.check) {
        (true, _) => println!(
            "{COPY} is current: {PACKAGE} {VERSION}, {} bytes",
            text.len()
        ),
        (false, true) => bail!("{COPY} is not current; `cargo xtask openapi` writes it anew"),
        (false, false) => {
            fs::write(&copy, &text).with_context(|| format!("writing {}", copy.display()))?;
            println!("{COPY} written: {PACKAGE} {VERSION}, {} bytes", text.len());
        }
    }
    Ok(())
}

/// As `cargo xtask openapi --check`.
///
/// # Errors
/// When the copy in the repository is not current, or npm cannot fetch what it is compared with.
pub(crate) fn check() -> anyhow::Result<()> {
    run(Arguments {
        check: true,
        whole: false,
    })
}

fn cut_down(whole: &Path) -> anyhow::Result<String> {
    let text = fs::read_to_string(whole).with_context(|| format!("reading {}", whole.display()))?;
    let whole: Value = serde_json::from_str(&text).context("parsing the whole description")?;
    let mut cut = sandbox::github::cut_down(&whole).map_err(anyhow::Error::msg)?;
    cut["x-cut-from"] = json!({
        "package": PACKAGE, "version": VERSION, "integrity": INTEGRITY, "file": MEMBER, "licence": "MIT",
    });
    Ok(sandbox::github::write_down(&cut))
}

/// Which description of GitHub's API is used: package and version.
pub(crate) fn version() -> (&'static str, &'static str) {
    (PACKAGE, VERSION)
}

/// The path of GitHub's whole description (13 MB), fetched from the npm registry once and kept under `target/`.
///
/// # Errors
/// When npm cannot fetch it, or what it fetched is not the pinned package.
pub(crate) fn whole_description() -> anyhow::Result<PathBuf> {
    let folder = root().join("target/openapi").join(VERSION);
    let path = folder.join(MEMBER);
    if path.exists() {
        return Ok(path);
    }
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let archive = fetch(&folder)?;
    // Unpacked beside, then renamed: a run that was ended half-way leaves nothing that looks whole.
    let unpacked = tempfile::tempdir_in(&folder).context("making a folder to unpack in")?;
    let shell = Shell::new()?;
    let into = unpacked.path();
    cmd!(
        shell,
        "tar --extract --gzip --file {archive} --directory {into} {MEMBER}"
    )
    .quiet()
    .run()
    .context("unpacking the package; needs tar and gzip")?;
    fs::create_dir_all(folder.join("package/generated")).context("making the folder")?;
    fs::rename(into.join(MEMBER), &path).context("moving the description into place")?;
    fs::remove_file(&archive).context("removing the package's archive")?;
    Ok(path)
}

/// Downloads the package and returns the archive's path.
fn fetch(folder: &Path) -> anyhow::Result<PathBuf> {
    let shell = Shell::new()?;
    let package = format!("{PACKAGE}@{VERSION}");
    let printed = cmd!(
        shell,
        "npm pack {package} --json --pack-destination {folder}"
    )
    .quiet()
    .ignore_stderr()
    .read()
    .with_context(|| {
        format!("fetching {package}; needs npm (Debian: apt-get install npm) and its registry")
    })?;
    let printed: Value = serde_json::from_str(&printed).context("reading what npm printed")?;
    let integrity = printed[0]["integrity"].as_str().unwrap_or_default();
    ensure!(
        integrity == INTEGRITY,
        "{package} has integrity `{integrity}`, but `{INTEGRITY}` is pinned: do not use it"
    );
    let name = printed[0]["filename"]
        .as_str()
        .context("npm named no file")?;
    Ok(folder.join(name.trim_start_matches('@').replace('/', "-")))
}

fn root() -> &'static Path {
    // The parent of xtask's own folder; cargo fixes it at build time.
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
}
