//! Labels: objects of the repository, which issues carry by name.

use serde_json::{Value, json};

use super::call::{Answer, Call};
use super::objects;
use super::state::{Label, Repo, State};

const LONGEST_NAME: usize = 50;
const LONGEST_DESCRIPTION: usize = 100;
const MOST_ON_AN_ISSUE: usize = 100;

pub(super) fn route(state: &mut State, repo: u64, call: &Call) -> Option<Answer> {
    let issue = call.number("issue_number");
    match call.operation.as_str() {
        "GET /labels" => {
            let labels = &state.repos.get(&repo)?.labels;
            Some(Answer::page(
                call,
                labels.iter().map(objects::label).collect(),
            ))
        }
        "POST /labels" => Some(create(state, repo, call)),
        "GET /labels/{name}" => {
            let repo = state.repos.get(&repo)?;
            let found = position(repo, call.parameter("name"));
            Some(found.map_or_else(Answer::not_found, |i| {
                Answer::ok(objects::label(&repo.labels[i]))
            }))
        }
        "PATCH /labels/{name}" => Some(edit(state.repos.get_mut(&repo)?, call)),
        "DELETE /labels/{name}" => Some(delete(state.repos.get_mut(&repo)?, call)),
        "GET /issues/{issue_number}/labels" => Some(of_issue(state.repos.get(&repo)?, issue, call)),
        "POST /issues/{issue_number}/labels" => Some(add(state, repo, issue, call)),
        "DELETE /issues/{issue_number}/labels/{name}" => {
            Some(remove(state.repos.get_mut(&repo)?, issue, call))
        }
        _ => None,
    }
}

/// Names of labels are compared without case.
fn position(repo: &Repo, name: &str) -> Option<usize> {
    let same = |label: &Label| label.name.to_lowercase() == name.to_lowercase();
    repo.labels.iter().position(same)
}

