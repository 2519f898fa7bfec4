//! Images as folders.

use std::fs;

use preview_core::layout::Limits;
use preview_registry::Layout;
use sandbox::registry::Image;
use serde_json::json;
use tempfile::TempDir;

/// The image as a folder.
pub(crate) fn layout(image: &Image) -> (TempDir, Layout) {
    let folder = tempfile::tempdir().unwrap();
    let artifact = image.build();
    let blobs = folder.path().join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    for document in &artifact.documents {
        let digits = document.digest.trim_start_matches("sha256:");
        fs::write(blobs.join(digits), &document.bytes).unwrap();
    }
    let top = artifact.documents.last().unwrap();
    let top = json!({ "mediaType": top.media_type, "digest": top.digest, "size": top.bytes.len() });
    let index = json!({ "schemaVersion": 2, "manifests": [top] }).to_string();
    fs::write(folder.path().join("index.json"), index).unwrap();
    let mark = r#"{"imageLayoutVersion":"1.0.0"}"#;
    fs::write(folder.path().join("oci-layout"), mark).unwrap();
    let layout = Layout::open(folder.path(), Limits::default());
    (folder, layout.unwrap().unwrap())
}
