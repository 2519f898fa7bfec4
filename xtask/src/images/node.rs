//! Images for the node, out of Debian's packages: PostgreSQL, nginx, and two that make a point in a test.
//!
//! Their digests follow Debian's point releases and differ between machines: never snapshot them.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{
    cache,
    debian::Packages,
    layer::Layer,
    layout::{Image, Layout},
};

const BUSYBOX: &str = "busybox-static";

/// What the shell scripts of these images call.
const APPLETS: [&str; 26] = [
    "cat",
    "chmod",
    "chown",
    "cp",
    "dirname",
    "echo",
    "env",
    "head",
    "id",
    "ls",
    "mkdir",
    "mktemp",
    "nc",
    "nslookup",
    "printf",
    "ps",
    "rm",
    "sed",
    "sh",
    "sha256sum",
    "sleep",
    "test",
    "touch",
    "true",
    "wget",
    "[",
];

/// An image that does nothing until it is told to end.
///
/// # Errors
/// When busybox cannot be taken from its package, or `folder` cannot be written.
pub(crate) fn pause_layout(folder: &Path) -> anyhow::Result<Layout> {
    // A shell that waits hears signals; `sleep` alone would not, as the first process of a container.
    let text = "trap 'exit 0' TERM INT; sleep 2147483647 & wait";
    script(text, None, folder)
}

/// An image that fails at once, and says why. It says that it was built from `revision`.
///
/// # Errors
/// When busybox cannot be taken from its package, or `folder` cannot be written.
pub(crate) fn crash_layout(revision: &str, folder: &Path) -> anyhow::Result<Layout> {
    script_layout(
        "echo cannot reach the database >&2; exit 3",
        revision,
        folder,
    )
}

/// An image that runs a shell script. It says that it was built from `revision`.
///
/// # Errors
/// When busybox cannot be taken from its package, or `folder` cannot be written.
pub(crate) fn script_layout(text: &str, revision: &str, folder: &Path) -> anyhow::Result<Layout> {
    script(text, Some(revision.to_owned()), folder)
}

fn script(text: &str, revision: Option<String>, folder: &Path) -> anyhow::Result<Layout> {
    let packages = Packages::unpacked(&[BUSYBOX])?;
    let mut image = Image {
        revision,
        entrypoint: ["/bin/sh", "-c", text].map(str::to_owned).into(),
        ..Image::default()
    };
    shell(&packages, &mut image.layer)?;
    image.write(folder)
}

fn shell(packages: &Packages, layer: &mut Layer) -> anyhow::Result<()> {
    let mut places = ["bin/busybox", "usr/bin/busybox"]
        .into_iter()
        .map(|place| packages.root().join(place));
    let busybox = places
        .find(|place| place.is_file())
        .context("the package busybox-static holds no busybox")?;
    layer.file("bin/busybox", 0o755, cache::read(&busybox)?);
    for applet in APPLETS {
        layer.link(&format!("bin/{applet}"), "busybox");
    }
    Ok(())
}

/// nginx in the version that apt would install, without its modules. It reads `/etc/front-door/nginx.conf`.
///
/// # Errors
/// When its packages cannot be had, or `folder` cannot be written.
pub(crate) fn nginx_layout(folder: &Path) -> anyhow::Result<Layout> {
    const PROGRAM: &str = "usr/sbin/nginx";
    let packages = Packages::unpacked(&["nginx"])?;
    let entrypoint = [
        &format!("/{PROGRAM}"),
        "-e",
        "/dev/stderr",
        "-c",
        "/etc/front-door/nginx.conf",
        "-g",
        "daemon off;",
    ];
    let mut image = Image {
        entrypoint: entrypoint.map(str::to_owned).into(),
        ports: vec![443],
        ..Image::default()
    };
    packages.take(&mut image.layer, &[PROGRAM.into()])?;
    image
        .layer
        .file("etc/passwd", 0o644, "root:x:0:0::/:/\n")
        .file("etc/group", 0o644, "root:x:0:\n")
        .directory("tmp", 0o1777);
    image.write(folder)
}

/// PostgreSQL in the version that apt would install, which starts as the official image `postgres` does.
///
/// # Errors
/// When its packages cannot be had, or `folder` cannot be written.
pub(crate) fn postgres_layout(folder: &Path) -> anyhow::Result<Layout> {
    let version = super::debian::server_version()?;
    let (server, client) = (
        format!("postgresql-{version}"),
        format!("postgresql-client-{version}"),
    );
    let packages = Packages::unpacked(&[&server, &client, BUSYBOX, "tzdata", "util-linux"])?;
    let mut image = Image {
        entrypoint: vec!["/usr/local/bin/docker-entrypoint.sh".to_owned()],
        env: vec![
            format!("PATH=/usr/lib/postgresql/{version}/bin:/usr/local/bin:/usr/bin:/bin"),
            "PGDATA=/var/lib/postgresql/data".to_owned(),
        ],
        ports: vec![5432],
        // At SIGTERM it would wait for its clients to go first.
        stop_signal: Some("SIGINT".to_owned()),
        ..Image::default()
    };
    shell(&packages, &mut image.layer)?;
    server_files(&packages, &version, &mut image.layer)?;
    surroundings(&mut image.layer);
    image.write(folder)
}

/// Programs, extensions with their SQL, and time zones.
fn server_files(packages: &Packages, version: &str, layer: &mut Layer) -> anyhow::Result<()> {
    let home = format!("usr/lib/postgresql/{version}");
    let mut programs = vec![PathBuf::from("usr/bin/setpriv")];
    for name in ["initdb", "pg_ctl", "pg_isready", "postgres", "psql"] {
        programs.push(format!("{home}/bin/{name}").into());
    }
    let extensions = Path::new(&home).join("lib");
    for file in cache::files(&packages.root().join(&extensions))? {
        let is_jit = file.to_string_lossy().contains("llvm");
        if file.extension().is_some_and(|extension| extension == "so") && !is_jit {
            programs.push(extensions.join(file));
        }
    }
    packages.take(layer, &programs)?;
    for folder in [
        &format!("usr/share/postgresql/{version}"),
        "usr/share/zoneinfo",
    ] {
        for file in cache::files(&packages.root().join(folder))? {
            let path = Path::new(folder).join(file);
            if !path.components().any(|part| part.as_os_str() == "man") {
                let content = cache::read(&packages.root().join(&path))?;
                layer.file(&path.to_string_lossy(), 0o644, content);
            }
        }
    }
    Ok(())
}

/// What a server expects around it.
fn surroundings(layer: &mut Layer) {
    let people = "root:x:0:0::/root:/bin/sh\npostgres:x:999:999::/var/lib/postgresql:/bin/sh\n";
    layer
        .file("etc/passwd", 0o644, people)
        .file("etc/group", 0o644, "root:x:0:\npostgres:x:999:\n")
        .file("etc/nsswitch.conf", 0o644, "hosts: files dns\n")
        .directory("tmp", 0o1777)
        .directory("var/lib/postgresql/data", 0o755)
        .directory("var/run/postgresql", 0o1777)
        .file(
            "usr/local/bin/docker-entrypoint.sh",
            0o755,
            include_str!("postgres-entrypoint.sh"),
        );
}
