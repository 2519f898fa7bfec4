//! A Slack channel.

use super::receivers::{HOOK, Slack};
use super::*;

fn channel(url: &str) -> Channel {
    only(&settings(url))
}

fn settings(url: &str) -> Settings {
    Settings {
        slack_webhook: Some(url.to_owned().into()),
        limit: SHORT * 4,
        ..Settings::default()
    }
}

#[tokio::test]
async fn an_alert_is_posted_once() {
    let slack = Slack::answering(&[]).await;
    channel(&slack.url()).send(&alert()).await.unwrap();
    insta::assert_snapshot!(slack.text(), @r"
    *The preview of pull request #7 is not gone* (acme/shop)
    ```
    PersistentVolumeClaim/data-database-0: still there (finalizer example.com/&lt;backup&gt; – für später)
    .
    ```
    Next: `kubectl get namespace preview-pr-7 -o yaml`
    <https://github.com/acme/shop/actions/runs/100/attempts/1|The run and its log>
    ");
}

#[tokio::test]
async fn what_fails_at_first_is_sent_once_more() {
    for status in [500, 503, 429] {
        let slack = Slack::answering(&[(status, "later")]).await;
        channel(&slack.url()).send(&alert()).await.unwrap();
        assert_eq!(slack.posts().len(), 2, "{status}");
    }
}

#[tokio::test]
async fn a_server_that_keeps_failing_is_told_after_two_attempts() {
    let slack = Slack::answering(&[(500, "no"), (502, &format!("no, {HOOK}")), (503, "")]).await;
    let told = in_vain(&channel(&slack.url()), &[HOOK]).await;
    assert_eq!(slack.posts().len(), 2);
    insta::assert_snapshot!(told.replace(&slack.address(), "SLACK"), @"send an alert to SLACK: it answered 502 Bad Gateway: no, ***; look whether it is up and reachable from here, and its certificate trusted");
}

#[tokio::test]
async fn a_webhook_that_was_taken_away_is_told_at_once() {
    let slack = Slack::answering(&[(404, "no_service")]).await;
    let told = in_vain(&channel(&slack.url()), &[HOOK]).await;
    assert_eq!(slack.posts().len(), 1);
    insta::assert_snapshot!(told.replace(&slack.address(), "SLACK"), @"send an alert to SLACK: it answered 404 Not Found: no_service; make a new incoming webhook where this one was taken away, and set PREVIEW_SLACK_WEBHOOK to it");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let slack = Slack::answering(&[(307, "")]).await;
    in_vain(&channel(&slack.url()), &[HOOK]).await;
    assert_eq!(slack.posts().len(), 1);
}

#[tokio::test]
async fn nobody_there_is_told() {
    let port = closed_port().await;
    let url = format!("http://127.0.0.1:{port}/services/{HOOK}");
    let told = in_vain(&channel(&url), &[HOOK]).await;
    insta::assert_snapshot!(told.replace(&port.to_string(), "PORT"), @"send an alert to 127.0.0.1:PORT: error sending request: client error (Connect): tcp connect error: Connection refused (os error 111); look whether it is up and reachable from here, and its certificate trusted");
}

#[tokio::test]
async fn one_that_hangs_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port().to_string();
    let url = format!("http://127.0.0.1:{port}/services/{HOOK}");
    let hasty = Settings {
        limit: SHORT,
        ..settings(&url)
    };
    let told = in_vain(&only(&hasty), &[HOOK]).await;
    insta::assert_snapshot!(told.replace(&port, "PORT"), @"send an alert to 127.0.0.1:PORT: no answer in 1.0s; look whether it is up and reachable from here");
}

#[test]
fn an_address_that_is_no_webhook_is_refused() {
    let told = [
        "T0001/B0001/9VbzLlQm3fXo2uRt",
        "http://hooks.slack.com/services/9VbzLlQm3fXo2uRt",
        "http://127.0.0.1.example.com/services/9VbzLlQm3fXo2uRt",
        "ftp://hooks.slack.com/services/9VbzLlQm3fXo2uRt",
        "data:9VbzLlQm3fXo2uRt",
    ]
    .map(|url| {
        let error = no_channel(&settings(url));
        assert!(!format!("{error:?} {error}").contains(HOOK), "{error}");
        error.to_string()
    });
    insta::assert_snapshot!(told.join("\n"), @r"
    PREVIEW_SLACK_WEBHOOK is no URL, so no alert goes to Slack; set it to the address of an incoming webhook, https://hooks.slack.com/services/…
    PREVIEW_SLACK_WEBHOOK would be sent over plain http, so no alert goes to Slack; set it to the address of an incoming webhook, https://hooks.slack.com/services/…
    PREVIEW_SLACK_WEBHOOK would be sent over plain http, so no alert goes to Slack; set it to the address of an incoming webhook, https://hooks.slack.com/services/…
    PREVIEW_SLACK_WEBHOOK is no address of https, so no alert goes to Slack; set it to the address of an incoming webhook, https://hooks.slack.com/services/…
    PREVIEW_SLACK_WEBHOOK names no host, so no alert goes to Slack; set it to the address of an incoming webhook, https://hooks.slack.com/services/…
    ");
    for url in [
        "http://127.0.0.1:1/x",
        "http://[::1]:1/x",
        "http://localhost/x",
    ] {
        only(&settings(url));
    }
}
