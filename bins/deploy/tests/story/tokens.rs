//! Tokens of each kind: whose comments are ours, and what each cannot do.

use preview_core::comment::MARKER;
use sandbox::github::{ACTIONS_BOT, ACTIONS_TOKEN, Level, Permission, TokenKind};
use serde_json::{Value, json};

use crate::DEPLOY;
use crate::approval::{WORKFLOW, guarded, without_reviewers};
use crate::doctor::{doctor, healthy};
use crate::shop::{Ran, Shop};

const APP: (&str, &str, TokenKind) = ("ghs_of_an_app", "acme-previews[bot]", TokenKind::App);
const FINE_GRAINED: (&str, &str, TokenKind) = ("github_pat_fine", "robin", TokenKind::FineGrained);
const CLASSIC: (&str, &str, TokenKind) = ("ghp_classic", "robin", TokenKind::Person);

/// What docs/tokens.md says that a token needs.
const NEEDED: [(&str, Level); 6] = [
    ("actions", Level::Write),
    ("contents", Level::Read),
    ("deployments", Level::Write),
    ("issues", Level::Write),
    ("pull-requests", Level::Write),
    ("statuses", Level::Write),
];

/// Makes a token known to a shop's GitHub, and its owner to the repository.
fn give(shop: &Shop, (secret, login, kind): (&str, &str, TokenKind)) {
    shop.world.github.add_token(secret, login, kind);
    if kind != TokenKind::Person {
        shop.world.github.limit_token(secret, &NEEDED);
    }
    if !login.ends_with("[bot]") {
        shop.repository.set_permission(login, Permission::Write);
    }
}

/// Runs the program for an event, with another token than the job's.
async fn with(shop: &Shop, token: &str, (name, payload): (&str, Value), arguments: &[&str]) -> Ran {
    std::fs::write(shop.path("event.json"), payload.to_string()).unwrap();
    let path = shop.path("event.json").to_str().unwrap().to_owned();
    let variables = [
        ("GITHUB_EVENT_NAME", name.to_owned()),
        ("GITHUB_EVENT_PATH", path),
        ("GITHUB_TOKEN", token.to_owned()),
    ];
    shop.run(DEPLOY, arguments, &variables).await
}

async fn deploys(shop: &Shop, token: &str, number: u64) -> Ran {
    let payload = shop.repository.workflow_run_payload(number);
    with(shop, token, ("workflow_run", payload), &[]).await
}

