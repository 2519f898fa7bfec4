//! Where the configuration names the workflow that must have built what is promoted.

use preview_core::names::PinnedImage;
use sandbox::sigstore::{BUILD_PROVENANCE, Run, Sigstore};

use crate::*;

/// The workflow that must have built the images: on the default branch, whoever calls it.
const BUILD: &str = "https://github.com/acme/shop/.github/workflows/build.yml@refs/heads/main";

/// A merged pull request of a shop that demands attestations, by authorities of the story's own.
struct Attested {
    shop: Shop,
    number: u64,
    /// What its preview recorded.
    tested: Record,
    commit: String,
    sigstore: Sigstore,
}

impl Attested {
    async fn nothing_yet() -> Self {
        let (shop, number) = built().await;
        let tested = record(&shop, number);
        keep(&shop, &tested, signed(&tested, RECORD_KEY)).await;
        let commit = shop.repository.merge(number, MergeStyle::Squash);
        let sigstore = Sigstore::new();
        std::fs::write(shop.path("trusted-root.json"), sigstore.trusted_root()).unwrap();
        let it = Self {
            shop,
            number,
            tested,
            commit,
            sigstore,
        };
        it.demand("trust_root = \"trusted-root.json\"");
        it
    }

    /// Writes what is demanded, with `more` of it.
    fn demand(&self, more: &str) {
        self.shop.configure("");
        let file = self.shop.path("preview.toml");
        let toml = std::fs::read_to_string(&file).unwrap();
        let demanding = format!(
            "[promote.require_attestation]\nworkflow = \".github/workflows/build.yml\"\n{more}\n\n[[promote.targets]]"
        );
        std::fs::write(file, toml.replace("[[promote.targets]]", &demanding)).unwrap();
    }

    /// The run of that workflow that built the images.
    fn run(&self) -> Run {
        Run {
            workflow: BUILD.to_owned(),
            repository: self.shop.repository.id(),
            commit: self.recorded("web").built_from.to_string(),
            reference: format!("refs/pull/{}/merge", self.number),
            runner: "github-hosted".to_owned(),
            predicate: BUILD_PROVENANCE.to_owned(),
        }
    }

    fn recorded(&self, component: &str) -> &Recorded {
        &self.tested.components[&component.parse().unwrap()]
    }

    fn image(&self, component: &str) -> &PinnedImage {
        &self.recorded(component).image
    }

    /// What a run says of the image of a component.
    fn says(&self, run: &Run, component: &str) -> Value {
        let image = self.image(component);
        let name = image.name.to_string();
        self.sigstore.attest(run, &name, image.digest.as_str())
    }

    fn keep(&self, component: &str, bundle: &Value) {
        let digest = self.image(component).digest.as_str();
        self.shop.repository.keep_attestation(digest, bundle);
    }

    async fn promoted(&self) -> Ran {
        on_push(&self.shop, &self.commit).await
    }

    /// What the refusal says of `web`, where `bundle` is all that is kept of it, and `api` is as it has to be.
    async fn refusal(bundle: impl Fn(&Self) -> Option<Value>) -> String {
        let it = Self::nothing_yet().await;
        it.keep("api", &it.says(&it.run(), "api"));
        if let Some(bundle) = bundle(&it) {
            it.keep("web", &bundle);
        }
        let ran = it.promoted().await.exits(1);
        assert_eq!(runs(&it.shop, "web"), before("web"));
        assert_eq!(runs(&it.shop, "api"), before("api"));
        let id = it.shop.repository.id().to_string();
        let built_from = it.run().commit;
        let error = ran.error().replace(&id, "[repository]");
        let error = error.replace(&built_from, "[B]");
        let told = plain(&it.shop, it.number, &it.commit, &error);
        it.shop.close();
        told
    }

