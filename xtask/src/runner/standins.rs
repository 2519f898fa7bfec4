//! What stands in for other people's actions. Each is listed, with the inputs that are looked at; any other action is an error.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, bail, ensure};
use sandbox::github::Level;

use super::{job::Machine, step::Done};
use crate::{
    images::{Account, Edition},
    life::second_edition,
};

/// An action of somebody else's, and what is done in its place.
struct StandIn {
    name: &'static str,
    inputs: &'static [&'static str],
    outputs: &'static [&'static str],
    acts: Acts,
}

/// What is done.
#[derive(Clone, Copy)]
enum Acts {
    /// Writes the files of a commit of the sandbox's repository, if the token may read them.
    CheckOut,
    /// Nothing: images are made without Docker.
    SetUp,
    /// Remembers who pushes to a registry.
    LogIn,
    /// Makes the example's image of the edition that is checked out, and pushes it as whoever has logged in.
    BuildAndPush,
    /// Keeps files for the run's other jobs.
    Upload,
    /// Gets them.
    Download,
}

const TABLE: &[StandIn] = &[
    StandIn {
        name: "actions/checkout",
        inputs: &["fetch-depth", "path", "persist-credentials", "ref"],
        outputs: &["commit", "ref"],
        acts: Acts::CheckOut,
    },
    StandIn {
        name: "docker/setup-buildx-action",
        inputs: &["driver", "driver-opts", "cache-binary"],
        outputs: &[],
        acts: Acts::SetUp,
    },
    StandIn {
        name: "docker/login-action",
        inputs: &["registry", "username", "password"],
        outputs: &[],
        acts: Acts::LogIn,
    },
    StandIn {
        name: "docker/build-push-action",
        inputs: &["context", "target", "push", "tags", "labels", "build-args"],
        outputs: &["digest", "imageid", "metadata"],
        acts: Acts::BuildAndPush,
    },
    StandIn {
        name: "actions/upload-artifact",
        inputs: &[
            "name",
            "path",
            "retention-days",
            "if-no-files-found",
            "compression-level",
        ],
        outputs: &["artifact-id", "artifact-url", "artifact-digest"],
        acts: Acts::Upload,
    },
    StandIn {
        name: "actions/download-artifact",
        inputs: &["name", "path", "pattern", "merge-multiple"],
        outputs: &["download-path"],
        acts: Acts::Download,
    },
];

/// The name of an action that we publish, by whatever repository it is used from.
pub(super) fn ours(uses: &str) -> Option<&str> {
    let path = uses.split('@').next()?;
    path.split_once(".github/actions/").map(|(_, name)| name)
}

fn find(uses: &str) -> anyhow::Result<&'static StandIn> {
    let (name, commit) = uses.split_once('@').unwrap_or((uses, ""));
    let is_pinned = commit.len() == 40 && commit.bytes().all(|it| it.is_ascii_hexdigit());
    ensure!(is_pinned, "{uses} is not pinned to a commit");
    let found = TABLE.iter().find(|it| it.name == name);
    found.with_context(|| format!("nothing stands in for {name}"))
}

/// The inputs and outputs of whatever stands in for an action.
///
/// # Errors
/// When nothing does, or the action is not pinned.
pub(super) fn interface(
    uses: &str,
) -> anyhow::Result<(&'static [&'static str], &'static [&'static str])> {
    let found = find(uses)?;
    Ok((found.inputs, found.outputs))
}

/// Does what stands in for an action. What the action itself would refuse is a step that failed.
///
/// # Errors
/// When nothing stands in for it, or it is asked for what is not modelled.
pub(super) async fn act(
    machine: &mut Machine<'_>,
    uses: &str,
    with: &BTreeMap<String, String>,
) -> anyhow::Result<Done> {
    let with = With(with);
    let told = match find(uses)?.acts {
        Acts::CheckOut => check_out(machine, &with)?,
        Acts::SetUp => Ok(BTreeMap::new()),
        Acts::LogIn => {
            let login = (with.get("username"), with.get("password"));
            machine.logins.insert(with.get("registry"), login);
            Ok(BTreeMap::new())
        }
        Acts::BuildAndPush => build_and_push(machine, &with).await?,
        Acts::Upload => upload(machine, &with)?,
        Acts::Download => download(machine, &with)?,
    };
    Ok(match told {
        Ok(outputs) => Done {
            succeeded: true,
            outputs,
        },
        Err(refusal) => {
            machine.remarks.push(format!("error: {refusal}"));
            Done {
                succeeded: false,
                outputs: BTreeMap::new(),
            }
        }
    })
}

/// Outputs, or why the action fails.
type Told = Result<BTreeMap<String, String>, String>;

struct With<'a>(&'a BTreeMap<String, String>);

impl With<'_> {
    fn get(&self, name: &str) -> String {
        self.0.get(name).cloned().unwrap_or_default()
    }

    fn lines(&self, name: &str) -> Vec<String> {
        let text = self.get(name);
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.map(str::to_owned).collect()
    }
}

