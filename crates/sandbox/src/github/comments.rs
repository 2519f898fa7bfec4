//! Comments on pull requests, and reactions to them.

use serde_json::{Value, json};

use super::call::{Answer, Call};
use super::objects;
use super::state::{Comment, Reaction, Repo, State};

const LONGEST: usize = 65_536;

pub(super) fn route(state: &mut State, repo: u64, call: &Call) -> Option<Answer> {
    match call.operation.as_str() {
        "GET /issues/{issue_number}/comments" => Some(list(state, state.repos.get(&repo)?, call)),
        "POST /issues/{issue_number}/comments" => Some(create(state, repo, call)),
        "GET /issues/comments/{comment_id}" => {
            Some(show(state, repo, call.number("comment_id"), 200))
        }
        "PATCH /issues/comments/{comment_id}" => Some(edit(state, repo, call)),
        "DELETE /issues/comments/{comment_id}" => {
            let comments = &mut state.repos.get_mut(&repo)?.comments;
            let gone = comments.remove(&call.number("comment_id"));
            Some(gone.map_or_else(Answer::not_found, |_| Answer::nothing()))
        }
        "GET /issues/comments/{comment_id}/reactions" => Some(reactions(state, repo, call)),
        "POST /issues/comments/{comment_id}/reactions" => Some(react(state, repo, call)),
        _ => None,
    }
}

fn list(state: &State, repo: &Repo, call: &Call) -> Answer {
    let issue = call.number("issue_number");
    if !repo.pulls.contains_key(&issue) {
        return Answer::not_found();
    }
    let since = call.asked("since").and_then(|text| text.parse().ok());
    let comments = repo
        .comments
        .values()
        .filter(|comment| comment.issue == issue)
        .filter(|comment| since.is_none_or(|since| comment.updated_at >= since));
    Answer::page(call, comments.map(|c| comment(state, repo, c)).collect())
}

pub(super) fn comment(state: &State, repo: &Repo, comment: &Comment) -> Value {
    let page = format!("{}/pull/{}", state.page_of(repo), comment.issue);
    json!({
        "id": comment.id, "body": comment.body, "user": objects::user(state, &comment.author),
        "html_url": format!("{page}#issuecomment-{}", comment.id),
        "issue_url": format!("{}/repos/{}/issues/{}", state.addresses.api, repo.slug(), comment.issue),
        "created_at": comment.created_at.to_string(), "updated_at": comment.updated_at.to_string(),
        "author_association": objects::association(repo, &comment.author),
        "performed_via_github_app": objects::app(state, &comment.author),
    })
}

fn show(state: &State, repo: u64, id: u64, status: u16) -> Answer {
    let found = state
        .repos
        .get(&repo)
        .and_then(|repo| Some((repo, repo.comments.get(&id)?)));
    found.map_or_else(Answer::not_found, |(repo, c)| {
        Answer::json(status, comment(state, repo, c))
    })
}

fn refused(body: &str) -> Option<Answer> {
    let error = |code: &str, message: &str| {
        Some(Answer::invalid(
            json!({ "resource": "IssueComment", "code": code, "field": "data", "message": message }),
        ))
    };
    match body {
        "" => error("unprocessable", "Body cannot be blank"),
        long if long.chars().count() > LONGEST => error(
            "unprocessable",
            "Body is too long (maximum is 65536 characters)",
        ),
        _ => None,
    }
}

fn create(state: &mut State, repo: u64, call: &Call) -> Answer {
    let body = call.text("body").unwrap_or_default();
    if let Some(refused) = refused(body) {
        return refused;
    }
    let id = add(state, repo, call.number("issue_number"), &call.login, body);
    id.map_or_else(Answer::not_found, |id| show(state, repo, id, 201))
}

/// Adds a comment; `None` when there is no such pull request.
pub(super) fn add(
    state: &mut State,
    repo: u64,
    issue: u64,
    author: &str,
    body: &str,
) -> Option<u64> {
    let (id, now) = (state.id(), state.now());
    let repo = state.repos.get_mut(&repo)?;
    repo.pulls.get_mut(&issue)?.updated_at = now;
    let comment = Comment {
        id,
        issue,
        author: author.to_owned(),
        body: body.to_owned(),
        created_at: now,
        updated_at: now,
        reactions: Vec::new(),
    };
    repo.comments.insert(id, comment);
    Some(id)
}

fn edit(state: &mut State, repo: u64, call: &Call) -> Answer {
    let body = call.text("body").unwrap_or_default();
    if let Some(refused) = refused(body) {
        return refused;
    }
    let (id, now) = (call.number("comment_id"), state.now());
    let comment = state
        .repos
        .get_mut(&repo)
        .and_then(|repo| repo.comments.get_mut(&id));
    if let Some(comment) = comment {
        comment.body = body.to_owned();
        comment.updated_at = now;
    }
    show(state, repo, id, 200)
}

fn reaction(state: &State, reaction: &Reaction) -> Value {
    json!({
        "id": reaction.id, "content": reaction.content, "created_at": reaction.at.to_string(),
        "user": objects::user(state, &reaction.author),
    })
}

fn reactions(state: &State, repo: u64, call: &Call) -> Answer {
    let id = call.number("comment_id");
    let Some(comment) = state
        .repos
        .get(&repo)
        .and_then(|repo| repo.comments.get(&id))
    else {
        return Answer::not_found();
    };
    let wanted = call.asked("content");
    let found = comment
        .reactions
        .iter()
        .filter(|r| wanted.is_none_or(|w| r.content == w));
    Answer::page(call, found.map(|r| reaction(state, r)).collect())
}

/// 201 for a new reaction, 200 for one that this login has made before.
fn react(state: &mut State, repo: u64, call: &Call) -> Answer {
    let content = call.text("content").unwrap_or_default().to_owned();
    let (new_id, at, id) = (state.id(), state.now(), call.number("comment_id"));
    let comment = state
        .repos
        .get_mut(&repo)
        .and_then(|repo| repo.comments.get_mut(&id));
    let Some(comment) = comment else {
        return Answer::not_found();
    };
    let same = |r: &&Reaction| r.author == call.login && r.content == content;
    if let Some(known) = comment.reactions.iter().find(same).cloned() {
        return Answer::ok(reaction(state, &known));
    }
    let made = Reaction {
        id: new_id,
        author: call.login.clone(),
        content,
        at,
    };
    comment.reactions.push(made.clone());
    Answer::created(reaction(state, &made))
}
