//! Somebody starts the workflow that takes previews down, or a comment has it started.

use sandbox::github::{ACTIONS_BOT, Permission};

use crate::*;

async fn dispatched(shop: &Shop, login: &str, inputs: Value) -> Ran {
    let file = "preview-cleanup.yml";
    let payload = shop.repository.dispatch_payload(file, &inputs, login);
    shop.on(CLEANUP, "workflow_dispatch", &payload).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_inputs_say_whose_preview_goes_and_whether_although_its_pull_request_is_open() {
    let shop = Shop::open().await;
    let number = opened(&shop);
    preview(&shop, number).await;
    shop.repository.set_permission("trixie", Permission::Triage);
    let pr = number.to_string();
    let forced = json!({ "pr": pr, "force": "true" });
    let mut ended = Vec::new();
    for (login, inputs) in [
        ("trixie", forced.clone()),
        ("alice", json!({})),
        ("alice", json!({ "pr": pr, "force": "yes" })),
        ("alice", json!({ "pr": pr, "commit": "b".repeat(40) })),
        ("alice", json!({ "pr": pr, "force": false })),
    ] {
        let ran = dispatched(&shop, login, inputs).await;
        ended.push(format!("exit {}: {}", ran.exit, ran.verdict()));
        assert!(is_there(&shop, number));
    }
    insta::assert_snapshot!(ended.join("\n"), @r"
    exit 1: refused: trixie started this and may not write to acme/shop; let somebody start it who may
    exit 2: misused: the workflow takes the input pr, and force for one that is open, or the input commit; start it again with one of these
    exit 2: misused: the input force: provided string was not `true` or `false`; start the workflow again
    exit 2: misused: the workflow takes the input pr, and force for one that is open, or the input commit; start it again with one of these
    exit 1: refused: pull request #7 is open, so its preview stays; close it, or ask for its destruction with --force
    ");

    // As `/preview destroy` starts it.
    let ran = dispatched(&shop, ACTIONS_BOT, forced).await.exits(0);
    assert!(ran.verdict().starts_with("destroyed: "), "{ran:#?}");
    assert!(!is_there(&shop, number));
    shop.close();
}
