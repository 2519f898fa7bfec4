//! What holds for every input.
#![allow(
    clippy::unwrap_used,
    reason = "a law's own material is known to be good"
)]

use std::collections::BTreeMap;

use preview_core::config::{Config, NamespaceTemplate};
use preview_core::manifests::{PASSWORD_KEY, Preview, SECRET, Secrets};
use preview_core::objects::{Kind, Manifest};
use preview_core::ownership::{Owner, images_annotation, parse_images_annotation};
use preview_core::{
    CommitSha, ComponentName, Digest, PinnedImage, RepositoryId, RepositorySlug, Subject, Uid,
};
use proptest::prelude::*;
use secrecy::SecretString;

const CONFIG: &str = r#"
host = "{pr}.pr.example.com"
[components.web]
image = "ghcr.io/acme/web"
path = "/"
env = { SELF = "${BASE_URL}/", DB = "postgres://${DATABASE_USER}:$(DATABASE_PASSWORD)@${DATABASE_HOST}" }
[components.api]
image = "ghcr.io/acme/api"
migrate = ["/api", "migrate"]
seed = ["/api", "seed"]
[database]
"#;

fn repository() -> impl Strategy<Value = RepositorySlug> {
    // Short alphabets make neighbours that could be mistaken for each other likely.
    (
        "[aA1._-]{1,4}|[a-z-]{1,39}",
        "[aA1._-]{1,4}|[a-zA-Z0-9._-]{1,100}",
    )
        .prop_filter_map("no repository", |(owner, name)| {
            format!("{owner}/{name}").parse().ok()
        })
}

fn commit() -> impl Strategy<Value = CommitSha> {
    "[0-9a-f]{40}".prop_map(|text| text.parse().unwrap())
}

fn subject() -> impl Strategy<Value = Subject> {
    prop_oneof![
        prop_oneof![1..30u64, 1..u64::MAX]
            .prop_map(|number| format!("pr-{number}").parse().unwrap()),
        commit().prop_map(Subject::Commit),
    ]
}

fn template() -> impl Strategy<Value = NamespaceTemplate> {
    prop_oneof![
        Just("{repo}-{pr}"),
        Just("{pr}-{repo}"),
        Just("preview-{repo}-pr-{pr}"),
        Just("p{repo}x-{pr}-1"),
        Just("{pr}-1-{repo}-1"),
    ]
    .prop_map(|text| text.parse().unwrap())
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 4]>().prop_map(|bytes| Digest::of(&bytes))
}

fn component() -> impl Strategy<Value = ComponentName> {
    "[a-z]([a-z0-9-]{0,20}[a-z0-9])?".prop_map(|text| text.parse().unwrap())
}

fn uid() -> impl Strategy<Value = Uid> {
    "[0-9a-f]{8}-[0-9a-f]{4}".prop_map(|text| text.parse().unwrap())
}

/// All that a preview is made from.
#[derive(Clone, Debug)]
struct Parts {
    config: Config,
    repository: RepositorySlug,
    owner: Owner,
    head: CommitSha,
    images: BTreeMap<ComponentName, PinnedImage>,
}

impl Parts {
    fn preview(&self) -> Preview<'_> {
        Preview::new(
            &self.config,
            &self.repository,
            &self.owner,
            &self.head,
            &self.images,
        )
        .unwrap()
    }

    /// Everything within the namespace.
    fn all(&self, password: &SecretString, uid: &Uid) -> Vec<Manifest> {
        let preview = self.preview();
        [
            preview.furniture(&Secrets::of_database(password.clone())),
            preview.database(),
            preview.jobs(uid).concat(),
            preview.workloads(),
            preview.routes(),
        ]
        .concat()
    }
}

fn parts() -> impl Strategy<Value = Parts> {
    (repository(), subject(), commit(), digest(), digest()).prop_map(
        |(repository, subject, head, web, api)| {
            let config = Config::parse("preview.toml", CONFIG).unwrap();
            let images = config.components.iter().zip([web, api]);
            let images = images
                .map(|(component, digest)| (component.name.clone(), component.image.at(digest)));
            Parts {
                images: images.collect(),
                repository,
                owner: Owner {
                    repository: RepositoryId(1),
                    subject,
                },
                head,
                config,
            }
        },
    )
}

