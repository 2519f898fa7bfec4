//! `[manifests]`: what a preview is made of, where that is not what the file itself says.

use super::error::{ConfigError, Source};
use super::patterns::patterns;
use super::read::check;
use super::{ManifestSettings, file};

pub(super) fn manifests(
    source: &Source<'_>,
    written: Option<file::Manifests>,
) -> Result<ManifestSettings, ConfigError> {
    let Some(written) = written else {
        return Ok(ManifestSettings::default());
    };
    if let Some(folder) = &written.kustomize {
        check(
            source,
            is_folder(folder),
            &["manifests", "kustomize"],
            "no folder of this repository; write it from its root, like deploy/overlays/preview",
        )?;
    }
    Ok(ManifestSettings {
        paths: patterns(source, &["manifests", "paths"], written.paths)?,
        kustomize: written.kustomize,
    })
}

/// A plain relative path: it becomes an argument of a program.
fn is_folder(text: &str) -> bool {
    text.split('/').all(|part| {
        !part.is_empty()
            && part != ".."
            && part != "."
            && !part.starts_with('-')
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
    })
}
