//! What the sandbox's registry can be made to do and a real one cannot.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod unpacked;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use preview_core::names::{ImageName, PinnedImage};
use preview_registry::{Credentials, Error, Registry, Settings};
use sandbox::Fault;
use sandbox::registry::{Image, Kind};
use unpacked::layout;

const FIRST: &str = "1111111111111111111111111111111111111111";
const SECOND: &str = "2222222222222222222222222222222222222222";

struct Stage {
    server: sandbox::registry::Registry,
    name: ImageName,
    us: Registry,
    anonymous: Registry,
}

impl Stage {
    async fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let server = sandbox::registry::Registry::start().await.unwrap();
        let account = server.account();
        let known = Credentials {
            user: account.user,
            password: account.password.into(),
        };
        let settings = |credentials| Settings {
            credentials,
            plain_http: BTreeSet::from([server.host()]),
            timeout: Duration::from_secs(20),
        };
        let us = settings(BTreeMap::from([(server.host(), known)]));
        Self {
            us: Registry::new(us).unwrap(),
            anonymous: Registry::new(settings(BTreeMap::new())).unwrap(),
            name: format!("{}/acme/web", server.host()).parse().unwrap(),
            server,
        }
    }

    fn publish(&self, tag: &str, image: &Image) -> PinnedImage {
        let digest = self.server.publish("acme/web", tag, image);
        self.name.at(digest.parse().unwrap())
    }

    fn told(&self, error: &Error) -> String {
        error.to_string().replace(&self.server.host(), "REGISTRY")
    }
}

#[tokio::test]
async fn a_token_whose_time_is_over_is_renewed() {
    let stage = Stage::new().await;
    let image = stage.publish(FIRST, &Image::of(FIRST));
    for _ in 0..2 {
        assert!(stage.us.inspect(&image).await.unwrap().is_complete());
        stage.us.tag(&image, "latest").await.unwrap();
        stage.server.expire_tokens();
    }
    assert_eq!(
        stage.server.tags("acme/web")["latest"],
        image.digest.as_str()
    );
}

#[tokio::test]
async fn one_token_serves_the_whole_walk() {
    let stage = Stage::new().await;
    let image = stage.publish(FIRST, &Image::of(FIRST).and_platform("linux/arm64", FIRST));
    stage.us.inspect(&image).await.unwrap();
    let asked = stage.server.traffic().exchanges();
    let tokens = asked
        .iter()
        .filter(|exchange| exchange.target.starts_with("/token"));
    assert_eq!(tokens.count(), 1);
}

#[tokio::test]
async fn corrupted_pieces_are_never_taken() {
    for kind in [Kind::Index, Kind::Manifest, Kind::Config, Kind::Layer] {
        let stage = Stage::new().await;
        let described = Image::of(FIRST);
        let image = stage.publish(FIRST, &described);
        let piece = described.build().digests(kind)[0].to_owned();
        assert!(stage.server.corrupt("acme/web", &piece));
        let error = stage.us.inspect(&image).await.unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{kind:?}: {error}");
    }
}

#[tokio::test]
async fn a_tag_whose_answer_got_lost_is_put_again() {
    let stage = Stage::new().await;
    stage.publish("latest", &Image::of(FIRST));
    let image = stage.publish(SECOND, &Image::of(SECOND));
    let lost = Fault::AnswerAfter {
        status: 502,
        body: String::new(),
    };
    stage
        .server
        .traffic()
        .plan("PUT", "/manifests/latest", 1, lost);
    stage.us.tag(&image, "latest").await.unwrap();
    assert_eq!(
        stage.server.tags("acme/web")["latest"],
        image.digest.as_str()
    );
}

#[tokio::test]
async fn a_private_image_needs_a_credential() {
    let stage = Stage::new().await;
    stage.publish(FIRST, &Image::of(FIRST));
    stage.server.make_private("acme/web");
    assert!(
        stage
            .us
            .resolve(&stage.name, FIRST)
            .await
            .unwrap()
            .is_some()
    );
    let error = stage
        .anonymous
        .resolve(&stage.name, FIRST)
        .await
        .unwrap_err();
    insta::assert_snapshot!(stage.told(&error), @"resolve REGISTRY/acme/web:1111111111111111111111111111111111111111: REGISTRY refuses: 403 DENIED: requested access to the resource is denied; set a credential for REGISTRY that may pull it, or check the image's name");
}

