//! What a node gets when it pulls an image.

use serde_json::Value;

use super::Registry;
use super::image::REVISION;
use super::state::Repository;

/// The digest that the reference means, and the commit that the image says it was built from.
pub(crate) type Pulled = (String, Option<String>);

impl Registry {
    /// Whether the anonymous may not pull `name`.
    pub(crate) fn is_private(&self, name: &str) -> bool {
        self.state().private.contains(name)
    }

    /// Pulls the image for linux/amd64 under a tag or digest. None where the reference means nothing here; the digest
    /// of the first missing piece where the image is not complete.
    pub(crate) fn pull(&self, name: &str, reference: &str) -> Option<Result<Pulled, String>> {
        let state = self.state();
        let repository = state.repositories.get(name)?;
        let digest = repository.digest_of(reference)?;
        let revision = walk(repository, &digest);
        Some(revision.map(|revision| (digest, revision)))
    }

    /// Whether two images of `name` are one on a node: their manifests for its platform are the same.
    pub(crate) fn are_one(&self, name: &str, one: &str, other: &str) -> bool {
        let state = self.state();
        let Some(repository) = state.repositories.get(name) else {
            return false;
        };
        let of_node = |digest: &str| match manifest_of_node(repository, digest) {
            Some(child) => child,
            None => digest.to_owned(),
        };
        of_node(one) == of_node(other)
    }
}

/// The manifest for the node's platform, where `digest` is an index.
fn manifest_of_node(repository: &Repository, digest: &str) -> Option<String> {
    let manifest = json(&repository.manifests.get(digest)?.bytes);
    let children = manifest["manifests"].as_array()?;
    let child = children.iter().find(|child| is_of_node(child))?;
    Some(child["digest"].as_str()?.to_owned())
}

fn is_of_node(child: &Value) -> bool {
    let platform = &child["platform"];
    platform["os"] == "linux" && platform["architecture"] == "amd64"
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_default()
}

/// Index → manifest → config and layers; the revision label of the config.
fn walk(repository: &Repository, digest: &str) -> Result<Option<String>, String> {
    let missing = |digest: &str| digest.to_owned();
    let manifest = repository
        .manifests
        .get(digest)
        .ok_or_else(|| missing(digest))?;
    let manifest = json(&manifest.bytes);
    if let Some(children) = manifest["manifests"].as_array() {
        let child = children
            .iter()
            .find(|child| is_of_node(child))
            .and_then(|child| child["digest"].as_str());
        return walk(
            repository,
            child.ok_or("no match for platform in manifest")?,
        );
    }
    let layers = manifest["layers"].as_array().into_iter().flatten();
    for blob in layers.filter_map(|layer| layer["digest"].as_str()) {
        if !repository.blobs.contains_key(blob) {
            return Err(missing(blob));
        }
    }
    let config = manifest["config"]["digest"].as_str().unwrap_or_default();
    let config = repository
        .blobs
        .get(config)
        .ok_or_else(|| missing(config))?;
    let revision = json(config)["config"]["Labels"][REVISION]
        .as_str()
        .map(str::to_owned);
    Ok(revision)
}