fn is_colour(text: &str) -> bool {
    text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn error(code: &str, field: &str) -> Answer {
    Answer::invalid(json!({ "resource": "Label", "code": code, "field": field }))
}

/// What GitHub answers to a label that it does not take.
fn refused(call: &Call, name: &str) -> Option<Answer> {
    let long = |text: &str, most| text.chars().count() > most;
    if long(name, LONGEST_NAME) {
        return Some(Answer::too_long("Label", "name", LONGEST_NAME));
    }
    if name.is_empty() || name.contains(',') {
        return Some(error("invalid", "name"));
    }
    if call.text("color").is_some_and(|colour| !is_colour(colour)) {
        return Some(error("invalid", "color"));
    }
    let description = call.text("description").unwrap_or_default();
    long(description, LONGEST_DESCRIPTION)
        .then(|| Answer::too_long("Label", "description", LONGEST_DESCRIPTION))
}

fn create(state: &mut State, repo: u64, call: &Call) -> Answer {
    let name = call.text("name").unwrap_or_default();
    if let Some(refused) = refused(call, name) {
        return refused;
    }
    let id = state.id();
    let Some(repo) = state.repos.get_mut(&repo) else {
        return Answer::not_found();
    };
    if position(repo, name).is_some() {
        return error("already_exists", "name");
    }
    let label = Label {
        id,
        name: name.to_owned(),
        color: call.text("color").unwrap_or("ededed").to_lowercase(),
        description: call.text("description").map(str::to_owned),
    };
    repo.labels.push(label.clone());
    Answer::created(objects::label(&label))
}

fn edit(repo: &mut Repo, call: &Call) -> Answer {
    let Some(i) = position(repo, call.parameter("name")) else {
        return Answer::not_found();
    };
    let old = repo.labels[i].name.clone();
    let name = call.text("new_name").unwrap_or(&old);
    if let Some(refused) = refused(call, name) {
        return refused;
    }
    if position(repo, name).is_some_and(|other| other != i) {
        return error("already_exists", "name");
    }
    let label = &mut repo.labels[i];
    label.name = name.to_owned();
    if let Some(colour) = call.text("color") {
        label.color = colour.to_lowercase();
    }
    if let Some(description) = call.text("description") {
        label.description = Some(description.to_owned()).filter(|text| !text.is_empty());
    }
    let answer = Answer::ok(objects::label(label));
    for carried in repo
        .pulls
        .values_mut()
        .flat_map(|pull| pull.labels.iter_mut())
    {
        if *carried == old {
            name.clone_into(carried);
        }
    }
    answer
}

fn delete(repo: &mut Repo, call: &Call) -> Answer {
    let Some(i) = position(repo, call.parameter("name")) else {
        return Answer::not_found();
    };
    let gone = repo.labels.remove(i);
    for pull in repo.pulls.values_mut() {
        pull.labels.retain(|name| *name != gone.name);
    }
    Answer::nothing()
}

fn of_issue(repo: &Repo, issue: u64, call: &Call) -> Answer {
    repo.pulls
        .get(&issue)
        .map_or_else(Answer::not_found, |pull| {
            Answer::page(call, objects::labels_of(repo, pull))
        })
}

/// The names in `{"labels": ["a", {"name": "b"}]}`.
fn names(body: &Value) -> Vec<String> {
    let items = body["labels"].as_array().into_iter().flatten();
    let name = |item: &Value| item.as_str().or(item["name"].as_str()).map(str::to_owned);
    items.filter_map(name).collect()
}

fn add(state: &mut State, repo: u64, issue: u64, call: &Call) -> Answer {
    let wanted = names(&call.body);
    let bad = |name: &&String| {
        name.is_empty() || name.contains(',') || name.chars().count() > LONGEST_NAME
    };
    if let Some(name) = wanted.iter().find(bad) {
        return Answer::invalid(
            json!({ "resource": "Label", "code": "invalid", "field": "name", "value": name }),
        );
    }
    let carried = state
        .repos
        .get(&repo)
        .and_then(|repo| Some(repo.pulls.get(&issue)?.labels.len()));
    if carried.unwrap_or_default() + wanted.len() > MOST_ON_AN_ISSUE {
        return error("invalid", "labels");
    }
    for name in &wanted {
        carry(state, repo, issue, name);
    }
    let found = state
        .repos
        .get(&repo)
        .and_then(|repo| Some((repo, repo.pulls.get(&issue)?)));
    found.map_or_else(Answer::not_found, |(repo, pull)| {
        Answer::ok(Value::Array(objects::labels_of(repo, pull)))
    })
}

/// Puts a label on an issue; a label that the repository does not have is made, in grey.
pub(super) fn carry(state: &mut State, repo: u64, issue: u64, name: &str) {
    let id = state.id();
    let Some(repo) = state.repos.get_mut(&repo) else {
        return;
    };
    if !repo.pulls.contains_key(&issue) {
        return;
    }
    let known = position(repo, name).unwrap_or_else(|| {
        repo.labels.push(Label {
            id,
            name: name.to_owned(),
            color: "ededed".to_owned(),
            description: None,
        });
        repo.labels.len() - 1
    });
    let name = repo.labels[known].name.clone();
    if let Some(pull) = repo
        .pulls
        .get_mut(&issue)
        .filter(|pull| !pull.labels.contains(&name))
    {
        pull.labels.push(name);
    }
}

fn remove(repo: &mut Repo, issue: u64, call: &Call) -> Answer {
    let name = call.parameter("name").to_lowercase();
    let Some(pull) = repo.pulls.get_mut(&issue) else {
        return Answer::not_found();
    };
    let before = pull.labels.len();
    pull.labels.retain(|carried| carried.to_lowercase() != name);
    if pull.labels.len() == before {
        return Answer::error(404, "Label does not exist");
    }
    let pull = pull.clone();
    Answer::ok(Value::Array(objects::labels_of(repo, &pull)))
}
