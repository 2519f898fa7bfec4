//! OCI images as folders: index → manifest → config and layer, each named by the hash of its bytes.
//! <https://github.com/opencontainers/image-spec/blob/main/image-layout.md>

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::layer::Layer;

/// <https://github.com/opencontainers/image-spec/blob/main/annotations.md#pre-defined-annotation-keys>
const REVISION: &str = "org.opencontainers.image.revision";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// The file that makes a folder a layout. Written last: without it, a layout is not finished.
const MARK: &str = "oci-layout";

/// What an image is made of, and how it starts.
#[derive(Debug, Default)]
pub(crate) struct Image {
    /// Its files.
    pub(crate) layer: Layer,
    /// The commit it was built from, for the label.
    pub(crate) revision: Option<String>,
    /// The program and its arguments.
    pub(crate) entrypoint: Vec<String>,
    /// Environment variables, `NAME=value`.
    pub(crate) env: Vec<String>,
    /// TCP ports that it listens on.
    pub(crate) ports: Vec<u16>,
    /// `uid:gid`; root where absent.
    pub(crate) user: Option<String>,
    /// The signal that asks it to end; SIGTERM where absent.
    pub(crate) stop_signal: Option<String>,
}

impl Image {
    /// Writes the image for linux/amd64 as a layout, in place of one that is there.
    ///
    /// # Errors
    /// When `folder` cannot be written, or is something else than a layout.
    pub(crate) fn write(&self, folder: &Path) -> anyhow::Result<Layout> {
        clear(folder)?;
        let blobs = folder.join("blobs/sha256");
        fs::create_dir_all(&blobs).with_context(|| format!("create {}", blobs.display()))?;
        let layer = blob(folder, LAYER, &self.layer.archive()?)?;
        let config = blob(folder, CONFIG, &sorted(self.config(&layer.digest))?)?;
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": config.descriptor(), "layers": [layer.descriptor()],
        });
        let manifest = blob(folder, MANIFEST, &sorted(manifest)?)?;
        let mut listed = manifest.descriptor();
        listed["platform"] = json!({ "architecture": "amd64", "os": "linux" });
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [listed] });
        let index = blob(folder, INDEX, &sorted(index)?)?;
        let top = json!({ "schemaVersion": 2, "manifests": [index.descriptor()] });
        file(&folder.join("index.json"), &sorted(top)?)?;
        file(&folder.join(MARK), br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        Ok(Layout {
            folder: folder.to_owned(),
            index,
        })
    }

    fn config(&self, layer: &str) -> Value {
        let mut run = json!({ "Entrypoint": self.entrypoint });
        if !self.env.is_empty() {
            run["Env"] = json!(self.env);
        }
        if let Some(user) = &self.user {
            run["User"] = json!(user);
        }
        if let Some(signal) = &self.stop_signal {
            run["StopSignal"] = json!(signal);
        }
        for port in &self.ports {
            run["ExposedPorts"][format!("{port}/tcp")] = json!({});
        }
        if let Some(revision) = &self.revision {
            run["Labels"] = json!({ REVISION: revision });
        }
        json!({
            "architecture": "amd64", "os": "linux", "config": run,
            "rootfs": { "type": "layers", "diff_ids": [layer] }, "history": [],
        })
    }
}

/// An image in a folder.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    folder: PathBuf,
    index: Piece,
}

/// One piece of an image, as another piece names it.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    /// What its bytes are.
    pub(crate) media_type: String,
    /// `sha256:` and the hash of its bytes.
    pub(crate) digest: String,
    size: u64,
}

impl Piece {
    fn descriptor(&self) -> Value {
        json!({ "mediaType": self.media_type, "digest": self.digest, "size": self.size })
    }

    fn read(descriptor: &Value) -> anyhow::Result<Self> {
        let text = |key: &str| {
            let value = descriptor[key].as_str().map(str::to_owned);
            value.with_context(|| format!("a descriptor without {key}: {descriptor}"))
        };
        Ok(Self {
            media_type: text("mediaType")?,
            digest: text("digest")?,
            size: descriptor["size"]
                .as_u64()
                .with_context(|| format!("a descriptor without size: {descriptor}"))?,
        })
    }
}

impl Layout {
    /// The digest of the image's index, `sha256:…`: what a tag points to and previews pin.
    pub(crate) fn digest(&self) -> &str {
        &self.index.digest
    }

    /// The image's index.
    pub(crate) fn index(&self) -> &Piece {
        &self.index
    }

