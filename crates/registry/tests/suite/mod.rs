//! What a registry does for us, as stories written against any registry.

mod layouts;
mod publisher;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

pub(crate) use layouts::{
    a_layout_in_docker_format_keeps_its_media_types,
    a_layout_is_pushed_byte_for_byte_and_tagged_then, the_anonymous_may_not_push,
    what_is_there_is_not_sent_again,
};
use preview_core::names::{Digest, ImageName, PinnedImage};
use preview_registry::{Credentials, Error, Kind as Piece, Missing, Registry, Settings};
use publisher::Publisher;
use sandbox::registry::{Image, Kind};

/// Two commits.
const FIRST: &str = "1111111111111111111111111111111111111111";
const SECOND: &str = "2222222222222222222222222222222222222222";

/// A registry in ghcr's Bearer flow, in plain HTTP, with an account that may push and delete.
pub(crate) struct Backend {
    pub(crate) host: String,
    pub(crate) user: String,
    pub(crate) password: String,
    /// Keeps a server of this process alive.
    pub(crate) _server: Option<sandbox::registry::Registry>,
}

/// One test per story, each on a backend of its own from `$backend().await`.
macro_rules! every_story {
    ($backend:path) => {
        crate::suite::every_story! { $backend:
            a_tag_means_the_digest_of_the_index,
            a_tag_that_moved_means_the_new_digest,
            an_unknown_tag_is_none,
            an_unknown_image_is_none,
            an_image_without_an_index_is_fine,
            an_image_in_docker_format_is_fine,
            every_platform_and_attestation_is_seen,
            platforms_of_two_commits_name_no_one_commit,
            an_image_without_a_label_names_no_commit,
            a_removed_image_is_missing,
            a_removed_child_is_missing,
            a_removed_config_is_missing,
            a_removed_layer_is_missing,
            a_removed_attestation_leaves_the_image_whole,
            promotion_moves_a_tag_and_no_byte,
            docker_format_keeps_its_media_type_when_tagged,
            the_anonymous_may_not_tag,
            a_wrong_password_is_told_and_not_shown,
            an_absent_image_cannot_be_tagged,
            a_layout_is_pushed_byte_for_byte_and_tagged_then,
            what_is_there_is_not_sent_again,
            a_layout_in_docker_format_keeps_its_media_types,
            the_anonymous_may_not_push,
        }
    };
    ($backend:path: $($story:ident,)*) => {
        $(#[tokio::test]
        async fn $story() {
            crate::suite::$story(crate::suite::Stage::on($backend().await).await).await;
        })*
    };
}
pub(crate) use every_story;

/// A repository of its own on the backend, with somebody who publishes, and us.
pub(crate) struct Stage {
    backend: Backend,
    name: ImageName,
    ci: Publisher,
    us: Registry,
}

impl Stage {
    pub(crate) async fn on(backend: Backend) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let repository = format!("acme/web-{}", unique());
        let name: ImageName = format!("{}/{repository}", backend.host).parse().unwrap();
        let ci = Publisher::of(&backend, &repository).await;
        let us = client(&backend, Some(&backend.password));
        Self {
            backend,
            name,
            ci,
            us,
        }
    }

    fn at(&self, digest: &str) -> PinnedImage {
        self.name.at(digest.parse().unwrap())
    }

    /// The error's text without what differs from run to run.
    fn told(&self, error: &Error) -> String {
        error
            .to_string()
            .replace(self.name.as_str(), "REGISTRY/acme/web")
            .replace(&self.backend.host, "REGISTRY")
    }

    async fn resolved(&self, tag: &str) -> Option<String> {
        let digest = self.us.resolve(&self.name, tag).await.unwrap();
        digest.map(|digest| digest.to_string())
    }

    async fn missing(&self, digest: &str) -> Vec<Missing> {
        self.us.inspect(&self.at(digest)).await.unwrap().missing
    }
}

/// Names of a run must not meet those of the run before: a real registry keeps them.
fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!(
        "{:x}-{}-{number}",
        now.unwrap().as_micros(),
        std::process::id()
    )
}

fn client(backend: &Backend, password: Option<&str>) -> Registry {
    let credentials = password.map(|password| Credentials {
        user: backend.user.clone(),
        password: password.into(),
    });
    let credentials = credentials.map(|known| (backend.host.clone(), known));
    Registry::new(Settings {
        credentials: BTreeMap::from_iter(credentials),
        plain_http: BTreeSet::from([backend.host.clone()]),
        timeout: Duration::from_secs(20),
    })
    .unwrap()
}

fn gone(kind: Piece, digest: &str) -> Vec<Missing> {
    let digest: Digest = digest.parse().unwrap();
    vec![Missing { kind, digest }]
}

