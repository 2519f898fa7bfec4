//! People: what they may do, and reactions to what they write.

use preview_github::Reaction;
use sandbox::github::Permission;

use super::*;

#[tokio::test]
async fn who_may_write_is_told_from_who_may_not() {
    let stage = Stage::new().await;
    for (login, permission) in [
        ("ada", Permission::Admin),
        ("max", Permission::Maintain),
        ("wanda", Permission::Write),
        ("trixie", Permission::Triage),
        ("rita", Permission::Read),
    ] {
        stage.repository.set_permission(login, permission);
    }
    let mut may_write = Vec::new();
    for login in ["ada", "max", "wanda", "trixie", "rita", "nobody", "a/b?c"] {
        if stage.github.may_write(login).await.unwrap() {
            may_write.push(login);
        }
    }
    assert_eq!(may_write, ["ada", "max", "wanda"]);
    stage.conforms();
}

#[tokio::test]
async fn a_reaction_is_one_although_its_answer_was_lost() {
    let stage = Stage::new().await;
    let number = stage
        .repository
        .open_pull_request("feature/tea", &[("tea.md", "green")]);
    let comment = stage.repository.comment(number, "alice", "Tea?");
    stage.lose_answer_of_post("/reactions");
    for reaction in [Reaction::Eyes, Reaction::Yes] {
        stage.github.react(comment, reaction).await.unwrap();
    }
    let reactions = stage.repository.reactions(comment);
    let contents: Vec<&str> = reactions.iter().map(|(_, what)| what.as_str()).collect();
    assert_eq!(contents, ["eyes", "+1"]);
    stage.github.react(12_345, Reaction::No).await.unwrap();
    stage.conforms();
}

#[tokio::test]
async fn what_people_start_and_write_is_read_as_github_tells_it() {
    let stage = Stage::new().await;
    let number = stage
        .repository
        .open_pull_request("feature/tea", &[("tea.md", "green")]);
    let id = stage.repository.comment(number, "alice", "/preview deploy");
    let read = |name: &str, payload: serde_json::Value| {
        Event::parse(name, "event.json", &payload.to_string()).unwrap()
    };
    let Event::IssueComment(comment) = read("issue_comment", stage.repository.comment_payload(id))
    else {
        panic!()
    };
    assert_eq!(
        (comment.id, comment.number, comment.is_on_pull),
        (id, pr(number), true)
    );
    assert_eq!(comment.author.unwrap().login, "alice");
    let inputs = json!({ "pr": "7" });
    let dispatch = stage
        .repository
        .dispatch_payload("preview-deploy.yml", &inputs, "alice");
    let Event::Dispatch(dispatch) = read("workflow_dispatch", dispatch) else {
        panic!()
    };
    assert_eq!(
        (dispatch.inputs["pr"].as_str(), dispatch.sender.is_bot),
        ("7", false)
    );
    let group = stage.repository.queue(number);
    let Event::MergeGroup(queued) =
        read("merge_group", stage.repository.merge_group_payload(&group))
    else {
        panic!()
    };
    assert_eq!(queued.head_sha, sha(group));
    stage.conforms();
}

#[tokio::test]
async fn a_comment_is_read_as_it_stands_with_what_its_author_may_do_now() {
    let stage = Stage::new().await;
    let number = stage
        .repository
        .open_pull_request("feature/tea", &[("tea.md", "green")]);
    let text = "/preview approve\nlooks good";
    let said = stage.repository.comment(number, "alice", text);
    let read = || async { stage.github.said(said).await.unwrap().unwrap() };
    let first = read().await;
    assert_eq!(first.login.as_deref(), Some("alice"));
    assert_eq!((first.number.get(), first.body.as_str()), (number, text));
    assert_eq!(
        (first.is_by_bot, first.may_write, first.is_edited),
        (false, true, false)
    );
    stage.repository.set_permission("alice", Permission::Read);
    stage.repository.edit_comment(said, "/preview approve");
    let then = read().await;
    assert_eq!((then.may_write, then.is_edited), (false, true));
    assert_eq!(
        (then.at, then.body.as_str()),
        (first.at, "/preview approve")
    );
    let bot = stage.repository.comment_as_bot(number, text);
    assert!(stage.github.said(bot).await.unwrap().unwrap().is_by_bot);
    assert_eq!(stage.github.said(4711).await.unwrap(), None);
    stage.conforms();
}
