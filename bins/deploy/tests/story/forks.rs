//! Pull requests whose own runs may push no image: they are built by somebody else, or imported from what their author built.

use preview_core::import::{self, Import};
use preview_core::record::{self, BuiltBy, Record};
use sandbox::Fault;
use sandbox::registry::Image;
use serde_json::Value;

use crate::DEPLOY;
use crate::layouts::Archive;
use crate::shop::{Ran, Shop};

/// A pull request from mallory's fork. Its own CI has ended, and pushed nothing.
async fn shop_with_fork() -> (Shop, u64) {
    let shop = Shop::open().await;
    let number = shop.repository.open_pull_request_from_fork(
        "mallory",
        "feature/cart",
        &[("web/cart.html", "a cart")],
    );
    shop.repository.complete_ci(number);
    (shop, number)
}

impl Shop {
    /// Adds `[pull_requests]` with this word for forks.
    fn takes_forks(&self, forks: &str) {
        let file = self.path("preview.toml");
        self.configure("");
        let text = std::fs::read_to_string(&file).unwrap();
        let text = format!("{text}\n[pull_requests]\nforks = \"{forks}\"\n");
        std::fs::write(&file, text).unwrap();
    }

    async fn deploys(&self, number: u64, more: &[&str]) -> Ran {
        let (pr, head) = (number.to_string(), self.repository.head_of(number));
        let arguments = [&["--pr", &pr, "--sha", &head][..], more].concat();
        self.run(DEPLOY, &arguments, &[]).await
    }

    /// `text` without the commits of the pull request.
    fn without_commits(&self, number: u64, text: &str) -> String {
        let head = self.repository.head_of(number);
        let merge = self.repository.merge_commit_of(number).unwrap_or_default();
        let text = text
            .replace(&head, "[head]")
            .replace(&head[..7], "[head]")
            .replace(&merge, "[test merge]");
        self.without_hashes(&text)
    }

    /// The payloads of this kind, newest first.
    fn payloads(&self, kind: &str) -> Vec<Value> {
        let deployments = self.repository.deployments().into_iter();
        deployments
            .rev()
            .map(|deployment| deployment.payload)
            .filter(|payload| payload["kind"] == kind)
            .collect()
    }