    /// The same manifests in another index, as a build that finds all of it cached makes them: beside the first one.
    ///
    /// # Errors
    /// When the index is missing or damaged, or the new one cannot be written.
    pub(crate) fn built_again(&self) -> anyhow::Result<Self> {
        let mut index = self.document(&self.index)?;
        index["annotations"] =
            json!({ "org.opencontainers.image.created": "2026-01-02T03:04:05Z" });
        Ok(Self {
            folder: self.folder.clone(),
            index: blob(&self.folder, INDEX, &sorted(index)?)?,
        })
    }

    /// The image with one more file, in a layer of its own: beside the image without it.
    ///
    /// # Errors
    /// When a piece is missing or damaged, or a new one cannot be written.
    pub(crate) fn with_file(&self, path: &str, content: &str) -> anyhow::Result<Self> {
        let folder = &self.folder;
        let mut layer = Layer::default();
        layer.file(path, 0o644, content);
        let layer = blob(folder, LAYER, &layer.archive()?)?;
        let mut index = self.document(&self.index)?;
        let listed = index["manifests"].as_array_mut();
        for listed in listed.context("an index without manifests")? {
            let mut manifest = self.document(&Piece::read(listed)?)?;
            let mut config = self.document(&Piece::read(&manifest["config"])?)?;
            append(&mut config["rootfs"]["diff_ids"], json!(layer.digest))?;
            append(&mut manifest["layers"], layer.descriptor())?;
            manifest["config"] = blob(folder, CONFIG, &sorted(config)?)?.descriptor();
            let manifest = blob(folder, MANIFEST, &sorted(manifest)?)?;
            (listed["digest"], listed["size"]) = (json!(manifest.digest), json!(manifest.size));
        }
        Ok(Self {
            folder: folder.clone(),
            index: blob(folder, INDEX, &sorted(index)?)?,
        })
    }

    /// The manifests that the index lists.
    ///
    /// # Errors
    /// When the index is missing or damaged.
    pub(crate) fn manifests(&self) -> anyhow::Result<Vec<Piece>> {
        let index = self.document(&self.index)?;
        list(&index["manifests"])
    }

    /// The config and the layers of one manifest.
    ///
    /// # Errors
    /// When the manifest is missing or damaged.
    pub(crate) fn blobs(&self, manifest: &Piece) -> anyhow::Result<Vec<Piece>> {
        let manifest = self.document(manifest)?;
        let mut blobs = list(&manifest["layers"])?;
        blobs.push(Piece::read(&manifest["config"])?);
        Ok(blobs)
    }

    /// A piece's bytes, which are what its digest says.
    ///
    /// # Errors
    /// When the file is missing or holds something else.
    pub(crate) fn bytes(&self, piece: &Piece) -> anyhow::Result<Vec<u8>> {
        let path = self
            .folder
            .join("blobs")
            .join(piece.digest.replace(':', "/"));
        let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        let found = digest(&bytes);
        if found != piece.digest {
            bail!("{} is damaged: its digest is {found}", path.display());
        }
        Ok(bytes)
    }

    /// Packs the layout into a tar archive, as `docker buildx build --output type=oci` does.
    ///
    /// # Errors
    /// When the layout cannot be read, or `to` not be written.
    pub(crate) fn archive(&self, to: &Path) -> anyhow::Result<()> {
        let packed = || {
            let mut archive = tar::Builder::new(fs::File::create(to)?);
            archive.append_dir_all(".", &self.folder)?;
            archive.into_inner()?.sync_all()
        };
        packed().with_context(|| format!("pack {} into {}", self.folder.display(), to.display()))
    }

    fn document(&self, piece: &Piece) -> anyhow::Result<Value> {
        serde_json::from_slice(&self.bytes(piece)?)
            .with_context(|| format!("parse {} of {}", piece.digest, self.folder.display()))
    }
}

fn append(list: &mut Value, item: Value) -> anyhow::Result<()> {
    let list = list.as_array_mut();
    list.context("an image without a list of layers")?
        .push(item);
    Ok(())
}

fn list(descriptors: &Value) -> anyhow::Result<Vec<Piece>> {
    let descriptors = descriptors.as_array().map_or(&[][..], Vec::as_slice);
    descriptors.iter().map(Piece::read).collect()
}

/// Makes way for a layout, and never removes what is none.
fn clear(folder: &Path) -> anyhow::Result<()> {
    let mut known = [MARK, "index.json", "blobs"].iter();
    if known.any(|name| folder.join(name).exists()) {
        return fs::remove_dir_all(folder)
            .with_context(|| format!("remove the old layout {}", folder.display()));
    }
    let empty = fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none());
    if !empty {
        bail!(
            "{} is no OCI layout, and is left alone; name another folder",
            folder.display()
        );
    }
    Ok(())
}

