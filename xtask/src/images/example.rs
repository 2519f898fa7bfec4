//! The images of the example application: static binaries, built from `examples/` in two editions.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use super::{
    COMPONENTS, Edition, cache,
    layout::{Image, Layout},
};

use crate::cargo::cargo;

/// Needs nothing but a C compiler and libc's development files; the platform of the images.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// What the source consists of. The rest of `examples/` is not compiled.
const SOURCE: [&str; 5] = ["Cargo.toml", "Cargo.lock", "api", "service", "web"];
/// Nobody: the servers need no rights.
const USER: &str = "65534:65534";

/// The layouts of the example's components.
#[derive(Debug)]
pub(crate) struct Example {
    /// The page.
    pub(crate) web: Layout,
    /// The API, which also migrates and seeds the database.
    pub(crate) api: Layout,
}

/// Builds the example and writes its images, as `web-EDITION.oci` and `api-EDITION.oci` in `out`. Labels and pages
/// name the commit `revision`. The binaries are built once for each state of the source.
///
/// # Errors
/// When the example does not compile (a C compiler is needed), or `out` cannot be written.
pub(crate) fn layouts(revision: &str, edition: Edition, out: &Path) -> anyhow::Result<Example> {
    let binaries = binaries(edition)
        .with_context(|| format!("build the example's edition {}", edition.name()))?;
    let layout = |component| {
        let binary = cache::read(&binaries.join(component))?;
        let folder = super::folder(out, component, edition);
        image(component, binary, revision).write(&folder)
    };
    Ok(Example {
        web: layout("web")?,
        api: layout("api")?,
    })
}

fn image(component: &str, binary: Vec<u8>, revision: &str) -> Image {
    let mut image = Image {
        revision: Some(revision.to_owned()),
        entrypoint: vec![format!("/{component}")],
        env: vec![format!("REVISION={revision}")],
        ports: vec![8080],
        user: Some(USER.to_owned()),
        ..Image::default()
    };
    image
        .layer
        .file(component, 0o755, binary)
        // Without it, libc asks DNS even for names that stand in /etc/hosts.
        .file("etc/nsswitch.conf", 0o644, "hosts: files dns\n");
    image
}

/// The folder with the built binaries.
fn binaries(edition: Edition) -> anyhow::Result<PathBuf> {
    let source = source(edition)?;
    let rustc = cache::output(Command::new("rustc").arg("--version"))?;
    let mut inputs = Sha256::new();
    inputs.update(rustc);
    inputs.update(include_str!("example.rs"));
    for (path, content) in &source {
        inputs.update(format!("{}\n{}\n", path.display(), content.len()));
        inputs.update(content);
    }
    let _lock = cache::lock()?;
    cache::folder("example", &inputs.finalize(), |to| build(&source, to))
}

type Source = BTreeMap<PathBuf, Vec<u8>>;

/// The files to compile, by their path.
fn source(edition: Edition) -> anyhow::Result<Source> {
    let examples = cache::root().join("examples");
    let mut source = Source::new();
    for name in SOURCE {
        let path = examples.join(name);
        if path.is_file() {
            source.insert(name.into(), cache::read(&path)?);
            continue;
        }
        for file in cache::files(&path)? {
            source.insert(Path::new(name).join(&file), cache::read(&path.join(&file))?);
        }
    }
    if edition == Edition::Second {
        let changes = examples.join("editions/second");
        for file in cache::files(&changes)? {
            let content = cache::read(&changes.join(&file))?;
            source.insert(file, content);
        }
    }
    Ok(source)
}

