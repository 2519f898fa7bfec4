//! The example's page: what it was built from, where it runs, and what the API has to say.

use std::process::ExitCode;

use axum::{
    Router,
    http::StatusCode,
    response::{Html, IntoResponse, Response},
    routing::get,
};
use service::setting;

mod api;
mod page;

use page::Page;

fn main() -> ExitCode {
    let router = Router::new()
        .route("/", get(show))
        .route("/healthz", get(async || "alive\n"))
        .route("/ready", get(ready));
    match service::run(service::serve("web", router)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("web: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn show() -> Response {
    let (status, notes) = match api::notes().await {
        Ok(notes) => (StatusCode::OK, Some(notes)),
        Err(error) => {
            println!("web: {error:#}");
            (StatusCode::SERVICE_UNAVAILABLE, None)
        }
    };
    let page = Page {
        revision: &setting("REVISION", "unknown"),
        environment: &setting("ENV", "unknown"),
        notes: notes.as_deref(),
    };
    (status, Html(page.to_string())).into_response()
}

/// Ready is who can show a row: one that went from this preview's database through its API.
async fn ready() -> (StatusCode, String) {
    match api::notes().await {
        Ok(notes) if !notes.is_empty() => (StatusCode::OK, "ready\n".to_owned()),
        Ok(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the API has no rows\n".to_owned(),
        ),
        Err(error) => {
            println!("web: not ready: {error:#}");
            (StatusCode::SERVICE_UNAVAILABLE, format!("{error:#}\n"))
        }
    }
}