pub(crate) async fn a_tag_means_the_digest_of_the_index(stage: Stage) {
    let image = stage.ci.push(FIRST, &Image::of(FIRST)).await;
    assert_eq!(stage.resolved(FIRST).await.as_deref(), Some(image.digest()));
    let seen = stage.us.inspect(&stage.at(image.digest())).await.unwrap();
    assert!(seen.is_complete(), "{seen:?}");
    assert_eq!(seen.revision().unwrap().unwrap().as_str(), FIRST);
    assert_eq!(
        seen.media_type.as_deref(),
        Some("application/vnd.oci.image.index.v1+json")
    );
}

pub(crate) async fn a_tag_that_moved_means_the_new_digest(stage: Stage) {
    let before = stage.ci.push("main", &Image::of(FIRST)).await;
    let after = stage.ci.push("main", &Image::of(SECOND)).await;
    assert_eq!(
        stage.resolved("main").await.as_deref(),
        Some(after.digest())
    );
    let old = stage.us.inspect(&stage.at(before.digest())).await.unwrap();
    assert!(old.is_complete(), "the old image stays: {old:?}");
}

pub(crate) async fn an_unknown_tag_is_none(stage: Stage) {
    stage.ci.push(FIRST, &Image::of(FIRST)).await;
    assert_eq!(stage.resolved(SECOND).await, None);
}

pub(crate) async fn an_unknown_image_is_none(stage: Stage) {
    assert_eq!(stage.resolved(FIRST).await, None);
}

pub(crate) async fn an_image_without_an_index_is_fine(stage: Stage) {
    let image = stage
        .ci
        .push(FIRST, &Image::of(FIRST).without_index())
        .await;
    assert_eq!(stage.resolved(FIRST).await.as_deref(), Some(image.digest()));
    let seen = stage.us.inspect(&stage.at(image.digest())).await.unwrap();
    assert!(seen.is_complete(), "{seen:?}");
    assert_eq!(seen.revision().unwrap().unwrap().as_str(), FIRST);
    assert_eq!(seen.platforms[0].manifest.as_str(), image.digest());
}

pub(crate) async fn an_image_in_docker_format_is_fine(stage: Stage) {
    let image = Image::of(FIRST).in_docker_format();
    let image = stage.ci.push(FIRST, &image).await;
    assert_eq!(stage.resolved(FIRST).await.as_deref(), Some(image.digest()));
    let seen = stage.us.inspect(&stage.at(image.digest())).await.unwrap();
    assert!(seen.is_complete(), "{seen:?}");
    assert_eq!(
        (
            seen.media_type.as_deref(),
            seen.platforms[0].media_type.as_str()
        ),
        (
            Some("application/vnd.docker.distribution.manifest.list.v2+json"),
            "application/vnd.docker.distribution.manifest.v2+json"
        )
    );
}

fn everything() -> Image {
    Image::of(FIRST)
        .and_platform("linux/arm64", FIRST)
        .attested()
}

pub(crate) async fn every_platform_and_attestation_is_seen(stage: Stage) {
    let image = stage.ci.push(FIRST, &everything()).await;
    let seen = stage.us.inspect(&stage.at(image.digest())).await.unwrap();
    assert!(seen.is_complete(), "{seen:?}");
    let platforms: Vec<_> = seen.platforms.iter().map(|p| p.platform.as_str()).collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
    assert_eq!(seen.attestations.len(), 2);
    assert!(
        seen.attestations
            .iter()
            .all(|attestation| attestation.present)
    );
    assert_eq!(seen.revision().unwrap().unwrap().as_str(), FIRST);
}

