//! Manifests that somebody wrote: what the workflow hands over, or what Kustomize makes of a folder of the checkout.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use preview_actions::{Failed, Outside as _, Runner};
use preview_core::comment::Note;
use preview_core::config::Config;
use preview_core::deploy::Previewed;
use preview_core::manifests::{Preview, Source};
use preview_core::pulls::ChangedFiles;

use crate::Arguments;
use crate::world::World;

mod checkout;
mod kustomize;

use checkout::Checkout;

/// The most that manifests may come to, in bytes: some hundred times what a large system has.
const MOST: u64 = 8 << 20;

/// What stands for the standard input on the command line.
const STDIN: &str = "-";

/// Manifests in place of the built-in ones, and which folders of the checkout they are from.
#[derive(Debug, Default)]
pub(crate) struct Rendering {
    source: Option<Source>,
    folders: BTreeSet<String>,
}

impl Rendering {
    /// The manifests that arguments or configuration name; none where the preview is made of the built-in ones.
    ///
    /// # Errors
    /// When they are not there, are no YAML, or the kustomization names what is not in the repository.
    pub(crate) async fn of(
        runner: &Runner,
        config: &Config,
        arguments: &Arguments,
    ) -> Result<Self, Failed> {
        if let Some(file) = &arguments.manifests {
            let name = match file.as_os_str() == STDIN {
                true => "(standard input)".to_owned(),
                false => file.display().to_string(),
            };
            let text = handed_over(file).map_err(|error| {
                Failed::Misused(format!(
                    "cannot read the manifests {name}: {error}; name a file that the workflow rendered, or - and pipe \
                     them in"
                ))
            })?;
            return Ok(Self {
                source: Some(Source::parse(&name, &text).misused()?),
                folders: BTreeSet::new(),
            });
        }
        let Some(folder) = &config.manifests.kustomize else {
            return Ok(Self::default());
        };
        let checkout = Checkout::of(&arguments.options.config)?;
        let read = checkout.kustomizations(folder).map_err(Failed::Refused)?;
        let rendered = kustomize::build(runner, checkout.root(), folder).await?;
        let source = Source::parse(&rendered.by, &rendered.text).misused()?;
        Ok(Self {
            source: Some(source.placed(|kind, name| read.file_of(kind, name))),
            folders: read.folders,
        })
    }

    /// `preview`, made of these manifests where there are any.
    ///
    /// # Errors
    /// Every rule that they break.
    pub(crate) fn make<'p>(&self, preview: Preview<'p>) -> Result<Preview<'p>, Failed> {
        let Some(source) = &self.source else {
            return Ok(preview);
        };
        preview
            .made_of(source)
            .map_err(|unfit| Failed::Refused(unfit.iter().map(ToString::to_string).collect()))
    }

    /// The files among those that a pull request changes that previews are made from: this one's is made of what the
    /// base branch has of them.
    pub(crate) fn not_in_preview(
        &self,
        config: &Config,
        arguments: &Arguments,
        changed: &ChangedFiles,
    ) -> Option<Note> {
        let configuration = &arguments.options.config;
        let is_configuration = |path: &str| match configuration.is_absolute() {
            true => configuration.ends_with(path),
            false => Path::new(path) == configuration.as_path(),
        };
        let patterns = &config.manifests.paths;
        let is_manifest = |path: &str| match patterns.is_empty() {
            true => self.folders.iter().any(|folder| is_below(folder, path)),
            false => patterns.mean(path),
        };
        let paths = changed.files().iter().flat_map(|file| file.paths());
        let files: BTreeSet<&str> = paths
            .filter(|path| is_configuration(path) || is_manifest(path))
            .collect();
        let files: Vec<String> = files.into_iter().map(str::to_owned).collect();
        let are_all = changed.are_all();
        let may_be_some = !files.is_empty() || !are_all;
        may_be_some.then_some(Note::ManifestsNotInPreview { files, are_all })
    }
}

/// What is to be known of a preview that is made of somebody's manifests.
pub(crate) fn remarks(preview: &Preview<'_>) -> Vec<Note> {
    let (images, unknown) = (preview.other_images(), preview.unknown_variables());
    let images = (!images.is_empty()).then_some(Note::OtherImages(images));
    let unknown = (!unknown.is_empty()).then_some(Note::VariablesLeft(unknown));
    images.into_iter().chain(unknown).collect()
}

/// Whether `path` is in `folder` or deeper; the empty folder is the repository's root.
fn is_below(folder: &str, path: &str) -> bool {
    let inner = path.strip_prefix(folder);
    folder.is_empty() || inner.is_some_and(|inner| inner.starts_with('/'))
}

fn handed_over(file: &PathBuf) -> std::io::Result<String> {
    if file.as_os_str() == STDIN {
        return limited(std::io::stdin().lock());
    }
    limited(std::fs::File::open(file)?)
}

/// All of it, as text, if it is not more than [`MOST`].
fn limited(from: impl std::io::Read) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    from.take(MOST + 1).read_to_end(&mut bytes)?;
    text(bytes).map_err(std::io::Error::other)
}

fn text(bytes: Vec<u8>) -> Result<String, String> {
    if bytes.len() as u64 > MOST {
        return Err(format!("more than {} MiB", MOST >> 20));
    }
    String::from_utf8(bytes).map_err(|_| "it is no UTF-8".to_owned())
}

impl World<'_> {
    /// `preview`, made of the manifests that are meant, with what is to be known of them.
    ///
    /// # Errors
    /// When they cannot be had, or break a rule.
    pub(crate) async fn made_of<'p>(
        &self,
        arguments: &Arguments,
        previewed: &Previewed,
        preview: Preview<'p>,
    ) -> Result<(Preview<'p>, Vec<Note>), Failed> {
        let rendering = Rendering::of(self.runner, self.config, arguments).await?;
        let preview = rendering.make(preview)?;
        let not_in_preview = match previewed.number() {
            Some(number) => {
                let changed = self.changed_files(number).await?;
                rendering.not_in_preview(self.config, arguments, changed)
            }
            None => None,
        };
        let notes = remarks(&preview).into_iter().chain(not_in_preview);
        let notes = notes.collect();
        Ok((preview, notes))
    }
}
