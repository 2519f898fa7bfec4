//! What the account may do: everything, unless a test forbids it.
//! <https://kubernetes.io/docs/reference/access-authn-authz/authorization/>

use axum::Json;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::api::{Asked, Place, Shared, lock};
use super::kinds::Resource;
use super::refusal::Refusal;

/// The account of the kubeconfig.
const USER: &str = "sandbox";
const ACCOUNT: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

/// Answers who the account is, and whether it may do something; none where that is not what is asked.
pub(super) fn answer(shared: &Shared, asked: &Asked) -> Result<Option<Response>, Refusal> {
    if asked.method != Method::POST {
        return Ok(None);
    }
    let review = match asked.path.as_str() {
        ACCOUNT => {
            let mut review = asked.json()?;
            review["status"] = json!({ "userInfo": { "username": USER } });
            review
        }
        REVIEWS => reviewed(shared, asked)?,
        _ => return Ok(None),
    };
    Ok(Some((StatusCode::CREATED, Json(review)).into_response()))
}

fn reviewed(shared: &Shared, asked: &Asked) -> Result<Value, Refusal> {
    let mut review = asked.json()?;
    let about = &review["spec"]["resourceAttributes"];
    let text = |key: &str| about[key].as_str().unwrap_or_default();
    if !about.is_object() || text("verb").is_empty() || text("resource").is_empty() {
        return Err(asked.not_modelled());
    }
    let mut resource = text("resource").to_owned();
    for (mark, part) in [('/', text("subresource")), ('.', text("group"))] {
        if !part.is_empty() {
            resource.push(mark);
            resource.push_str(part);
        }
    }
    let is_forbidden = is_forbidden(shared, text("verb"), &resource);
    review["status"] = json!({ "allowed": !is_forbidden });
    Ok(review)
}

fn is_forbidden(shared: &Shared, verb: &str, resource: &str) -> bool {
    let asked = (verb.to_owned(), resource.to_owned());
    lock(shared).forbidden.contains(&asked)
}

/// Refuses a request that the account may not make.
pub(super) fn authorize(shared: &Shared, asked: &Asked, place: &Place<'_>) -> Result<(), Refusal> {
    let verb = verb(asked, place);
    let resource: &Resource = place.resource;
    let plural = match place.rest {
        Some(part) => format!("{}/{part}", resource.plural),
        None => resource.plural.to_owned(),
    };
    let named = match resource.group {
        "" => plural.clone(),
        group => format!("{plural}.{group}"),
    };
    if !is_forbidden(shared, verb, &named) {
        return Ok(());
    }
    let scope = match place.namespace {
        Some(namespace) => format!("in the namespace {}", Value::from(namespace)),
        None => "at the cluster scope".to_owned(),
    };
    let why = format!(
        "User {USER:?} cannot {verb} resource {plural:?} in API group {:?} {scope}",
        resource.group
    );
    let name = place.name.unwrap_or_default();
    Err(Refusal::forbidden(resource, name, &why))
}

/// <https://kubernetes.io/docs/reference/access-authn-authz/authorization/#determine-the-request-verb>
fn verb(asked: &Asked, place: &Place<'_>) -> &'static str {
    match (&asked.method, place.name) {
        (&Method::POST, _) => "create",
        (&Method::PUT, _) => "update",
        (&Method::PATCH, _) => "patch",
        (&Method::DELETE, _) => "delete",
        (_, Some(_)) => "get",
        _ if matches!(asked.parameter("watch"), Some("true" | "1")) => "watch",
        _ => "list",
    }
}