fn blob(folder: &Path, media_type: &str, bytes: &[u8]) -> anyhow::Result<Piece> {
    let piece = Piece {
        media_type: media_type.to_owned(),
        digest: digest(bytes),
        size: bytes.len() as u64,
    };
    file(
        &folder.join("blobs").join(piece.digest.replace(':', "/")),
        bytes,
    )?;
    Ok(piece)
}

/// Sorted, whatever feature of serde_json another crate of the build asks for: the order decides the digest.
fn sorted(mut document: Value) -> anyhow::Result<Vec<u8>> {
    document.sort_all_objects();
    Ok(serde_json::to_vec(&document)?)
}

fn file(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    fs::write(path, bytes).with_context(|| format!("write {}", path.display()))
}

/// `sha256:` and the hash of `bytes`.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn page() -> Image {
        let mut image = Image {
            revision: Some("b".repeat(40)),
            entrypoint: vec!["/page".to_owned()],
            env: vec!["REVISION=b".to_owned()],
            ports: vec![8080],
            user: Some("65534:65534".to_owned()),
            ..Image::default()
        };
        image.layer.file("page", 0o755, "hello\n");
        image
    }

    #[test]
    fn an_image_is_an_index_over_a_manifest_over_a_config_and_a_layer() {
        let folder = tempfile::tempdir().unwrap();
        let layout = page().write(folder.path()).unwrap();
        let [manifest] = &layout.manifests().unwrap()[..] else {
            panic!("one platform")
        };
        let blobs = layout.blobs(manifest).unwrap();
        let config = String::from_utf8(layout.bytes(&blobs[1]).unwrap()).unwrap();
        assert_snapshot!(config, @r#"{"architecture":"amd64","config":{"Entrypoint":["/page"],"Env":["REVISION=b"],"ExposedPorts":{"8080/tcp":{}},"Labels":{"org.opencontainers.image.revision":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"},"User":"65534:65534"},"history":[],"os":"linux","rootfs":{"diff_ids":["sha256:95af5daf4ba584217522dcf3b27398fd7c4b95721eb3607f2d88747a5240dbc6"],"type":"layers"}}"#);
        assert_eq!(blobs[0].media_type, LAYER);
        assert_eq!(layout.index().media_type, INDEX);
    }

    #[test]
    fn writing_twice_gives_the_same_digest_which_other_content_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let first = page().write(folder.path()).unwrap();
        let again = page().write(folder.path()).unwrap();
        assert_eq!(first.digest(), again.digest());
        // Pinned: a change of the format changes every digest that anybody wrote down.
        assert_snapshot!(first.digest(), @"sha256:4e964362b16175c00dfb525375ffeb7b481bc9bcc4a044e3a1de40438be4c857");
        let mut other = page();
        other.layer.file("page", 0o755, "bye\n");
        assert_ne!(first.digest(), other.write(folder.path()).unwrap().digest());
    }

    #[test]
    fn one_more_file_is_a_layer_of_its_own_on_top_of_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let layout = page().write(folder.path()).unwrap();
        let more = layout.with_file("note", "mine").unwrap();
        let blobs = |layout: &Layout| {
            let [manifest] = &layout.manifests().unwrap()[..] else {
                panic!("one platform")
            };
            layout.blobs(manifest).unwrap()
        };
        let (before, after) = (blobs(&layout), blobs(&more));
        assert_eq!((before.len(), after.len()), (2, 3));
        assert_eq!(before[0].digest, after[0].digest);
        let config = more.document(&after[2]).unwrap();
        let layers = json!([after[0].digest, after[1].digest]);
        assert_eq!(config["rootfs"]["diff_ids"], layers);
    }

    #[test]
    fn a_damaged_blob_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let layout = page().write(folder.path()).unwrap();
        let index = folder
            .path()
            .join("blobs")
            .join(layout.digest().replace(':', "/"));
        fs::write(index, "{}").unwrap();
        let refused = layout.manifests().unwrap_err().to_string();
        assert!(refused.contains("is damaged"), "{refused}");
    }

    #[test]
    fn a_folder_of_something_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let thesis = folder.path().join("thesis.tex");
        fs::write(&thesis, "years of work").unwrap();
        let refused = page().write(folder.path()).unwrap_err().to_string();
        assert!(refused.contains("is left alone"), "{refused}");
        assert!(thesis.exists());
    }
}