fn check_out(machine: &Machine<'_>, with: &With<'_>) -> anyhow::Result<Told> {
    let repository = &machine.run.inner.setting.repository;
    // The repository is private here: without the permission, git finds no such thing.
    if machine.permissions.level("contents").is_none() {
        let url = format!("https://github.com/{}/", repository.slug());
        return Ok(Err(format!("fatal: repository '{url}' not found")));
    }
    let asked = with.get("ref");
    let commit = match asked
        .strip_prefix("refs/pull/")
        .and_then(|it| it.split_once('/'))
    {
        Some((number, "merge")) => repository.merge_commit_of(number.parse()?),
        Some((number, _)) => Some(repository.head_of(number.parse()?)),
        None if asked.is_empty() => Some(machine.run.about.sha.clone()),
        None if asked.len() == 40 => Some(asked.clone()),
        None => Some(repository.head(asked.trim_start_matches("refs/heads/"))),
    };
    let Some(commit) = commit else {
        return Ok(Err(format!(
            "A branch or tag with the name '{asked}' could not be found"
        )));
    };
    let files = repository.files(&commit);
    ensure!(!files.is_empty(), "there is no commit {commit}");
    let to = machine.workspace().join(with.get("path"));
    for (path, text) in files {
        write(&to.join(path), text.as_bytes())?;
    }
    Ok(Ok(BTreeMap::from([("commit".to_owned(), commit)])))
}

async fn build_and_push(machine: &Machine<'_>, with: &With<'_>) -> anyhow::Result<Told> {
    let edition = edition_of(&machine.workspace().join(with.get("context")))?;
    let labels = with.lines("labels");
    let mut labels = labels.iter();
    let revision = labels.find_map(|it| it.strip_prefix("org.opencontainers.image.revision="));
    let revision = revision.context("the image has no label that says what it was built from")?;
    let ground = &machine.run.inner.setting.ground;
    let target = with.get("target");
    let folder = machine.folder.join("images");
    let layout = ground.build(&target, revision, edition, &folder).await?;
    let mut outputs = BTreeMap::new();
    outputs.insert("digest".to_owned(), layout.digest().to_owned());
    if with.get("push") != "true" {
        return Ok(Ok(outputs));
    }
    for name in with.lines("tags") {
        let (image, tag) = name.rsplit_once(':').context("a tag has no name")?;
        ensure!(
            image == ground.image(&target),
            "{image} is no place for {target}"
        );
        let host = image.split('/').next().unwrap_or_default();
        let login = machine.logins.get(host);
        let account = login.and_then(|(user, password)| Account::of(user, password));
        let pushed = match (ground.world(), machine.permissions.level("packages")) {
            (Some(_), _) => crate::images::push(&layout, image, &[tag], account.as_ref())
                .await
                .map(drop),
            // A real registry knows no tokens of the sandbox's GitHub.
            (None, Some(Level::Write)) if account.is_some() => {
                ground.publish(&layout, &target, tag).await.map(drop)
            }
            (None, _) => Err(anyhow::anyhow!("denied: permission_denied")),
        };
        if let Err(error) = pushed {
            return Ok(Err(format!("failed to push {target}: {error:#}")));
        }
    }
    Ok(Ok(outputs))
}

/// The edition of the example that lies in a build's context.
pub(super) fn edition_of(context: &Path) -> anyhow::Result<Edition> {
    let headline = fs::read_to_string(context.join("web/src/headline.txt"));
    let headline = headline.context("the build's context has no example in it")?;
    Ok(
        match second_edition("web/src/headline.txt") == Some(headline.as_str()) {
            true => Edition::Second,
            false => Edition::First,
        },
    )
}

fn artifacts(machine: &Machine<'_>, name: &str) -> std::path::PathBuf {
    let folder = &machine.run.inner.setting.folder;
    let name = if name.is_empty() { "artifact" } else { name };
    folder
        .join(format!("artifacts-{}", machine.run.id))
        .join(name)
}

/// One file or folder, without patterns.
fn upload(machine: &Machine<'_>, with: &With<'_>) -> anyhow::Result<Told> {
    let to = artifacts(machine, &with.get("name"));
    for path in with.lines("path") {
        let from = machine.workspace().join(&path);
        if !from.is_file() {
            bail!("upload-artifact: {path} is no file, and nothing else is modelled");
        }
        let bytes = fs::read(&from).with_context(|| format!("read {path}"))?;
        write(&to.join(from.file_name().unwrap_or_default()), &bytes)?;
    }
    Ok(Ok(BTreeMap::new()))
}

fn download(machine: &Machine<'_>, with: &With<'_>) -> anyhow::Result<Told> {
    let name = with.get("name");
    let to = machine.workspace().join(with.get("path"));
    let all = artifacts(machine, "x");
    let all = all.parent().context("artifacts have a folder")?;
    let Ok(listed) = fs::read_dir(all) else {
        return Ok(Err(format!("Artifact not found for name: {name}")));
    };
    let pattern = with.get("pattern");
    let begins = pattern.trim_end_matches('*');
    let mut found = 0;
    for entry in listed {
        let entry = entry?;
        let own = entry.file_name().to_string_lossy().into_owned();
        let meant = if name.is_empty() {
            own.starts_with(begins)
        } else {
            own == name
        };
        if !meant {
            continue;
        }
        found += 1;
        let apart = name.is_empty() && with.get("merge-multiple") != "true";
        let to = if apart { to.join(&own) } else { to.clone() };
        for file in fs::read_dir(entry.path())? {
            let file = file?;
            write(&to.join(file.file_name()), &fs::read(file.path())?)?;
        }
    }
    Ok(match found {
        0 => Err(format!("Artifact not found for name: {name}")),
        _ => Ok(BTreeMap::from([(
            "download-path".to_owned(),
            to.display().to_string(),
        )])),
    })
}

pub(super) fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    fs::write(path, bytes).with_context(|| format!("write {}", path.display()))
}
