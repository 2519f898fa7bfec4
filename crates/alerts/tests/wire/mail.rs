//! Mail.

use preview_core::config::MailRoute;

use super::receivers::{MailServer, PASSWORD, PASSWORD_IN_URL, Rules, USER};
use super::*;

const SECRETS: [&str; 2] = [PASSWORD, PASSWORD_IN_URL];

fn settings(url: &str) -> Settings {
    let address = |text: &str| text.parse().unwrap();
    Settings {
        smtp_url: Some(url.to_owned().into()),
        mail: Some(MailRoute {
            from: address("previews@example.com"),
            to: vec![address("ops@example.com"), address("alice@example.com")],
        }),
        limit: SHORT * 5,
        ..Settings::default()
    }
}

fn channel(url: &str) -> Channel {
    only(&settings(url))
}

fn with_account(server: &MailServer) -> String {
    format!("smtp://{USER}:{PASSWORD_IN_URL}@{}", server.address())
}

#[tokio::test]
async fn an_alert_is_a_mail_of_plain_text_to_everybody() {
    let server = MailServer::open(Rules::default()).await;
    let channel = channel(&format!("smtp://{}", server.address()));
    channel.send(&alert()).await.unwrap();
    let taken = server.taken();
    assert_eq!(taken.len(), 1, "{taken:#?}");
    assert_eq!(taken[0].from, "previews@example.com");
    assert_eq!(taken[0].to, ["ops@example.com", "alice@example.com"]);
    assert_eq!(taken[0].user, None);
    insta::assert_snapshot!(taken[0].plain(), @r"
    From: previews@example.com
    Subject: [acme/shop] The preview of pull request #7 is not gone
    Message-ID: […]
    Auto-Submitted: auto-generated
    To: ops@example.com, alice@example.com
    MIME-Version: 1.0
    Date: […]
    Content-Type: text/plain; charset=utf-8
    Content-Transfer-Encoding: quoted-printable

    The preview of pull request #7 is not gone

      PersistentVolumeClaim/data-database-0: still there (finalizer example.com/<backup> – für später)
      .

    Next:

        kubectl get namespace preview-pr-7 -o yaml

    Repository: acme/shop
    The run and its log: https://github.com/acme/shop/actions/runs/100/attempts/1
    ");
}

#[tokio::test]
async fn an_account_proves_itself_by_its_password() {
    let rules = Rules {
        asks_for_account: true,
        ..Rules::default()
    };
    let server = MailServer::open(rules).await;
    channel(&with_account(&server))
        .send(&alert())
        .await
        .unwrap();
    assert_eq!(server.taken()[0].user.as_deref(), Some(USER));

    let anonymous = channel(&format!("smtp://{}", server.address()));
    let wrong = format!("smtp://{USER}:hunter%32-and-more@{}", server.address());
    let told = [
        in_vain(&anonymous, &SECRETS).await,
        in_vain(
            &channel(&wrong),
            &["hunter2-and-more", "hunter%32-and-more"],
        )
        .await,
    ];
    insta::assert_snapshot!(told.join("\n").replace(&server.address(), "SERVER"), @r"
    send an alert to SERVER: permanent error (530): 5.7.0 who are you?; correct PREVIEW_SMTP_URL, or alerts.mail_from and alerts.mail_to in preview.toml
    send an alert to SERVER: permanent error (535): 5.7.8 previews is not known by ***; correct PREVIEW_SMTP_URL, or alerts.mail_from and alerts.mail_to in preview.toml
    ");
    assert_eq!(server.taken().len(), 1);
}

#[tokio::test]
async fn a_recipient_whom_the_server_does_not_know_is_told() {
    let rules = Rules {
        refuses: Some("alice@example.com"),
        ..Rules::default()
    };
    let server = MailServer::open(rules).await;
    let told = in_vain(&channel(&with_account(&server)), &SECRETS).await;
    insta::assert_snapshot!(told.replace(&server.address(), "SERVER"), @"send an alert to SERVER: permanent error (550): 5.1.1 no mailbox alice@example.com here; correct PREVIEW_SMTP_URL, or alerts.mail_from and alerts.mail_to in preview.toml");
    assert_eq!(server.taken(), []);
}

#[tokio::test]
async fn a_server_that_is_not_there_or_says_nothing_is_told_in_time() {
    let port = closed_port().await;
    let nobody = format!("smtp://{USER}:{PASSWORD_IN_URL}@127.0.0.1:{port}");
    let nobody = in_vain(&channel(&nobody), &SECRETS).await;
    insta::assert_snapshot!(nobody.replace(&port.to_string(), "PORT"), @"send an alert to 127.0.0.1:PORT: Connection error: Connection refused (os error 111); look whether it is up and reachable from here, and its certificate trusted");

    let rules = Rules {
        is_silent: true,
        ..Rules::default()
    };
    let server = MailServer::open(rules).await;
    let hasty = Settings {
        limit: SHORT,
        ..settings(&with_account(&server))
    };
    let silent = in_vain(&only(&hasty), &SECRETS).await;
    insta::assert_snapshot!(silent.replace(&server.address(), "SERVER"), @"send an alert to SERVER: no answer in 1.0s; look whether it is up and reachable from here");
}

#[tokio::test]
async fn a_server_whose_certificate_nobody_vouches_for_is_told_nothing() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let server = MailServer::with_tls(Rules::default()).await;
    let url = format!("smtps://{USER}:{PASSWORD_IN_URL}@{}", server.address());
    let told = in_vain(&channel(&url), &SECRETS).await;
    insta::assert_snapshot!(told.replace(&server.address(), "SERVER"), @"send an alert to SERVER: Connection error: Connection error: invalid peer certificate: UnknownIssuer; look whether it is up and reachable from here, and its certificate trusted");
    assert_eq!(server.taken(), []);
}

#[tokio::test]
async fn a_server_without_starttls_is_told_nothing_where_it_is_required() {
    let server = MailServer::open(Rules::default()).await;
    let url = format!("{}?tls=required", with_account(&server));
    let told = in_vain(&channel(&url), &SECRETS).await;
    insta::assert_snapshot!(told.replace(&server.address(), "SERVER"), @"send an alert to SERVER: internal client error: STARTTLS is not supported on this server; correct PREVIEW_SMTP_URL, or alerts.mail_from and alerts.mail_to in preview.toml");
    assert_eq!(server.taken(), []);
}

#[test]
fn an_address_that_is_no_mail_server_is_refused() {
    let told = [
        "smtp.example.com",
        "https://smtp.example.com/hunter2",
        "smtp://previews:hunter2@smtp.example.com",
        "smtp://previews:hunter2@smtp.example.com?tls=opportunistic",
        "smtp://previews@smtp.example.com",
        "smtp://previews:hunter2@smtp.example.com?tls=maybe",
    ]
    .map(|url| {
        let error = no_channel(&settings(url));
        assert!(!format!("{error:?} {error}").contains("hunter2"), "{error}");
        error.to_string()
    });
    insta::assert_snapshot!(told.join("\n"), @r"
    PREVIEW_SMTP_URL is no URL, so no alert goes by mail; write it like smtps://user:password@smtp.example.com or smtp://user:password@smtp.example.com?tls=required, with %40 for an @ in user or password
    PREVIEW_SMTP_URL is no address of a mail server, so no alert goes by mail; write it like smtps://user:password@smtp.example.com or smtp://user:password@smtp.example.com?tls=required, with %40 for an @ in user or password
    PREVIEW_SMTP_URL would send the password without TLS, so no alert goes by mail; write it like smtps://user:password@smtp.example.com or smtp://user:password@smtp.example.com?tls=required, with %40 for an @ in user or password
    PREVIEW_SMTP_URL would send the password without TLS, so no alert goes by mail; write it like smtps://user:password@smtp.example.com or smtp://user:password@smtp.example.com?tls=required, with %40 for an @ in user or password
    PREVIEW_SMTP_URL has a user and no password, so no alert goes by mail; write it like smtps://user:password@smtp.example.com or smtp://user:password@smtp.example.com?tls=required, with %40 for an @ in user or password
    PREVIEW_SMTP_URL would send the password without TLS, so no alert goes by mail; write it like smtps://user:password@smtp.example.com or smtp://user:password@smtp.example.com?tls=required, with %40 for an @ in user or password
    ");
    for url in [
        "smtps://previews:hunter2@smtp.example.com",
        "smtp://previews:hunter2@smtp.example.com:587?tls=required",
        "smtp://smtp.example.com:25",
    ] {
        only(&settings(url));
    }
}

#[test]
fn half_a_way_to_send_mail_is_told() {
    let no_route = Settings {
        mail: None,
        ..settings("smtp://smtp.example.com")
    };
    let no_server = Settings {
        smtp_url: None,
        ..settings("")
    };
    let told = [&no_route, &no_server].map(|half| no_channel(half).to_string());
    insta::assert_snapshot!(told.join("\n"), @r"
    PREVIEW_SMTP_URL is set and preview.toml does not say from whom to whom mail goes, so no alert goes by mail; write alerts.mail_from and alerts.mail_to, or take the secret away
    preview.toml has alerts.mail_to and PREVIEW_SMTP_URL is not set, so no alert goes by mail; pass that secret to the step, or take `[alerts]` out
    ");
}