    /// Who built the images of the newest test.
    fn recorded(&self) -> Vec<BuiltBy> {
        let records = self.payloads(record::KIND);
        let text = records[0]["record"].as_str().unwrap();
        let record: Record = serde_json::from_str(text).unwrap();
        let components = record.components.into_values();
        components.map(|recorded| recorded.built_by).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forks_pull_request_is_approved_by_its_commit_built_imported_and_deployed() {
    let (shop, number) = shop_with_fork().await;
    let payload = shop.repository.workflow_run_payload(number);
    let planned = shop.deploys(number, &["plan"]).await.exits(0);
    let refused = shop.on(DEPLOY, "workflow_run", &payload).await.exits(1);
    let told = [planned.verdict(), refused.verdict()].join("\n");
    insta::assert_snapshot!(shop.without_commits(number, &told), @r"
    unbuilt: the runs of the fork mallory/shop may push no image, so what there is to approve of pull request #7 at [head] is the commit: once it is approved, its test merge is built, imported and deployed
    refused: component web has no image: registry.test/acme/web has none of the tags [head] (the head), [test merge] (its test merge), and the runs of the fork mallory/shop may push none; let the workflow preview-deploy.yml build it once it is approved, or import its OCI layout with `preview-deploy import`; component api has no image: registry.test/acme/api has none of the tags [head] (the head), [test merge] (its test merge), and the runs of the fork mallory/shop may push none; let the workflow preview-deploy.yml build it once it is approved, or import its OCI layout with `preview-deploy import`
    ");

    let folder = shop.artifacts(number);
    let imported = shop.import(number, &folder, "trusted").await.exits(0);
    let told = [imported.verdict(), imported.steps()].join("\n");
    insta::assert_snapshot!(shop.without_commits(number, &told), @r"
    imported: the registry has api, web of pull request #7 at [head], built by: trusted
    ✓ read OCI layout of web
    ✓ read OCI layout of api
    ✓ push registry.test/acme/web@sha256:[hex]
    ✓ push registry.test/acme/api@sha256:[hex]
    ✓ record import for #7
    ✓ tag registry.test/acme/api:[head]
    ✓ tag registry.test/acme/api:pr-7
    ✓ tag registry.test/acme/web:[head]
    ✓ tag registry.test/acme/web:pr-7
    ");
    for component in ["web", "api"] {
        let tags = shop.world.registry.tags(&format!("acme/{component}"));
        let digest = shop.built(number, component).build().digest().to_owned();
        assert_eq!(tags[&shop.repository.head_of(number)], digest);
        assert_eq!(tags["pr-7"], digest);
        assert_eq!(tags.len(), 2);
    }

    let planned = shop.deploys(number, &["plan"]).await.exits(0);
    let deployed = shop.on(DEPLOY, "workflow_run", &payload).await.exits(0);
    let told = [planned.verdict(), deployed.verdict()].join("\n");
    insta::assert_snapshot!(shop.without_commits(number, &told), @r"
    planned: would deploy pull request #7 at [head] to preview-pr-7, to answer at https://7.pr.example.com
    deployed: pull request #7 at [head] answers at https://7.pr.example.com
    ");
    assert_eq!(shop.recorded(), [BuiltBy::Trusted; 2]);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_forks_author_built_is_previewed_where_the_configuration_says_so_and_recorded_as_theirs()
 {
    let (shop, number) = shop_with_fork().await;
    let folder = shop.artifacts(number);
    let refused = shop.import(number, &folder, "contributor").await.exits(1);
    let comment = shop.without_commits(number, &shop.comment(number));
    insta::assert_snapshot!(comment, @r#"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: ⛔ Refused
    **Last Updated**: [now]
    **Commit**: [head]

    ---

    - the image of component web, registry.test/acme/web@sha256:[hex], was built by the own workflow of the fork mallory/shop, and pull\_requests.forks = "build" in preview.toml takes only what the default branch's has built; let preview-deploy.yml build it once it is approved
    - the image of component api, registry.test/acme/api@sha256:[hex], was built by the own workflow of the fork mallory/shop, and pull\_requests.forks = "build" in preview.toml takes only what the default branch's has built; let preview-deploy.yml build it once it is approved

    [The run and its log](https://github.com/acme/shop/actions/runs/100/attempts/1)

    <details>
    <summary>Deployment Details</summary>

    - Nothing is deployed

    </details>
    "#);
    assert_eq!(shop.pushed(), Vec::<String>::new(), "{refused:?}");

    shop.takes_forks("import");
    shop.import(number, &folder, "contributor").await.exits(0);
    shop.deploys(number, &[]).await.exits(0);
    assert_eq!(shop.recorded(), [BuiltBy::Contributor; 2]);
    // A branch protection that requires it keeps from being merged what promotion would refuse.
    let statuses = shop.repository.statuses(&shop.repository.head_of(number));
    let promotable = statuses
        .iter()
        .find(|status| status.context == "preview/promotable");
    assert_eq!(promotable.unwrap().state, "failure");

    // The configuration has changed its mind.
    shop.takes_forks("build");
    let refused = shop.deploys(number, &[]).await.exits(1);
    let told = shop.without_commits(number, &refused.verdict());
    insta::assert_snapshot!(told, @r#"refused: the image of component web, registry.test/acme/web@sha256:[hex], was built by the own workflow of the fork mallory/shop, and pull_requests.forks = "build" in preview.toml takes only what the default branch's has built; let preview-deploy.yml build it once it is approved; the image of component api, registry.test/acme/api@sha256:[hex], was built by the own workflow of the fork mallory/shop, and pull_requests.forks = "build" in preview.toml takes only what the default branch's has built; let preview-deploy.yml build it once it is approved"#);
    shop.takes_forks("none");
    let nothing = shop.deploys(number, &[]).await.exits(0);
    insta::assert_snapshot!(nothing.verdict(), @r#"nothing: pull request #7 gets no preview: it comes from the fork mallory/shop (pull_requests.forks = "none")"#);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_somebody_pushed_under_a_forks_tag_is_not_taken_for_what_was_imported() {
    let (shop, number) = shop_with_fork().await;
    let folder = shop.artifacts(number);
    shop.import(number, &folder, "trusted").await.exits(0);
    let merge = shop.repository.merge_commit_of(number).unwrap();
    let other = Image::of(&merge).containing("evil");
    shop.publish("web", &shop.repository.head_of(number), &other);
    let refused = shop.deploys(number, &[]).await.exits(1);
    let mut told = vec![refused.verdict()];
    let without_key = [("PREVIEW_RECORD_KEY", String::new())];
    let (pr, head) = (number.to_string(), shop.repository.head_of(number));
    let by_hand = ["--pr", &pr, "--sha", &head];
    let ran = shop.run(DEPLOY, &by_hand, &without_key).await.exits(1);
    told.push(ran.verdict());
    let import = ["import", "--layouts", &folder, "--built-by", "trusted"];
    let arguments = [&by_hand[..], &import].concat();
    let ran = shop.run(DEPLOY, &arguments, &without_key).await.exits(2);
    told.push(ran.error());
    // A record that another key has signed.
    let import = shop.payloads(import::KIND).remove(0);
    let import: Import = serde_json::from_str(import["import"].as_str().unwrap()).unwrap();
    assert_eq!(import.built_by, BuiltBy::Trusted);
    let other_key = [(
        "PREVIEW_RECORD_KEY",
        "another key of 32 bytes, and some more".to_owned(),
    )];
    let ran = shop.run(DEPLOY, &by_hand, &other_key).await.exits(1);
    told.push(ran.verdict());
    insta::assert_snapshot!(shop.without_commits(number, &told.join("\n")), @r"
    refused: the image of component web, registry.test/acme/web@sha256:[hex], is recorded nowhere as imported for this head of the fork mallory/shop, so whoever may push to the registry may have put it there; let the workflow preview-deploy.yml build it once it is approved, or import its OCI layout with `preview-deploy import`
    refused: the image of component web, registry.test/acme/web@sha256:[hex], is of the fork mallory/shop, and who built it cannot be told without the key; give this job's environment the secret PREVIEW_RECORD_KEY that `preview-deploy import` has; the image of component api, registry.test/acme/api@sha256:[hex], is of the fork mallory/shop, and who built it cannot be told without the key; give this job's environment the secret PREVIEW_RECORD_KEY that `preview-deploy import` has
    error: PREVIEW_RECORD_KEY is not set, and what nobody has recorded as imported is not deployed; set the secret in the environment of this job
    refused: the image of component web, registry.test/acme/web@sha256:[hex], is recorded nowhere as imported for this head of the fork mallory/shop, so whoever may push to the registry may have put it there; let the workflow preview-deploy.yml build it once it is approved, or import its OCI layout with `preview-deploy import`; the image of component api, registry.test/acme/api@sha256:[hex], is recorded nowhere as imported for this head of the fork mallory/shop, so whoever may push to the registry may have put it there; let the workflow preview-deploy.yml build it once it is approved, or import its OCI layout with `preview-deploy import`
    ");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_dies_anywhere_is_made_good_by_the_next_and_one_more_changes_nothing() {
    let (shop, number) = shop_with_fork().await;
    let folder = shop.artifacts(number);
    let registry = shop.world.registry.traffic();
    let github = shop.world.github.traffic();
    let dies = |body: &str| Fault::Answer {
        status: 400,
        headers: Vec::new(),
        body: body.to_owned(),
    };
    let tag = format!("manifests/{}", shop.repository.head_of(number));
    for (traffic, method, path) in [
        (&registry, "PUT", "acme/web/blobs/uploads"),
        (&registry, "PUT", "acme/api/manifests/sha256"),
        (&github, "POST", "/deployments"),
        (&registry, "PUT", tag.as_str()),
        (&registry, "PUT", "acme/api/manifests/pr-7"),
    ] {
        traffic.plan(method, path, 1, dies("{}"));
        let ran = shop.import(number, &folder, "trusted").await;
        assert_eq!(ran.exit, 3, "{path}: {ran:#?}");
    }
    let made_good = shop.import(number, &folder, "trusted").await.exits(0);
    let again = shop.import(number, &folder, "trusted").await.exits(0);
    assert_eq!(made_good.verdict(), again.verdict());
    insta::assert_snapshot!(shop.without_commits(number, &again.steps()), @r"
    ✓ read OCI layout of web
    ✓ read OCI layout of api
    = push registry.test/acme/web@sha256:[hex]
    = push registry.test/acme/api@sha256:[hex]
    = record import for #7
    ✓ tag registry.test/acme/api:[head]
    ✓ tag registry.test/acme/api:pr-7
    ✓ tag registry.test/acme/web:[head]
    ✓ tag registry.test/acme/web:pr-7
    ");
    assert_eq!(shop.payloads(import::KIND).len(), 1);
    shop.deploys(number, &[]).await.exits(0);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_to_be_imported_is_said() {
    let (shop, number) = shop_with_fork().await;
    let folder = shop.artifacts(number);
    let branch = shop.open_pull_request();
    let of_branch = shop.import(branch, &folder, "trusted").await.exits(1);
    let (pr, head) = (number.to_string(), shop.repository.head_of(number));
    let web = shop.path("layouts").join("web.tar");
    let layout = |component: &str| format!("{component}={}", web.display());
    let mut told = vec![of_branch.error()];
    for layouts in [
        vec![layout("cart")],
        vec![layout("web"), layout("web")],
        vec!["web=nowhere.tar".to_owned()],
        vec![],
    ] {
        let mut arguments = vec![
            "--pr",
            &pr,
            "--sha",
            &head,
            "import",
            "--built-by",
            "trusted",
        ];
        for layout in &layouts {
            arguments.extend(["--layout", layout]);
        }
        told.push(shop.run(DEPLOY, &arguments, &[]).await.exits(2).error());
    }
    let merge = shop.repository.merge_commit_of(number).unwrap();
    shop.repository
        .push(number, &[("web/cart.html", "two carts")]);
    let stale = [
        "--pr",
        &pr,
        "--sha",
        &head,
        "import",
        "--layouts",
        &folder,
        "--built-by",
        "trusted",
    ];
    told.push(shop.run(DEPLOY, &stale, &[]).await.exits(0).verdict());
    let late = shop.import(number, &folder, "trusted").await.exits(1);
    told.push(late.verdict());
    let told = told
        .join("\n")
        .replace(&merge, "[old merge]")
        .replace(&head, "[old head]")
        .replace(&head[..7], "[old head]");
    insta::assert_snapshot!(shop.without_commits(number, &told), @r"
    error: pull request #8 is of a branch of acme/shop, whose own runs push its images; nothing is imported for it
    error: preview.toml has no component cart; give the layouts of those that it has
    error: there are two layouts of component web; give one
    error: read the OCI layout nowhere.tar: No such file or directory (os error 2); check that it is there, as a tar archive or a folder
    error: there is nothing to import; give --layout COMPONENT=FILE, or --layouts FOLDER with COMPONENT.tar in it
    superseded: pull request #7 has moved from [old head] to [head]; the run for that head deploys it
    refused: the image of component web, registry.test/acme/web@sha256:[hex], was built from [old merge], which merges another head, [old head], and not the head [head]; run CI again for that; the image of component api, registry.test/acme/api@sha256:[hex], was built from [old merge], which merges another head, [old head], and not the head [head]; run CI again for that
    ");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn dependabots_branch_is_imported_for_and_whoever_may_push_to_it_may_still() {
    let shop = Shop::open().await;
    let number = shop
        .repository
        .open_pull_request("dependabot/axum", &[("Cargo.lock", "newer")]);
    shop.repository.set_author(number, "dependabot[bot]");
    let planned = shop.deploys(number, &["plan"]).await.exits(0);
    let mut told = vec![planned.verdict()];
    let api = Archive::of(&shop.built(number, "api")).bytes();
    let folder = shop.artifact("api", &api);
    told.push(
        shop.import(number, &folder, "trusted")
            .await
            .exits(0)
            .verdict(),
    );
    let head = shop.repository.head_of(number);
    shop.publish("web", &head, &shop.built(number, "web"));
    told.push(shop.deploys(number, &[]).await.exits(0).verdict());
    insta::assert_snapshot!(shop.without_commits(number, &told.join("\n")), @r"
    unbuilt: the runs of dependabot may push no image, so what there is to approve of pull request #7 at [head] is the commit: once it is approved, its test merge is built, imported and deployed
    imported: the registry has api of pull request #7 at [head], built by: trusted
    deployed: pull request #7 at [head] answers at https://7.pr.example.com
    ");
    assert_eq!(shop.recorded(), [BuiltBy::Trusted, BuiltBy::Branch]);
    shop.close();
}
