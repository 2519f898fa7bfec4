//! OCI images without Docker: the example application, what the node needs, and where to push them.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

mod cache;
mod debian;
mod example;
mod layer;
mod layout;
mod node;
mod push;

pub(crate) use example::{Example, layouts as example_layouts};
pub(crate) use layout::{Image, Layout, digest};
pub(crate) use node::{crash_layout, nginx_layout, pause_layout, postgres_layout, script_layout};
pub(crate) use push::{Account, holds, push, remove, remove_blob, served_blob};

/// Arguments of `cargo xtask images`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The folder that the layouts go to, as NAME-EDITION.oci.
    #[arg(long, value_name = "DIR", default_value = "target/images")]
    out: PathBuf,
    /// Makes stand-ins for the example's images: a text file each, for a sandbox on a machine that has only Rust.
    #[arg(long)]
    placeholders: bool,
    /// Pushes the images as HOST:PORT/example/NAME:EDITION too, over plain HTTP.
    #[arg(long, value_name = "HOST:PORT")]
    push: Option<String>,
    /// Who pushes.
    #[arg(long, env = "PREVIEW_TEST_REGISTRY_USER", default_value = "")]
    user: String,
    /// Their password.
    #[arg(
        long,
        env = "PREVIEW_TEST_REGISTRY_PASSWORD",
        default_value = "",
        hide_env_values = true
    )]
    password: String,
}

/// What the example application consists of.
const COMPONENTS: [&str; 2] = ["web", "api"];

/// Two states of the example's source, which differ for everybody to see: on the page, and in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edition {
    /// The source as it is in `examples/`.
    First,
    /// The same with `examples/editions/second` laid over it.
    Second,
}

impl Edition {
    /// How it is called in names of folders and tags.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::First => "1",
            Self::Second => "2",
        }
    }

    /// The commit to put on the label where there is no real one.
    fn revision(self) -> String {
        self.name().repeat(40)
    }
}

/// Runs `cargo xtask images`.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let made = make(&arguments.out, arguments.placeholders)?;
    for (name, edition, layout) in &made {
        println!("{name} {edition} {}", layout.digest());
    }
    let Some(registry) = &arguments.push else {
        return Ok(());
    };
    let account = Account::of(&arguments.user, &arguments.password);
    push_all(&made, registry, account.as_ref())
}

/// Makes the images of both editions and what the node needs, and pushes them as `REGISTRY/example/NAME:EDITION`.
///
/// Must not be called on a thread that drives an async runtime: it has one of its own.
///
/// # Errors
/// When an image cannot be made (see [`example_layouts`] and [`postgres_layout`]) or the registry refuses it.
pub(crate) fn publish(registry: &str, account: Option<&Account>) -> anyhow::Result<()> {
    let out = cache::path("layouts");
    push_all(&make(&out, false)?, registry, account)
}

fn push_all(made: &[Made], registry: &str, account: Option<&Account>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start a runtime")?;
    runtime.block_on(async {
        for (name, edition, layout) in made {
            let to = format!("{registry}/example/{name}");
            push(layout, &to, &[edition], account).await?;
        }
        Ok(())
    })
}

/// A layout's name and edition, and the layout.
type Made = (&'static str, &'static str, Layout);

fn make(out: &Path, placeholders: bool) -> anyhow::Result<Vec<Made>> {
    let mut made = Vec::new();
    for edition in [Edition::First, Edition::Second] {
        let revision = edition.revision();
        let Example { web, api } = match placeholders {
            true => placeholder_layouts(&revision, edition, out)?,
            false => example_layouts(&revision, edition, out)?,
        };
        made.push(("web", edition.name(), web));
        made.push(("api", edition.name(), api));
    }
    if !placeholders {
        made.extend(node_layouts(out)?);
    }
    Ok(made)
}

/// What the node needs beside the example: each has one edition.
fn node_layouts(out: &Path) -> anyhow::Result<[Made; 3]> {
    let folder = |name| folder(out, name, Edition::First);
    let (edition, revision) = (Edition::First.name(), Edition::First.revision());
    let crash = crash_layout(&revision, &folder("crash"))?;
    Ok([
        ("postgres", edition, postgres_layout(&folder("postgres"))?),
        ("pause", edition, pause_layout(&folder("pause"))?),
        ("crash", edition, crash),
    ])
}

fn folder(out: &Path, name: &str, edition: Edition) -> PathBuf {
    out.join(format!("{name}-{}.oci", edition.name()))
}

/// Stand-ins for [`example_layouts`], at the same places.
///
/// # Errors
/// When `out` cannot be written.
pub(crate) fn placeholder_layouts(
    revision: &str,
    edition: Edition,
    out: &Path,
) -> anyhow::Result<Example> {
    let layout = |component| {
        let folder = folder(out, component, edition);
        placeholder_layout(component, revision, edition, &folder)
    };
    Ok(Example {
        web: layout("web")?,
        api: layout("api")?,
    })
}

/// A stand-in for an image of the example: it names its component, its commit and its edition in a text file, and
/// does not run. For the sandbox, on a machine that has only Rust.
///
/// # Errors
/// When `folder` cannot be written, or is something else than a layout.
pub(crate) fn placeholder_layout(
    component: &str,
    revision: &str,
    edition: Edition,
    folder: &Path,
) -> anyhow::Result<Layout> {
    let mut image = Image {
        revision: Some(revision.to_owned()),
        entrypoint: vec![format!("/{component}")],
        env: vec![format!("REVISION={revision}")],
        ports: vec![8080],
        ..Image::default()
    };
    let text = format!(
        "{component}, edition {}, built from {revision}\n",
        edition.name()
    );
    image.layer.file("placeholder.txt", 0o644, text);
    image.write(folder)
}