pub(crate) async fn platforms_of_two_commits_name_no_one_commit(stage: Stage) {
    let image = Image::of(FIRST).and_platform("linux/arm64", SECOND);
    let image = stage.ci.push(FIRST, &image).await;
    let seen = stage.us.inspect(&stage.at(image.digest())).await.unwrap();
    insta::assert_snapshot!(seen.revision().unwrap_err(), @r#"the image does not name one commit in its label org.opencontainers.image.revision: linux/amd64 says "1111111111111111111111111111111111111111", linux/arm64 says "2222222222222222222222222222222222222222"; build all its platforms from one commit and label them with its SHA"#);
}

pub(crate) async fn an_image_without_a_label_names_no_commit(stage: Stage) {
    let image = stage.ci.push(FIRST, &Image::unlabelled()).await;
    let seen = stage.us.inspect(&stage.at(image.digest())).await.unwrap();
    assert_eq!(seen.revision().unwrap(), None);
}

pub(crate) async fn a_removed_image_is_missing(stage: Stage) {
    let image = stage.ci.push(FIRST, &everything()).await;
    stage.ci.remove_manifest(image.digest()).await;
    assert_eq!(stage.resolved(FIRST).await, None);
    let missing = stage.missing(image.digest()).await;
    assert_eq!(missing, gone(Piece::Image, image.digest()));
}

pub(crate) async fn a_removed_child_is_missing(stage: Stage) {
    let image = stage
        .ci
        .push(FIRST, &Image::of(FIRST).and_platform("linux/arm64", FIRST))
        .await;
    let child = image.digests(Kind::Manifest)[1];
    stage.ci.remove_manifest(child).await;
    assert_eq!(stage.resolved(FIRST).await.as_deref(), Some(image.digest()));
    let missing = stage.missing(image.digest()).await;
    assert_eq!(missing, gone(Piece::Manifest, child));
}

pub(crate) async fn a_removed_config_is_missing(stage: Stage) {
    let image = stage.ci.push(FIRST, &Image::of(FIRST)).await;
    let config = image.digests(Kind::Config)[0];
    stage.ci.remove_blob(config).await;
    let missing = stage.missing(image.digest()).await;
    assert_eq!(missing, gone(Piece::Config, config));
}

pub(crate) async fn a_removed_layer_is_missing(stage: Stage) {
    let image = stage.ci.push(FIRST, &Image::of(FIRST)).await;
    let layer = image.digests(Kind::Layer)[0];
    stage.ci.remove_blob(layer).await;
    let missing = stage.missing(image.digest()).await;
    assert_eq!(missing, gone(Piece::Layer, layer));
}

pub(crate) async fn a_removed_attestation_leaves_the_image_whole(stage: Stage) {
    let image = stage.ci.push(FIRST, &Image::of(FIRST).attested()).await;
    stage
        .ci
        .remove_manifest(image.digests(Kind::Manifest)[1])
        .await;
    let seen = stage.us.inspect(&stage.at(image.digest())).await.unwrap();
    assert!(seen.is_complete(), "{seen:?}");
    assert!(!seen.attestations[0].present);
}

pub(crate) async fn promotion_moves_a_tag_and_no_byte(stage: Stage) {
    let old = stage.ci.push("latest", &Image::of(FIRST)).await;
    let new = stage.ci.push(SECOND, &everything()).await;
    stage
        .us
        .tag(&stage.at(new.digest()), "latest")
        .await
        .unwrap();
    assert_eq!(
        stage.resolved("latest").await.as_deref(),
        Some(new.digest())
    );
    assert_eq!(stage.resolved(SECOND).await.as_deref(), Some(new.digest()));
    stage
        .us
        .tag(&stage.at(new.digest()), "latest")
        .await
        .unwrap();
    let before = stage.us.inspect(&stage.at(old.digest())).await.unwrap();
    assert!(before.is_complete(), "rolling back needs it: {before:?}");
}

pub(crate) async fn docker_format_keeps_its_media_type_when_tagged(stage: Stage) {
    let image = Image::of(FIRST).in_docker_format();
    let image = stage.ci.push(FIRST, &image).await;
    stage
        .us
        .tag(&stage.at(image.digest()), "latest")
        .await
        .unwrap();
    assert_eq!(
        stage.resolved("latest").await.as_deref(),
        Some(image.digest())
    );
    let seen = stage.us.inspect(&stage.at(image.digest())).await.unwrap();
    assert_eq!(
        seen.media_type.as_deref(),
        Some("application/vnd.docker.distribution.manifest.list.v2+json")
    );
}

pub(crate) async fn the_anonymous_may_not_tag(stage: Stage) {
    let image = stage.ci.push(FIRST, &Image::of(FIRST)).await;
    let anonymous = client(&stage.backend, None);
    let pinned = stage.at(image.digest());
    let seen = anonymous.inspect(&pinned).await.unwrap();
    assert!(seen.is_complete(), "anybody may pull: {seen:?}");
    let error = anonymous.tag(&pinned, "latest").await.unwrap_err();
    insta::assert_snapshot!(stage.told(&error), @r#"tag REGISTRY/acme/web@sha256:4589badb8217c88d5e215a9ae269639d48b812131aa91b440901d6b208d33975 as latest: REGISTRY refuses: 401 UNAUTHORIZED: authentication required; set a credential for REGISTRY that may push it, or check the image's name"#);
    assert_eq!(stage.resolved("latest").await, None);
}

pub(crate) async fn a_wrong_password_is_told_and_not_shown(stage: Stage) {
    stage.ci.push(FIRST, &Image::of(FIRST)).await;
    let impostor = client(&stage.backend, Some("hunter2"));
    let error = impostor.resolve(&stage.name, FIRST).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    insta::assert_snapshot!(stage.told(&error), @r#"resolve REGISTRY/acme/web:1111111111111111111111111111111111111111: REGISTRY refuses: 403 DENIED: requested access to the resource is denied; check that its credential is valid, that the image exists, and that the account may pull it"#);
    assert!(!format!("{error} {error:?} {impostor:?}").contains("hunter2"));
}

pub(crate) async fn an_absent_image_cannot_be_tagged(stage: Stage) {
    let image = stage.at(&format!("sha256:{}", "0".repeat(64)));
    let error = stage.us.tag(&image, "latest").await.unwrap_err();
    insta::assert_snapshot!(stage.told(&error), @r#"tag REGISTRY/acme/web@sha256:0000000000000000000000000000000000000000000000000000000000000000 as latest: REGISTRY does not have it; build and push it again"#);
}
