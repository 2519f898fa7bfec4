//! Manifests as they are written.

use oci_client::manifest::{
    IMAGE_MANIFEST_LIST_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE,
    OCI_IMAGE_MEDIA_TYPE, OciImageIndex, OciImageManifest,
};
use serde_json::Value;

use crate::transport::MANIFEST_TYPES;

/// A list of manifests, or the manifest of one platform's image.
#[derive(Debug)]
pub(crate) enum Manifest {
    Index(OciImageIndex),
    Image(Box<OciImageManifest>),
}

impl Manifest {
    /// Reads by content: the media type is optional in OCI's formats.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let version = &value["schemaVersion"];
        if version != 2 {
            return Err(format!("schemaVersion is {version}, not 2"));
        }
        let media_type = value["mediaType"].as_str();
        if let Some(other) = media_type.filter(|given| !MANIFEST_TYPES.contains(given)) {
            return Err(format!("mediaType {other:?} is not a manifest's"));
        }
        let is_index = value.get("manifests").is_some();
        // https://github.com/opencontainers/image-spec/pull/411: a document that can be read as both is an attack.
        if is_index && (value.get("config").is_some() || value.get("layers").is_some()) {
            return Err("it is an index and an image's manifest at once".to_owned());
        }
        if media_type.is_some_and(|given| is_index_type(given) != is_index) {
            return Err("mediaType and content disagree".to_owned());
        }
        let parsed = if is_index {
            serde_json::from_value(value).map(Self::Index)
        } else {
            serde_json::from_value(value).map(|m| Self::Image(Box::new(m)))
        };
        parsed.map_err(|error| error.to_string())
    }

    /// The media type under which to put it again: its own, else as it was served, else OCI's.
    pub(crate) fn media_type(&self, served_as: Option<&str>) -> String {
        let (own, default) = match self {
            Self::Index(index) => (index.media_type.as_deref(), OCI_IMAGE_INDEX_MEDIA_TYPE),
            Self::Image(image) => (image.media_type.as_deref(), OCI_IMAGE_MEDIA_TYPE),
        };
        let served_as = served_as.filter(|given| MANIFEST_TYPES.contains(given));
        own.or(served_as).unwrap_or(default).to_owned()
    }
}

fn is_index_type(media_type: &str) -> bool {
    debug_assert!(
        [
            OCI_IMAGE_INDEX_MEDIA_TYPE,
            IMAGE_MANIFEST_LIST_MEDIA_TYPE,
            OCI_IMAGE_MEDIA_TYPE,
            IMAGE_MANIFEST_MEDIA_TYPE
        ]
        .contains(&media_type)
    );
    media_type == OCI_IMAGE_INDEX_MEDIA_TYPE || media_type == IMAGE_MANIFEST_LIST_MEDIA_TYPE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        Manifest::parse(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn what_is_no_manifest_is_told_apart() {
        insta::assert_snapshot!(
            [
                "<html>",
                "[]",
                r#"{"schemaVersion":1,"name":"acme/web","fsLayers":[]}"#,
                r#"{"schemaVersion":2,"mediaType":"text/plain"}"#,
                r#"{"schemaVersion":2}"#,
                r#"{"schemaVersion":2,"manifests":[],"config":{},"layers":[]}"#,
                r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","manifests":[]}"#,
            ]
            .map(problem)
            .join("\n"),
            @r#"
            expected value at line 1 column 1
            schemaVersion is null, not 2
            schemaVersion is 1, not 2
            mediaType "text/plain" is not a manifest's
            missing field `config`
            it is an index and an image's manifest at once
            mediaType and content disagree
            "#
        );
    }

    #[test]
    fn an_index_without_a_media_type_keeps_the_one_it_was_served_as() {
        let index = Manifest::parse(br#"{"schemaVersion":2,"manifests":[]}"#).unwrap();
        assert_eq!(
            index.media_type(Some("text/html")),
            OCI_IMAGE_INDEX_MEDIA_TYPE
        );
        assert_eq!(
            index.media_type(Some(IMAGE_MANIFEST_LIST_MEDIA_TYPE)),
            IMAGE_MANIFEST_LIST_MEDIA_TYPE
        );
    }
}