fn build(source: &Source, to: &Path) -> anyhow::Result<()> {
    // A fixed place: an edition is compiled where the other one was, so that what they share is compiled once.
    let place = cache::path("source");
    lay_out(source, &place)?;
    let target = cache::root().join("examples/target");
    let mut build = cargo();
    build
        .args(["build", "--quiet", "--locked", "--release", "--bins"])
        .args(["--target", TARGET, "--target-dir"])
        .arg(&target)
        .current_dir(&place)
        .env_remove("RUSTFLAGS")
        .env("CARGO_ENCODED_RUSTFLAGS", flags(&place)?.join("\x1f"));
    eprintln!("building the example ({})", place.display());
    cache::output(&mut build).context("it needs a C compiler: gcc and libc6-dev")?;
    for component in COMPONENTS {
        let built = target.join(TARGET).join("release").join(component);
        fs::copy(&built, to.join(component))
            .with_context(|| format!("keep {}", built.display()))?;
    }
    Ok(())
}

/// Static, and without a trace of where it was built: the same source gives the same bytes.
fn flags(place: &Path) -> anyhow::Result<Vec<String>> {
    let home = match env::var_os("CARGO_HOME") {
        Some(home) => PathBuf::from(home),
        None => env::home_dir()
            .context("neither CARGO_HOME nor HOME is set")?
            .join(".cargo"),
    };
    Ok(vec![
        "-Ctarget-feature=+crt-static".to_owned(),
        format!("--remap-path-prefix={}=/cargo", home.display()),
        format!("--remap-path-prefix={}=/example", place.display()),
    ])
}

/// Makes `place` hold exactly `source`. A file that is there already is left as it is: cargo goes by its age.
fn lay_out(source: &Source, place: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(place).with_context(|| format!("create {}", place.display()))?;
    for file in cache::files(place)? {
        if !source.contains_key(&file) {
            let file = place.join(file);
            fs::remove_file(&file).with_context(|| format!("remove {}", file.display()))?;
        }
    }
    for (path, content) in source {
        let path = place.join(path);
        if fs::read(&path).is_ok_and(|there| there == *content) {
            continue;
        }
        let folder = path.parent().unwrap_or(place);
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        fs::write(&path, content).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_edition_changes_what_people_see_and_adds_to_the_database() {
        let (first, second) = (
            source(Edition::First).unwrap(),
            source(Edition::Second).unwrap(),
        );
        let different: Vec<String> = second
            .iter()
            .filter(|(path, content)| first.get(*path) != Some(content))
            .map(|(path, _)| path.display().to_string())
            .collect();
        insta::assert_snapshot!(different.join("\n"), @r"
        api/migrations/0003_notes_have_authors.sql
        api/seed.sql
        api/src/notes.rs
        web/src/headline.txt
        ");
        // A pull request that changed an old migration would need a new database.
        for (path, content) in &first {
            if path.starts_with("api/migrations") {
                assert_eq!(second.get(path), Some(content));
            }
        }
    }

    #[test]
    fn the_same_binary_gives_the_same_image_and_another_commit_another() {
        let folder = tempfile::tempdir().unwrap();
        let made = |revision: &str| {
            let layout = image("web", b"code".to_vec(), revision).write(folder.path());
            layout.unwrap().digest().to_owned()
        };
        assert_eq!(made("1111111"), made("1111111"));
        assert_ne!(made("1111111"), made("2222222"));
    }

    #[test]
    fn laying_out_leaves_what_is_right_and_removes_what_is_foreign() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let source = Source::from([
            ("a/kept".into(), b"k".to_vec()),
            ("changed".into(), b"new".to_vec()),
        ]);
        lay_out(&source, folder.path()).unwrap();
        let age = fs::metadata(file("a/kept")).unwrap().modified().unwrap();
        fs::write(file("changed"), "old").unwrap();
        fs::write(file("a/foreign"), "").unwrap();
        lay_out(&source, folder.path()).unwrap();
        assert_eq!(
            fs::metadata(file("a/kept")).unwrap().modified().unwrap(),
            age
        );
        assert_eq!(fs::read(file("changed")).unwrap(), b"new");
        assert!(!file("a/foreign").exists());
    }
}
