//! Payloads that GitHub has sent: see `payloads/README.md`.

use super::*;

fn read(name: &str, payload: &str) -> Event {
    Event::parse(name, "event.json", payload).unwrap()
}

#[test]
fn comments_are_read_as_github_has_sent_them() {
    let told = [
        include_str!("payloads/issue_comment.created.json"),
        include_str!("payloads/issue_comment.edited.json"),
    ];
    let told = told.map(|payload| {
        let Event::IssueComment(comment) = read("issue_comment", payload) else {
            panic!()
        };
        let (author, on_pull) = (comment.author.unwrap().login, comment.is_on_pull);
        let (action, number, body) = (comment.action, comment.number, comment.body);
        format!("{action} by {author} on #{number}, a pull request: {on_pull}: {body}")
    });
    insta::assert_snapshot!(told.join("\n"), @r"
    created by Codertocat on #1, a pull request: false: You are totally right! I'll get this fixed right away.
    edited by Codertocat on #1, a pull request: false: You are totally right! I'll get this fixed today.
    ");
}

#[test]
fn runs_groups_and_dispatches_are_read_as_github_has_sent_them() {
    let runs = [
        include_str!("payloads/workflow_run.completed.json"),
        include_str!("payloads/workflow_run.action_required.json"),
    ];
    let runs = runs.map(|payload| {
        let Event::WorkflowRun(run) = read("workflow_run", payload) else {
            panic!()
        };
        let (action, event, conclusion) = (run.action, run.event, run.conclusion);
        format!("{action} {event} {conclusion:?} of {}", run.head_sha)
    });
    insta::assert_snapshot!(runs.join("\n"), @r#"
    completed workflow_dispatch None of 5779607b49aab1200488439f02372c57b4f75444
    requested repository_dispatch Some("action_required") of 3484a3fb816e0859fd6e1cea078d76385ff50625
    "#);
    let group = include_str!("payloads/merge_group.checks_requested.json");
    let Event::MergeGroup(group) = read("merge_group", group) else {
        panic!()
    };
    insta::assert_snapshot!(format!("{} {}", group.action, group.head_sha), @"checks_requested 2ffea6db159f6b6c47a24e778fb9ef40cf6b1c7d");
    let dispatch = include_str!("payloads/workflow_dispatch.json");
    let Event::Dispatch(dispatch) = read("workflow_dispatch", dispatch) else {
        panic!()
    };
    insta::assert_snapshot!(format!("{:?} {:?}", dispatch.sender, dispatch.inputs), @r#"Account { login: "octocat", is_bot: false } {}"#);
}