    /// As [`Self::refusal`], where another run signed.
    async fn refusal_of_run(change: impl Fn(&mut Run)) -> String {
        Self::refusal(|it| {
            let mut run = it.run();
            change(&mut run);
            Some(it.says(&run, "web"))
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_right_workflow_built_is_promoted_and_the_chain_shows_it() {
    let it = Attested::nothing_yet().await;
    // What anybody adds beside it means nothing.
    let mut another = it.run();
    another.workflow = BUILD.replace("build.yml", "test.yml");
    for component in ["web", "api"] {
        it.keep(component, &it.says(&it.run(), component));
        it.keep(component, &it.says(&another, component));
    }
    let ran = it.promoted().await.exits(0);
    assert!(ran.verdict().starts_with("promoted: "), "{ran:#?}");
    assert_eq!(runs(&it.shop, "web"), it.image("web").to_string());
    let chain = ran
        .summary
        .lines()
        .filter(|line| line.contains("attested by"));
    let chain: Vec<&str> = chain.collect();
    let chain = chain.join("\n").replace(&it.run().commit, "[B]");
    insta::assert_snapshot!(plain(&it.shop, it.number, &it.commit, &chain), @r"
    | ✅ | api: attested by | https:&#8203;//github.com/acme/shop/.github/workflows/build.yml@&#8203;refs/heads/main | the same |
    | ✅ | web: attested by | https:&#8203;//github.com/acme/shop/.github/workflows/build.yml@&#8203;refs/heads/main | the same |
    ");
    it.shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_nobody_attested_is_refused() {
    let it = Attested::nothing_yet().await;
    it.keep("api", &it.says(&it.run(), "api"));
    let ran = it.promoted().await.exits(1);
    insta::assert_snapshot!(plain(&it.shop, it.number, &it.commit, &ran.error()), @"error: web: attested by: the image of web, registry.test/acme/web@sha256:[hex], has no attestation of who built it, and must have been built by https://github.com/acme/shop/.github/workflows/build.yml@refs/heads/main; let that workflow build and attest it, and deploy the preview again; if it did, grant this job `attestations: read`");
    assert_eq!(runs(&it.shop, "api"), before("api"));
    let comment = it.shop.comment(it.number);
    assert!(
        comment.contains("has no attestation of who built it"),
        "{comment}"
    );
    it.shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_another_run_attested_is_refused() {
    let told = [
        (
            "another workflow of the same repository",
            Attested::refusal_of_run(|run| {
                run.workflow = run.workflow.replace("build.yml", "test.yml");
            })
            .await,
        ),
        (
            "the right workflow as a branch has it",
            Attested::refusal_of_run(|run| {
                run.workflow = run.workflow.replace("refs/heads/main", &run.reference);
            })
            .await,
        ),
        (
            "another repository that calls it",
            Attested::refusal_of_run(|run| {
                run.repository = 43;
            })
            .await,
        ),
        (
            "another commit",
            Attested::refusal_of_run(|run| run.commit = "c".repeat(40)).await,
        ),
        (
            "somebody's own runner",
            Attested::refusal_of_run(|run| {
                run.runner = "self-hosted".to_owned();
            })
            .await,
        ),
    ];
    let told: Vec<String> = told.map(|(what, error)| format!("{what}\n{error}")).into();
    insta::assert_snapshot!(told.join("\n\n"), @r"
    another workflow of the same repository
    error: web: attested by: the image of web, registry.test/acme/web@sha256:[hex], is attested with the workflow https://github.com/acme/shop/.github/workflows/test.yml@refs/heads/main, and must be with https://github.com/acme/shop/.github/workflows/build.yml@refs/heads/main; let that one build and attest the image, and deploy the preview again

    the right workflow as a branch has it
    error: web: attested by: the image of web, registry.test/acme/web@sha256:[hex], is attested with the workflow https://github.com/acme/shop/.github/workflows/build.yml@refs/pull/7/merge, and must be with https://github.com/acme/shop/.github/workflows/build.yml@refs/heads/main; let that one build and attest the image, and deploy the preview again

    another repository that calls it
    error: web: attested by: the image of web, registry.test/acme/web@sha256:[hex], is attested with the repository 43, and must be with [repository]; let https://github.com/acme/shop/.github/workflows/build.yml@refs/heads/main build and attest the image, and deploy the preview again

    another commit
    error: web: attested by: the image of web, registry.test/acme/web@sha256:[hex], is attested with the commit cccccccccccccccccccccccccccccccccccccccc, and must be with [B]; let https://github.com/acme/shop/.github/workflows/build.yml@refs/heads/main build and attest the image, and deploy the preview again

    somebody's own runner
    error: web: attested by: the image of web, registry.test/acme/web@sha256:[hex], is attested with the runner self-hosted, and must be with github-hosted; let https://github.com/acme/shop/.github/workflows/build.yml@refs/heads/main build and attest the image, and deploy the preview again
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attestation_that_does_not_hold_is_refused() {
    let of_another_image = Attested::refusal(|it| Some(it.says(&it.run(), "api"))).await;
    let signature = Attested::refusal(|it| {
        let mut bundle = it.says(&it.run(), "web");
        // As good a statement, which nobody signed.
        let digest = it.image("web").digest.as_str();
        let other = it.sigstore.attest(&it.run(), "another name", digest);
        bundle["dsseEnvelope"]["payload"] = other["dsseEnvelope"]["payload"].clone();
        Some(bundle)
    })
    .await;
    let forger = Attested::refusal(|it| {
        let image = it.image("web");
        Some(Sigstore::new().attest(&it.run(), "acme/web", image.digest.as_str()))
    })
    .await;
    let told = [of_another_image, signature, forger];
    insta::assert_snapshot!(told.join("\n\n"), @r"
    error: web: attested by: the image of web, registry.test/acme/web@sha256:[hex], has no attestation that can be believed, and must have been built by https://github.com/acme/shop/.github/workflows/build.yml@refs/heads/main: by fulcio.sandbox.test: artifact mismatch: artifact hash does not match any subject in attestation; if the authorities that are trusted here are out of date, name newer ones in promote.require_attestation.trust_root; else find out who wrote it

    error: web: attested by: the image of web, registry.test/acme/web@sha256:[hex], has no attestation that can be believed, and must have been built by https://github.com/acme/shop/.github/workflows/build.yml@refs/heads/main: by fulcio.sandbox.test: invalid signature: DSSE signature verification failed: Verification error: ECDSA_P256_SHA256 signature invalid; if the authorities that are trusted here are out of date, name newer ones in promote.require_attestation.trust_root; else find out who wrote it

    error: web: attested by: the image of web, registry.test/acme/web@sha256:[hex], has no attestation that can be believed, and must have been built by https://github.com/acme/shop/.github/workflows/build.yml@refs/heads/main: by fulcio.sandbox.test: invalid RFC 3161 timestamp: TSA timestamp verification failed: Failed to verify timestamp signature: Verification error: ECDSA_P256_SHA256 signature invalid; if the authorities that are trusted here are out of date, name newer ones in promote.require_attestation.trust_root; else find out who wrote it
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_github_does_not_answer_nothing_is_decided() {
    let it = Attested::nothing_yet().await;
    let broken = Fault::Answer {
        status: 500,
        headers: vec![("content-type", "application/json".to_owned())],
        body: r#"{"message":"Server Error"}"#.to_owned(),
    };
    let traffic = it.shop.world.github.traffic();
    traffic.plan("GET", "/attestations/", 1_000, broken);
    let ran = it.promoted().await.exits(3);
    let error = ran.error();
    assert!(
        error.contains("cannot list the attestations of sha256:"),
        "{error}"
    );
    assert_eq!(runs(&it.shop, "web"), before("web"));
    it.shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn authorities_that_cannot_be_read_are_a_mistake_of_the_configuration() {
    let it = Attested::nothing_yet().await;
    let mut told = Vec::new();
    it.demand("trust_root = \"nowhere.json\"");
    told.push(it.promoted().await.exits(2).error());
    std::fs::write(it.shop.path("nowhere.json"), "{}").unwrap();
    told.push(it.promoted().await.exits(2).error());
    insta::assert_snapshot!(told.join("\n"), @r"
    error: cannot read the trusted authorities @JOB@/nowhere.json: No such file or directory (os error 2); correct promote.require_attestation.trust_root, or leave it out
    error: cannot read the trusted authorities: line 1: failed to parse JSON: missing field `mediaType` at line 1 column 2; write what `gh attestation trusted-root` prints, one JSON object a line
    ");

    // Without a file, what the program came with is trusted: not what the story made.
    it.demand("");
    for component in ["web", "api"] {
        it.keep(component, &it.says(&it.run(), component));
    }
    let error = it.promoted().await.exits(1).stderr;
    assert!(
        error.contains("by https://fulcio.sigstore.dev: "),
        "{error}"
    );
    it.shop.close();
}
