//! Bad input: an exit code, and one error that names operation, object and next step.

use sandbox::registry::Image;

use crate::DEPLOY;
use crate::shop::Shop;

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_told_with_what_to_do() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    let (head, pr) = (shop.repository.head_of(number), number.to_string());
    let asked = ["--pr", &pr, "--sha", &head];
    let mut payload = shop.repository.workflow_run_payload(number);
    payload["workflow_run"]["head_sha"] = "main".into();

    let mut told = Vec::new();
    let mut tell = |what: &str, ran: crate::shop::Ran| {
        let errors = ran.stderr.replace(&head, "[head]");
        told.push(format!("{what}: exit {}\n{errors}", ran.exit));
    };
    tell("no JSON", shop.on_text(DEPLOY, "workflow_run", "{").await);
    tell("no commit", shop.on(DEPLOY, "workflow_run", &payload).await);
    tell("another event", shop.on_text(DEPLOY, "release", "{}").await);
    tell("no event", shop.run(DEPLOY, &[], &[]).await);
    let nowhere = ["--pr", "999", "--sha", &head];
    tell(
        "no such pull request",
        shop.run(DEPLOY, &nowhere, &[]).await,
    );
    let nobody = [("GITHUB_TOKEN", "nobody".to_owned())];
    tell("a bad token", shop.run(DEPLOY, &asked, &nobody).await);
    let outside = [("GITHUB_RUN_ID", String::new())];
    tell("no run", shop.run(DEPLOY, &asked, &outside).await);
    let weak = [("PREVIEW_RECORD_KEY", "secret".to_owned())];
    tell("a weak key", shop.run(DEPLOY, &asked, &weak).await);
    let no_cluster = [("KUBECONFIG", "/nowhere/kubeconfig".to_owned())];
    tell("no kubeconfig", shop.run(DEPLOY, &asked, &no_cluster).await);
    shop.configure("capacty = 3");
    tell("an unknown key", shop.run(DEPLOY, &asked, &[]).await);
    insta::assert_snapshot!(told.join("\n"), @r#"
    no JSON: exit 2
    error: cannot read the payload of the event "workflow_run" in @JOB@/event.json: it is no JSON (EOF while parsing an object at line 1 column 1); give it the file at GITHUB_EVENT_PATH as GitHub wrote it

    no commit: exit 2
    error: cannot read the payload of the event "workflow_run" in @JOB@/event.json: the field workflow_run.head_sha: "main" is not a commit SHA of 40 lower-case hex digits; give it the file at GITHUB_EVENT_PATH as GitHub wrote it

    another event: exit 2
    error: cannot read the payload of the event "release" in @JOB@/event.json: this program reads workflow_run, workflow_dispatch, pull_request, issue_comment, merge_group, push and schedule only; start it on one of these, or name the pull request or commit on the command line

    no event: exit 2
    error: GITHUB_EVENT_NAME is not set; start this by an event in GitHub Actions, or give --pr and --sha, or --commit

    no such pull request: exit 1
    error: acme/shop has no pull request #999; look at its number, and whether the token may read pull requests

    a bad token: exit 3
    error: cannot read pull request #7 of acme/shop: GitHub does not accept the token (401: Bad credentials); check that GITHUB_TOKEN is set and has not expired

    no run: exit 2
    error: GITHUB_RUN_ID is not set; outside GitHub Actions set it to a number greater than that of every run before, since the greater one wins

    a weak key: exit 2
    error: the record key (PREVIEW_RECORD_KEY) has 6 bytes and needs 32; make one with `openssl rand -hex 32` and keep it as a secret of the protected environments

    no kubeconfig: exit 2
    error: connect to the cluster: /nowhere/kubeconfig: No such file or directory (os error 2); set KUBECONFIG to a file that names a cluster and an account

    an unknown key: exit 2
    error: @JOB@/preview.toml:1: capacty: unknown key; did you mean `capacity`?
    "#);
    assert_eq!(shop.repository.comments(number), []);
    assert_eq!(shop.repository.deployments(), []);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_without_its_commit_is_no_call() {
    let shop = Shop::open().await;
    let ran = shop.run(DEPLOY, &["--pr", "7"], &[]).await.exits(2);
    assert!(ran.stderr.contains("--sha <COMMIT>"), "{ran:#?}");
    let ran = shop
        .run(DEPLOY, &["--pr", "0", "--sha", &"a".repeat(40)], &[])
        .await
        .exits(2);
    assert!(ran.stderr.contains("a pull request number"), "{ran:#?}");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn images_that_prove_nothing_are_refused_on_the_pull_request() {
    let shop = Shop::open().await;
    let number = shop
        .repository
        .open_pull_request("feature/cart", &[("web/cart.html", "a cart")]);
    let head = shop.repository.head_of(number);
    shop.publish("web", &head, &Image::unlabelled());
    let ran = shop
        .run(DEPLOY, &["--pr", "7", "--sha", &head], &[])
        .await
        .exits(1);
    let plain = |text: &str| {
        let test_merge = shop.repository.merge_commit_of(number).unwrap();
        text.replace(&head, "[head]")
            .replace(&test_merge, "[test merge]")
    };
    insta::assert_snapshot!(shop.without_hashes(&plain(&ran.stderr)), @r"
    error: the image of component web, registry.test/acme/web@sha256:[hex], does not say which commit it was built from, so nothing ties it to the head [head]; let CI set the label org.opencontainers.image.revision to the commit it checked out
    error: component api has no image: registry.test/acme/api has none of the tags [head] (the head), [test merge] (its test merge); let CI push it under the tag of the head
    ");
    insta::assert_snapshot!(shop.without_hashes(&plain(&shop.comment(number))), @r"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: ⛔ Refused
    **Last Updated**: [now]
    **Commit**: [head]

    ---

    - the image of component web, registry.test/acme/web@sha256:[hex], does not say which commit it was built from, so nothing ties it to the head [head]; let CI set the label org.opencontainers.image.revision to the commit it checked out
    - component api has no image: registry.test/acme/api has none of the tags [head] (the head), [test merge] (its test merge); let CI push it under the tag of the head

    [The run and its log](https://github.com/acme/shop/actions/runs/100/attempts/1)

    <details>
    <summary>Deployment Details</summary>

    - Nothing is deployed

    </details>
    ");
    let statuses = shop.repository.statuses(&head);
    assert_eq!(statuses[0].state, "failure");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_cluster_is_told_here_and_on_the_pull_request() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    let kubeconfig = std::fs::read_to_string(shop.path("kubeconfig")).unwrap();
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let dead = kubeconfig.replace(&shop.world.cluster.url(), &format!("http://{free}"));
    std::fs::write(shop.path("kubeconfig"), dead).unwrap();
    let payload = shop.repository.workflow_run_payload(number);
    let ran = shop.on(DEPLOY, "workflow_run", &payload).await.exits(3);
    let plain = |text: &str| text.replace(&free.to_string(), "127.0.0.1:1");
    insta::assert_snapshot!(plain(&ran.error()), @"error: read Namespace/preview-pr-7: cannot reach http://127.0.0.1:1: client error (Connect): tcp connect error: Connection refused (os error 111); check KUBECONFIG and that the cluster is up");
    insta::assert_snapshot!(plain(&shop.comment(number)), @r"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: ❌ Failed — looking whether it can be deployed after [time]
    **Last Updated**: [now]
    **Commit**: [head]

    ---

    **What failed**: cluster failed — read Namespace/preview-pr-7: cannot reach http:&#8203;//127.0.0.1:1: client error (Connect): tcp connect error: Connection refused (os error 111); check KUBECONFIG and that the cluster is up
    **Who acts**: whoever operates the previews

    [The run and its log](https://github.com/acme/shop/actions/runs/100/attempts/1)

    <details>
    <summary>Deployment Details</summary>

    - Namespace: `preview-pr-7`

    </details>
    ");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_for_us_is_no_error() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    let mut payload = shop.repository.workflow_run_payload(number);
    payload["workflow_run"]["conclusion"] = "failure".into();
    let failed = shop.on(DEPLOY, "workflow_run", &payload).await.exits(0);
    payload["workflow_run"]["event"] = "push".into();
    let push = shop.on(DEPLOY, "workflow_run", &payload).await.exits(0);
    insta::assert_snapshot!([failed.verdict(), push.verdict()].join("\n"), @r#"
    nothing: the CI run ended with "failure", so there are no images to deploy
    nothing: the CI run was started by "push", not by a pull request
    "#);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_a_fork_that_was_deleted_is_refused() {
    let shop = Shop::open().await;
    let fork =
        shop.repository
            .open_pull_request_from_fork("mallory", "fix", &[("web/cart.html", "mine")]);
    shop.repository.complete_ci(fork);
    shop.repository.delete_fork("mallory");
    let payload = shop.repository.workflow_run_payload(fork);
    let ran = shop.on(DEPLOY, "workflow_run", &payload).await.exits(1);
    insta::assert_snapshot!(ran.error(), @"error: the CI run is of a fork that was deleted since, so which pull request it was for cannot be looked up; deploy that by hand with its number and its head");
    shop.close();
}