/// Who commented, and what the comment calls the preview.
fn comments(shop: &Shop, number: u64) -> String {
    let comments = shop.repository.comments(number);
    let lines = comments.iter().map(|(author, body)| {
        let status = body.lines().find(|line| line.starts_with("**Status**"));
        format!("{author}: {}", status.unwrap_or_default())
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_deploys_and_updates_with_one_comment_and_takes_no_copy_for_it() {
    let mut told = Vec::new();
    for token in [APP, FINE_GRAINED, CLASSIC] {
        let shop = Shop::open().await;
        shop.repository.set_private();
        give(&shop, token);
        let number = shop.open_pull_request();
        let forged = format!("{MARKER}\n**Status**: ✅ Ready, at https://evil.example");
        shop.repository.comment(number, "mallory", &forged);
        for content in ["a cart", "a bigger cart"] {
            shop.repository.push(number, &[("web/cart.html", content)]);
            shop.build(number);
            deploys(&shop, token.0, number).await.exits(0);
        }
        told.push(comments(&shop, number));
        shop.close();
    }
    insta::assert_snapshot!(told.join("\n\n"), @r"
    mallory: **Status**: ✅ Ready, at https://evil.example
    acme-previews[bot]: **Status**: ✅ Ready

    mallory: **Status**: ✅ Ready, at https://evil.example
    robin: **Status**: ✅ Ready

    mallory: **Status**: ✅ Ready, at https://evil.example
    robin: **Status**: ✅ Ready
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_change_of_the_token_the_comment_of_before_is_nobodys() {
    let shop = Shop::open().await;
    give(&shop, APP);
    let number = shop.open_pull_request();
    let deploys_with = async |token: &str, content: &str| {
        shop.repository.push(number, &[("web/cart.html", content)]);
        shop.build(number);
        let ran = deploys(&shop, token, number).await.exits(0);
        assert!(ran.verdict().starts_with("deployed: "), "{ran:#?}");
    };
    deploys_with(ACTIONS_TOKEN, "a cart").await;
    let before = shop.repository.comments(number);
    deploys_with(APP.0, "a bigger cart").await;
    insta::assert_snapshot!(comments(&shop, number), @r"
    github-actions[bot]: **Status**: ✅ Ready
    acme-previews[bot]: **Status**: ✅ Ready
    ");
    let after = shop.repository.comments(number);
    assert_eq!(after[0], before[0], "any workflow may have written it");

    deploys_with(ACTIONS_TOKEN, "a small cart").await;
    let again = shop.repository.comments(number);
    assert_eq!(again.len(), 2);
    assert_ne!(again[0], after[0], "its account is back");
    assert_eq!(again[1], after[1]);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_started_with_a_persons_token_is_nobodys_approval() {
    let shop = guarded().await;
    without_reviewers(&shop);
    give(&shop, FINE_GRAINED);
    let number = shop.open_pull_request();
    let head = shop.repository.head_of(number);
    let approve = format!("/preview approve {head}");
    let started = |login: &str, comment: Option<(&str, &str)>| {
        let mut inputs = json!({ "pr": number.to_string(), "sha": head });
        if let Some((author, text)) = comment {
            let id = shop.repository.comment(number, author, text);
            inputs["comment"] = json!(id.to_string());
        }
        let payload = shop.repository.dispatch_payload(WORKFLOW, &inputs, login);
        ("workflow_dispatch", payload)
    };
    let mut ended = Vec::new();
    for (who, started) in [
        ("a program", started("robin", None)),
        (
            "a command",
            started("robin", Some(("alice", "/preview deploy"))),
        ),
        ("an approval", started("robin", Some(("alice", &approve)))),
        ("alice herself", started("alice", None)),
    ] {
        let ran = with(&shop, FINE_GRAINED.0, started, &[]).await;
        let verdict = ran.verdict().replace(&head, "[head]");
        let verdict = verdict.replace(&head[..7], "[head]");
        ended.push(format!("{who}, exit {}: {verdict}", ran.exit));
        // The one that stands is not to speak for the next.
        shop.world.cluster.delete(("Namespace", "", "preview-pr-7"));
    }
    insta::assert_snapshot!(ended.join("\n"), @r"
    a program, exit 1: refused: nobody has approved [head] in this run; let a job of its workflow wait in the environment preview-approval before it deploys, or comment `/preview deploy` to have somebody asked
    a command, exit 1: refused: environment preview-approval: usable from any branch; nobody has to approve, so nobody could approve [head]; give it required reviewers on https://github.com/acme/shop/settings/environments; where the plan of acme/shop has none, let somebody who may write comment `/preview approve [head]`
    an approval, exit 0: deployed: pull request #7 at [head] answers at https://7.pr.example.com
    alice herself, exit 0: deployed: pull request #7 at [head] answers at https://7.pr.example.com
    ");
    let authors = shop.repository.comments(number);
    assert!(authors.iter().all(|(author, _)| author != ACTIONS_BOT));
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doctor_tells_what_each_kind_cannot_do() {
    let shop = healthy().await;
    let mut told = Vec::new();
    give(&shop, APP);
    give(&shop, FINE_GRAINED);
    give(&shop, CLASSIC);
    for secret in [ACTIONS_TOKEN, APP.0, FINE_GRAINED.0, CLASSIC.0] {
        let variables = [("GITHUB_TOKEN", secret.to_owned())];
        let ran = doctor(&shop, &variables).await.exits(0);
        let first: Vec<&str> = ran.stdout.lines().take(3).collect();
        told.push(first.join("\n"));
    }
    insta::assert_snapshot!(told.join("\n\n"), @r"
    ✓ GitHub token: the token of a job, github-actions[bot]; it reads acme/shop
    – GitHub rights: what the token may write shows when it does; a job needs permissions: { actions: write, contents: read, deployments: write, issues: read, pull-requests: write, statuses: write }
    – limits of the token: what it does starts no workflow but by dispatch: what is merged with it is promoted by the schedule; it ends with the job: nodes pull with another (PREVIEW_PULL_PASSWORD); it has 1,000 requests an hour for the repository

    ✓ GitHub token: the token of an App's installation, acme-previews[bot]; it reads acme/shop
    – GitHub rights: what the token may write shows when it does; it needs of the repository: Actions: write, Contents: read, Deployments: write, Issues: write, Pull requests: write, Commit statuses: write
    – limits of the token: neither ghcr.io nor the API of packages takes it: the registry needs a credential of its own, and images that nothing needs any more are not deleted; it may what its App may: `permissions:` of the job change nothing; it ends within the hour: nodes pull with another (PREVIEW_PULL_PASSWORD)

    ✓ GitHub token: a person's fine-grained token, robin; it reads acme/shop
    – GitHub rights: what the token may write shows when it does; it needs of the repository: Actions: write, Contents: read, Deployments: write, Issues: write, Pull requests: write, Commit statuses: write
    – limits of the token: neither ghcr.io nor the API of packages takes it: the registry needs a credential of its own, and images that nothing needs any more are not deleted; what it writes is robin's, and what robin starts with it approves nothing: an approval is a review or a comment; it may what was granted to it: `permissions:` of the job change nothing

    ✓ GitHub token: a person's classic token, robin; it reads acme/shop
    – GitHub rights: what the token may write shows when it does; it needs the scope repo
    – limits of the token: what it writes is robin's, and what robin starts with it approves nothing: an approval is a review or a comment; it may whatever robin may, in all repositories: nothing confines it to this one
    ");
    shop.close();
}
