//! What was built elsewhere, and lies here as an OCI layout.

use preview_core::names::ImageName;
use sandbox::registry::{Image, Kind};

use super::{FIRST, Stage, client};
use crate::unpacked::layout;

/// A layer that is sent in many pieces.
fn large() -> Vec<u8> {
    (0..300_000u32).flat_map(u32::to_le_bytes).collect()
}

pub(crate) async fn a_layout_is_pushed_byte_for_byte_and_tagged_then(stage: Stage) {
    let image = Image::of(FIRST)
        .containing(large())
        .and_platform("linux/arm64", FIRST)
        .attested();
    let (_folder, layout) = layout(&image);
    let sent = stage.us.push(&layout, &stage.name).await.unwrap();
    let artifact = image.build();
    assert_eq!(layout.digest().as_str(), artifact.digest());
    assert!(sent >= 3, "{sent} blobs");
    assert_eq!(stage.resolved(FIRST).await, None, "no tag yet");
    let pinned = stage.at(artifact.digest());
    let seen = stage.us.inspect(&pinned).await.unwrap();
    assert!(seen.is_complete(), "{seen:?}");
    assert_eq!(
        seen.platforms.len(),
        artifact.digests(Kind::Manifest).len() / 2
    );
    assert!(seen.attestations.iter().all(|one| one.present), "{seen:?}");

    stage.us.tag(&pinned, FIRST).await.unwrap();
    assert_eq!(
        stage.resolved(FIRST).await.as_deref(),
        Some(artifact.digest())
    );
}

pub(crate) async fn what_is_there_is_not_sent_again(stage: Stage) {
    let image = Image::of(FIRST).without_index();
    let (_folder, layout) = layout(&image);
    for sent in [2, 0] {
        assert_eq!(stage.us.push(&layout, &stage.name).await.unwrap(), sent);
    }
    // Another repository of the same registry may have it: that is another image.
    let other: ImageName = format!("{}-other", stage.name).parse().unwrap();
    assert_eq!(stage.us.push(&layout, &other).await.unwrap(), 2);
}

pub(crate) async fn a_layout_in_docker_format_keeps_its_media_types(stage: Stage) {
    let image = Image::of(FIRST).in_docker_format();
    let (_folder, layout) = layout(&image);
    stage.us.push(&layout, &stage.name).await.unwrap();
    let pinned = stage.at(image.build().digest());
    let seen = stage.us.inspect(&pinned).await.unwrap();
    assert!(seen.is_complete(), "{seen:?}");
    assert_eq!(
        seen.media_type.as_deref(),
        Some("application/vnd.docker.distribution.manifest.list.v2+json")
    );
}

pub(crate) async fn the_anonymous_may_not_push(stage: Stage) {
    let (_folder, layout) = layout(&Image::of(FIRST));
    let anonymous = client(&stage.backend, None);
    let error = anonymous.push(&layout, &stage.name).await.unwrap_err();
    insta::assert_snapshot!(stage.told(&error), @"push REGISTRY/acme/web@sha256:4589badb8217c88d5e215a9ae269639d48b812131aa91b440901d6b208d33975: REGISTRY refuses: 401 UNAUTHORIZED: authentication required; set a credential for REGISTRY that may push it, or check the image's name");
    let pinned = stage.at(layout.digest().as_str());
    assert!(!stage.us.inspect(&pinned).await.unwrap().is_complete());
}