fn job_names(parts: &Parts, uid: &Uid) -> Vec<String> {
    let jobs = parts.preview().jobs(uid).concat();
    jobs.iter().map(|job| job.object().name.clone()).collect()
}

fn is_dns_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// GitHub's eyes: without regard to case, and with `c` and twelve digits of a commit.
fn seen(repository: &RepositorySlug, subject: &Subject) -> (String, String) {
    (repository.to_string().to_ascii_lowercase(), subject.slug())
}

proptest! {
    #[test]
    fn namespaces_are_dns_labels(template in template(), repository in repository(), subject in subject()) {
        let name = template.render(&repository, &subject).unwrap();
        prop_assert!(is_dns_label(name.as_str()), "{name}");
    }

    #[test]
    fn two_repositories_or_subjects_never_share_a_namespace(
        template in template(), a in (repository(), subject()), b in (repository(), subject()),
    ) {
        let name = |(repository, subject): &(RepositorySlug, Subject)| template.render(repository, subject).unwrap();
        prop_assert_eq!(name(&a) == name(&b), seen(&a.0, &a.1) == seen(&b.0, &b.1), "{:?} {:?}: {}", a, b, name(&a));
    }

    #[test]
    fn names_of_all_objects_are_dns_labels(parts in parts(), uid in uid()) {
        for manifest in parts.all(&SecretString::from("x"), &uid) {
            prop_assert!(is_dns_label(&manifest.object().name), "{}", manifest.object());
        }
    }

    #[test]
    fn manifests_follow_from_their_parts_alone(parts in parts(), uid in uid()) {
        let password = SecretString::from("x");
        prop_assert_eq!(parts.all(&password, &uid), parts.clone().all(&password, &uid));
    }

    #[test]
    fn components_run_by_digest(parts in parts(), uid in uid()) {
        for manifest in parts.all(&SecretString::from("x"), &uid) {
            let containers = manifest.body().pointer("/spec/template/spec/containers");
            for container in containers.and_then(|all| all.as_array()).into_iter().flatten() {
                let image = container["image"].as_str().unwrap();
                let pinned = image.parse::<PinnedImage>().is_ok_and(|image| parts.images.values().any(|one| *one == image));
                prop_assert!(pinned || manifest.object().kind == Kind::StatefulSet, "{}: {image}", manifest.object());
            }
        }
    }

    #[test]
    fn the_password_is_in_the_secret_alone(parts in parts(), uid in uid(), password in "[A-Z]{24}") {
        let with = parts.all(&SecretString::from(password.clone()), &uid);
        let without = parts.all(&SecretString::from("another"), &uid);
        for (with, without) in with.iter().zip(&without) {
            prop_assert!(!with.body().to_string().contains(&password), "{}", with.object());
            let shown = format!("{with:?}");
            prop_assert!(!shown.contains(&password), "{}", shown);
            let is_secret = with.object().to_string() == format!("Secret/{SECRET}");
            prop_assert_eq!(with != without, is_secret, "{}", with.object());
            prop_assert_eq!(with.body()["data"].get(PASSWORD_KEY).is_some(), is_secret);
        }
    }

    #[test]
    fn a_job_has_another_name_for_another_volume_or_image(
        parts in parts(), a in uid(), b in uid(), image in digest(),
    ) {
        prop_assert_eq!(job_names(&parts, &a) == job_names(&parts, &b), a == b);
        let api: ComponentName = "api".parse().unwrap();
        let mut other = parts.clone();
        other.images.insert(api.clone(), parts.images[&api].name.at(image));
        prop_assert_eq!(job_names(&parts, &a) == job_names(&other, &a), parts.images == other.images);
    }

    #[test]
    fn images_survive_their_annotation(images in prop::collection::btree_map(component(), digest(), 0..6)) {
        let name: preview_core::ImageName = "ghcr.io/acme/x".parse().unwrap();
        let images: BTreeMap<String, PinnedImage> =
            images.into_iter().map(|(component, digest)| (component.to_string(), name.at(digest))).collect();
        let text = images_annotation(images.iter().map(|(component, image)| (component.as_str(), image)));
        prop_assert_eq!(parse_images_annotation(&text).unwrap(), images);
    }
}
