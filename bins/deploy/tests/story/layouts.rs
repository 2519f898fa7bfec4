//! OCI layouts as archives, as BuildKit writes them and as an attacker would.

use sandbox::registry::{Image, Kind};
use serde_json::json;
use tar::{EntryType, Header};

use crate::DEPLOY;
use crate::shop::{Ran, Shop};

/// An archive that grows.
pub(crate) struct Archive(tar::Builder<Vec<u8>>);

impl Archive {
    /// One without an entry.
    pub(crate) fn empty() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    /// The layout of an image, without the names that are left out.
    pub(crate) fn without(image: &Image, left_out: &[&str]) -> Self {
        let artifact = image.build();
        let mut archive = Self::empty();
        let top = artifact.documents.last().unwrap();
        let named = json!({
            "mediaType": top.media_type, "digest": top.digest, "size": top.bytes.len(),
        });
        let index = json!({ "schemaVersion": 2, "manifests": [named] }).to_string();
        let mut entries = vec![
            (
                "oci-layout".to_owned(),
                br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec(),
            ),
            ("index.json".to_owned(), index.into_bytes()),
        ];
        for document in &artifact.documents {
            entries.push((blob(&document.digest), document.bytes.to_vec()));
        }
        for (name, bytes) in entries {
            if !left_out.contains(&name.as_str()) {
                archive.file(&name, &bytes);
            }
        }
        archive
    }

    /// The layout of an image.
    pub(crate) fn of(image: &Image) -> Self {
        Self::without(image, &[])
    }

    pub(crate) fn file(&mut self, name: &str, bytes: &[u8]) {
        self.entry(EntryType::Regular, name, bytes.len() as u64, bytes);
    }

    /// An entry whose header claims `size`, whatever it holds.
    pub(crate) fn entry(&mut self, kind: EntryType, name: &str, size: u64, bytes: &[u8]) {
        let mut header = Header::new_gnu();
        let field = &mut header.as_old_mut().name;
        field[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(0o644);
        header.set_cksum();
        self.0.append(&header, bytes).unwrap();
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

/// Where a blob lies.
pub(crate) fn blob(digest: &str) -> String {
    format!("blobs/{}", digest.replace(':', "/"))
}

impl Shop {
    /// What a job of the default branch's workflow builds for the pull request: its test merge.
    pub(crate) fn built(&self, number: u64, component: &str) -> Image {
        let merge = self.repository.merge_commit_of(number).unwrap();
        Image::of(&merge).containing(component.to_owned())
    }

    /// Puts an archive where an artifact was downloaded to.
    pub(crate) fn artifact(&self, component: &str, archive: &[u8]) -> String {
        let folder = self.path("layouts");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{component}.tar")), archive).unwrap();
        folder.to_str().unwrap().to_owned()
    }

    /// Builds both components into a folder of archives.
    pub(crate) fn artifacts(&self, number: u64) -> String {
        self.artifact("web", &Archive::of(&self.built(number, "web")).bytes());
        self.artifact("api", &Archive::of(&self.built(number, "api")).bytes())
    }

    /// Imports what is in the folder for the pull request at its head.
    pub(crate) async fn import(&self, number: u64, folder: &str, built_by: &str) -> Ran {
        let (pr, head) = (number.to_string(), self.repository.head_of(number));
        let arguments = [
            "--pr",
            &pr,
            "--sha",
            &head,
            "import",
            "--layouts",
            folder,
            "--built-by",
            built_by,
        ];
        self.run(DEPLOY, &arguments, &[]).await
    }

    /// What the registry was asked to write, without what differs from time to time.
    pub(crate) fn pushed(&self) -> Vec<String> {
        let exchanges = self.world.registry.traffic().exchanges().into_iter();
        exchanges
            .filter(|exchange| !["GET", "HEAD"].contains(&exchange.method.as_str()))
            .map(|exchange| format!("{} {}", exchange.method, exchange.target))
            .collect()
    }
}

/// The layer's digest in an image of the sandbox's.
pub(crate) fn layer_of(image: &Image) -> String {
    image.build().digests(Kind::Layer)[0].to_owned()
}
