//! Somebody who is not looking is told.

#[path = "../../../../crates/alerts/tests/wire/receivers.rs"]
mod receivers;

use sandbox::Fault;

use receivers::{HOOK, MailServer, PASSWORD, PASSWORD_IN_URL, Rules, Slack, USER};

use crate::sweep::{orphans, previewed};
use crate::*;

/// Mail goes to somebody.
const ALERTS: &str =
    r#"alerts = { mail_from = "previews@example.com", mail_to = ["ops@example.com"] }"#;

/// A volume's claim in the preview that somebody else's finalizer holds.
fn held(shop: &Shop, number: u64) {
    let claim = json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": { "name": "data-database-0", "namespace": format!("preview-pr-{number}"),
            "finalizers": ["example.com/backup"] },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } } });
    shop.world.cluster.create("preview-deploy", claim).unwrap();
}

/// A closed pull request whose preview cannot go.
fn stuck(shop: &Shop, branch: &str) -> u64 {
    let number = previewed(shop, branch);
    held(shop, number);
    shop.repository.close(number);
    number
}

/// The secrets of both channels.
fn secrets(slack: &Slack, mail: &str) -> Vec<(&'static str, String)> {
    vec![
        ("PREVIEW_SLACK_WEBHOOK", slack.url()),
        ("PREVIEW_SMTP_URL", mail.to_owned()),
    ]
}

/// Fails where anything that the program left shows a secret of a channel, but for the masks that hide it.
fn no_secret(ran: &Ran) {
    let told = format!("{ran:?}").replace("\\n", "\n");
    for line in told.lines().filter(|line| !line.contains("::add-mask::")) {
        for secret in [HOOK, PASSWORD, PASSWORD_IN_URL] {
            assert!(!line.contains(secret), "a secret is shown: {line}");
        }
    }
}