#[tokio::test]
async fn a_text_that_is_no_tag_asks_nothing() {
    let stage = Stage::new().await;
    let image = stage.publish(FIRST, &Image::of(FIRST));
    for text in ["", "../../secret", "a?b", ".hidden", &"a".repeat(129)] {
        let error = stage.us.resolve(&stage.name, text).await.unwrap_err();
        assert!(matches!(error, Error::NotATag { .. }), "{error}");
        let error = stage.us.tag(&image, text).await.unwrap_err();
        assert!(matches!(error, Error::NotATag { .. }), "{error}");
    }
    assert_eq!(stage.server.traffic().exchanges(), []);
}

#[tokio::test]
async fn an_upload_that_broke_off_or_whose_answer_got_lost_comes_to_its_end() {
    let broken = Fault::Answer {
        status: 503,
        headers: Vec::new(),
        body: String::new(),
    };
    let lost = Fault::AnswerAfter {
        status: 502,
        body: String::new(),
    };
    for (method, fault) in [
        ("POST", broken.clone()),
        ("POST", lost.clone()),
        ("PUT", broken),
        ("PUT", lost),
    ] {
        let stage = Stage::new().await;
        let (_folder, layout) = layout(&Image::of(FIRST));
        let traffic = stage.server.traffic();
        traffic.plan(method, "/blobs/uploads/", 1, fault.clone());
        stage.us.push(&layout, &stage.name).await.unwrap();
        let pushed = stage.name.at(layout.digest().clone());
        let seen = stage.us.inspect(&pushed).await.unwrap();
        assert!(seen.is_complete(), "{method} {fault:?}: {seen:?}");
    }
}

#[tokio::test]
async fn a_credential_is_not_carried_to_wherever_an_upload_is_sent() {
    let stage = Stage::new().await;
    let (_folder, layout) = layout(&Image::of(FIRST));
    let elsewhere = Fault::Answer {
        status: 202,
        headers: vec![("location", "http://evil.example/upload".to_owned())],
        body: String::new(),
    };
    let traffic = stage.server.traffic();
    traffic.plan("POST", "/blobs/uploads/", 9, elsewhere);
    let error = stage.us.push(&layout, &stage.name).await.unwrap_err();
    insta::assert_snapshot!(stage.told(&error), @"push REGISTRY/acme/web@sha256:4589badb8217c88d5e215a9ae269639d48b812131aa91b440901d6b208d33975: REGISTRY answered 202 and an address elsewhere for the upload; check the image's name and that this is a registry");
}

#[tokio::test]
async fn what_has_changed_since_it_was_checked_is_not_pushed() {
    let image = Image::of(FIRST);
    let mut told = Vec::new();
    for kind in [Kind::Layer, Kind::Manifest] {
        let stage = Stage::new().await;
        let (folder, layout) = layout(&image);
        let digest = image.build().digests(kind)[0].replace(':', "/");
        let file = folder.path().join("blobs").join(digest);
        let swapped = std::fs::read(&file).unwrap().to_ascii_uppercase();
        std::fs::write(&file, swapped).unwrap();
        let error = stage.us.push(&layout, &stage.name).await.unwrap_err();
        told.push(stage.told(&error));
        assert!(!stage.server.holds("acme/web", layout.digest().as_str()));
    }
    insta::assert_snapshot!(told.join("\n"), @r"
    push REGISTRY/acme/web@sha256:4589badb8217c88d5e215a9ae269639d48b812131aa91b440901d6b208d33975: REGISTRY answered 400 DIGEST_INVALID: provided digest did not match uploaded content; check the image's name and that this is a registry
    push REGISTRY/acme/web@sha256:4589badb8217c88d5e215a9ae269639d48b812131aa91b440901d6b208d33975: the manifest sha256:de3f25076bb0ccc5bd064ded39ad9fdc4644299b05a8f3c65fd457ede30564e4 should be sha256:de3f25076bb0ccc5bd064ded39ad9fdc4644299b05a8f3c65fd457ede30564e4 and is sha256:3d9f43d8c85882b1e55af85bbeb9e7438a21513b3b306e894da2eb10348bb070; do not use this image: build and push it again
    ");
}