fn warnings(ran: &Ran) -> String {
    let lines = ran.stdout.lines();
    let warnings = lines.filter_map(|line| line.strip_prefix("warning: "));
    warnings.collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_a_finalizer_blocks_is_told_by_slack_and_by_mail() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let shop = Shop::open().await;
    shop.configure(ALERTS);
    stuck(&shop, "feature/cart");
    let rules = Rules {
        asks_for_account: true,
        ..Rules::default()
    };
    let (slack, mail) = (
        Slack::answering(&[]).await,
        MailServer::with_tls(rules).await,
    );
    let authorities = shop.path("authorities.pem");
    std::fs::write(&authorities, mail.authority.as_ref().unwrap()).unwrap();
    let url = format!("smtps://{USER}:{PASSWORD_IN_URL}@{}", mail.address());
    let mut variables = secrets(&slack, &url);
    variables.push(("SSL_CERT_FILE", authorities.to_str().unwrap().to_owned()));
    let arguments = ["--pr", "7", "--within", "4", "-vv"];
    let ran = shop.run(CLEANUP, &arguments, &variables).await.exits(3);
    no_secret(&ran);
    insta::assert_snapshot!(shop.without_uids(&ran.error()), @"error: destroy the preview of pull request #7: it is not gone after 4 s: Namespace/preview-pr-7: still there (it waits for its pods, claims, volumes and snapshot contents; Some resources are remaining: persistentvolumeclaims. has 1 resource instances Some content in the namespace has finalizers remaining: example.com/backup in 1 resource instances), pods: gone (0 seen, none left), PersistentVolumeClaim/data-database-0: still there (finalizer example.com/backup, which the controller of example.com takes off), PersistentVolume/pvc-[uid]: still there (phase Bound, finalizer kubernetes.io/pv-protection, which kube-controller-manager takes off once no claim is bound to the volume; finalizer kubernetes.io/pv-controller, which kube-controller-manager takes off once the storage is deleted); clear what blocks it, and run this again");
    insta::assert_snapshot!(ran.steps(), @r"
    ✓ tear down Namespace/preview-pr-7
    ✓ remove labels of pr-7
    ✓ comment on #7: ⚠️ Not destroyed yet
    ✓ retire deployments of pr-7
    ✓ alert Slack
    ✓ alert ops@example.com
    ");
    insta::assert_snapshot!(shop.without_uids(&slack.text()), @r"
    *The preview of pull request #7 is not gone* (acme/shop)
    ```
    Namespace/preview-pr-7: still there (it waits for its pods, claims, volumes and snapshot contents; Some resources are remaining: persistentvolumeclaims. has 1 resource instances Some content in the namespace has finalizers remaining: example.com/backup in 1 resource instances)
    PersistentVolumeClaim/data-database-0: still there (finalizer example.com/backup, which the controller of example.com takes off)
    PersistentVolume/pvc-[uid]: still there (phase Bound, finalizer kubernetes.io/pv-protection, which kube-controller-manager takes off once no claim is bound to the volume; finalizer kubernetes.io/pv-controller, which kube-controller-manager takes off once the storage is deleted)
    ```
    Next: `kubectl --namespace preview-pr-7 get persistentvolumeclaim data-database-0 -o yaml`
    Then: `gh run rerun 100 --repo acme/shop`
    <https://github.com/acme/shop/actions/runs/100/attempts/1|The run and its log>
    ");
    let taken = mail.taken();
    assert_eq!(taken.len(), 1, "{taken:#?}");
    assert_eq!(taken[0].user.as_deref(), Some(USER));
    assert_eq!(taken[0].to, ["ops@example.com"]);
    insta::assert_snapshot!(shop.without_uids(&taken[0].plain()), @r"
    From: previews@example.com
    Subject: [acme/shop] The preview of pull request #7 is not gone
    Message-ID: […]
    Auto-Submitted: auto-generated
    To: ops@example.com
    MIME-Version: 1.0
    Date: […]
    Content-Type: text/plain; charset=utf-8
    Content-Transfer-Encoding: quoted-printable

    The preview of pull request #7 is not gone

      Namespace/preview-pr-7: still there (it waits for its pods, claims, volumes and snapshot contents; Some resources are remaining: persistentvolumeclaims. has 1 resource instances Some content in the namespace has finalizers remaining: example.com/backup in 1 resource instances)
      PersistentVolumeClaim/data-database-0: still there (finalizer example.com/backup, which the controller of example.com takes off)
      PersistentVolume/pvc-[uid]: still there (phase Bound, finalizer kubernetes.io/pv-protection, which kube-controller-manager takes off once no claim is bound to the volume; finalizer kubernetes.io/pv-controller, which kube-controller-manager takes off once the storage is deleted)

    Next:

        kubectl --namespace preview-pr-7 get persistentvolumeclaim data-database-0 -o yaml

    Then:

        gh run rerun 100 --repo acme/shop

    Repository: acme/shop
    The run and its log: https://github.com/acme/shop/actions/runs/100/attempts/1
    ");
    assert_eq!(warnings(&ran), "");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_fails_is_a_warning_and_a_remark_and_the_run_ends_as_it_does_without() {
    let shop = Shop::open().await;
    shop.configure(ALERTS);
    stuck(&shop, "feature/cart");
    let arguments = ["--pr", "7", "--within", "2"];
    let without = [("PREVIEW_SMTP_URL", String::new())];
    let alone = shop.run(CLEANUP, &arguments, &without).await.exits(3);

    let unwilling = Rules {
        refuses: Some("ops@example.com"),
        ..Rules::default()
    };
    let answers = [(500, "no"), (500, "no")];
    let (slack, mail) = (
        Slack::answering(&answers).await,
        MailServer::open(unwilling).await,
    );
    let url = format!("smtp://{USER}:{PASSWORD_IN_URL}@{}", mail.address());
    let job = secrets(&slack, &url);
    let ran = shop.run(CLEANUP, &arguments, &job).await.exits(3);
    no_secret(&ran);
    assert_eq!(ran.error(), alone.error());
    assert_eq!(slack.posts().len(), 2);
    let plain = |text: String| {
        text.replace(&slack.address(), "SLACK")
            .replace(&mail.address(), "MAIL")
    };
    insta::assert_snapshot!(plain(warnings(&ran)), @r"
    send an alert to SLACK: it answered 500 Internal Server Error: no; look whether it is up and reachable from here, and its certificate trusted
    send an alert to MAIL: permanent error (550): 5.1.1 no mailbox ops@example.com here; correct PREVIEW_SMTP_URL, or alerts.mail_from and alerts.mail_to in preview.toml
    ");
    let notes = ran.result["notes"].as_array().unwrap();
    let notes: Vec<&str> = notes.iter().filter_map(Value::as_str).collect();
    insta::assert_snapshot!(plain(notes.join("\n")), @r"
    send an alert to SLACK: it answered 500 Internal Server Error: no; look whether it is up and reachable from here, and its certificate trusted
    send an alert to MAIL: permanent error (550): 5.1.1 no mailbox ops@&#8203;example.com here; correct PREVIEW\_SMTP\_URL, or alerts.mail\_from and alerts.mail\_to in preview.toml
    ");
    assert!(ran.summary.contains("send an alert to"), "{}", ran.summary);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_job_the_secrets_of_the_channels_are_masked() {
    let shop = Shop::open().await;
    stuck(&shop, "feature/cart");
    let slack = Slack::answering(&[(404, HOOK)]).await;
    let job = [
        ("PREVIEW_SLACK_WEBHOOK", slack.url()),
        ("GITHUB_ACTIONS", "true".to_owned()),
    ];
    let arguments = ["--pr", "7", "--within", "1"];
    let ran = shop.run(CLEANUP, &arguments, &job).await.exits(3);
    no_secret(&ran);
    let mask = format!("::add-mask::{}", slack.url());
    assert!(ran.stdout.contains(&mask), "{}", ran.stdout);
    let warnings = ran.stdout.lines();
    let warnings = warnings.filter(|line| line.starts_with("::warning::"));
    assert_eq!(warnings.count(), 1, "{}", ran.stdout);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_stops_at_its_limit_tells_once_and_a_dry_run_and_a_whole_one_tell_nobody() {
    let shop = Shop::open().await;
    shop.configure("sweep = { limit = 2 }");
    orphans(&shop, 3);
    let slack = Slack::answering(&[]).await;
    let job = [("PREVIEW_SLACK_WEBHOOK", slack.url())];
    let dry = ["sweep", "--dry-run"];
    shop.run(CLEANUP, &dry, &job).await.exits(1);
    assert_eq!(slack.posts().len(), 0);
    shop.run(CLEANUP, &["sweep"], &job).await.exits(1);
    // Made within one second, any may be the last.
    let text = ["preview-pr-7", "preview-pr-8"]
        .iter()
        .fold(slack.text(), |text, name| {
            text.replace(name, "preview-pr-9")
        });
    insta::assert_snapshot!(text, @r"
    *A sweep stopped at its limit* (acme/shop)
    ```
    3 previews: 2 destroyed, 1 left: one sweep destroys no more than 2; look whether it is right that so many go, and run the sweep again, or write another sweep.limit in preview.toml
    preview-pr-9: left: one sweep destroys no more than 2
    ```
    Next: `preview-cleanup sweep --dry-run`
    Then: `gh run rerun 101 --repo acme/shop`
    <https://github.com/acme/shop/actions/runs/101/attempts/1|The run and its log>
    ");
    shop.run(CLEANUP, &["sweep"], &job).await.exits(0);
    assert_eq!(slack.posts().len(), 1);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_does_not_believe_githubs_list_tells_so() {
    let shop = Shop::open().await;
    (0..12).for_each(|index| {
        previewed(&shop, &format!("open-{index}"));
    });
    let nothing = Fault::Answer {
        status: 200,
        headers: vec![("content-type", "application/json".to_owned())],
        body: "[]".to_owned(),
    };
    let traffic = shop.world.github.traffic();
    traffic.plan("GET", "/pulls?state=open", 1, nothing);
    let slack = Slack::answering(&[]).await;
    let job = [("PREVIEW_SLACK_WEBHOOK", slack.url())];
    shop.run(CLEANUP, &["sweep"], &job).await.exits(1);
    let text = slack.text();
    // How many and which were looked at before is a matter of chance.
    let plain = text.lines().filter(|line| !line.contains("preview"));
    insta::assert_snapshot!(plain.collect::<Vec<_>>().join("\n"), @r"
    *A sweep does not believe GitHub's list of open pull requests* (acme/shop)
    ```
    ```
    Next: `gh pr list --repo acme/shop --state open --limit 1000`
    Then: `gh run rerun 100 --repo acme/shop`
    <https://github.com/acme/shop/actions/runs/100/attempts/1|The run and its log>
    ");
    let why = "GitHub's list leaves out pull requests that are open, so it is not believed";
    assert!(text.contains(why), "{text}");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_tells_once_of_all_that_failed() {
    let shop = Shop::open().await;
    stuck(&shop, "one");
    stuck(&shop, "two");
    let slack = Slack::answering(&[]).await;
    let job = [("PREVIEW_SLACK_WEBHOOK", slack.url())];
    let sweep = ["sweep", "--within", "2"];
    shop.run(CLEANUP, &sweep, &job).await.exits(3);
    let text = slack.text();
    let blocker =
        "PersistentVolumeClaim/data-database-0: still there (finalizer example.com/backup, which";
    assert_eq!(text.matches(blocker).count(), 2, "{text}");
    let lines = text.lines().map(|line| match line.split_once(" s: ") {
        Some((gone, _)) => format!("{gone} s: […]"),
        None => line.to_owned(),
    });
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @r"
    *A sweep failed* (acme/shop)
    ```
    2 previews: 2 failed; look at what failed, and run the sweep again: it goes on where this one stopped
    preview-pr-7: failed: destroy the preview of pull request #7: it is not gone after 2 s: […]
    preview-pr-8: failed: destroy the preview of pull request #8: it is not gone after 2 s: […]
    ```
    Next: `gh run rerun 100 --repo acme/shop`
    <https://github.com/acme/shop/actions/runs/100/attempts/1|The run and its log>
    ");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_cannot_be_used_is_told_before_it_is_needed_and_holds_nothing_up() {
    let shop = Shop::open().await;
    shop.configure(ALERTS);
    let number = previewed(&shop, "feature/cart");
    shop.repository.close(number);
    let url = format!("http://hooks.slack.com/services/T0001/B0001/{HOOK}");
    let job = [("PREVIEW_SLACK_WEBHOOK", url)];
    let ran = shop.run(CLEANUP, &["--pr", "7"], &job).await.exits(0);
    no_secret(&ran);
    assert!(!is_there(&shop, number));
    insta::assert_snapshot!(warnings(&ran), @r"
    PREVIEW_SLACK_WEBHOOK would be sent over plain http, so no alert goes to Slack; set it to the address of an incoming webhook, https://hooks.slack.com/services/…
    preview.toml has alerts.mail_to and PREVIEW_SMTP_URL is not set, so no alert goes by mail; pass that secret to the step, or take `[alerts]` out
    ");
    assert_eq!(ran.result["notes"].as_array().unwrap().len(), 2);
    shop.close();
}
